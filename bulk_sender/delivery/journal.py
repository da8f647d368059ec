"""The journal: a run's durable record, in SQLite, and the single source of truth.

Write-ahead logging with ``synchronous=FULL``: a record is on the disk when ``write`` returns. One process holds a
run at a time, by an operating-system lock that ends with the process. Every process start is an epoch; writes of
an older epoch are refused, so that a process which slept through another's start can't write any more.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bulk_sender.delivery.outcome import Outcome
from bulk_sender.delivery.records import (
    SCHEMA,
    SCHEMA_VERSION,
    STATE_VIEW,
    TABLES,
    Batch,
    Value,
    seal,
)
from bulk_sender.errors import JournalError, RunHeldError, RunNotFoundError

JOURNAL = "journal.sqlite"
LOCK = "lock"
_TRIES = 4
_BETWEEN_TRIES_S = 0.05

Statement = tuple[str, tuple[Value, ...]]
"""A table's name and the values of one record, seal excluded."""


def now() -> str:
    """The time as the journal writes it: UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Journal:
    """One run's journal. Not thread-safe: one thread at a time may use it.

    Open one with ``create`` (a new run), ``hold`` (to go on with a run) or ``look`` (read only, also while another
    process is sending).
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection, lock: int | None) -> None:
        self.folder = folder
        self.epoch = 0
        self._connection = connection
        self._lock = lock
        connection.executescript(STATE_VIEW)

    # --- opening ------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: Path, facts: dict[str, Any]) -> Journal:
        """A new run's journal with its frozen ``facts``. Raises RunHeldError, JournalError."""
        lock = _take_lock(folder)
        try:
            descriptor = os.open(folder / JOURNAL, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600)
            os.fchmod(descriptor, 0o600)
            os.close(descriptor)
            connection = _connect(folder / JOURNAL)
            connection.executescript(SCHEMA)
            journal = cls(folder, connection, lock)
            facts = {"version": SCHEMA_VERSION, "run_id": folder.name, **facts}
            journal.write([("run", (name, json.dumps(value))) for name, value in facts.items()])
            _sync_folder(folder)
            return journal
        except (OSError, sqlite3.Error) as error:
            _release(lock)
            raise JournalError(f"the journal in {folder} can't be created: {error}") from None

    @classmethod
    def hold(cls, folder: Path) -> Journal:
        """Open a run to go on with it: lock it, prove it sound, and note what a dead process left in doubt.

        Raises RunNotFoundError, RunHeldError, and JournalError when a record is damaged or the journal is another
        run's.
        """
        _must_exist(folder)
        lock = _take_lock(folder)
        try:
            journal = cls(folder, _connect(folder / JOURNAL), lock)
            journal.verify()
            return journal
        except sqlite3.Error as error:
            _release(lock)
            raise _damaged(folder, str(error)) from None
        except BaseException:
            _release(lock)
            raise

    @classmethod
    def look(cls, folder: Path) -> Journal:
        """Open a run to read it. Raises RunNotFoundError, JournalError."""
        _must_exist(folder)
        try:
            connection = sqlite3.connect(f"file:{folder / JOURNAL}?mode=ro", uri=True, isolation_level=None, timeout=10)
            connection.execute("SELECT count(*) FROM run")
            return cls(folder, connection, None)
        except sqlite3.Error as error:
            raise _damaged(folder, str(error)) from None

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()
        if self._lock is not None:
            _release(self._lock)
            self._lock = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- writing ------------------------------------------------------------------------------------------------

    def write(self, statements: Iterable[Statement]) -> None:
        """Add records, all or none; durable on return. Raises JournalError (the disk is full, or failed)."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._check_epoch()
                for table, values in statements:
                    marks = ",".join("?" * (len(values) + 1))
                    self._connection.execute(
                        f"INSERT INTO {table} VALUES ({marks})",
                        (*values, seal(table, values)),
                    )
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise JournalError(
                f"the journal {self.folder / JOURNAL} can't be written: {error}",
                hint="free some disk space, then resume the run; nothing is sent without its record",
            ) from None

    def begin_epoch(self, command: str) -> int:
        """Start an epoch and, before anything else in it, record as unknown what an earlier one left open."""
        self.epoch = 0
        epoch = self._scalar("SELECT coalesce(max(id), 0) + 1 FROM epoch")
        record = (epoch, command, now(), os.getpid(), socket.gethostname(), _user())
        self.write([("epoch", record), *self._recovery(epoch)])
        self.epoch = epoch
        return epoch

    def _recovery(self, epoch: int) -> Iterator[Statement]:
        open_attempts = self._connection.execute(
            "SELECT a.id, a.batch FROM attempt a LEFT JOIN outcome o ON o.attempt = a.id WHERE o.attempt IS NULL"
        )
        at = now()
        for attempt, batch in open_attempts.fetchall():
            text = "the process ended before an answer was recorded"
            yield (
                "outcome",
                (
                    attempt,
                    batch,
                    epoch,
                    "unknown",
                    "unknown",
                    None,
                    "",
                    "process_ended",
                    text,
                    0,
                    "",
                    0.0,
                    at,
                ),
            )

    def end_epoch(self, state: str, reason: str, elapsed_s: float) -> None:
        self.write([("ending", (self.epoch, now(), state, reason, round(elapsed_s, 3)))])

    def _check_epoch(self) -> None:
        if self.epoch and self._scalar("SELECT max(id) FROM epoch") != self.epoch:
            raise JournalError(
                "another process has taken over this run since this one started",
                hint="leave the run to it, or stop it and resume",
            )

    # --- records ------------------------------------------------------------------------------------------------

    @staticmethod
    def batch_record(batch: Batch) -> Statement:
        return "batch", (batch.id, batch.chunk, batch.first, batch.size, batch.parent, batch.prior)

    def attempt_record(self, attempt: int, batch: int, body_sha256: bytes) -> Statement:
        """The intent: it has to be durable before the first byte of its request leaves."""
        return "attempt", (attempt, batch, self.epoch, body_sha256, now())

    def outcome_record(self, attempt: int, batch: int, status: str, outcome: Outcome, elapsed_s: float) -> Statement:
        return "outcome", (
            attempt,
            batch,
            self.epoch,
            status,
            outcome.verdict.value,
            outcome.http_status,
            outcome.dispatch_id,
            outcome.code,
            outcome.message,
            int(outcome.reach),
            outcome.likely,
            round(elapsed_s, 4),
            now(),
        )

    def decide(self, batches: Iterable[tuple[int, int]], status: str, why: str) -> int:
        """Record the operator's verdict on (batch, attempt) pairs. Returns how many."""
        first = self.next_id("decision")
        user, at = _user(), now()
        records: list[Statement] = [
            ("decision", (first + index, batch, attempt, status, at, user, why))
            for index, (batch, attempt) in enumerate(batches)
        ]
        self.write(records)
        return len(records)

    # --- reading ------------------------------------------------------------------------------------------------

    def fact(self, name: str) -> Any:
        """One of the run's frozen facts, None when it was never noted."""
        row = self._connection.execute("SELECT value FROM run WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def query(self, sql: str, values: tuple[Value, ...] = ()) -> list[dict[str, Any]]:
        """Rows as dictionaries; ``state`` is the view over batches."""
        cursor = self._connection.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def column(self, sql: str, values: tuple[Value, ...] = ()) -> list[Any]:
        """The first column of each row: for many rows, a third of what ``query`` costs."""
        return [row[0] for row in self._connection.execute(sql, values)]

    def next_id(self, table: str) -> int:
        return self._scalar(f"SELECT coalesce(max(id), 0) + 1 FROM {table}")

    def _scalar(self, sql: str) -> int:
        value = self._connection.execute(sql).fetchone()[0]
        return int(value) if value is not None else 0

    def verify(self) -> None:
        """Prove every page and record sound, and the journal this folder's. Raises JournalError."""
        [(answer,)] = self._connection.execute("PRAGMA quick_check(1)").fetchall()
        if answer != "ok":
            raise _damaged(self.folder, answer)
        for table in TABLES:
            for *values, found in self._connection.execute(f"SELECT * FROM {table}"):
                if seal(table, tuple(values)) != found:
                    raise _damaged(self.folder, f"a record of {table} ({str(values[0])[:20]}) fails its checksum")
        if self.fact("run_id") != self.folder.name:
            raise JournalError(
                f"{self.folder / JOURNAL} belongs to run {self.fact('run_id')!r}, not to {self.folder.name!r}",
                hint="put the folder back under its own name",
            )
        if self.fact("version") != SCHEMA_VERSION:
            raise JournalError(f"{self.folder / JOURNAL} was written by another version of bulk-sender")
        _check_references(self._connection, self.folder)


def _check_references(connection: sqlite3.Connection, folder: Path) -> None:
    """A record that vanished whole leaves others pointing at nothing, or a gap in the numbers."""
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise _damaged(folder, "a record points at one that is gone")
    for table in ("epoch", "chunk", "batch", "attempt", "decision"):
        count, last = connection.execute(f"SELECT count(*), coalesce(max(id), 0) FROM {table}").fetchone()
        if count != last:
            raise _damaged(folder, f"records of {table} are missing")


def _damaged(folder: Path, what: str) -> JournalError:
    return JournalError(
        f"the journal {folder / JOURNAL} is damaged: {what}",
        hint="nothing will be sent from it; keep a copy, and restore the folder from a backup if there is one",
    )


def _must_exist(folder: Path) -> None:
    if not (folder / JOURNAL).is_file():
        raise RunNotFoundError(
            f"there is no run {folder.name!r} in {folder.parent}"
            if not folder.exists()
            else f"{folder} has no journal: its run can't be gone on with",
            hint="bulk-sender runs lists the runs; --runs-dir says where to look",
        )


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;")
    return connection


def _take_lock(folder: Path) -> int:
    descriptor = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if not _locked(descriptor):
        holder = os.pread(descriptor, 400, 0).decode("utf-8", "replace").strip() or "another process"
        os.close(descriptor)
        raise RunHeldError(
            f"run {folder.name!r} is held by {holder}",
            hint="wait for it to end, or stop it, then run this again",
        ) from None
    text = f"process {os.getpid()} on {socket.gethostname()} since {now()}\n".encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text, 0)
    return descriptor


def _locked(descriptor: int) -> bool:
    """Try for a moment: ``holder`` takes the lock for an instant to see whether it is free."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            time.sleep(_BETWEEN_TRIES_S)
    return False


def _release(lock: int) -> None:
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.close(lock)


def holder(folder: Path) -> str | None:
    """Who holds the run now (in words), or None."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return None
    except OSError:
        return os.pread(descriptor, 400, 0).decode("utf-8", "replace").strip() or "another process"
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    for path in (folder, folder.parent):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        with suppress(OSError):
            os.fsync(descriptor)
        os.close(descriptor)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"
