"""Several processes send one run: each row once, whoever is killed, paused or cut off, and a closed account."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bulk_sender as bs
from bulk_sender.journal.place import VARIABLE, Place
from tests.crash.nursery import Nursery, until
from tests.faults import FaultServer
from tests.faults import until as until_script
from tests.kit.pg_proxy import Proxy
from tests.kit.scene import Scene
from tests.postgres.crew import UNFENCED, Crew

pytestmark = pytest.mark.usefixtures("here")
Hire = Callable[..., Crew]
STOPS = ("before_intent", "after_intent", "before_outcome", "after_outcome")


@pytest.fixture
def hire(nursery: Nursery, tmp_path: Path, place: Place) -> Iterator[Hire]:
    crews: list[Crew] = []

    def hire(server: FaultServer, rows: int, **settings: object) -> Crew:
        crews.append(Crew(tmp_path, nursery, server, place, rows, settings))
        return crews[-1]

    yield hire
    for crew in crews:
        crew.end_quietly()


def test_two_processes_share_a_run(hire: Hire) -> None:
    with FaultServer() as server:
        crew = hire(server, 6000, rate="80/second")
        planner = crew.start()
        assert server.ledger.wait(lambda ledger: bool(ledger.accepted), 30)
        joiner = crew.join()
        until(lambda: len(crew.epochs()) == 2, 20)
        running = bs.status("winter", runs_dir=crew.first.runs_dir)
        assert [(it.command, it.state, it.pid) for it in running.workers] == [
            ("send", "working", planner.pid),
            ("join", "working", joiner.pid),
        ]
        ended, joined = crew.wait(planner), crew.wait(joiner)
        assert (ended.code, joined.code, joined.err) == (1, 0, "")
        found = crew.audit()
        assert not found.wrong and not found.doubt
        assert joined.summary["accepted"] == ended.summary["accepted"] == len(server.ledger.accepted_ids())
        assert ended.summary["epochs"] == 2
        assert all(worker["requests"] > 10 for worker in ended.summary["workers"])
        assert sum(worker["requests"] for worker in ended.summary["workers"]) == ended.summary["requests"]
        assert len(crew.first.rows()) == 6000
        again = crew.join()
        assert crew.wait(again).code == 0
        assert len(server.ledger.requests) == ended.summary["requests"]


def test_each_process_knows_how_long_all_of_them_still_take(hire: Hire, monkeypatch: pytest.MonkeyPatch) -> None:
    moments: list[bs.Progress] = []
    with FaultServer() as server:
        crew = hire(server, 12_000, rate="15/second", share_rate=False)
        planner = crew.started()
        for name, value in crew.first.env.items():
            monkeypatch.setenv(name, value)
        bs.join("winter", runs_dir=crew.first.runs_dir, on_progress=moments.append)
        assert crew.wait(planner).code == 1
    ended = moments[-1]
    assert ended.accepted < 8_000, "the other one sent, too"
    assert (ended.so_far.rows, ended.so_far.unknown) == (12_000, 0)
    assert ended.so_far.not_sent < 2_000, "the others' last second may not be known yet"
    told = [(it.elapsed_s, it.seconds_left) for it in moments if 3.0 < it.elapsed_s < ended.elapsed_s - 2.0]
    assert len(told) > 5
    for elapsed_s, left_s in told:
        assert left_s is not None
        assert elapsed_s + left_s == pytest.approx(ended.elapsed_s, rel=0.35), told
    accepted = [it.so_far.accepted for it in moments]
    assert accepted == sorted(accepted) and min(it.so_far.not_sent for it in moments) >= 0


def paused(crew: Crew, *, seconds: float, mutant: dict[str, str] | None = None) -> int:
    """Pause one process at each place for longer than the time to live, and let it go on.

    Return how many requests there were before.
    """
    planner = crew.started()
    for place in STOPS:
        crew.join(failpoint=f"{place}:3:stop", mutant=mutant)
    until(lambda: all(stopped(child.pid) for child in crew.children[1:]), 30)
    began = time.monotonic()
    if mutant is None:
        assert crew.wait(planner, 40).code == 1
    until(lambda: len(crew.sql("SELECT 1 FROM epoch WHERE fenced_at IS NOT NULL")) == len(STOPS), 30)
    time.sleep(max(0.0, seconds - (time.monotonic() - began)))
    if mutant is not None:
        until(
            lambda: (
                not crew.sql("SELECT 1 FROM lease WHERE holder IN (SELECT id FROM epoch WHERE fenced_at IS NOT NULL)")
            ),
            30,
        )
    requests = len(crew.server.ledger.requests)
    for child in crew.children:
        child.signal(signal.SIGCONT)
    return requests


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_a_process_that_is_paused_for_long_sends_nothing_afterwards(hire: Hire) -> None:
    with FaultServer() as server:
        crew = hire(server, 6000, rate="30/second")
        before = paused(crew, seconds=11.0)
        for child in list(crew.children):
            ended = crew.wait(child)
            assert ended.code == 3, ended
            assert "another process of this run has given this one up" in ended.err
        assert len(server.ledger.requests) == before
        found = crew.audit()
        assert not found.wrong
        assert 0 < found.doubt <= 50 * 4 * len(STOPS)
        late = crew.sql("SELECT status FROM late")
        assert ("accepted",) in late
        assert ("not_sent",) in late
        again = crew.wait(crew.start(command="resume"))
        assert found.doubt - again.summary["unknown"] == 50 * late.count(("accepted",))
        assert [run.unknown for run in bs.runs(crew.first.runs_dir)] == [again.summary["unknown"]]
        assert len(server.ledger.requests) == before
        assert not crew.audit().wrong


def test_without_the_condition_of_the_fence_people_get_it_twice(hire: Hire) -> None:
    with FaultServer() as server:
        crew = hire(server, 6000, rate="30/second")
        paused(crew, seconds=11.0, mutant=UNFENCED)
        until(lambda: bool(crew.audit().wrong.get("twice")), 30)


@pytest.mark.parametrize(("processes", "kills"), [(2, 3), (4, 6)])
def test_whoever_is_killed_nobody_gets_it_twice(hire: Hire, processes: int, kills: int) -> None:
    rng = random.Random(processes)
    with FaultServer() as server:
        crew = hire(server, 20_000, rate="150/second")
        planner = crew.started()
        joined = [crew.join() for _ in range(processes - 1)]
        for number in range(kills):
            time.sleep(rng.uniform(0.2, 0.6))
            if number == 1:
                crew.kill(planner)
                continue
            crew.kill(joined.pop(0))
            joined.append(crew.join())
        for child in joined:
            ended = crew.wait(child)
            assert ended.code in (0, 3), ended
            if ended.code:
                assert "the process that planned the input is gone" in ended.err
        assert crew.finish().code == 1
        found = crew.audit()
        assert not found.wrong
        assert found.rows == 20_000
        assert found.doubt <= 50 * 4 * kills


def test_a_process_that_is_cut_off_from_the_database_sends_nothing(hire: Hire, proxy: Proxy) -> None:
    with FaultServer() as server:
        crew = hire(server, 6000, rate="40/second")
        planner = crew.started()
        cut_off = crew.join(port=proxy.port)
        until(lambda: crew.requests_of(cut_off) > 3, 30)
        proxy.freeze()
        time.sleep(0.5)  # what is on its way may arrive
        requests = crew.requests_of(cut_off)
        ended = crew.wait(planner)
        assert ended.code == 1
        proxy.thaw()
        told = crew.wait(cut_off)
        assert told.code == 3
        assert "another process of this run has given this one up" in told.err
        assert crew.requests_of(cut_off) == requests
        found = crew.audit()
        assert not found.wrong
        assert found.doubt <= 50 * 4


@pytest.mark.parametrize("who", ["planner", "joiner"])
def test_a_stop_that_concerns_all_stops_all(hire: Hire, who: str) -> None:
    event = threading.Event()
    with FaultServer(until_script("ok", event=event, then="status_401")) as server:
        crew = hire(server, 6000, rate="40/second")
        planner = crew.started()
        others = [crew.join(), crew.join()]
        until(lambda: all(crew.requests_of(each) > 1 for each in others), 30)
        if who == "planner":
            planner.signal(signal.SIGINT)
        else:
            event.set()
        ended = crew.wait(planner)
        assert ended.code == (130 if who == "planner" else 3), ended
        for child in others:
            told = crew.wait(child)
            assert told.code == 3, told
            reason = "the process that started it was stopped" if who == "planner" else "Braze refused the key"
            assert reason in told.err
        assert ended.summary["not_sent"] > 0
        found = crew.audit()
        assert not found.wrong and not found.doubt
        assert crew.sql("SELECT 1 FROM lease WHERE holder IS NOT NULL AND NOT done") == []


def test_a_process_that_is_told_to_end_gives_its_chunks_back(hire: Hire) -> None:
    with FaultServer() as server:
        crew = hire(server, 6000, rate="60/second")
        planner = crew.started()
        leaving = crew.join()
        until(lambda: crew.requests_of(leaving) > 2, 30)
        leaving.signal(signal.SIGTERM)
        told = crew.wait(leaving)
        assert told.code == 143
        assert crew.wait(planner).code == 1
        found = crew.audit()
        assert not found.wrong and not found.doubt


def test_what_waits_behind_a_canary_is_taken_by_nobody(hire: Hire) -> None:
    with FaultServer() as server:
        crew = hire(server, 6000)
        planner = crew.start("--canary", 100)
        until(crew.has_begun, 30)
        helping = crew.join()
        held, told = crew.wait(planner), crew.wait(helping)
        assert held.code == told.code == 3
        assert "held after the first 100 rows" in held.err and "held after the first 100 rows" in told.err
        assert len(server.ledger.accepted_ids()) <= 100
        planner = crew.start(command="resume")
        helping = crew.join("--until-finished")
        assert crew.wait(planner).code == 1
        assert crew.wait(helping).code == 0
        found = crew.audit()
        assert not found.wrong and not found.doubt


def test_a_run_that_others_have_is_taken_over_only_on_demand(hire: Hire) -> None:
    with FaultServer() as server:
        crew = hire(server, 6000, rate="20/second")
        planner = crew.started()
        other = crew.join()
        until(lambda: crew.requests_of(other) > 0, 30)
        refused = crew.wait(crew.start(command="resume"))
        assert refused.code == 2
        assert f"is held by process {other.pid} on" in refused.err
        taking = crew.start("--take-over", "--rate", "1000/second", command="resume")
        for child in (planner, other):
            told = crew.wait(child)
            assert told.code == 3
            assert "another process has taken over this run" in told.err
        assert crew.wait(taking).code == 1
        found = crew.audit()
        assert not found.wrong
        assert found.doubt <= 50 * 8
        early = crew.wait(crew.start("--unknown", command="retry"))
        assert early.code == 2 if found.doubt else True
        if found.doubt:
            assert "may still be on their way to Braze" in early.err and "try again in" in early.err
        finished = crew.join()
        assert crew.wait(finished).code == 0


def test_a_run_with_its_journal_in_a_file_has_no_room_for_another(
    hire: Hire, nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    with FaultServer() as server:
        scene = Scene(tmp_path / "alone", nursery, server.url).with_rows(100)
        assert scene.run("send").code == 1
        refused = scene.run("join")
        assert refused.code == 2
        assert "only one process at a time can send it" in refused.err
        assert "PostgreSQL" in refused.err
