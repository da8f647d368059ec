"""A worker of an engine, without an engine: what it needs from its own machine, and what it says without that."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

import bulk_sender as bs
import bulk_sender.ray as bsr
import bulk_sender.spark as bss
from bulk_sender.cluster.worker import Left, Order, work
from bulk_sender.journal.place import VARIABLE, Place
from tests.crash.nursery import Nursery, until
from tests.faults import FaultServer
from tests.kit.scene import Scene
from tests.kit.target import KEY
from tests.postgres.crew import Crew


@pytest.fixture
def crew(nursery: Nursery, tmp_path: Path, here: Place) -> Iterator[Crew]:
    with FaultServer() as server:
        crew = Crew(tmp_path, nursery, server, here, 3000, {"rate": "20/second"})
        yield crew
        crew.end_quietly()


def left(begun: list[int] | None = None) -> Left:
    heard = [] if begun is None else begun
    return anyio.run(work, Order("winter"), heard.append)


def test_a_worker_sends_beside_the_driver_and_tells_its_epoch(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAZE_API_KEY", KEY)
    driver = crew.started()
    begun: list[int] = []
    assert left(begun).state == "finished"
    assert crew.wait(driver).code == 1
    assert [epoch for (epoch,) in crew.sql("SELECT id FROM epoch WHERE command = 'join'")] == begun
    assert crew.sql(f"SELECT count(*) > 5 FROM attempt WHERE epoch = {begun[0]}") == [(True,)]
    found = crew.audit()
    assert not found.wrong and not found.doubt


def test_a_worker_without_a_key_a_database_or_the_release_says_so(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = crew.started()
    monkeypatch.delenv("BRAZE_API_KEY", raising=False)
    without_key = left()
    assert without_key.state == "refused" and "no API key is set" in without_key.reason
    monkeypatch.setenv("BRAZE_API_KEY", KEY)
    monkeypatch.setattr("bulk_sender.run.joining.__version__", "9.9")
    other = left()
    assert other.state == "refused" and "this is bulk-sender 9.9" in other.reason
    monkeypatch.delenv(VARIABLE)
    nowhere = left()
    assert nowhere.state == "refused" and f"{VARIABLE} is not set" in nowhere.reason
    assert crew.wait(driver).code == 1


def test_an_order_holds_neither_a_key_nor_an_address(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAZE_API_KEY", KEY)
    order = pickle.dumps(Order("winter"))
    assert KEY.encode() not in order and b"postgres" not in order


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--on", "ray", "--workers", "2"], "a journal that several processes can write"),
        (["--on", "ray"], "needs the number of workers"),
        (["--on", "dask", "--workers", "2"], "'dask' is not a valid value"),
        (["--workers", "2"], "--workers needs an engine"),
    ],
)
def test_an_engine_that_cannot_be_used_is_refused_in_words(
    options: list[str], words: str, nursery: Nursery, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    scene = Scene(tmp_path / "alone", nursery, "http://127.0.0.1:9").with_rows(10)
    refused = scene.run("send", *options)
    assert refused.code == 2
    assert words in refused.err
    assert not scene.folder.exists()


def test_without_the_package_of_an_engine_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("ray", "pyspark"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(bs.ConfigError, match="ray is not installed") as without_ray:
        bsr.send("people.csv", workers=2)
    with pytest.raises(bs.ConfigError, match="pyspark is not installed"):
        bss.send(None, workers=2, store="lake")
    assert without_ray.value.exit_code == 2 and "pip install ray" in without_ray.value.hint


def test_a_run_with_its_journal_in_a_file_is_not_resumed_on_an_engine(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(bs.ConfigError, match="a journal that several processes can write") as refused:
        bsr.resume("winter", workers=2, runs_dir=tmp_path)
    assert "[scale] journal" in refused.value.hint


def test_a_worker_that_is_told_of_a_finished_run_has_nothing_to_do(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAZE_API_KEY", KEY)
    driver = crew.start("--rate", "1000/second")
    assert crew.wait(driver).code == 1
    begun: list[int] = []
    assert left(begun).state == "finished"
    assert begun == []
    until(lambda: len(crew.server.ledger.requests) == crew.sql("SELECT count(*) FROM attempt")[0][0], 5)
