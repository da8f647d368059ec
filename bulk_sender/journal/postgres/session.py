"""Connections to the database of a journal: made safe, and made again when they are lost.

Each statement runs in a transaction for itself, at READ COMMITTED: it sees everything that was committed before it got
its locks. At REPEATABLE READ a fence would not see the last intent of the process that it shuts out.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg import pq
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict

from bulk_sender.config.hosts import is_loopback
from bulk_sender.errors import ConfigError, JournalError
from bulk_sender.eventloop import left_behind
from bulk_sender.journal.place import Place
from bulk_sender.journal.postgres.errors import NotYetError, may_pass, no_schema, refusal
from bulk_sender.journal.postgres.schema import VERSION

Connection = psycopg.Connection[tuple[Any, ...]]
T = TypeVar("T")

PATIENCE_S = 60.0
"""How long a writer waits for a database that is not there."""
_BRIEFLY_S = 5.0
"""How long a reader does."""
_BETWEEN_TRIES_S = 0.2
_BETWEEN_LOOKS_S = 0.1
_CONNECT_S = 10
_GREETED_S = 20
"""How long a new connection may take until it can be used."""
_KEEP_ALIVE = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "connect_timeout": _CONNECT_S,
}
_LONGEST_IDLE_S = 2
_SAFE_MODES = ("verify-full",)
_SET_UP = """
SELECT set_config('search_path', %s, false),
       set_config('synchronous_commit',
                  CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END,
                  false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false),
       set_config('extra_float_digits', '1', false), set_config('bytea_output', 'hex', false)
"""


@dataclass(frozen=True, slots=True)
class Server:
    """Which database it is. ``origin``: the number of the table of runs; one restored from a dump has another."""

    system_identifier: int
    timeline: int
    """Raised when a standby is promoted, and when a backup is restored to an earlier time."""
    origin: int


class _WholeNumber(Loader):
    """Sums of sums are of the type numeric, and whole here."""

    def load(self, data: bytes | bytearray | memoryview) -> int:
        return int(bytes(data))


def connect(place: Place) -> Connection:
    """Connect, and check the schema. Raises psycopg.Error, JournalError, ConfigError."""
    connection: Connection = psycopg.connect(**_parameters(place), autocommit=True)
    try:
        connection.adapters.register_loader("numeric", _WholeNumber)
        connection.execute(_SET_UP, [place.schema])
        return connection
    except BaseException:
        connection.close()
        raise


def check_schema(connection: Connection, place: Place) -> None:
    """Raise JournalError when the schema is not there, or is of another version."""
    try:
        found = connection.execute("SELECT version FROM meta").fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        raise no_schema(place) from None
    if found != (VERSION,):
        raise JournalError(
            f"the schema {place.schema!r} in {place} was made by another version of bulk-sender (version "
            f"{found[0] if found else 'unknown'}, this one uses {VERSION})"
        )


def server_of(connection: Connection, place: Place) -> Server:
    """Return which server this is. Raises JournalError for one to which a journal must not be written."""
    row = connection.execute(
        "SELECT pg_is_in_recovery(), current_setting('fsync'), current_setting('full_page_writes'),"
        " current_setting('synchronous_commit'), current_setting('transaction_isolation')"
    ).fetchone()
    assert row is not None
    is_standby, fsync, pages, commit, isolation = row
    if is_standby:
        raise NotYetError("the server is a standby, which only repeats what another server does")
    wrong = [f"{name} = {value}" for name, value in (("fsync", fsync), ("full_page_writes", pages)) if value != "on"]
    if commit not in ("on", "remote_apply"):
        wrong.append(f"synchronous_commit = {commit}")
    if isolation != "read committed":
        wrong.append(f"transaction_isolation = {isolation}")
    if wrong:
        raise JournalError(
            f"the database {place} runs with {', '.join(wrong)}: it may forget what it has confirmed",
            hint="a journal needs fsync, full_page_writes and synchronous_commit on, and a connection without a pooler "
            "that shares sessions",
        )
    try:
        row = connection.execute(
            "SELECT (SELECT system_identifier FROM pg_control_system()),"
            " ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint,"
            " coalesce(to_regclass('run')::oid::bigint, 0)"
        ).fetchone()
    except psycopg.Error as error:
        if may_pass(error):
            raise
        raise JournalError(
            f"the database {place} does not say which server it is ({type(error).__name__}), so a restored copy would "
            "look the same",
            hint="grant EXECUTE on pg_control_system() and pg_walfile_name() to the role, or use another database",
        ) from None
    assert row is not None
    return Server(*row)


def limit_idling(connection: Connection) -> None:
    """Let the server end a transaction of a process that is suspended in the midst of it: others wait for its locks."""
    connection.execute(f"SET idle_in_transaction_session_timeout = '{_LONGEST_IDLE_S} s'")


class Session:
    """One connection, made again when it is lost. Any thread may use it; statements run one after another."""

    def __init__(
        self,
        place: Place,
        *,
        patience_s: float | None = None,
        welcome: Callable[[Connection], None] = lambda _: None,
        is_late: Callable[[], bool] = lambda: False,
    ) -> None:
        """``welcome`` is called with each new connection, and may raise JournalError.

        ``is_late``: whether this process has to end now, so that nothing may be waited for.
        """
        self.place = place
        self.lock = threading.RLock()
        self._patience_s = _BRIEFLY_S if patience_s is None else patience_s
        self.welcome = welcome
        self.is_late = is_late
        self.connections = 0
        """How many connections there were until now."""
        self._connection: Connection | None = None
        self._due_at: float | None = None
        """When the database has to answer what it was asked, on a clock that does not jump; None while it is not."""
        self._is_closed = False

    def rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement that may be repeated, and return its rows. Raises psycopg.Error, JournalError."""
        return self.through(lambda connection: connection.execute(sql, values or None).fetchall())

    def through(self, work: Callable[[Connection], T], longest_s: float = math.inf) -> T:
        """Run ``work``, which has to bear repetition, until it ends over one connection. Raises psycopg.Error.

        ``longest_s``: how long it may take over one, for ``cut_overdue``.

        A database that is not there is waited for, and so is one that has admitted this account before. Raises
        JournalError when it is not the one that it was.
        """
        until = time.monotonic() + self._patience_s
        with self.lock:
            while True:
                self._due_at = time.monotonic() + longest_s
                try:
                    return work(self._connected())
                except psycopg.Error as error:
                    is_in_vain = not may_pass(error) or (not self.connections and refusal(error))
                    if is_in_vain or self._has_to_end() or time.monotonic() >= until:
                        raise
                    self._drop_broken()
                finally:
                    self._due_at = None
                time.sleep(_BETWEEN_TRIES_S)

    def close(self) -> None:
        self._is_closed = True
        with self.lock:
            self._drop()

    def cut_overdue(self) -> None:
        """Break the connection from another thread if an answer is overdue, or this process has to end."""
        due_at = self._due_at
        if due_at is not None and (self._has_to_end() or time.monotonic() > due_at):
            self.cut()

    def cut(self) -> None:
        """Break the connection from another thread, so that a statement on it ends with an error."""
        if (connection := self._connection) is not None:
            with suppress(psycopg.Error, OSError):
                _shut_down(connection.fileno())

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._in_time(self._new_connection)
            self.connections += 1
        return self._connection

    def _new_connection(self) -> Connection:
        connection = connect(self.place)
        try:
            check_schema(connection, self.place)
            self.welcome(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _in_time(self, make: Callable[[], Connection]) -> Connection:
        """Connect in a thread: a network that swallows packets would hold this one up, even when it has to end."""
        made = left_behind(make, "journal-connect")
        until = time.monotonic() + _GREETED_S
        while not wait([made], _BETWEEN_LOOKS_S).done:
            if self._has_to_end() or time.monotonic() > until:
                made.add_done_callback(_close_unused)
                raise psycopg.OperationalError("the database does not answer")
        return made.result()

    def _has_to_end(self) -> bool:
        return self._is_closed or self.is_late()

    def _drop_broken(self) -> None:
        if self._connection is not None and (self._connection.broken or self._connection.closed):
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None


def _close_unused(made: Future[Connection]) -> None:
    if made.exception() is None:
        made.result().close()


def _shut_down(descriptor: int) -> None:
    import socket

    with socket.socket(fileno=os.dup(descriptor)) as same:
        same.shutdown(socket.SHUT_RDWR)


def _parameters(place: Place) -> dict[str, Any]:
    """Return what psycopg gets: the address with safe defaults. Raises ConfigError for an unsafe one."""
    try:
        scheme, _, rest = place.address.partition(":")
        given: dict[str, Any] = conninfo_to_dict(f"{scheme}:{rest}") if rest else {}
    except psycopg.Error:
        raise ConfigError(
            "the address of the journal in PostgreSQL is not valid", hint="use postgresql://user@host:5432/database"
        ) from None
    known = {it.keyword.decode(): it.val.decode() for it in pq.Conninfo.get_defaults() if it.val is not None}
    named = {**known, **given}
    hosts = str(named.get("hostaddr") or named.get("host") or "").split(",")
    mode = given.get("sslmode") or os.environ.get("PGSSLMODE") or (known["sslmode"] if "service" in named else None)
    if not all(_is_local(host) for host in hosts):
        if mode is None or mode == "prefer":
            given["sslmode"] = "verify-full"
        elif mode not in _SAFE_MODES and os.environ.get("PGSSLMODE") != mode:
            raise ConfigError(
                f"sslmode={mode} does not prove that the database is the one that was meant, and the journal holds "
                "personal data",
                hint="use sslmode=verify-full with sslrootcert, or set PGSSLMODE in the environment to insist",
            )
    return {**given, **{key: value for key, value in _KEEP_ALIVE.items() if key not in given}} | {
        "application_name": given.get("application_name", "bulk-sender")
    }


def _is_local(host: str) -> bool:
    return host == "" or host.startswith(("/", "@")) or is_loopback(host)
