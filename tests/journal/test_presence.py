"""Files of a journal that are not what they were: a log that was cut short and has grown again, and all others."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bulk_sender.journal.sqlite.presence import Missing, Presence


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "j", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("CREATE TABLE t (x)")
        add(connection, 20)
        yield connection


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "j-wal"


def add(journal: sqlite3.Connection, commits: int) -> None:
    for _ in range(commits):
        journal.execute("INSERT INTO t VALUES (zeroblob(9000))")


def known(log: Path) -> Presence:
    presence = Presence([log], growing=[], log=log)
    presence.learn()
    return presence


@pytest.mark.parametrize("left", [0.0, 0.2, 0.5, 0.95])
def test_a_log_that_was_cut_short_and_grew_again_is_noticed(
    journal: sqlite3.Connection, log: Path, left: float
) -> None:
    presence, size = known(log), log.stat().st_size
    os.truncate(log, int(size * left))
    add(journal, 5)
    assert log.stat().st_size > size, "it looks as if it had only grown"
    found = presence.look()
    assert found is not None
    assert (found.path, found.how) == (log, "shorter")


def test_a_log_that_grows_or_begins_again_is_what_it_was(journal: sqlite3.Connection, log: Path) -> None:
    presence = known(log)
    for _ in range(30):
        add(journal, 3)
        assert presence.look() is None
    journal.execute("PRAGMA wal_checkpoint(RESTART)")
    size = log.stat().st_size
    while log.stat().st_size <= size + 20_000:
        add(journal, 1)
        assert presence.look() is None


@pytest.mark.parametrize("size", range(0, 9000, 500))
def test_a_frame_that_is_being_written_is_no_cut(
    journal: sqlite3.Connection, log: Path, tmp_path: Path, size: int
) -> None:
    """A look may come at any moment of a write."""
    whole, copy = log.read_bytes(), tmp_path / "copy"
    copy.write_bytes(whole[:size])
    presence = known(copy)
    copy.write_bytes(whole)
    assert presence.look() is None


NAMES = ("main", "log", "mark", "lock")


def _replaced(path: Path) -> None:
    shutil.copy2(path, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def _moved(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def _copied(path: Path) -> None:
    _moved(path)
    shutil.copytree(path.parent.with_name("elsewhere"), path.parent)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("change", "how"),
    [
        (Path.unlink, "gone"),
        (_replaced, "another"),
        (_moved, "gone"),
        (_copied, "another"),
        (lambda path: path.write_bytes(b""), "shorter"),
    ],
    ids=["deleted", "replaced", "folder moved", "folder copied", "emptied"],
)
def test_a_file_that_is_not_what_it_was_is_noticed(
    tmp_path: Path, change: Callable[[Path], None], how: str, name: str
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    paths = {each: folder / each for each in NAMES}
    for path in paths.values():
        path.write_bytes(b"x" * 100)
    presence = Presence(list(paths.values()), growing=[paths["main"]], log=paths["log"])
    presence.learn()
    with paths["log"].open("ab") as log:
        log.write(b"y" * 5000)
    assert presence.look() is None
    change(paths[name])
    if how == "shorter" and name not in ("main", "log"):
        assert presence.look() is None
        return
    found = presence.look()
    assert found is not None
    assert found == Missing(paths["main"] if change in (_moved, _copied) else paths[name], how)  # type: ignore[arg-type]
    assert presence.look() == found, "not forgotten"
