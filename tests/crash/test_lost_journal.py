"""A journal that is no longer there: deleted, moved, replaced or cut short while the run is sending."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bulk_sender.journal.sqlite.ballast import BALLAST
from bulk_sender.journal.sqlite.database import JOURNAL
from bulk_sender.journal.sqlite.lock import LOCK
from bulk_sender.journal.sqlite.mark import MARK
from tests.crash.audit import audit
from tests.crash.nursery import Ended, Nursery
from tests.faults import FAULTS, Fault, FaultServer, Turn, until
from tests.kit.command import files_below
from tests.kit.scene import Scene, requests_so_far

AT = 6
"""The request during which something happens to the run's folder."""
ROWS = 1500
LOG, SHARED = f"{JOURNAL}-wal", f"{JOURNAL}-shm"


@dataclass
class Hand:
    """Somebody who does something to a folder while the ``AT``-th request is being answered; later ones are timed."""

    act: Callable[[], object] = lambda: None
    later: list[float] = field(default_factory=list)
    _acted_at: float = 0.0
    _done: threading.Event = field(default_factory=threading.Event)

    def __call__(self, turn: Turn) -> Fault:
        turn.read_whole()
        if turn.index == AT:
            self.act()
            self._acted_at = time.monotonic()
            self._done.set()
        elif self._done.is_set():
            self.later.append(time.monotonic() - self._acted_at)
        turn.wire.hang(0.005)
        return FAULTS["ok"]


@dataclass
class Sending:
    """A run that is sending while something is done to its folder."""

    scene: Scene
    server: FaultServer
    hand: Hand

    @property
    def folder(self) -> Path:
        return self.scene.folder

    def while_(self, act: Callable[[], object]) -> Ended:
        """Send while ``act`` happens. The run stops at once, with exit code 3."""
        self.hand.act = act
        ended = self.scene.run("send")
        assert ended.code == 3, ended
        assert requests_so_far(self.server) < ROWS / 50 / 2, "most was left when it happened"
        assert not self.hand.later or max(self.hand.later) < 0.25
        assert ended.summary["lost"] in ("journal", "taken_over")
        assert ended.summary["files"] == {"journal": str(self.folder / JOURNAL)}
        assert "hint: resume" not in ended.err
        return ended

    def again(self, command: str = "send", *, code: int, says: str = "") -> None:
        """Give a command again. Whatever it does, nobody gets a second message."""
        before = len(self.server.ledger.requests)
        ended = self.scene.run(command)
        assert ended.code == code, ended
        assert says in ended.err, ended
        assert max(self.server.ledger.accepted_ids().values()) == 1
        if code == 2:
            assert len(self.server.ledger.requests) == before

    def finishes(self, *, doubt: int = 0) -> None:
        """The run can be resumed, and the two accounts agree."""
        self.again("resume", code=1)
        found = audit(self.scene, self.server.ledger)
        assert (found.wrong, found.lost) == ({}, 0)
        assert found.doubt == doubt


@pytest.fixture
def sending(nursery: Nursery, tmp_path: Path) -> Iterator[Sending]:
    hand = Hand()
    with FaultServer(hand) as server:
        yield Sending(Scene(tmp_path / "scene", nursery, server.url, {"concurrency": 4}).with_rows(ROWS), server, hand)


def delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def replace(path: Path) -> None:
    """Put a copy in the place of a file or folder."""
    copy = path.with_name("copy")
    if path.is_dir():
        shutil.copytree(path, copy)
    else:
        shutil.copy2(path, copy)
    delete(path)
    copy.rename(path)


def _missing(folder: Path) -> tuple[str, str]:
    return f"the run's folder {folder}", f"the journal {folder / JOURNAL}"


def test_a_deleted_folder_stops_the_run_and_the_same_command_is_refused(sending: Sending) -> None:
    reason = sending.while_(lambda: delete(sending.folder)).summary["reason"]
    # A folder is deleted file by file, and the run may look at a moment when only the journal is gone.
    gone = [f"{what} was deleted or moved while the run was sending; " for what in _missing(sending.folder)]
    assert any(text in reason for text in gone)
    assert "in flight: batch " in reason
    assert " (50 rows): accepted " in reason or " rows): accepted " in reason
    assert "if it was moved, put it back where it was, then bulk-sender resume run. Do not repeat the command" in reason
    assert not sending.folder.exists(), "nothing makes it again"
    sending.again(code=2, says="and its folder")
    sending.again("resume", code=2, says="put the folder back")
    sending.scene.run_id = "another"
    sending.again(code=2, says="this input was sent to this campaign")


def test_a_run_is_refused_also_when_the_index_was_deleted_with_it(sending: Sending) -> None:
    runs = sending.scene.runs_dir
    ended = sending.while_(lambda: [delete(path) for path in (runs / "index.sqlite", sending.folder)])
    assert "was deleted or moved while the run was sending" in ended.summary["reason"]
    sending.again(code=2, says="and its folder")
    sending.scene.run_id = "another"
    sending.again(code=2, says="this input was sent to this campaign")


def test_a_folder_that_was_moved_and_put_back_is_continued_without_a_doubt(sending: Sending, tmp_path: Path) -> None:
    away = tmp_path / "away"
    ended = sending.while_(lambda: sending.folder.rename(away))
    assert not sending.folder.exists()
    assert not (away / "results.csv").exists()
    assert ended.summary["unknown"] == 0
    sending.again(code=2, says="and its folder")
    away.rename(sending.folder)
    sending.finishes()


def test_the_folder_of_all_runs_is_moved_and_put_back(sending: Sending, tmp_path: Path) -> None:
    away, runs = tmp_path / "away", sending.scene.runs_dir
    sending.while_(lambda: runs.rename(away))
    assert not runs.exists()
    ended = sending.scene.nursery.run(sending.scene.command("send"), sending.scene.env)
    assert (ended.code, f"the folder of the runs, {runs}, does not exist" in ended.err) == (2, True)
    away.rename(runs)
    sending.finishes()


def test_the_files_of_the_folder_that_came_in_its_place_are_left_alone(sending: Sending, tmp_path: Path) -> None:
    away = tmp_path / "away"

    def swap() -> None:
        sending.folder.rename(away)
        sending.folder.mkdir()
        for name in (JOURNAL, LOG, SHARED, BALLAST, "results.csv", "summary.json"):
            (sending.folder / name).write_text("another's")

    ended = sending.while_(swap)
    assert f"the journal {sending.folder / JOURNAL} was replaced by another one" in ended.summary["reason"]
    assert {path.read_text() for path in files_below(sending.folder)} == {"another's"}
    assert len(files_below(sending.folder)) == 6
    shutil.rmtree(sending.folder)
    away.rename(sending.folder)
    sending.finishes()


@pytest.mark.parametrize("what", [delete, lambda path: path.rename(path.with_name("moved"))], ids=["deleted", "moved"])
def test_without_its_journal_a_run_is_refused(sending: Sending, what: Callable[[Path], object]) -> None:
    ended = sending.while_(lambda: what(sending.folder / JOURNAL))
    assert f"the journal {sending.folder / JOURNAL} was " in ended.summary["reason"]
    assert not (sending.folder / "summary.json").exists()
    sending.again(code=2)
    sending.again("resume", code=2)


def test_a_journal_that_is_replaced_stops_the_run(sending: Sending) -> None:
    ended = sending.while_(lambda: replace(sending.folder / JOURNAL))
    assert f"the journal {sending.folder / JOURNAL} was replaced by another one" in ended.summary["reason"]
    sending.finishes()  # a copy, beside a log that has the rest


@pytest.mark.parametrize("name", [LOG, SHARED, LOCK])
@pytest.mark.parametrize("what", [delete, lambda path: path.rename(path.with_name("moved"))], ids=["deleted", "moved"])
def test_a_part_of_the_journal_that_is_gone_stops_the_run_which_can_be_resumed(
    sending: Sending, name: str, what: Callable[[Path], object]
) -> None:
    ended = sending.while_(lambda: what(sending.folder / name))
    assert f"{sending.folder / name}, a part of the run's journal, was deleted or moved" in ended.summary["reason"]
    sending.finishes()


def test_a_mark_that_is_gone_is_written_again_when_the_run_stops(sending: Sending) -> None:
    sending.while_(lambda: delete(sending.folder / MARK))
    sending.finishes()


@pytest.mark.parametrize("name", [LOG, SHARED, LOCK, MARK])
def test_a_part_of_the_journal_that_is_replaced_stops_the_run(sending: Sending, name: str) -> None:
    sending.while_(lambda: replace(sending.folder / name))
    sending.finishes()


@pytest.mark.parametrize("name", [JOURNAL, LOG])
def test_a_journal_that_is_cut_short_stops_the_run(sending: Sending, name: str) -> None:
    path = sending.folder / name
    sending.hand.act = lambda: os.truncate(path, path.stat().st_size // 2)
    ended = sending.scene.run("send")
    assert ended.code == 3, ended
    assert f"{path} was cut short or overwritten while the run was sending; " in ended.err
    assert "in flight: batch " in ended.err
    assert requests_so_far(sending.server) < ROWS / 50 / 2
    for command in ("send", "resume"):
        sending.again(command, code=2, says="is damaged")


def test_a_memory_map_of_the_journal_that_is_cut_short_ends_the_process_as_a_kill_does(sending: Sending) -> None:
    path = sending.folder / SHARED
    sending.hand.act = lambda: os.truncate(path, 0)
    assert sending.scene.run("send").code in (3, -signal.SIGBUS)
    assert sending.scene.run("resume").code == 1
    found = audit(sending.scene, sending.server.ledger)
    assert (found.wrong, found.doubt <= 200) == ({}, True)


def test_a_deleted_ballast_does_no_harm(sending: Sending) -> None:
    sending.hand.act = lambda: delete(sending.folder / BALLAST)
    assert sending.scene.run("send").code == 1
    assert not audit(sending.scene, sending.server.ledger).wrong


def test_a_run_that_waits_notices_too(nursery: Nursery, tmp_path: Path) -> None:
    """The next request would leave in a minute."""
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url, {"rate": "1/minute", "concurrency": 1}).with_rows(500)
        child = scene.start("send")
        assert server.ledger.wait(lambda ledger: len(ledger.accepted) == 1, 20)
        time.sleep(0.3)
        delete(scene.folder)
        ended = child.wait(20)
        assert (ended.code, ended.summary["lost"]) == (3, "journal")
        assert len(server.ledger.requests) == 1


def written(scene: Scene) -> dict[Path, bytes]:
    """All files of a run and its index. SQLite's own change when the last process closes the journal."""
    found = files_below(scene.runs_dir)
    return {path: path.read_bytes() for path in found if path.name not in (LOCK, JOURNAL, LOG, SHARED)}


def test_a_process_that_lost_its_run_to_another_writes_no_files(nursery: Nursery, tmp_path: Path) -> None:
    go_on = threading.Event()
    metrics = tmp_path / "job.prom"
    with FaultServer(until("hang_after_read", event=go_on)) as server:
        scene = Scene(tmp_path / "scene", nursery, server.url, {"concurrency": 2, "timeout": 5}).with_rows(300)
        first = scene.start("send", "--metrics-file", metrics)
        assert server.ledger.wait(lambda ledger: len(ledger.accepted) == 2, 60)
        first.signal(signal.SIGSTOP)
        (scene.folder / LOCK).unlink()
        go_on.set()
        assert scene.run("resume", "--metrics-file", metrics).code == 1
        files = written(scene)
        assert scene.folder / "summary.json" in files
        series = metrics.read_text()
        first.signal(signal.SIGCONT)
        ended = first.wait()
        assert (ended.code, ended.summary["lost"]) == (3, "taken_over"), ended
        assert "another process has taken over this run" in ended.summary["reason"]
        assert written(scene) == files
        assert metrics.read_text() == series
        assert not audit(scene, server.ledger).wrong
