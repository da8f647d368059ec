"""All runs of a database: created, opened, found and removed."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from bulk_sender.durable import sync_folder
from bulk_sender.errors import JournalError, RunHeldError, RunNotFoundError
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.place import POINTER, Place, write_pointer
from bulk_sender.journal.postgres import index
from bulk_sender.journal.postgres.commits import Commits, insert_facts
from bulk_sender.journal.postgres.errors import unreadable
from bulk_sender.journal.postgres.holding import Claim, holder, latest_epoch, row_zero, take
from bulk_sender.journal.postgres.index import PostgresIndex
from bulk_sender.journal.postgres.proof import Proved, prove, state_of
from bulk_sender.journal.postgres.reader import PostgresReader
from bulk_sender.journal.postgres.schema import RECORDS_OF_A_RUN
from bulk_sender.journal.postgres.session import PATIENCE_S, Connection, Server, Session, limit_idling, server_of
from bulk_sender.journal.postgres.writer import PostgresWriter
from bulk_sender.journal.sql.rows import fact
from bulk_sender.journal.sql.seal import SEAL_KEY
from bulk_sender.journal.store import RunRef

T = TypeVar("T")

_ANNOUNCED = "journal.new"
"""The file in the folder of a run that is about to be created."""
_proved: Proved = {}
_asking = threading.Lock()
_open: dict[Place, Session] = {}
"""The session for short questions to the place that was asked last."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A run in the database: its id there, the key of its seals, and the server in which it began."""

    number: int
    key: bytes
    ttl_s: float
    server: Server


class PostgresRuns:
    """The runs whose journals are in one schema of one database."""

    def __init__(self, place: Place) -> None:
        self.place = place

    # --- one run ------------------------------------------------------------------------------------------------

    def announce(self, run: RunRef) -> None:
        """Mark an existing folder, durably, as that of a run that is about to be created. Raises OSError."""
        (run.folder / _ANNOUNCED).touch(mode=0o600)
        sync_folder(run.folder)

    def create(self, run: RunRef, facts: Facts) -> PostgresWriter:
        """Create a run with its frozen facts, in one transaction. Raises JournalError."""
        key, claim = secrets.token_bytes(16), Claim.new()
        stored = {"version": 1, "run_id": run.name, SEAL_KEY: key.hex(), **facts.stored()}
        rows = [fact(name, value) for name, value in stored.items()]
        made_on: list[Server] = []

        def make(connection: Connection) -> int:
            with connection.transaction():
                server = server_of(connection, self.place)
                made_on[:] = [server]
                row = connection.execute(
                    "INSERT INTO run (name, seal_key, system_identifier, timeline, origin, ttl_s)"
                    " VALUES (%s, %s, %s, %s, %s, %s)"
                    " ON CONFLICT (name) DO NOTHING RETURNING id",
                    [run.name, key, *astuple(server), self.place.ttl_s],
                ).fetchone()
                if row is None:
                    return self._done(connection, run, key)
                insert_facts(connection, row[0], key, rows, claim.on(0), claim.node)
                return int(row[0])

        with self._opening(Session(self.place, patience_s=PATIENCE_S, welcome=claim.lock)) as (session, opened):
            found = _Found(session.through(make), key, self.place.ttl_s, made_on[0])
            commits = Commits(found.number, 0, claim.on(0), key, number=0, records=len(rows))
            writer = opened.enter_context(self._writer(run, session, claim, found, commits))
            self._note_in(run)
            writer.ready(0)
            return writer

    @staticmethod
    def _done(connection: Connection, run: RunRef, key: bytes) -> int:
        """Return the id of a run that this process made itself, before the answer was lost."""
        row = connection.execute("SELECT id, seal_key FROM run WHERE name = %s", [run.name]).fetchone()
        if row is None or row[1] != key:
            raise JournalError(f"run {run.name!r} has been started in the meantime", hint="run this command again")
        return int(row[0])

    def open_to_write(self, run: RunRef, *, take_over: bool = False) -> PostgresWriter:
        """Open a run to continue it: claim it, and prove it sound. ``take_over``: even if a process has it.

        Raises RunNotFoundError, RunHeldError, and JournalError when a record is damaged or the database is another.
        """
        found = self._found(run)
        number, claim = found.number, Claim.new()
        with self._opening(Session(self.place, patience_s=PATIENCE_S, welcome=claim.lock)) as (session, opened):
            session.through(lambda connection: _refuse_other(server_of(connection, self.place), found.server, run))
            seen = session.through(lambda connection: row_zero(connection, number))
            before = session.through(lambda connection: latest_epoch(connection, number))
            held_by = None if take_over else holder(session, number, found.ttl_s)
            if held_by is not None:
                raise _held(run, held_by)
            if not session.through(lambda connection: _taken(connection, number, claim, seen)):
                raise _held(run, "another process")
            commits = Commits(number, 0, claim.on(0), found.key, number=seen[0] + 1, records=seen[2])
            writer = opened.enter_context(self._writer(run, session, claim, found, commits))
            writer.ready(before)
            if take_over:
                writer.take_over()
            prove(self.place, run, number, found.key)
            self._note_in(run)
            return writer

    def join(self, run: RunRef) -> PostgresWriter:
        """Open a run for one more process, beside those that have it; prove it sound first.

        Raises RunNotFoundError, and JournalError when a record is damaged or the database is another.
        """
        found = self._found(run)
        claim = Claim.new()
        with self._opening(Session(self.place, patience_s=PATIENCE_S, welcome=claim.lock)) as (session, opened):
            session.through(lambda connection: _refuse_other(server_of(connection, self.place), found.server, run))
            prove(self.place, run, found.number, found.key)
            self._note_in(run)
            commits = Commits.none(found.number, found.key)
            writer = opened.enter_context(self._writer(run, session, claim, found, commits))
            writer.ready(0)
            return writer

    def _writer(self, run: RunRef, session: Session, claim: Claim, found: _Found, commits: Commits) -> PostgresWriter:
        """Return the writer. From now on each new connection has to be one to the same database."""

        def welcome(connection: Connection) -> None:
            _refuse_other(server_of(connection, self.place), found.server, run)
            claim.lock(connection)
            limit_idling(connection)

        session.welcome = welcome
        return PostgresWriter(run, session, found.number, found.key, claim, commits, found.ttl_s)

    def open_to_read(self, run: RunRef) -> PostgresReader:
        """Open a run to read it. Proved sound first, unless a process has it, or nothing was added since.

        Raises RunNotFoundError, JournalError.
        """
        found = self._found(run)
        number, key = found.number, found.key
        with self._opening(Session(self.place)) as (session, _):
            if holder(session, number, found.ttl_s) is None:
                state = session.through(lambda connection: state_of(connection, number))
                if _proved.get((self.place, run.name)) != (number, *state):
                    prove(self.place, run, number, key)
                    _proved[self.place, run.name] = (number, *state)
            return PostgresReader(run, session, number)

    def holder(self, run: RunRef) -> str | None:
        """Describe the process that holds the run now; None when none does."""

        def ask(session: Session) -> str | None:
            rows = session.rows("SELECT id, ttl_s FROM run WHERE name = %s", [run.name])
            return holder(session, *rows[0]) if rows else None

        return self._ask(ask)

    def exists(self, run: RunRef) -> bool:
        """Whether the run has a journal."""
        return bool(self._ask(lambda session: session.rows("SELECT 1 FROM run WHERE name = %s", [run.name])))

    def is_unfinished(self, run: RunRef) -> bool:
        """Whether a process ended while it created the run's journal."""
        return (run.folder / _ANNOUNCED).exists() and not self.exists(run)

    def location(self, run: RunRef) -> Path:
        """Return the file in the run's folder that says where its journal is."""
        return run.folder / POINTER

    def files(self, run: RunRef) -> list[Path]:
        return [run.folder / POINTER, run.folder / _ANNOUNCED]

    def remove(self, run: RunRef) -> None:
        """Remove all records of a run. Raises JournalError."""

        def work(session: Session) -> None:
            def delete(connection: Connection) -> None:
                with connection.transaction():
                    for name in RECORDS_OF_A_RUN:
                        connection.execute(
                            f"DELETE FROM {name} WHERE run = (SELECT id FROM run WHERE name = %s)", [run.name]
                        )
                    connection.execute("DELETE FROM run WHERE name = %s", [run.name])

            session.through(delete)

        self._ask(work)
        for path in self.files(run):
            path.unlink(missing_ok=True)

    # --- all runs -----------------------------------------------------------------------------------------------

    def run_names(self, runs_dir: Path) -> list[str]:
        """Return the names of the runs, sorted."""
        return [row[0] for row in self._ask(lambda session: session.rows("SELECT name FROM run ORDER BY name"))]

    def index(self, runs_dir: Path) -> PostgresIndex:
        """Open the index of all runs. Raises JournalError."""
        return index.PostgresIndex(Session(self.place))

    def has_index(self, runs_dir: Path) -> bool:
        return True

    def is_there(self, runs_dir: Path) -> bool:
        return True

    # --- inside -------------------------------------------------------------------------------------------------

    @contextmanager
    def _opening(self, session: Session) -> Iterator[tuple[Session, ExitStack]]:
        """Open a run over ``session``. It, and what the block enters into the stack, is closed unless all goes well.

        Raises JournalError for trouble with the database.
        """
        with ExitStack() as opened:
            opened.callback(session.close)
            try:
                yield session, opened
            except psycopg.Error as error:
                raise unreadable(self.place, error) from None
            opened.pop_all()

    def _found(self, run: RunRef) -> _Found:
        rows = self._ask(
            lambda session: session.rows(
                "SELECT id, seal_key, ttl_s, system_identifier, timeline, origin FROM run WHERE name = %s", [run.name]
            )
        )
        if not rows:
            raise self._not_found(run)
        number, key, ttl_s, *server = rows[0]
        return _Found(number, key, ttl_s, Server(*server))

    def _not_found(self, run: RunRef) -> RunNotFoundError:
        known = self._ask(lambda session: PostgresIndex(session).entry(run.name))
        if known is not None and known.pruned_at:
            return RunNotFoundError(
                f"the data of run {run.name!r} was removed at {known.pruned_at}",
                hint="bulk-sender runs shows its counts",
            )
        if known is not None:
            return RunNotFoundError(
                f"run {run.name!r} began at {known.created_at}, but its journal is not in {self.place} any more",
                hint="restore the database; without the journal nobody can tell who already got the message",
            )
        return RunNotFoundError(
            f"there is no run {run.name!r} in {self.place}, schema {self.place.schema}",
            hint="bulk-sender runs lists the runs",
        )

    def _ask(self, question: Callable[[Session], T]) -> T:
        """Ask over the connection for short questions. Raises JournalError."""
        try:
            with _asking:
                return question(_for_questions(self.place))
        except psycopg.Error as error:
            raise unreadable(self.place, error) from None

    def _note_in(self, run: RunRef) -> None:
        """Make the run's folder, if need be, and write into it where the journal is. Raises JournalError."""
        for folder in (run.folder.parent, run.folder):
            if not (folder / POINTER).exists():
                write_pointer(folder, self.place)
        with suppress(OSError):
            (run.folder / _ANNOUNCED).unlink()


def _for_questions(place: Place) -> Session:
    """Return a session that stays open for the next question: a command has several, and each connection takes time."""
    if place not in _open:
        for session in _open.values():
            session.close()
        _open.clear()
        _open[place] = Session(place)
    return _open[place]


def _taken(connection: Connection, number: int, claim: Claim, seen: tuple[Any, ...]) -> bool:
    if take(connection, number, claim, seen):
        return True
    return bool(row_zero(connection, number)[1] == claim.on(0))  # the answer to this very statement was lost


def _held(run: RunRef, by: str) -> RunHeldError:
    return RunHeldError(f"run {run.name!r} is held by {by}", hint="wait for it to end, or stop it, then try again")


def _refuse_other(found: Server, expected: Server, run: RunRef) -> None:
    if (found.system_identifier, found.origin) != (expected.system_identifier, expected.origin):
        raise JournalError(
            f"the journal of run {run.name!r} is not in the database in which the run began: it was restored from a "
            "dump, or copied to another server",
            hint="connect to the database in which the run began. If it is gone, what it recorded last may be missing "
            "here, and nobody can tell who already got the message",
        )
    if found.timeline != expected.timeline:
        raise JournalError(
            f"the database of run {run.name!r} was promoted from a standby or restored to an earlier time since the "
            f"run began (timeline {found.timeline} instead of {expected.timeline}): its last records may be missing",
            hint="if nothing can be missing, because the standby was synchronous, say so: bulk-sender journal accept "
            f"{run.name}. Else look in Braze, and do not send the input again",
        )
