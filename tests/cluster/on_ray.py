"""Two Ray nodes, PostgreSQL and a server in one network: each row is sent once, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import bulk_sender as bs
from bulk_sender.journal.place import SCHEMA_VARIABLE, VARIABLE, Place
from bulk_sender.observe.events import Progress
from tests.crash.nursery import Child, Nursery, until
from tests.docs.playing import play
from tests.docs.stages import ON_RAY
from tests.faults import FaultServer
from tests.kit.postgres import Server
from tests.kit.ray_cluster import Cluster, ray_cluster
from tests.kit.target import KEY
from tests.postgres.crew import Crew

WORKERS = 4
CONCURRENCY = 4
OTHER_KEY = "fedcba98-7654-3210-fedc-ba9876543210"
"""A key of the driver alone, for a server that takes any."""
PASSWORD = "a-word-that-nobody-prints"
_LIVE = "command = 'join' AND fenced_at IS NULL AND ended_at IS NULL"


@pytest.fixture(scope="module")
def place(postgres: Server) -> Place:
    """With a time to live that is longer than the whole test: who is dead has to be told."""
    return replace(postgres.place(), ttl_s=60.0)


@pytest.fixture(scope="module")
def ray(place: Place) -> Iterator[Cluster]:
    address = place.address.replace("postgres@", f"postgres:{PASSWORD}@")
    workers = {"BRAZE_API_KEY": KEY, VARIABLE: address, SCHEMA_VARIABLE: place.schema}
    with ray_cluster(workers) as cluster:
        yield cluster


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def crew(
    nursery: Nursery,
    tmp_path: Path,
    here: Place,
    server: FaultServer,
    request: pytest.FixtureRequest,
) -> Iterator[Crew]:
    crew = Crew(tmp_path, nursery, server, here, request.param, {"rate": "8/second", "concurrency": CONCURRENCY})
    crew.first.run_id = request.node.name.partition("[")[0]
    yield crew
    crew.end_quietly()


def started(crew: Crew, ray: Cluster, command: str = "send", *, gone: Collection[int] = ()) -> Child:
    """Start the run or resume it, and wait until all workers send. ``gone``: workers of an earlier driver."""
    driver = crew.start("--on", "ray", "--workers", WORKERS, "--address", ray.address, command=command)
    until(lambda: driver.has_ended or len(workers(crew) - set(gone)) == WORKERS, 90)
    assert not driver.has_ended, crew.wait(driver)
    return driver


def workers(crew: Crew) -> set[int]:
    """The processes that send for the run now and have sent something, beside the one that leads."""
    found = crew.sql(
        "SELECT pid FROM epoch WHERE run = (SELECT max(id) FROM run) AND command = 'join'"
        " AND fenced_at IS NULL AND ended_at IS NULL AND id IN (SELECT epoch FROM attempt WHERE run = epoch.run)"
    )
    return {pid for (pid,) in found}


@pytest.mark.parametrize("crew", [20_000], indirect=True)
def test_each_row_is_sent_once_though_the_driver_a_worker_and_a_node_are_killed(crew: Crew, ray: Cluster) -> None:
    crew.kill(started(crew, ray))
    killed = workers(crew)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in killed), 60)  # they end with their driver
    until(lambda: not crew.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"))  # the database has noticed, too

    driver = started(crew, ray, "resume", gone=killed)
    victims = {min(workers(crew))}
    os.kill(min(victims), signal.SIGKILL)
    until(lambda: not victims & workers(crew), 30)
    until(lambda: len(workers(crew)) == WORKERS, 60)
    killed |= victims

    node = ray.nodes.pop()
    victims = workers(crew) & set(node.pids())
    assert victims
    node.kill()
    until(lambda: not victims & workers(crew), 50)
    ray.add(f"--address={ray.address}")
    killed |= victims

    ended = crew.wait(driver, 120)
    assert ended.code == 1, ended
    assert ended.summary["state"] == "finished"  # standard output has the summary, and nothing that Ray prints
    found = crew.audit()
    assert not found.wrong
    assert found.rows == 20_000
    assert found.doubt <= 50 * CONCURRENCY * (1 + len(killed))
    assert told(ray, "raylet") and not told(ray, KEY) and not told(ray, PASSWORD)


def told(ray: Cluster, secret: str) -> list[Path]:
    """The files of Ray that have a secret in them."""
    return [path for path in ray.folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


@pytest.mark.parametrize("crew", [0], indirect=True)
def test_a_dataset_is_written_down_once_and_then_sent(
    crew: Crew, ray: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray as engine

    import bulk_sender.ray as bsr

    monkeypatch.setenv("BRAZE_API_KEY", OTHER_KEY)
    monkeypatch.setenv("BRAZE_ENDPOINT", crew.server.url)
    holding: dict[str, list[int]] = {}

    def look(_: Progress) -> None:
        if not holding and crew.sql("SELECT 1 FROM epoch WHERE command = 'join' AND ended_at IS NULL"):
            holding.update({key: ray.holding(key) for key in (KEY, OTHER_KEY)})

    engine.init(address=ray.address, log_to_driver=False, logging_level="ERROR")
    try:
        numbers = engine.data.range(3000, override_num_blocks=3)
        people = numbers.map_batches(lambda batch: {"external_user_id": [f"u{number}" for number in batch["id"]]})
        given = {"config": crew.first.config, "runs_dir": crew.first.runs_dir, "run_id": "lake", "workers": 1}
        with pytest.raises(bs.InputError, match="by one process"):
            bs.send(people, crew.first.config, runs_dir=crew.first.runs_dir)
        summary = bsr.send(people, **given, watch=bs.Watch(on_progress=look))
        again = bsr.send(people, **given)
    finally:
        engine.shutdown()
    assert (summary.state, summary.accepted, again.accepted) == ("finished", 3000, 3000)
    assert sorted(crew.server.ledger.accepted_ids().values()) == [1] * 3000
    assert again.requests == summary.requests == len(crew.server.ledger.requests)
    assert not any((crew.first.runs_dir / ".written").iterdir())
    assert holding[KEY] and not holding[OTHER_KEY]  # what the driver alone has is in no task, actor or environment


@pytest.mark.parametrize("crew", [0], indirect=True)
def test_workers_that_cannot_help_say_so_and_the_driver_sends_alone(
    crew: Crew, ray: Cluster, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = postgres.place()
    monkeypatch.setenv(SCHEMA_VARIABLE, elsewhere.schema)
    alone = Crew(crew.place / "alone", crew.nursery, crew.server, elsewhere, 5000, {"rate": "10/second"})
    command = alone.first.command("send", "--on", "ray", "--workers", 2, "--address", ray.address)
    command.remove("--quiet")
    ended = crew.nursery.start(command, alone.first.env).wait(60)
    assert ended.summary["state"] == "finished"
    assert ended.err.count("could not help: there is no run 'winter'") == 2, ended


@pytest.mark.parametrize("crew", [10], indirect=True)
def test_a_cluster_that_does_not_answer_is_refused_in_words(crew: Crew) -> None:
    soon = "import bulk_sender.cluster.ray as it; it._TO_CONNECT_S = 3; from bulk_sender.cli import main; main()"
    command = crew.first.command("send", "--on", "ray", "--workers", 2, "--address", "127.0.0.1:1")
    environment = {**os.environ, **crew.first.env}
    refused = subprocess.run(
        [sys.executable, "-c", soon, *map(str, command)], env=environment, capture_output=True, text=True, timeout=30
    )
    assert refused.returncode == 2
    assert "the Ray cluster 127.0.0.1:1 cannot be used: no answer in 3 s" in refused.stderr


def test_the_page_runs_as_it_is_written(tmp_path: Path, ray: Cluster) -> None:
    ray.remove()  # the page has one for itself
    play(ON_RAY, tmp_path)
