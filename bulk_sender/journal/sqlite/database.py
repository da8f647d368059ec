"""SQLite connections for the journal, the creation of its file, and the meaning of SQLite's errors."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from bulk_sender import failpoints
from bulk_sender.durable import sync_folder
from bulk_sender.journal.sql.rows import TABLES, Row
from bulk_sender.journal.sql.seal import Value, seal
from bulk_sender.journal.sqlite.mark import Mark
from bulk_sender.journal.sqlite.proof import primary_code
from bulk_sender.journal.sqlite.schema import SCHEMA

JOURNAL = "journal.sqlite"
UNFINISHED = f"{JOURNAL}.new"
"""A new run's journal until it is complete."""

PATIENCE_S = 60.0
"""How long a write waits for another program that has locked the journal (a database viewer, a backup)."""

DURABLE = "PRAGMA synchronous=FULL; PRAGMA fullfsync=1; PRAGMA checkpoint_fullfsync=1;"
"""Sync each commit. On macOS the drive's cache is emptied, too; elsewhere the last two settings have no effect."""

_MOST_VALUES = 999
"""Bound parameters per statement; every SQLite build supports this many."""


def connect(path: Path) -> sqlite3.Connection:
    """Open a journal to write to it."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE_S, check_same_thread=False)
    connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; {DURABLE}")
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a journal without changing a byte of it, even when it turns out to be damaged."""
    address = f"file:{quote(str(path))}?mode=ro"
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=10, check_same_thread=False)


def plainly(error: sqlite3.Error) -> str:
    """Return why a write failed, in plain English."""
    code = primary_code(error)
    if code == sqlite3.SQLITE_FULL:
        return "the disk is full"
    if code == sqlite3.SQLITE_BUSY:
        return f"another program has kept it locked for {PATIENCE_S:g} s"
    if code == sqlite3.SQLITE_IOERR:
        return f"the disk failed ({error})"
    return str(error)


def insert(connection: sqlite3.Connection, rows: Iterable[Row], key: bytes) -> None:
    """Insert rows with one statement per table, in an order that never refers to a row that is not there yet."""
    by_table: dict[str, list[tuple[Value, ...]]] = {}
    for table, values in rows:
        by_table.setdefault(table, []).append((*values, seal(table, values, key)))
    for table in sorted(by_table, key=TABLES.index):
        sealed = by_table[table]
        step = _MOST_VALUES // len(sealed[0])
        for first in range(0, len(sealed), step):
            part = sealed[first : first + step]
            marks = ",".join(["(" + ",".join("?" * len(part[0])) + ")"] * len(part))
            connection.execute(f"INSERT INTO {table} VALUES {marks}", [value for row in part for value in row])


def build(folder: Path, rows: Sequence[Row], key: bytes) -> None:
    """Write a new journal under a temporary name, then rename it. Raises OSError, sqlite3.Error."""
    path = folder / UNFINISHED
    for stale in folder.glob(f"{UNFINISHED}-*"):
        stale.unlink()
    # Emptied, not removed: at each moment, it or the journal says that this folder is a run's.
    os.close(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(f"{DURABLE} BEGIN; {SCHEMA}")
        insert(connection, rows, key)
        connection.execute("COMMIT")
        # Not later, under its final name: a process killed while the mode changes leaves a file that cannot be read
        # without being written to.
        if connection.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
            raise sqlite3.OperationalError("write-ahead logging is not possible here")
    Mark.create(folder, key, len(rows)).close()
    failpoints.reach("before_publishing")
    path.rename(folder / JOURNAL)
    sync_folder(folder)
    sync_folder(folder.parent)  # its own name, too: a power cut must not take the folder of all runs
