"""One process per run at a time, and no writes from a suspended process after another took over."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest

import bulk_sender as bs
from bulk_sender.errors import JournalError, RunHeldError
from bulk_sender.journal.records import Attempt, PlanComplete
from bulk_sender.journal.sqlite.lock import holder
from tests.crash.audit import audit
from tests.crash.nursery import Nursery
from tests.faults import FAULTS, Fault, FaultServer, Turn, until
from tests.kit.journals import created, opened, read
from tests.kit.scene import Scene


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "stopped by SIGSTOP"])
def test_a_second_process_is_refused_immediately_with_the_holder_of_the_run(
    nursery: Nursery, tmp_path: Path, frozen: bool
) -> None:
    go_on = threading.Event()
    with FaultServer(until("hang_after_read", event=go_on)) as server:
        scene = Scene(tmp_path / "scene", nursery, server.url, {"concurrency": 2}).with_rows(300)
        first = scene.start("send")
        assert server.ledger.wait(lambda ledger: len(ledger.accepted) == 2, 60)
        if frozen:
            first.signal(signal.SIGSTOP)
        for command, *more in (("send",), ("resume",), ("retry", "--unknown"), ("resolve", "--as", "accepted")):
            began = time.monotonic()
            second = scene.run(command, *more)
            assert second.code == 2, second
            assert f"is held by process {first.pid} on " in second.err
            assert time.monotonic() - began < 50, "within a second on a quiet machine"
        assert len(server.ledger.requests) == 2
        assert bs.status("run", runs_dir=scene.runs_dir).state == "running"
        first.signal(signal.SIGKILL)
        assert first.wait().killed
        assert holder(scene.folder) is None
        go_on.set()
        assert scene.run("send").code == 1
        found = audit(scene, server.ledger)
    assert not found.wrong
    assert found.doubt == 100


def test_many_processes_that_start_at_once_send_each_row_once(nursery: Nursery, tmp_path: Path) -> None:
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url).with_rows(400)
        children = [scene.start("send") for _ in range(5)]
        ended = [child.wait() for child in children]
        assert {one.code for one in ended} <= {1, 2}, ended
        assert 1 in {one.code for one in ended}
        assert all("internal error" not in one.err for one in ended), ended
        found = audit(scene, server.ledger)
    assert not found.wrong
    assert found.doubt == 0


def test_a_process_suspended_past_its_requests_deadline_leaves_them_unknown(nursery: Nursery, tmp_path: Path) -> None:
    with FaultServer(until("hang_after_read", count=2)) as server:
        scene = Scene(tmp_path / "scene", nursery, server.url, {"concurrency": 2, "timeout": 0.4}).with_rows(300)
        child = scene.start("send")
        assert server.ledger.wait(lambda ledger: len(ledger.accepted) == 2, 60)
        child.signal(signal.SIGSTOP)
        time.sleep(0.6)
        child.signal(signal.SIGCONT)
        ended = child.wait()
        assert (ended.code, ended.summary["unknown"]) == (1, 100)
        assert not audit(scene, server.ledger).wrong


def test_a_process_of_an_older_epoch_can_no_longer_write(tmp_path: Path) -> None:
    """Simulate a failed lock: a network file system without locks, or a folder restored under a running process."""
    folder = tmp_path / "run"
    with created(folder) as old:
        old.begin_epoch("send")
        (folder / "lock").unlink()
        with opened(folder) as new:
            assert new.begin_epoch("resume") == 2
            for record in (PlanComplete(), Attempt(1, 1, b"")):
                with pytest.raises(JournalError, match="another process has taken over"):
                    old.write([record])
            new.write([PlanComplete()])
    with read(folder) as journal:
        assert journal.is_plan_complete()


def test_reading_the_holder_does_not_block_a_starting_process(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    created(folder).close()
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            holder(folder)
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(50):
            opened(folder).close()
    finally:
        ended.set()
        watcher.join()
    with opened(folder), pytest.raises(RunHeldError):
        opened(folder)


# --- signals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_lets_requests_in_flight_finish_and_the_run_can_be_resumed(
    nursery: Nursery, tmp_path: Path, number: int, code: int
) -> None:
    go_on = threading.Event()

    def held(turn: Turn) -> Fault:
        turn.read_whole()
        if turn.index in (3, 4):
            go_on.wait(50)
        return FAULTS["ok"]

    with FaultServer(held) as server:
        scene = Scene(tmp_path / "scene", nursery, server.url, {"concurrency": 2}).with_rows(500)
        child = scene.start("send")
        assert server.ledger.wait(lambda ledger: len(ledger.bodies) == 4, 60)
        child.signal(number)
        time.sleep(0.2)
        go_on.set()
        ended = child.wait()
        assert ended.code == code, ended
        assert ended.summary["state"] == "interrupted"
        assert ended.summary["unknown"] == 0
        assert ended.summary["accepted"] == 200
        assert len(server.ledger.accepted) == 4
        assert scene.run("resume").code == 1
        found = audit(scene, server.ledger)
    assert not found.wrong
    assert found.doubt == 0


def test_a_second_signal_exits_immediately_and_leaves_rows_in_flight_unknown(nursery: Nursery, tmp_path: Path) -> None:
    with FaultServer(until("hang_after_read", count=4)) as server:
        scene = Scene(tmp_path / "scene", nursery, server.url, {"concurrency": 2, "timeout": 60}).with_rows(500)
        child = scene.start("send")
        assert server.ledger.wait(lambda ledger: len(ledger.accepted) == 2, 60)
        child.signal(signal.SIGINT)
        time.sleep(0.2)
        child.signal(signal.SIGINT)
        began = time.monotonic()
        ended = child.wait()
        assert time.monotonic() - began < 50, "long before the requests' own deadline"
        assert (ended.code, ended.summary["state"]) == (130, "interrupted")
        assert ended.summary["unknown"] == 100
        assert ended.summary["not_sent"] > 300
        assert scene.rows()[0]["error"].startswith("the process was stopped before an answer came")
        found = audit(scene, server.ledger)
    assert not found.wrong


def test_a_third_signal_kills_the_process(nursery: Nursery, tmp_path: Path) -> None:
    with FaultServer(until("hang_after_read", count=4)) as server:
        scene = Scene(tmp_path / "scene", nursery, server.url, {"concurrency": 2}).with_rows(500)
        child = scene.start("send")
        assert server.ledger.wait(lambda ledger: len(ledger.accepted) == 2, 60)
        for _ in range(3):
            child.signal(signal.SIGTERM)
            time.sleep(0.05)
        assert child.wait().code == 143
        found = audit(scene, server.ledger)
        assert (found.wrong, found.doubt) == ({}, 100)
