"""A run's journal in PostgreSQL, to be read and written by one process, alone or beside others."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar
from weakref import WeakSet

import psycopg

from bulk_sender import failpoints
from bulk_sender.errors import BulkSenderError, JournalError
from bulk_sender.journal.postgres import leases
from bulk_sender.journal.postgres.commits import Commits, ForgottenError, GivenUpError, TakenOverError, insert_epoch
from bulk_sender.journal.postgres.errors import may_pass, plainly
from bulk_sender.journal.postgres.holding import BEAT_S, Claim, let_go
from bulk_sender.journal.postgres.ids import KINDS, Ids
from bulk_sender.journal.postgres.reader import PostgresReader
from bulk_sender.journal.postgres.session import Connection, Session
from bulk_sender.journal.postgres.stored import StoredRows
from bulk_sender.journal.postgres.team import PostgresTeam
from bulk_sender.journal.records import AttemptOutcome, Chunk, Ending, Entry, Epoch, LeaseOrder
from bulk_sender.journal.sql.rows import Row, row_of
from bulk_sender.journal.sql.writing import SqlWriter, user
from bulk_sender.journal.store import Loss, RunReader, RunRef
from bulk_sender.text.times import now

T = TypeVar("T")

_LOOK_S = 0.2
_ANSWER_S = 20.0
"""How long what writes may take before its connection is given up: a network that swallows packets never says so."""


class PostgresWriter(SqlWriter, PostgresReader):
    """One run's journal. Not thread-safe: one thread at a time may use it, except for ids, ``look`` and ``team``."""

    def __init__(
        self,
        run: RunRef,
        session: Session,
        number: int,
        key: bytes,
        rows: StoredRows,
        claim: Claim,
        commits: Commits,
        ttl_s: float,
    ) -> None:
        """``commits``: those on row 0 of ``epoch``, or none yet for a process that joins others."""
        super().__init__(run, session, number, key, rows)
        self.epoch = 0
        self.is_locked_out = False
        self.lost: Loss | None = None
        self.commits = commits
        self.ids = Ids(self._take_block)
        self._claim = claim
        self._joins = commits.claim == ""
        self._before = 0
        """The latest epoch when the run was opened: all up to it are dead."""
        self._team = PostgresTeam(self, number, key, ttl_s)
        self._beaten_at = time.monotonic()
        self.is_late: Callable[[], bool] = lambda: False
        session.is_late = self._may_not_wait
        self._sessions = WeakSet([session])
        """Those of this run, of which none may hold up the end of the process."""
        self._ended, self._closed = threading.Event(), threading.Event()
        self._beats = [
            threading.Thread(target=it, name="journal-beat", daemon=True) for it in (self._beat, self._watch)
        ]
        for thread in self._beats:
            thread.start()

    @property
    def team(self) -> PostgresTeam:
        return self._team

    def ready(self, before: int) -> None:
        """Continue the ids after those in the journal, which has been proved. ``before``: the latest epoch."""
        self._before = before
        self._number_from_here()

    def _number_from_here(self) -> None:
        """Continue the chunks after those in the journal. Several processes may give out the other ids."""
        last = int(self._value("SELECT coalesce(max(id), 0) FROM chunk"))
        self._next: dict[str, Iterator[int]] = {"chunk": itertools.count(last + 1)}
        self._next |= {kind: iter(partial(self.ids.new, kind), None) for kind in KINDS}

    def _take_block(self, kind: str, size: int) -> int:
        def work(connection: Connection) -> int:
            row = connection.execute(
                f"UPDATE run SET next_{kind} = next_{kind} + %s WHERE id = %s RETURNING next_{kind} - %s",
                [size, self._number, size],
            ).fetchone()
            assert row is not None
            return int(row[0])

        return self.kept(work)

    def close(self) -> None:
        self._ended.set()
        if self.lost is None and self.commits.claim:
            with suppress(psycopg.Error, BulkSenderError):
                self.through(self._let_go)
        super().close()  # under watch: a beat may still wait for its answer
        self._closed.set()
        for thread in self._beats:
            thread.join()

    def _let_go(self, connection: Connection) -> bool:
        """End this process's part in the run, and leave its chunks to others. Return False when it had none."""
        mine = self.commits
        with connection.transaction():
            had = let_go(connection, self._number, mine.epoch, mine.claim)
            if had:
                leases.give_back(connection, self._number, mine.epoch)
        return had

    def reader(self) -> RunReader:
        session = Session(self.place, is_late=self._may_not_wait)
        self._sessions.add(session)
        return PostgresReader(self.run, session, self._number, self._key, self._stored_rows)

    def _may_not_wait(self) -> bool:
        """Whether this process has to end, or the database has been away for long. One that was fenced may testify."""
        return self.is_late() or (self.lost is not None and not self.lost.is_taken_over)

    # --- writing ------------------------------------------------------------------------------------------------

    def write(self, records: Iterable[Entry]) -> None:
        """Add records, all or none; durable on return. Raises JournalError.

        A database that is not there is waited for, up to a minute; then the run is lost to this process.
        """
        rows: list[Row] = []
        orders: list[LeaseOrder] = []
        outcomes: list[AttemptOutcome] = []
        for record in records:
            if isinstance(record, LeaseOrder):
                orders.append(record)
                continue
            rows.append(row_of(record, self.epoch))
            if isinstance(record, AttemptOutcome):
                outcomes.append(record)
        try:
            self._write(rows, orders)
        except JournalError:
            if self.lost is not None and self.lost.is_taken_over:
                self._team.testify(outcomes)
            raise
        with suppress(psycopg.Error, BulkSenderError):  # the next caller that needs an id gets the error
            self.ids.refill()

    def stored(self, chunk: Chunk) -> Chunk:
        """Put the rows of a chunk into the store of the run, if it has one. Raises StoreError."""
        put = self._stored_rows.put
        return replace(chunk, frame=put(chunk.frame), rejects=put(chunk.rejects) if chunk.rejected else chunk.rejects)

    def _write(self, rows: Sequence[Row], orders: Sequence[LeaseOrder] = ()) -> None:
        tables = [table for table, _ in rows]
        failpoints.reach_records("before", tables)
        failpoints.reach_records("inside", tables)  # a single statement has no such moment
        self.commit(lambda connection: self.commits.make(connection, rows, orders))
        failpoints.reach_records("after", tables)

    def commit(self, make: Callable[[Connection], int]) -> None:
        """Make the next commit, over as many connections as it takes. Raises JournalError, and notes a loss."""
        with self._session.lock:
            self._refuse_lost()
            self.commits.made(self.kept(make))
            self._beaten_at = time.monotonic()

    def end_with(self, work: Callable[[Connection], bool]) -> bool:
        """Run the last work of this process if it returns True: no beat follows it. Raises JournalError."""
        with self._session.lock:
            self._refuse_lost()
            has_ended = self.kept(work)
            if has_ended:
                self._ended.set()
            return has_ended

    def through(self, work: Callable[[Connection], T]) -> T:
        """Run what concerns nobody else, even when the run is lost. Raises psycopg.Error, BulkSenderError."""
        return self._session.through(work)

    @property
    def connections(self) -> int:
        """How many connections there were until now."""
        return self._session.connections

    def kept(self, work: Callable[[Connection], T]) -> T:
        """Run what writes, over as many connections as it takes. Raises JournalError, and notes a loss."""
        self.is_locked_out = False
        with self._session.lock:
            try:
                return self._session.through(work, _ANSWER_S)
            except psycopg.Error as error:
                if may_pass(error):
                    self.is_locked_out = True
                    self.lost = _gone(self.run, plainly(error), is_late=self.is_late())
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

    # --- beats --------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """Commit nothing each second without a commit: others see that this process lives, and it sees a fence.

        A process that sends also looks after the others, always: when it is busy, too.
        """
        while not self._ended.wait(BEAT_S / 4):
            if self.lost is not None or not self.commits.claim:
                continue
            with suppress(BulkSenderError), self._session.lock:
                if not self._ended.is_set() and time.monotonic() - self._beaten_at >= BEAT_S:
                    self.commit(lambda connection: self.commits.make(connection, ()))
                if self.epoch and not self._ended.is_set():
                    self._team.give_up_silent()

    def _watch(self) -> None:
        """Give up a connection whose answer does not come, and any other when the process has to end."""
        while not self._closed.wait(_LOOK_S):
            for session in list(self._sessions):
                session.cut_overdue()

    def look(self) -> Loss | None:
        return self.lost

    def _refuse_lost(self) -> None:
        if (loss := self.lost) is not None:
            raise JournalError(loss.what, hint=loss.to_do)

    # --- epochs -------------------------------------------------------------------------------------------------

    def begin_epoch(self, command: str, by: str = "") -> int:
        """Begin an epoch. A process that joins others lets them live.

        Else every earlier epoch is fenced: this process has the run, so their processes are dead.
        """
        mark = f"{self._claim.token}.{Claim.new().token}"

        def begin(connection: Connection) -> tuple[int, int]:
            before = self.commits
            with connection.transaction():
                following = connection.execute(
                    "SELECT greatest(next_epoch, (SELECT max(id) + 1 FROM epoch WHERE run = %s)) FROM run"
                    " WHERE id = %s FOR UPDATE",
                    [self._number, self._number],
                ).fetchone()
                done = connection.execute(
                    "SELECT id, records FROM epoch WHERE run = %s AND claim = %s", [self._number, mark]
                ).fetchone()
                if done is not None:  # the answer to this very commit was lost
                    return done[0], done[1]
                assert following is not None
                epoch = int(following[0])
                outcomes: list[Row] = []
                if not self._joins:
                    if not let_go(connection, self._number, before.epoch, before.claim):
                        raise TakenOverError("another process has taken over this run since this one started")
                    self._fence_before(connection, epoch)
                    outcomes = [row_of(outcome, epoch) for outcome in self._recovered(connection)]
                connection.execute(
                    "UPDATE run SET next_epoch = %s, stop = CASE WHEN %s THEN stop ELSE '' END WHERE id = %s",
                    [epoch + 1, self._joins, self._number],
                )
                began = row_of(Epoch(epoch, command, now(), os.getpid(), socket.gethostname(), by or user()), epoch)
                records = insert_epoch(connection, self._number, self._key, began, mark, self._claim.node, outcomes)
                failpoints.reach_records("inside", ["epoch"])
                return epoch, records

        failpoints.reach_records("before", ["epoch"])
        with self._session.lock:
            self._refuse_lost()
            epoch, records = self.kept(begin)
            self.commits = Commits(self._number, epoch, mark, self._key, number=0, records=records)
            self.epoch = epoch
        failpoints.reach_records("after", ["epoch"])
        self._number_from_here()
        self.ids.refill(is_first=True)
        return epoch

    def take_over(self) -> None:
        """Fence every process that had the run when this one opened it, whether it lives or not."""

        def work(connection: Connection) -> int:
            with connection.transaction():
                self._fence_before(connection, 0)
                return self.commits.make_again(connection)

        self.commit(work)

    def _fence_before(self, connection: Connection, by: int) -> None:
        """Fence the epochs up to the one that was the latest when the run was opened, and give back their chunks."""
        fenced = connection.execute(
            "UPDATE epoch SET fenced_at = clock_timestamp(), fenced_by = %s"
            " WHERE run = %s AND id BETWEEN 1 AND %s AND fenced_at IS NULL AND ended_at IS NULL RETURNING id",
            [by, self._number, self._before],
        )
        for (epoch,) in fenced.fetchall():
            leases.give_back(connection, self._number, epoch)

    def fence(self, epoch: int) -> None:
        """Declare another epoch dead. Its open attempts become unknown, and its chunks free, in one transaction."""
        if epoch == self.epoch:
            raise ValueError("a writer cannot fence its own epoch")

        def work(connection: Connection) -> int:
            with connection.transaction():
                if (made := self.commits.done(connection)) is not None:
                    return made
                connection.execute("SET LOCAL lock_timeout = '1 s'")  # this process's own beats wait meanwhile
                # This waits for a commit of that process, or comes before it and makes it fail.
                connection.execute(
                    "UPDATE epoch SET fenced_at = clock_timestamp(), fenced_by = %s"
                    " WHERE run = %s AND id = %s AND fenced_at IS NULL AND ended_at IS NULL",
                    [self.epoch, self._number, epoch],
                )
                rows = [row_of(outcome, self.epoch) for outcome in self._recovered(connection, epoch)]
                leases.give_back(connection, self._number, epoch)
                return self.commits.make(connection, rows)

        self.commit(work)

    def _recovered(self, connection: Connection, epoch: int | None = None) -> Iterator[AttemptOutcome]:
        """An outcome for each attempt without one, of an epoch or of all whose processes can write nothing more."""
        found = connection.execute(
            "SELECT a.id, a.batch FROM attempt a JOIN epoch e ON e.run = a.run AND e.id = a.epoch"
            " LEFT JOIN outcome o ON o.run = a.run AND o.attempt = a.id"
            " WHERE a.run = %s AND o.attempt IS NULL AND coalesce(a.epoch = %s, true)"
            " AND (e.fenced_at IS NOT NULL OR e.ended_at IS NOT NULL) ORDER BY a.id",
            [self._number, epoch],
        )
        for attempt, batch in found.fetchall():
            yield AttemptOutcome.unrecorded(attempt, batch)

    def end_epoch(self, state: str, reason: str, elapsed_s: float) -> None:
        """Record the end of this epoch. The process still has the run until the writer is closed."""
        self._write([row_of(Ending(self.epoch, now(), state, reason, round(elapsed_s, 3)), self.epoch)])


def _gone(run: RunRef, why: str, *, is_late: bool) -> Loss:
    until = "when the process had to end" if is_late else "for a minute"
    return Loss(
        f"the database of the journal could not be used {until}: {why}",
        f"bulk-sender resume {run.name}, once it is there again",
    )


def _loss(run: RunRef, error: BulkSenderError) -> Loss:
    if isinstance(error, GivenUpError):
        return Loss(
            str(error),
            f"find out what held it up: a suspended machine, its network, or too little CPU. The others go on; "
            f"bulk-sender join {run.name} makes it one of them again",
            is_taken_over=True,
        )
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
