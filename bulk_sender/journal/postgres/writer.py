"""A run's journal in PostgreSQL, to be read and written by one process at a time."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

import psycopg

from bulk_sender import failpoints
from bulk_sender.errors import BulkSenderError, JournalError
from bulk_sender.journal.postgres.commits import Commits, ForgottenError, TakenOverError, insert_epoch
from bulk_sender.journal.postgres.errors import may_pass, plainly
from bulk_sender.journal.postgres.holding import BEAT_S, Claim, let_go
from bulk_sender.journal.postgres.reader import PostgresReader, tables_of
from bulk_sender.journal.postgres.session import Connection, Session
from bulk_sender.journal.records import AttemptOutcome, Ending, Epoch, Record
from bulk_sender.journal.sql.rows import Row, row_of
from bulk_sender.journal.sql.writing import SqlWriter, user
from bulk_sender.journal.store import Loss, RunRef
from bulk_sender.text.times import now

T = TypeVar("T")

_ANSWER_S = 20.0
"""How long a statement may take before its connection is given up: a network that swallows packets never says so."""


class PostgresWriter(SqlWriter, PostgresReader):
    """One run's journal. Not thread-safe: one thread at a time may use it, except for ids and ``look``."""

    def __init__(
        self, run: RunRef, session: Session, number: int, key: bytes, claim: Claim, *, commit_no: int, records: int
    ) -> None:
        """``commit_no`` and ``records``: those of row 0 of ``epoch``, which ``claim`` is on."""
        super().__init__(run, session, number)
        self.epoch = 0
        self.is_locked_out = False
        self.lost: Loss | None = None
        self._key, self._claim = key, claim
        self._commits = Commits(number, 0, claim.on(0), key, number=commit_no, records=records)
        self._beaten_at = self._busy_since = time.monotonic()
        self._is_busy = False
        self._ended = threading.Event()
        self._beats = [
            threading.Thread(target=it, name="journal-beat", daemon=True) for it in (self._beat, self._watch)
        ]
        for thread in self._beats:
            thread.start()

    def ready(self) -> None:
        """Continue the ids after those in the journal, which has been proved."""
        self._number_from_here()

    def close(self) -> None:
        self._ended.set()
        if self.lost is None:
            with suppress(psycopg.Error, BulkSenderError):
                self._session.through(
                    lambda connection: let_go(connection, self._number, self._commits.epoch, self._commits.claim)
                )
        super().close()
        for thread in self._beats:
            thread.join()

    # --- writing ------------------------------------------------------------------------------------------------

    def write(self, records: Iterable[Record]) -> None:
        """Add records, all or none; durable on return. Raises JournalError.

        A database that is not there is waited for, up to a minute; then the run is lost to this process.
        """
        self._write([row_of(record, self.epoch) for record in records])

    def _write(self, rows: Sequence[Row]) -> None:
        tables = [table for table, _ in rows]
        failpoints.reach_records("before", tables)
        failpoints.reach_records("inside", tables)  # a single statement has no such moment
        self._commit(lambda connection: self._commits.make(connection, rows))
        failpoints.reach_records("after", tables)

    def _commit(self, make: Callable[[Connection], int]) -> None:
        with self._session.lock:
            self._refuse_lost()
            self._commits.made(self._kept(make))
            self._beaten_at = time.monotonic()

    def _kept(self, work: Callable[[Connection], T]) -> T:
        """Run what writes, over as many connections as it takes. Raises JournalError, and notes a loss."""
        self.is_locked_out = False
        with self._session.lock:
            self._busy_since, self._is_busy = time.monotonic(), True
            try:
                return self._session.through(work)
            except psycopg.Error as error:
                if may_pass(error):
                    self.is_locked_out = True
                    self.lost = _gone(self.run, plainly(error))
                    self._refuse_lost()
                raise JournalError(
                    f"the journal of run {self.run.name!r} in PostgreSQL cannot be written: {plainly(error)}",
                    hint="nothing is sent without its record; resume the run when that is fixed",
                ) from None
            except BulkSenderError as error:  # another database, another process, or lost commits
                self.is_locked_out = True
                self.lost = _loss(self.run, error)
                self._refuse_lost()
                raise
            finally:
                self._is_busy = False

    # --- beats --------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """Commit nothing each second without a commit: others see that this process lives, and it sees a fence."""
        while not self._ended.wait(BEAT_S / 4):
            if self.lost is None and time.monotonic() - self._beaten_at >= BEAT_S:
                with suppress(BulkSenderError):
                    self._commit(lambda connection: self._commits.make(connection, ()))

    def _watch(self) -> None:
        """Give up a connection whose answer does not come."""
        while not self._ended.wait(1.0):
            if self._is_busy and time.monotonic() - self._busy_since > _ANSWER_S:
                self._busy_since = time.monotonic()
                self._session.cut()

    def look(self) -> Loss | None:
        return self.lost

    def _refuse_lost(self) -> None:
        if (loss := self.lost) is not None:
            raise JournalError(loss.what, hint=loss.to_do)

    # --- epochs -------------------------------------------------------------------------------------------------

    def begin_epoch(self, command: str, by: str = "") -> int:
        """Begin an epoch. Every other one is fenced: this process has the run, so its process is dead."""
        claim = Claim.new()
        epoch = int(self._value("SELECT coalesce(max(id), 0) + 1 FROM epoch"))
        began = row_of(Epoch(epoch, command, now(), os.getpid(), socket.gethostname(), by or user()), epoch)
        mark = f"{self._claim.token}.{claim.token}"

        def begin(connection: Connection) -> int:
            before = self._commits
            with connection.transaction():
                connection.execute("SELECT 1 FROM run WHERE id = %s FOR UPDATE", [self._number])
                done = connection.execute(
                    "SELECT records FROM epoch WHERE run = %s AND id = %s AND claim = %s", [self._number, epoch, mark]
                ).fetchone()
                if done is not None:  # the answer to this very commit was lost
                    return int(done[0])
                if not let_go(connection, self._number, before.epoch, before.claim):
                    raise TakenOverError("another process has taken over this run since this one started")
                connection.execute(
                    "UPDATE epoch SET fenced_at = clock_timestamp(), fenced_by = %s"
                    " WHERE run = %s AND fenced_at IS NULL AND ended_at IS NULL",
                    [epoch, self._number],
                )
                outcomes = [row_of(outcome, epoch) for outcome in self._recovered(connection)]
                connection.execute("UPDATE run SET next_epoch = %s WHERE id = %s", [epoch + 1, self._number])
                records = insert_epoch(connection, self._number, self._key, began, mark, self._claim.node, outcomes)
                failpoints.reach_records("inside", ["epoch"])
                return records

        failpoints.reach_records("before", ["epoch"])
        with self._session.lock:
            self._refuse_lost()
            records = self._kept(begin)
            self._commits = Commits(self._number, epoch, mark, self._key, number=0, records=records)
            self.epoch = epoch
        failpoints.reach_records("after", ["epoch"])
        self._number_from_here()
        return epoch

    def fence(self, epoch: int) -> None:
        """Declare another epoch dead. Its open attempts become unknown in the same transaction."""
        if epoch == self.epoch:
            raise ValueError("a writer cannot fence its own epoch")

        def work(connection: Connection) -> int:
            with connection.transaction():
                if (records := self._commits.done(connection)) is not None:
                    return records
                connection.execute(
                    "UPDATE epoch SET fenced_at = clock_timestamp(), fenced_by = %s"
                    " WHERE run = %s AND id = %s AND fenced_at IS NULL",
                    [self.epoch, self._number, epoch],
                )
                rows = [row_of(outcome, self.epoch) for outcome in self._recovered(connection, epoch)]
                return self._commits.make(connection, rows)

        self._commit(work)

    def _recovered(self, connection: Connection, epoch: int | None = None) -> Iterator[AttemptOutcome]:
        """An outcome for each attempt without one, of an epoch or of all."""
        found = connection.execute(
            f"{tables_of(self._number)}SELECT a.id, a.batch FROM attempt a LEFT JOIN outcome o ON o.attempt = a.id"
            " WHERE o.attempt IS NULL AND coalesce(a.epoch = %s, true) ORDER BY a.id",
            [epoch],
        )
        for attempt, batch in found.fetchall():
            yield AttemptOutcome.unrecorded(attempt, batch)

    def end_epoch(self, state: str, reason: str, elapsed_s: float) -> None:
        """Record the end of this epoch. The process still has the run until the writer is closed."""
        self._write([row_of(Ending(self.epoch, now(), state, reason, round(elapsed_s, 3)), self.epoch)])


def _gone(run: RunRef, why: str) -> Loss:
    return Loss(
        f"the database of the journal could not be used for a minute: {why}",
        f"bulk-sender resume {run.name}, once it is there again",
    )


def _loss(run: RunRef, error: BulkSenderError) -> Loss:
    if isinstance(error, TakenOverError):
        return Loss(
            str(error),
            f"leave the run to it, or stop it and resume: bulk-sender status {run.name} shows how it stands",
            is_taken_over=True,
        )
    if isinstance(error, ForgottenError):
        return Loss(
            str(error),
            "find out whether it was restored or replaced by a standby that had fallen behind. Do not send the input "
            "again: nobody can tell who already got the message",
        )
    return Loss(str(error), error.hint)
