"""A run's journal in SQLite, in a file in the run's folder.

Write-ahead logging with ``synchronous=FULL``: a record is on the disk when ``write`` returns. One process holds a run
at a time, by an operating-system lock that ends with the process. Each start of a process is an epoch. Writes of an
older epoch are refused, so that a process that was suspended while another took over can no longer write.
"""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from bulk_sender import failpoints
from bulk_sender.durable import sync_folder, sync_path
from bulk_sender.errors import ConfigError, JournalError, RunNotFoundError
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.records import INHERITED, AttemptOutcome, Ending, Entry, Epoch
from bulk_sender.journal.sql.rows import Row, fact, row_of
from bulk_sender.journal.sql.seal import SEAL_KEY
from bulk_sender.journal.sql.writing import SqlWriter, user
from bulk_sender.journal.sqlite import index
from bulk_sender.journal.sqlite.ballast import BALLAST, Ballast
from bulk_sender.journal.sqlite.ballast import SIZE as BALLAST_BYTES
from bulk_sender.journal.sqlite.database import JOURNAL, UNFINISHED, build, connect, connect_to_read, insert, plainly
from bulk_sender.journal.sqlite.lock import LOCK, release, take_lock
from bulk_sender.journal.sqlite.lock import holder as lock_holder
from bulk_sender.journal.sqlite.mark import MARK, Mark
from bulk_sender.journal.sqlite.presence import Missing, Presence
from bulk_sender.journal.sqlite.proof import damaged, primary_code, prove, unreadable
from bulk_sender.journal.sqlite.proved import Proved
from bulk_sender.journal.sqlite.reader import SqliteReader
from bulk_sender.journal.sqlite.schema import SCHEMA_VERSION
from bulk_sender.journal.store import Loss, RunRef, Team
from bulk_sender.text.times import now

FILES = (JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-shm", MARK, LOCK, BALLAST)
"""What this store keeps in a run's folder."""

_proved = Proved(JOURNAL, f"{JOURNAL}-wal")

_CLOSES_THE_ACCOUNT = frozenset({"outcome", "decision", "ending"})
"""What may use the ballast on a full disk: it records how something ended, and begins nothing."""


def _closes_the_account(rows: Sequence[Row]) -> bool:
    """Whether the rows record only ends. An inherited attempt and its batch belong to an outcome."""
    inherited = {batch for table, (_, batch, *rest) in rows if table == "attempt" and rest[1] == INHERITED}
    return all(
        table in _CLOSES_THE_ACCOUNT
        or (table == "batch" and values[0] in inherited)
        or (table == "attempt" and values[1] in inherited)
        for table, values in rows
    )


class SqliteWriter(SqlWriter, SqliteReader):
    """One run's journal, to be read and written. Not thread-safe: one thread at a time may use it, except for ids."""

    def __init__(self, run: RunRef, connection: sqlite3.Connection, lock: int, key: bytes, records: int) -> None:
        super().__init__(run, connection)
        self.epoch = 0
        self.team: Team | None = None
        self.is_late: Callable[[], bool] = lambda: False
        self.is_locked_out = False
        """Whether the last write failed because another program kept the file locked for longer than we wait."""
        self._lock: int | None = lock
        self._key = key
        self._records = records
        self._mark = Mark.open(run.folder, key)
        self._ballast = Ballast(run.folder)
        self._refusal = ""
        """Why nothing more is accepted: the disk failed, so later writes that seem to succeed prove nothing."""
        self._ballast_spent = False
        self.lost: Loss | None = None
        self._is_damaged = False
        """Whether a file of the journal was cut short. Then nothing more is written to it."""
        self._has_lost = ""
        """The name of the file that is not there any more, or not what it was."""
        self._has_synced_names = False
        """Whether the names of the files are durable that SQLite makes with the first write."""
        main, log = run.folder / JOURNAL, run.folder / f"{JOURNAL}-wal"
        others = [run.folder / name for name in (f"{JOURNAL}-shm", MARK, LOCK)]
        self._presence = Presence([main, log, *others], growing=[main], log=log)
        self._presence.learn()
        self._number_from_here()

    def close(self) -> None:
        super().close()
        self._mark.close()
        if self._has_lost == MARK:
            # The journal itself is whole, and without its mark it would be refused.
            with suppress(OSError):
                Mark.create(self.run.folder, self._key, self._records).close()
        if self._lock is not None:
            self._free_ballast()
            release(self._lock)
            self._lock = None

    # --- writing ------------------------------------------------------------------------------------------------

    def write(self, records: Iterable[Entry]) -> None:
        """Add records, all or none; durable on return. Raises JournalError (the disk is full, or failed).

        On a full disk outcomes and endings get the ballast's space. From then on nothing else is accepted.
        """
        self._write([row_of(record, self.epoch) for record in records])

    def _write(self, rows: Sequence[Row]) -> None:
        self.is_locked_out = False
        closing_the_account = _closes_the_account(rows)
        if self.look() is not None and closing_the_account and not self._is_damaged:
            # A folder that was moved may be put back. Then its journal has the outcomes of the requests in flight.
            with suppress(sqlite3.Error):
                self._commit(rows)
        self._refuse_lost()
        if self._refusal or (self._ballast_spent and not closing_the_account):
            raise self._refused(self._refusal or "the disk is full")
        try:
            try:
                self._commit(rows)
            except sqlite3.Error as error:
                is_full = primary_code(error) == sqlite3.SQLITE_FULL
                if not (is_full and closing_the_account and self._free_ballast()):
                    raise
                self._ballast_spent = True
                self._commit(rows)
        except sqlite3.Error as error:
            self.is_locked_out = primary_code(error) == sqlite3.SQLITE_BUSY
            if primary_code(error) == sqlite3.SQLITE_IOERR:
                # After a failed sync the system may have dropped the pages: a later sync that succeeds proves nothing.
                self._refusal = f"the disk failed ({error})"
            raise self._refused(plainly(error)) from None
        self._refuse_lost(self.look())

    def _commit(self, rows: Sequence[Row]) -> None:
        tables = [table for table, _ in rows]
        failpoints.reach_records("before", tables)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._check_epoch()
            insert(self._connection, rows, self._key)
            failpoints.reach_records("inside", tables)
            self._connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        self._records += len(rows)
        self.note_records()
        self._sync_names()
        failpoints.reach_records("after", tables)

    def note_records(self) -> None:
        """Write down in the mark how many records there are."""
        self._mark.set(self._records)

    def _sync_names(self) -> None:
        """Make the names of the files durable that SQLite made: it takes a failed sync of a folder for success."""
        if not self._has_synced_names:
            try:
                sync_folder(self.run.folder)
            except OSError as error:
                self._refusal = f"the disk failed ({error})"
                raise self._refused(self._refusal) from None
            self._presence.learn()
            self._has_synced_names = True

    # --- a run that this process has lost -----------------------------------------------------------------------

    def look(self) -> Loss | None:
        # Again after a part was found missing: a folder is deleted file by file.
        is_final = self._has_lost == JOURNAL or (self.lost is not None and self.lost.is_taken_over)
        if not is_final and (found := self._presence.look()) is not None:
            self._has_lost = found.path.name
            self._is_damaged = found.how == "shorter"
            self.lost = _loss(self.run, found)
        return self.lost

    def _refuse_lost(self, loss: Loss | None = None) -> None:
        if (loss := loss or self.lost) is not None:
            raise JournalError(loss.what, hint=loss.to_do)

    def _free_ballast(self) -> bool:
        """Give the space back, unless the folder is another process's."""
        return self.look() is None and self._ballast.free()

    def _refused(self, why: str) -> JournalError:
        return JournalError(
            f"the journal {self.run.folder / JOURNAL} cannot be written: {why}",
            hint="free some disk space, then resume the run; nothing is sent without its record",
        )

    # --- epochs -------------------------------------------------------------------------------------------------

    def begin_epoch(self, command: str, by: str = "") -> int:
        """Begin an epoch. Every earlier one is dead, since this process holds the run's lock.

        Raises JournalError, also when the disk has no room left to work with.
        """
        try:
            self._ballast.reserve()
        except OSError as error:
            raise self._refused(f"no room for the {BALLAST_BYTES >> 20} MB set aside ({error.strerror})") from None
        self.epoch = 0
        epoch = int(self._value("SELECT coalesce(max(id), 0) + 1 FROM epoch"))
        began = Epoch(epoch, command, now(), os.getpid(), socket.gethostname(), by or user())
        self._write([row_of(began, epoch), *(row_of(outcome, epoch) for outcome in self._recovered())])
        self.epoch = epoch
        self._number_from_here()
        return epoch

    def fence(self, epoch: int) -> None:
        """Do nothing: ``begin_epoch`` has fenced and recovered every earlier epoch. Raises ValueError for our own."""
        if epoch == self.epoch:
            raise ValueError("a writer cannot fence its own epoch")

    def _recovered(self) -> Iterator[AttemptOutcome]:
        """An outcome for each attempt that has none."""
        open_attempts = self._rows(
            "SELECT a.id, a.batch FROM attempt a LEFT JOIN outcome o ON o.attempt = a.id WHERE o.attempt IS NULL"
        )
        for attempt, batch in open_attempts:
            yield AttemptOutcome.unrecorded(attempt, batch)

    def end_epoch(self, state: str, reason: str, elapsed_s: float) -> None:
        """Record the end of this epoch. The ballast's space is given back for the results."""
        self._free_ballast()
        self._write([row_of(Ending(self.epoch, now(), state, reason, round(elapsed_s, 3)), self.epoch)])

    def _check_epoch(self) -> None:
        if self.epoch and self._connection.execute("SELECT max(id) FROM epoch").fetchone() != (self.epoch,):
            self.lost = _taken_over(self.run)
            self._refuse_lost()


# --- opening ----------------------------------------------------------------------------------------------------------


def announce(run: RunRef) -> None:
    """Mark the folder, durably, as that of a run without a journal yet. Raises OSError."""
    if not (run.folder / JOURNAL).exists():
        (run.folder / UNFINISHED).touch(mode=0o600)
        sync_folder(run.folder)


def create(run: RunRef, facts: Facts) -> SqliteWriter:
    """Create a new run's journal: complete under its name, or not there at all. Raises RunHeldError, JournalError."""
    folder = run.folder
    with suppress(OSError):  # before the lock: its presence says that no journal has been here yet
        if not (folder / JOURNAL).exists():
            (folder / UNFINISHED).touch(mode=0o600)
    lock = take_lock(folder)
    try:
        if (folder / JOURNAL).exists():
            raise JournalError(f"run {run.name!r} has been started in the meantime", hint="run this command again")
        key = secrets.token_bytes(16)
        stored = {"version": SCHEMA_VERSION, "run_id": run.name, SEAL_KEY: key.hex(), **facts.stored()}
        rows = [fact(name, value) for name, value in stored.items()]
        build(folder, rows, key)
        return SqliteWriter(run, connect(folder / JOURNAL), lock, key, len(rows))
    except (OSError, sqlite3.Error) as error:
        release(lock)
        raise JournalError(f"the journal in {folder} cannot be created: {error}") from None
    except BaseException:
        release(lock)
        raise


def open_to_write(run: RunRef, *, take_over: bool = False) -> SqliteWriter:
    """Open a run to continue it: lock it, and prove it sound before anything in it is changed.

    A lock cannot be taken from a process that lives: ``take_over`` changes nothing.

    Raises RunNotFoundError, RunHeldError, and JournalError when a record is damaged or the journal is another run's.
    """
    folder = run.folder
    _must_exist(run)
    lock = take_lock(folder)
    try:
        with closing(connect_to_read(folder / JOURNAL)) as reading:
            key, records = prove(reading, folder)
        # The process that wrote the last records may have been killed before they were synced. The mark counts them,
        # and must not be ahead of them after a power cut.
        sync_path(folder / f"{JOURNAL}-wal")
        writer = SqliteWriter(run, connect(folder / JOURNAL), lock, key, records)
        writer.note_records()
        return writer
    except sqlite3.Error as error:
        release(lock)
        raise unreadable(folder, error) from None
    except OSError as error:
        release(lock)
        raise JournalError(f"the journal in {folder} cannot be opened: {error}") from None
    except BaseException:
        release(lock)
        raise


def join(run: RunRef) -> SqliteWriter:
    """Raise ConfigError: one process at a time has a journal in a file. Raises RunNotFoundError."""
    _must_exist(run)
    raise ConfigError(
        f"run {run.name!r} has its journal in {run.folder / JOURNAL}, and only one process at a time can send it",
        hint="start runs for several processes with a journal in PostgreSQL: [scale] journal, or BULK_SENDER_JOURNAL",
    )


def open_to_read(run: RunRef) -> SqliteReader:
    """Open a run to read it. Proved sound first, unless a process holds it: that process has proved it.

    A journal that this process has proved before is proved again only if its files have changed since.

    Raises RunNotFoundError, JournalError.
    """
    _must_exist(run)
    try:
        connection = connect_to_read(run.folder / JOURNAL)
        try:
            if lock_holder(run.folder) is None:
                _proved.prove_once(run.folder, lambda: prove(connection, run.folder))
            return SqliteReader(run, connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise unreadable(run.folder, error) from None


def _taken_over(run: RunRef) -> Loss:
    return Loss(
        "another process has taken over this run since this one started",
        f"leave the run to it, or stop it and resume: bulk-sender status {run.name} shows how it stands",
        is_taken_over=True,
    )


def _loss(run: RunRef, found: Missing) -> Loss:
    """Say what happened to the journal while its writer had it open, and what to do."""
    folder, path, name = run.folder, found.path, run.name
    if path.name == LOCK and found.how == "another":  # made by a process that found none
        return _taken_over(run)
    if found.how == "shorter":
        return Loss(
            f"{path} was cut short or overwritten while the run was sending",
            f"bulk-sender resume {name} refuses a damaged journal and continues a sound one. "
            "Do not send the input under another name: it would go to everyone again",
        )
    if path.name == JOURNAL:
        is_folder = found.how == "gone" and not folder.exists()
        what = f"the run's folder {folder}" if is_folder else f"the journal {path}"
        how = "deleted or moved" if found.how == "gone" else "replaced by another one"
        return Loss(
            f"{what} was {how} while the run was sending",
            f"if it was moved, put it back where it was, then bulk-sender resume {name}. Do not repeat the command: "
            "without this journal nobody can tell who already got the message",
        )
    how = "deleted or moved" if found.how == "gone" else "replaced by another file"
    return Loss(
        f"{path}, a part of the run's journal, was {how} while the run was sending",
        f"find out what changes files in {folder}, then bulk-sender resume {name}",
    )


def holder(run: RunRef) -> str | None:
    """Describe the process that holds the run now; None when none does."""
    return lock_holder(run.folder)


def exists(run: RunRef) -> bool:
    """Whether the run has a journal."""
    return (run.folder / JOURNAL).is_file()


def is_unfinished(run: RunRef) -> bool:
    """Whether a process ended while it created the run's journal. Such a run has never sent anything."""
    return (run.folder / UNFINISHED).exists() and not (run.folder / JOURNAL).exists()


def location(run: RunRef) -> Path:
    """Return the path of the journal's file."""
    return run.folder / JOURNAL


def _must_exist(run: RunRef) -> None:
    folder = run.folder
    if not exists(run):
        raise _not_found(run)
    if not (folder / JOURNAL).stat().st_size:
        # SQLite must not find out: it takes the file for a new database, and deletes a -wal file beside it.
        raise damaged(folder, "it is empty")


def _not_found(run: RunRef) -> RunNotFoundError:
    """Return the error for a run without a journal. It says so when the run did exist."""
    folder = run.folder
    known = None
    if index.exists(folder.parent):
        with closing(index.open_index(folder.parent)) as found:
            known = found.entry(run.name)
    if known is not None and known.pruned_at:
        return RunNotFoundError(
            f"the data of run {run.name!r} was removed at {known.pruned_at}", hint="bulk-sender runs shows its counts"
        )
    if known is not None:
        return RunNotFoundError(
            f"run {run.name!r} began at {known.created_at}, but {run.loss}",
            hint="put the folder back; without it nobody can tell who already got the message",
        )
    return RunNotFoundError(
        f"{folder} has no journal, so the run cannot be resumed"
        if folder.exists()
        else f"there is no run {run.name!r} in {folder.parent}",
        hint="bulk-sender runs lists the runs; --runs-dir says where to look",
    )
