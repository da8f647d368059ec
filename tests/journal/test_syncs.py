"""What the journal syncs, in which order, and what it does when a sync fails."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from bulk_sender.errors import JournalError
from bulk_sender.journal.records import Attempt, Batch, Chunk
from bulk_sender.journal.sqlite.database import JOURNAL, connect
from bulk_sender.journal.sqlite.mark import MARK
from tests.kit.journals import created, opened

CHUNK = [Chunk(1, 1, 50, 50, 50, 0, 0, "{}", b"", b""), Batch(1, 1, 0, 50)]


def failing_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no folder can be synced: the disk fails."""
    sync = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)


def test_a_new_run_is_refused_when_its_folder_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_folders(monkeypatch)
    with pytest.raises(JournalError, match=r"cannot be created: .*Input/output error"):
        created(tmp_path / "run")


def test_a_run_sends_nothing_when_the_folder_of_its_new_files_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite makes the log with the first write, and takes a failed sync of its folder for success."""
    folder = tmp_path / "run"
    created(folder).close()
    with opened(folder) as journal:
        failing_folders(monkeypatch)
        with pytest.raises(JournalError, match="the disk failed"):
            journal.begin_epoch("resume")
        monkeypatch.undo()
        with pytest.raises(JournalError, match="the disk failed"):
            journal.write([*CHUNK, Attempt(1, 1, b"0" * 32)])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are in /proc on Linux only")
def test_the_log_of_a_killed_process_is_synced_before_the_mark_counts_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, killed = tmp_path / "run", tmp_path / "killed" / "run"
    with created(folder) as journal:
        journal.begin_epoch("send")
        journal.write(CHUNK)
        shutil.copytree(folder, killed)
    calls: list[tuple[str, str]] = []
    sync, write = os.fsync, os.pwrite

    def name(descriptor: int) -> str:
        return Path(f"/proc/self/fd/{descriptor}").readlink().name

    def recorded_sync(descriptor: int) -> None:
        calls.append(("sync", name(descriptor)))
        sync(descriptor)

    def recorded_write(descriptor: int, text: bytes, at: int) -> int:
        calls.append(("write", name(descriptor)))
        return write(descriptor, text, at)

    monkeypatch.setattr(os, "fsync", recorded_sync)
    monkeypatch.setattr(os, "pwrite", recorded_write)
    with opened(killed):
        assert calls.index(("sync", f"{JOURNAL}-wal")) < calls.index(("write", MARK))


def test_every_sync_of_sqlite_empties_the_drives_cache_where_that_takes_more(tmp_path: Path) -> None:
    connection = connect(tmp_path / "any.sqlite")
    settings = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("fullfsync", "checkpoint_fullfsync")
    }
    assert settings == {"fullfsync": 1, "checkpoint_fullfsync": 1}
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()
