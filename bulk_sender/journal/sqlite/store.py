"""The journal: a run's durable record, in SQLite, and the single source of truth.

Write-ahead logging with ``synchronous=FULL``: a record is on the disk when ``write`` returns. One process holds a
run at a time, by an operating-system lock that ends with the process. Every process start is an epoch; writes of
an older epoch are refused, so that a process which slept through another's start can't write any more.
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
import socket
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from bulk_sender import failpoints
from bulk_sender.braze.answer import Outcome
from bulk_sender.errors import GuardrailError, JournalError, RunNotFoundError
from bulk_sender.journal.records import RESEND, Batch, Status
from bulk_sender.journal.records import Statement as Statement
from bulk_sender.journal.records import now as now
from bulk_sender.journal.sqlite.ballast import SIZE as BALLAST_BYTES
from bulk_sender.journal.sqlite.ballast import Ballast
from bulk_sender.journal.sqlite.database import JOURNAL as JOURNAL
from bulk_sender.journal.sqlite.database import UNFINISHED, build, connect, connect_to_read, insert, plainly
from bulk_sender.journal.sqlite.lock import holder as holder
from bulk_sender.journal.sqlite.lock import release, take_lock
from bulk_sender.journal.sqlite.mark import Mark
from bulk_sender.journal.sqlite.proof import damaged, primary_code, prove, unreadable
from bulk_sender.journal.sqlite.schema import SCHEMA_VERSION, SEAL_KEY, STATE_VIEW, Value

_CLOSES_THE_ACCOUNT = frozenset({"outcome", "decision", "ending"})
"""What may use the ballast of a full disk: it says what came of what had begun, and begins nothing."""


class Journal:
    """One run's journal. Not thread-safe: one thread at a time may use it.

    Open one with ``create`` (a new run), ``hold`` (to go on with a run) or ``look`` (read only, also while another
    process is sending).
    """

    def __init__(
        self, folder: Path, connection: sqlite3.Connection, lock: int | None = None, key: bytes = b"", records: int = 0
    ) -> None:
        self.folder = folder
        self.epoch = 0
        self._connection = connection
        self._lock = lock
        self._key = key
        self._records = records
        self._mark = Mark.open(folder, key) if lock is not None else None
        self._ballast = Ballast(folder)
        self._refusal = ""
        """Why nothing more is taken: the disk failed, and what it says of later writes can't be trusted."""
        self._ballast_spent = False
        self.is_locked_out = False
        """The last write failed because another program kept the file locked, for longer than we wait."""
        connection.executescript(STATE_VIEW)

    # --- opening ------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: Path, facts: dict[str, Any]) -> Journal:
        """A new run's journal with its frozen ``facts``: whole under its name, or not there at all.

        Raises RunHeldError, JournalError.
        """
        with suppress(OSError):  # before the lock: its presence says that no journal has been here yet
            if not (folder / JOURNAL).exists():
                (folder / UNFINISHED).touch(mode=0o600)
        lock = take_lock(folder)
        try:
            if (folder / JOURNAL).exists():
                raise JournalError(f"run {folder.name!r} has been started meanwhile", hint="run this command again")
            key = secrets.token_bytes(16)
            facts = {"version": SCHEMA_VERSION, "run_id": folder.name, SEAL_KEY: key.hex(), **facts}
            records = [("run", (name, json.dumps(value))) for name, value in facts.items()]
            build(folder, records, key)
            return cls(folder, connect(folder / JOURNAL), lock, key, len(records))
        except (OSError, sqlite3.Error) as error:
            release(lock)
            raise JournalError(f"the journal in {folder} can't be created: {error}") from None
        except BaseException:
            release(lock)
            raise

    @classmethod
    def hold(cls, folder: Path) -> Journal:
        """Open a run to go on with it: lock it, and prove it sound before anything in it is touched.

        Raises RunNotFoundError, RunHeldError, and JournalError when a record is damaged or the journal is another
        run's.
        """
        _must_exist(folder)
        lock = take_lock(folder)
        try:
            with closing(connect_to_read(folder / JOURNAL)) as reading:
                key, records = prove(reading, folder)
            journal = cls(folder, connect(folder / JOURNAL), lock, key, records)
            journal._note_records()
            return journal
        except sqlite3.Error as error:
            release(lock)
            raise unreadable(folder, error) from None
        except OSError as error:
            release(lock)
            raise JournalError(f"the journal in {folder} can't be opened: {error}") from None
        except BaseException:
            release(lock)
            raise

    @classmethod
    def look(cls, folder: Path) -> Journal:
        """Open a run to read it. Proved sound first, unless a process holds it: that one has proved it.

        Raises RunNotFoundError, JournalError.
        """
        _must_exist(folder)
        try:
            connection = connect_to_read(folder / JOURNAL)
            try:
                if holder(folder) is None:
                    prove(connection, folder)
                return cls(folder, connection)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise unreadable(folder, error) from None

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()
        if self._mark is not None:
            self._mark.close()
        if self._lock is not None:
            self._ballast.free()
            release(self._lock)
            self._lock = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- writing ------------------------------------------------------------------------------------------------

    def write(self, statements: Iterable[Statement]) -> None:
        """Add records, all or none; durable on return. Raises JournalError (the disk is full, or failed).

        On a full disk outcomes and endings get the ballast's space, and from then on nothing else is taken.
        """
        records = tuple(statements)
        self.is_locked_out = False
        closing_the_account = all(table in _CLOSES_THE_ACCOUNT for table, _ in records)
        if self._refusal or (self._ballast_spent and not closing_the_account):
            raise self._refused(self._refusal or "the disk is full")
        try:
            try:
                self._commit(records)
            except sqlite3.Error as error:
                is_full = primary_code(error) == sqlite3.SQLITE_FULL
                if not (is_full and closing_the_account and self._ballast.free()):
                    raise
                self._ballast_spent = True
                self._commit(records)
        except sqlite3.Error as error:
            self.is_locked_out = primary_code(error) == sqlite3.SQLITE_BUSY
            if primary_code(error) == sqlite3.SQLITE_IOERR:
                # After a failed sync the system may have dropped the pages: a later sync that succeeds proves nothing.
                self._refusal = f"the disk failed ({error})"
            raise self._refused(plainly(error)) from None

    def _commit(self, records: Sequence[Statement]) -> None:
        tables = [table for table, _ in records]
        failpoints.reach_records("before", tables)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._check_epoch()
            insert(self._connection, records, self._key)
            failpoints.reach_records("inside", tables)
            self._connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        self._records += len(records)
        self._note_records()
        failpoints.reach_records("after", tables)

    def _note_records(self) -> None:
        if self._mark is not None:
            self._mark.set(self._records)

    def _refused(self, why: str) -> JournalError:
        return JournalError(
            f"the journal {self.folder / JOURNAL} can't be written: {why}",
            hint="free some disk space, then resume the run; nothing is sent without its record",
        )

    def begin_epoch(self, command: str) -> int:
        """Start an epoch and, before anything else in it, record as unknown what an earlier one left open.

        Raises JournalError, also when the disk has no room left to work with.
        """
        try:
            self._ballast.lay()
        except OSError as error:
            raise self._refused(f"no room for the {BALLAST_BYTES >> 20} MB set aside ({error.strerror})") from None
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
        """Close this process's part; the ballast's space is given back for the results."""
        self._ballast.free()
        self.write([("ending", (self.epoch, now(), state, reason, round(elapsed_s, 3)))])

    def _check_epoch(self) -> None:
        if self.epoch and self._connection.execute("SELECT max(id) FROM epoch").fetchone() != (self.epoch,):
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

    def doubt_record(self, decision: int, batch: int, attempt: int, why: str) -> Statement:
        """What the program itself takes back: an accepted batch becomes unknown."""
        return "decision", (decision, batch, attempt, "unknown", now(), "bulk-sender", why)

    def decide(self, batches: Iterable[tuple[int, int]], status: str, why: str) -> int:
        """Record the operator's verdict on (batch, attempt) pairs. Returns how many.

        ``status``: accepted, failed, or resend. Raises GuardrailError for a second verdict on one attempt; only what
        was decided to have failed may still be sent again.
        """
        batches = list(batches)
        self._refuse_second_verdicts(batches, status)
        first = self.next_id("decision")
        user, at = _user(), now()
        records: list[Statement] = [
            ("decision", (first + index, batch, attempt, status, at, user, why))
            for index, (batch, attempt) in enumerate(batches)
        ]
        self.write(records)
        return len(records)

    def _refuse_second_verdicts(self, batches: Sequence[tuple[int, int]], status: str) -> None:
        allowed = {Status.FAILED.value} if status == RESEND else set()
        for batch, attempt in batches:
            found = self.query(
                # What the program took back is a doubt, not yet a verdict.
                "SELECT status, at, user FROM decision WHERE attempt = ? AND status <> 'unknown' ORDER BY id DESC",
                (attempt,),
            )
            if found and not allowed.issuperset(row["status"] for row in found):
                raise GuardrailError(
                    "batch {}: attempt {} was decided to be {status!r} at {at} by {user}".format(
                        batch, attempt, **found[0]
                    ),
                    hint="decisions are final; bulk-sender explain shows them",
                )

    # --- reading ------------------------------------------------------------------------------------------------

    def fact(self, name: str) -> Any:
        """One of the run's frozen facts, None when it was never noted."""
        rows = self.query("SELECT value FROM run WHERE name = ?", (name,))
        return json.loads(rows[0]["value"]) if rows else None

    def query(self, sql: str, values: tuple[Value, ...] = ()) -> list[dict[str, Any]]:
        """Rows as dictionaries; ``state`` is the view over batches. Raises JournalError."""
        names, rows = self._read(sql, values)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def dispatched(self, most: int) -> dict[str, tuple[int, int]]:
        """The latest ``most`` dispatch_ids, oldest first, with the (batch, attempt) first accepted under each."""
        _, rows = self._read(
            "SELECT dispatch_id, batch, attempt FROM outcome WHERE dispatch_id <> '' ORDER BY attempt DESC LIMIT ?",
            (most,),
        )
        found: dict[str, tuple[int, int]] = {}
        for dispatch_id, batch, attempt in reversed(rows):
            found.setdefault(dispatch_id, (batch, attempt))
        return found

    def column(self, sql: str, values: tuple[Value, ...] = ()) -> list[Any]:
        """The first column of each row: for many rows, a third of what ``query`` costs."""
        return [row[0] for row in self._read(sql, values)[1]]

    def _read(self, sql: str, values: tuple[Value, ...] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        try:
            cursor = self._connection.execute(sql, values)
            return [column[0] for column in cursor.description], cursor.fetchall()
        except sqlite3.Error as error:
            raise unreadable(self.folder, error) from None

    def next_id(self, table: str) -> int:
        return self._scalar(f"SELECT coalesce(max(id), 0) + 1 FROM {table}")

    def _scalar(self, sql: str) -> int:
        return int(self.column(sql)[0] or 0)


def _must_exist(folder: Path) -> None:
    if not (folder / JOURNAL).is_file():
        raise RunNotFoundError(
            f"there is no run {folder.name!r} in {folder.parent}"
            if not folder.exists()
            else f"{folder} has no journal: its run can't be gone on with",
            hint="bulk-sender runs lists the runs; --runs-dir says where to look",
        )
    if not (folder / JOURNAL).stat().st_size:
        # Not for SQLite to find out: it takes the file for a new database, and deletes a -wal file beside it.
        raise damaged(folder, "it is empty")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"
