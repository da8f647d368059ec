"""The index of a folder's runs, in SQLite: ``index.sqlite`` beside the runs.

A small table that any process may write to, so it uses a rollback journal: unlike write-ahead logging that works on
shared file systems, too, and leaves no other files behind.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from bulk_sender.durable import sync_folder
from bulk_sender.errors import JournalError
from bulk_sender.journal.index import IndexEntry, SentAgain
from bulk_sender.journal.sqlite.database import DURABLE, PATIENCE_S, plainly

INDEX = "index.sqlite"

_NAMES = tuple(item.name for item in fields(IndexEntry))
_JSON = ("inputs", "parents", "summary", "decisions")
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS run (
    {", ".join("name TEXT PRIMARY KEY" if name == "name" else f"{name} NOT NULL" for name in _NAMES)}
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS run_by_input ON run (input_sha256);
CREATE TABLE IF NOT EXISTS sent_again (
    parent TEXT NOT NULL, line INTEGER NOT NULL, child TEXT NOT NULL, row INTEGER NOT NULL,
    PRIMARY KEY (parent, line, child, row)
) WITHOUT ROWID;
"""
_VERSION = 1


class SqliteIndex:
    """One folder's index. Not thread-safe: one thread at a time may use it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def begin(self, entry: IndexEntry, again: Sequence[SentAgain] = ()) -> Iterator[tuple[IndexEntry, ...]]:
        self._execute("BEGIN IMMEDIATE")
        try:
            yield self.repeats(entry)
            self._put(entry)
            for each in again:
                self._execute("INSERT OR REPLACE INTO sent_again VALUES (?, ?, ?, ?)", *asdict(each).values())
            self._execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def note(self, entry: IndexEntry) -> None:
        self._put(entry)

    def entry(self, name: str) -> IndexEntry | None:
        return next(iter(self._entries("WHERE name = ?", name)), None)

    def entries(self) -> list[IndexEntry]:
        return self._entries("ORDER BY created_at, name")

    def repeats(self, entry: IndexEntry) -> tuple[IndexEntry, ...]:
        alike = self._entries("WHERE input_sha256 = ? AND name <> ?", entry.input_sha256, entry.name)
        found = [each for each in alike if each.is_repeated_by(entry)]
        return tuple(sorted(found, key=lambda each: each.last_at, reverse=True))

    def children(self, parent: str) -> list[str]:
        return [entry.name for entry in self.entries() if parent in entry.parents]

    def withdraw(self, child: str, rows: Sequence[int]) -> None:
        for row in rows:
            self._execute("DELETE FROM sent_again WHERE child = ? AND row = ?", child, row)

    def sent_again(self, parent: str) -> list[SentAgain]:
        found = self._execute("SELECT * FROM sent_again WHERE parent = ? ORDER BY line, child, row", parent)
        return [SentAgain(*row) for row in found]

    def _entries(self, where: str, *values: object) -> list[IndexEntry]:
        rows = self._execute(f"SELECT {', '.join(_NAMES)} FROM run {where}", *values)
        return [_entry(dict(zip(_NAMES, row, strict=True))) for row in rows]

    def _put(self, entry: IndexEntry) -> None:
        values = asdict(entry) | {name: json.dumps(getattr(entry, name)) for name in _JSON}
        marks = ", ".join("?" * len(_NAMES))
        self._execute(f"INSERT OR REPLACE INTO run VALUES ({marks})", *(values[name] for name in _NAMES))

    def _execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise _unusable(self._path, plainly(error)) from None


def _entry(values: dict[str, Any]) -> IndexEntry:
    lists = {name: json.loads(values[name]) for name in _JSON}
    lists |= {name: tuple(lists[name]) for name in ("inputs", "parents", "decisions")}
    return IndexEntry(**(values | lists | {"broadcast": bool(values["broadcast"])}))


def exists(runs_dir: Path) -> bool:
    """Whether the folder has an index."""
    return (runs_dir / INDEX).is_file()


def open_index(runs_dir: Path) -> SqliteIndex:
    """Open the index of a folder that exists, and create it first if need be. Raises JournalError."""
    path = runs_dir / INDEX
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600))
            sync_folder(runs_dir)
        connection = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE_S, check_same_thread=False)
        connection.executescript(DURABLE)
        if connection.execute("PRAGMA user_version").fetchone() != (_VERSION,):
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT;")
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    except sqlite3.Error as error:
        raise _unusable(path, plainly(error)) from None
    return SqliteIndex(path, connection)


def _unusable(path: Path, why: str) -> JournalError:
    return JournalError(
        f"the index of the runs, {path}, cannot be used: {why}",
        hint="it tells whether an input was sent before. If it is damaged, move it away: the next command makes a new "
        "one from the runs in the folder. That one does not know runs whose folders are gone or pruned: it would let "
        "their inputs be sent to everyone again",
    )
