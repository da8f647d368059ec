"""A disk that is full, or can't be written to: nothing is sent without its record, no outcome is lost in silence."""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.errors import JournalError
from bulk_sender.journal.records import Attempt, AttemptOutcome, Batch, Chunk, PlanComplete
from bulk_sender.journal.sqlite import database
from bulk_sender.journal.sqlite.ballast import BALLAST
from bulk_sender.journal.sqlite.database import JOURNAL
from bulk_sender.journal.writer import JournalWriter
from tests.crash.audit import audit
from tests.crash.nursery import Nursery
from tests.faults import FAULTS, Fault, FaultServer, Turn
from tests.kit.journals import created, opened
from tests.kit.scene import Scene, requests_so_far
from tests.kit.tables import table

MB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    tried = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if tried.returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, *, but: int = 0) -> None:
    """Leave no more than ``but`` bytes of the disk."""
    step = 4096
    with (disk / "filler").open("ab", buffering=0) as file, suppress(OSError):
        while (free := _free(disk)) > but:
            file.write(b"x" * max(step, (free - but) // step * step))  # at once: senders write meanwhile


def _free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def then(act: Callable[[], None], *, at: int, otherwise: str = "ok") -> Callable[[Turn], Fault]:
    """A script: do something when the ``at``-th request has been read, before it and all later ones are answered."""
    done = threading.Event()

    def decide(turn: Turn) -> Fault:
        if turn.index == at:
            turn.read_whole()
            act()
            done.set()
        elif turn.index > at:
            assert done.wait(20)
        return FAULTS[otherwise]

    return decide


def test_on_a_full_disk_the_ballast_holds_what_came_of_requests_in_flight(nursery: Nursery, small_disk: Path) -> None:
    arrived = []

    def fill_and_count() -> None:
        fill(small_disk)  # other requests are sent meanwhile
        arrived.append(len(server.ledger.requests))

    with FaultServer(then(fill_and_count, at=4)) as server:
        scene = Scene(small_disk / "scene", nursery, server.url, {"concurrency": 3}).with_rows(1500)
        ended = scene.run("send")
        assert ended.code == 3, ended
        assert "the disk is full" in ended.summary["reason"]
        assert ended.summary["unknown"] == 0
        assert ended.summary["not_sent"] > 1000
        found = audit(scene, server.ledger)
        assert not found.wrong
        sent = len(server.ledger.accepted)
        assert ended.summary["accepted"] == sum(server.ledger.accepted_ids().values())
        assert sent <= arrived[0] + 3, "only what was in flight may end"
        (small_disk / "filler").unlink()
        assert scene.run("resume").code == 1
        found = audit(scene, server.ledger)
    assert not found.wrong
    assert found.doubt == 0


def test_an_outcome_that_cannot_be_recorded_is_in_the_summary_and_stays_unknown(
    nursery: Nursery, small_disk: Path
) -> None:
    def fill_wholly() -> None:
        (scene.folder / BALLAST).unlink()
        fill(small_disk)

    with FaultServer(then(fill_wholly, at=4)) as server:
        scene = Scene(small_disk / "scene", nursery, server.url, {"concurrency": 1}).with_rows(1500)
        ended = scene.run("send")
        assert ended.code == 3, ended
        dispatch_id = server.ledger.accepted[3].dispatch_id
        assert f"not recorded: batch 4 (50 rows): accepted {dispatch_id}" in ended.summary["reason"]
        assert ended.summary["unknown"] == 50
        assert len(server.ledger.requests) == 4
        (small_disk / "filler").unlink()
        again = scene.run("resume")
        assert again.summary["unknown"] == 50
        assert not audit(scene, server.ledger).wrong


def test_nothing_is_sent_without_space_for_the_ballast(nursery: Nursery, small_disk: Path) -> None:
    with FaultServer() as server:
        scene = Scene(small_disk / "scene", nursery, server.url).with_rows(200)
        fill(small_disk, but=2 * MB)
        ended = scene.run("send")
        assert ended.code == 2
        assert "cannot be written: no room for the 4 MB" in ended.err
        assert not server.ledger.connections
        (small_disk / "filler").unlink()
        assert scene.run("send").code == 1
        assert not audit(scene, server.ledger).wrong


def write_bulky_input(path: Path, rows: int) -> Path:
    """Write cells that cannot be compressed."""
    lines = [f"u{number},{secrets.token_hex(2000)}" for number in range(rows)]
    path.write_text("\n".join(["external_user_id,trigger_properties.noise", *lines]) + "\n")
    return path


@pytest.mark.parametrize("limit", ["the disk", "the size of a file"])
def test_a_run_without_space_for_its_plan_stops_with_correct_results(
    nursery: Nursery, small_disk: Path, tmp_path: Path, limit: str
) -> None:
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url)
        scene.inputs.append(write_bulky_input(tmp_path / "in.csv", 5000))
        if limit == "the disk":
            scene.runs_dir = small_disk / "runs"
            ended = scene.run("send")
        else:
            ended = scene.run("send", largest_file=4 * MB + 100_000)
        assert ended.code == 3, ended
        assert ("the disk is full" if limit == "the disk" else "the disk failed") in ended.summary["reason"]
        found = audit(scene, server.ledger)
        assert not found.wrong
        assert found.doubt == 50 * ended.summary["reason"].count("not recorded: batch")
        subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
        assert scene.run("resume").code == (1 if found.doubt else 0)
        assert not audit(scene, server.ledger).wrong


def test_intents_stop_where_the_disk_is_full_and_outcomes_do_not(small_disk: Path) -> None:
    folder = small_disk / "run"
    with created(folder) as journal:
        journal.begin_epoch("test")
        journal.write([Chunk(1, 1, 50, 50, 50, 0, 0, "{}", b"", b""), Batch(1, 1, 0, 50)])
        journal.write([Attempt(1, 1, b"0" * 32)])
        fill(small_disk)
        with pytest.raises(JournalError, match="cannot be written: the disk is full"):
            for number in range(2, 10_000):
                journal.write([Attempt(number, 1, b"0" * 32)])
        assert (folder / BALLAST).exists(), "an intent must not use the ballast"
        for attempt in [row["id"] for row in table(folder, "attempt")]:
            taken = Outcome(Verdict.ACCEPTED, "", "x" * 8000, 201, "d")
            journal.write([AttemptOutcome(attempt, 1, "accepted", taken)])
        assert not (folder / BALLAST).exists()
        with pytest.raises(JournalError, match="the disk is full"):
            journal.write([Attempt(20_000, 1, b"0" * 32)])
    with opened(folder) as journal:
        assert [batch.status for batch in journal.batches(1)] == ["accepted"]


def test_the_run_waits_for_another_program_that_locks_the_journal(nursery: Nursery, tmp_path: Path) -> None:
    seen_meanwhile = []

    def lock() -> None:
        viewer = sqlite3.connect(scene.folder / JOURNAL, isolation_level=None, check_same_thread=False)
        viewer.execute("BEGIN IMMEDIATE")

        def end() -> None:
            seen_meanwhile.append(len(server.ledger.requests))
            viewer.execute("ROLLBACK")
            viewer.close()

        threading.Timer(0.5, end).start()

    with FaultServer(then(lock, at=5)) as server:
        scene = Scene(tmp_path / "scene", nursery, server.url, {"concurrency": 1}).with_rows(600)
        ended = scene.run("send")
        assert ended.code == 1, ended
        assert seen_meanwhile == [5], "no request may leave while its intent can't be written"
        found = audit(scene, server.ledger)
    assert not found.wrong
    assert found.doubt == 0


def test_a_locked_journal_and_a_damaged_journal_raise_different_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE_S", 0.1)
    folder = tmp_path / "run"
    with created(folder) as journal:
        viewer = sqlite3.connect(folder / JOURNAL, isolation_level=None)
        viewer.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match=r"another program has kept it locked for 0\.1 s"):
            journal.begin_epoch("test")
        viewer.close()
        assert journal.begin_epoch("test") == 1


# --- places that can't be written to ----------------------------------------------------------------------------------


def test_a_read_only_folder_is_refused_before_anything_is_sent(nursery: Nursery, small_disk: Path) -> None:
    with FaultServer() as server:
        scene = Scene(small_disk / "scene", nursery, server.url).with_rows(200)
        assert scene.run("send", failpoint="after_intent").killed
        requests = requests_so_far(server)
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        for command in ("send", "resume", "retry", "resolve"):
            more = {"retry": ["--unknown"], "resolve": ["--as", "failed"]}.get(command, [])
            ended = scene.run(command, *more)
            assert ended.code == 2, ended
            assert "Read-only file system" in ended.err
            assert "internal error" not in ended.err
        scene.run_id = "another"
        assert scene.run("send").code == 2
        assert len(server.ledger.requests) == requests


@pytest.mark.parametrize("kind", ["a file", "a symbolic link"])
def test_a_runs_folder_that_is_not_a_folder_is_refused(nursery: Nursery, tmp_path: Path, kind: str) -> None:
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url).with_rows(100)
        if kind == "a file":
            scene.runs_dir.write_text("x")
        else:
            scene.runs_dir.mkdir()
            (tmp_path / "elsewhere").mkdir()
            scene.folder.symlink_to(tmp_path / "elsewhere")
        ended = scene.run("send")
        assert ended.code == 2, ended
        assert "internal error" not in ended.err
        assert not server.ledger.connections
        assert not list(tmp_path.glob("elsewhere/*"))


@pytest.mark.parametrize("name", ["results.csv", "rejected.csv", "summary.json"])
def test_a_folder_at_a_results_path_is_refused_before_anything_is_sent(
    nursery: Nursery, tmp_path: Path, name: str
) -> None:
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url).with_rows(200)
        assert scene.run("send", failpoint="before_intent").killed
        (scene.folder / name).mkdir()
        ended = scene.run("resume")
        assert (ended.code, f"{name} is a folder" in ended.err) == (2, True)
        assert not server.ledger.connections


def test_a_symbolic_link_at_the_results_path_is_replaced_and_not_followed(nursery: Nursery, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url).with_rows(200)
        assert scene.run("send", failpoint="before_intent").killed
        for name in ("results.csv", ".results.csv.new", "rejected.csv", "summary.json"):
            (scene.folder / name).symlink_to(precious)
        assert scene.run("resume").code == 1
    assert precious.read_text() == "precious"
    assert not (scene.folder / "results.csv").is_symlink()


def test_a_lock_that_is_a_symbolic_link_is_refused(nursery: Nursery, tmp_path: Path) -> None:
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url).with_rows(100)
        assert scene.run("send", failpoint="before_intent").killed
        (scene.folder / "lock").unlink()
        (scene.folder / "lock").symlink_to(tmp_path / "elsewhere")
        ended = scene.run("resume")
        assert (ended.code, "the lock" in ended.err) == (2, True)
        assert not (tmp_path / "elsewhere").exists()


def test_results_that_cannot_be_written_are_reported_and_written_by_a_resume(nursery: Nursery, tmp_path: Path) -> None:
    with FaultServer(then(lambda: (scene.folder / "results.csv" / "full").mkdir(parents=True), at=2)) as server:
        scene = Scene(tmp_path / "scene", nursery, server.url).with_rows(200)
        ended = scene.run("send")
        assert ended.code == 3, ended
        assert "results.csv cannot be written" in ended.summary["reason"]
        assert ended.summary["not_sent"] == 0
        (scene.folder / "results.csv" / "full").rmdir()
        (scene.folder / "results.csv").rmdir()
        requests = requests_so_far(server)
        assert scene.run("resume").code == 1
        assert len(scene.rows()) == 200
        assert len(server.ledger.requests) == requests


def test_a_journal_that_stays_locked_is_waited_for_once_however_many_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience_s = 0.5
    monkeypatch.setattr(database, "PATIENCE_S", patience_s)
    folder = tmp_path / "run"
    folder.mkdir()

    async def all_refused_after() -> float:
        async with JournalWriter(journal) as writer:
            began = time.monotonic()
            orders = [writer.write(PlanComplete()) for _ in range(8)]
            refused = await asyncio.gather(*orders, return_exceptions=True)
            assert [type(error) for error in refused] == [JournalError] * 8
            return time.monotonic() - began

    with created(folder) as journal:
        viewer = sqlite3.connect(folder / JOURNAL, isolation_level=None)
        viewer.execute("BEGIN IMMEDIATE")
        assert asyncio.run(all_refused_after()) < 3 * patience_s
        viewer.close()
