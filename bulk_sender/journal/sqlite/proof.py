"""The proof that a journal is sound, complete, and the one of its folder. It only reads."""

from __future__ import annotations

import functools
import json
import sqlite3
from pathlib import Path

from bulk_sender.errors import JournalError
from bulk_sender.journal.sql.rows import TABLES
from bulk_sender.journal.sql.seal import SEAL_KEY, seal
from bulk_sender.journal.sqlite.mark import MARK, read_mark
from bulk_sender.journal.sqlite.schema import SCHEMA, SCHEMA_VERSION

_WITHOUT_GAPS = ("epoch", "chunk")
"""Tables without gaps in their ids. In the others a failed write may have used some up."""


def prove(connection: sqlite3.Connection, folder: Path) -> tuple[bytes, int]:
    """Prove each page, record and reference. Returns the seals' key and the number of records.

    Costs about 5 µs per record. Raises JournalError that says what is wrong.
    """
    try:
        key = _identity(connection, folder)
        [answer] = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if answer != "ok":
            raise damaged(folder, answer)
        if _schema_of(connection) != _expected_schema():
            raise damaged(folder, "its tables are not those of a journal")
        records = sum(_prove_table(connection, folder, table, key) for table in TABLES)
        _prove_references(connection, folder)
    except sqlite3.Error as error:
        raise unreadable(folder, error) from None
    except JournalError:
        raise
    except Exception as error:  # such as invalid UTF-8 in the text of an SQLite error
        raise damaged(folder, f"it cannot be read ({type(error).__name__})") from None
    _prove_whole(folder, key, records)
    return key, records


def _identity(connection: sqlite3.Connection, folder: Path) -> bytes:
    facts = dict(connection.execute("SELECT name, value FROM run WHERE name IN ('run_id', 'version', ?)", (SEAL_KEY,)))
    try:
        facts = {name: json.loads(value) for name, value in facts.items()}
        run_id, version, key = facts["run_id"], facts["version"], bytes.fromhex(facts[SEAL_KEY])
    except (ValueError, KeyError, TypeError):
        raise damaged(folder, "it does not say which run it belongs to") from None
    if not 16 <= len(key) <= 64:
        raise damaged(folder, "the key of its checksums has the wrong length")
    if version != SCHEMA_VERSION:
        raise JournalError(
            f"{folder} was written by another version of bulk-sender (journal version {str(version)[:20]}, "
            f"this one writes {SCHEMA_VERSION})"
        )
    if run_id != folder.name:
        raise JournalError(
            f"the journal in {folder} belongs to run {str(run_id)[:120]!r}, not to {folder.name!r}",
            hint="rename the folder to the run's name",
        )
    return key


def _prove_table(connection: sqlite3.Connection, folder: Path, table: str, key: bytes) -> int:
    count = 0
    for *values, found in connection.execute(f"SELECT * FROM {table}"):
        if seal(table, tuple(values), key) != found:
            raise damaged(folder, f"a record of {table} ({str(values[0])[:20]}) fails its checksum")
        count += 1
    return count


def _prove_references(connection: sqlite3.Connection, folder: Path) -> None:
    """Refuse a journal with a lost record: others point at it, or the ids have a gap."""
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise damaged(folder, "a record points at one that is gone")
    for table in _WITHOUT_GAPS:
        count, last = connection.execute(f"SELECT count(*), coalesce(max(id), 0) FROM {table}").fetchone()
        if count != last:
            raise damaged(folder, f"records of {table} are missing")


def _prove_whole(folder: Path, key: bytes, records: int) -> None:
    mark = read_mark(folder, key)
    if mark is None:
        raise damaged(folder, f"{MARK}, which says how many records it has to have, is gone or belongs to another run")
    if records < mark:
        raise damaged(
            folder,
            f"it has {records} records, and had {mark}: its -wal file was lost or cut, or an old copy was put back",
        )


def _schema_of(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    return connection.execute("SELECT type, name, tbl_name, sql FROM main.sqlite_master ORDER BY name").fetchall()


@functools.cache
def _expected_schema() -> list[tuple[str, ...]]:
    with sqlite3.connect(":memory:") as connection:
        connection.executescript(SCHEMA)
        return _schema_of(connection)


def damaged(folder: Path, what: str) -> JournalError:
    return JournalError(
        f"the journal in {folder} is damaged: {what}",
        hint="nothing will be sent from it; keep a copy of the folder, and restore all of it if there is a backup",
    )


def unreadable(folder: Path, error: sqlite3.Error) -> JournalError:
    """Return the error that a reader gets for an error of SQLite."""
    if primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JournalError(
            f"the journal in {folder} is locked by another program",
            hint="close the program that has it open (a database viewer, a backup), then try again",
        )
    if primary_code(error) in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return JournalError(
            f"the journal in {folder} cannot be opened: {error}",
            hint="the folder and its files have to belong to the user who runs this, and be writable",
        )
    return damaged(folder, str(error))


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, such as ``sqlite3.SQLITE_FULL``; 0 for an error raised by Python."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
