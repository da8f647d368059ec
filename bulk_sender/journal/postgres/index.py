"""The index of all runs of a database, in the tables ``listed`` and ``sent_again``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import Any

import psycopg

from bulk_sender.journal.index import IndexEntry, SentAgain
from bulk_sender.journal.postgres.errors import unreadable
from bulk_sender.journal.postgres.session import Connection, Session

_NAMES = tuple(item.name for item in fields(IndexEntry))
_JSON = ("inputs", "parents", "summary", "decisions")
_PUT = (
    f"INSERT INTO listed ({', '.join(_NAMES)}) VALUES ({', '.join(['%s'] * len(_NAMES))})"
    f" ON CONFLICT (name) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _NAMES[1:])}"
)
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.listed', 0))"


class PostgresIndex:
    """The index. Not thread-safe: one thread at a time may use it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def close(self) -> None:
        self._session.close()

    @contextmanager
    def begin(self, entry: IndexEntry, again: Sequence[SentAgain] = ()) -> Iterator[tuple[IndexEntry, ...]]:
        with self._session.lock:
            # Nothing else may come between: a lost connection ends the transaction, and is not made again in it.
            connection = self._session.through(lambda connection: connection)
            try:
                with connection.transaction():
                    connection.execute(_ONE_AT_A_TIME)
                    yield _repeats(connection, entry)
                    connection.execute(_PUT, _values(entry))
                    for each in again:
                        connection.execute(
                            "INSERT INTO sent_again VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                            list(asdict(each).values()),
                        )
            except psycopg.Error as error:
                raise unreadable(self._session.place, error) from None

    def note(self, entry: IndexEntry) -> None:
        self._execute(_PUT, *_values(entry))

    def entry(self, name: str) -> IndexEntry | None:
        return next(iter(self._entries("WHERE name = %s", name)), None)

    def entries(self) -> list[IndexEntry]:
        return self._entries("ORDER BY created_at, name")

    def repeats(self, entry: IndexEntry) -> tuple[IndexEntry, ...]:
        try:
            return self._session.through(lambda connection: _repeats(connection, entry))
        except psycopg.Error as error:
            raise unreadable(self._session.place, error) from None

    def children(self, parent: str) -> list[str]:
        return [entry.name for entry in self.entries() if parent in entry.parents]

    def withdraw(self, child: str, rows: Sequence[int]) -> None:
        self._execute("DELETE FROM sent_again WHERE child = %s AND row = ANY(%s)", child, list(rows))

    def sent_again(self, parent: str) -> list[SentAgain]:
        sql = "SELECT parent, line, child, row FROM sent_again WHERE parent = %s ORDER BY line, child, row"
        return [SentAgain(*row) for row in self._execute(sql, parent)]

    def _entries(self, where: str, *values: object) -> list[IndexEntry]:
        rows = self._execute(f"SELECT {', '.join(_NAMES)} FROM listed {where}", *values)
        return [_entry(row) for row in rows]

    def _execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        def work(connection: Connection) -> list[tuple[Any, ...]]:
            cursor = connection.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

        try:
            return self._session.through(work)
        except psycopg.Error as error:
            raise unreadable(self._session.place, error) from None


def _repeats(connection: Connection, entry: IndexEntry) -> tuple[IndexEntry, ...]:
    sql = f"SELECT {', '.join(_NAMES)} FROM listed WHERE input_sha256 = %s AND name <> %s"
    found = [_entry(row) for row in connection.execute(sql, [entry.input_sha256, entry.name]).fetchall()]
    alike = [each for each in found if each.is_repeated_by(entry)]
    return tuple(sorted(alike, key=lambda each: each.last_at, reverse=True))


def _values(entry: IndexEntry) -> list[Any]:
    values = asdict(entry) | {name: json.dumps(getattr(entry, name)) for name in _JSON}
    return [values[name] for name in _NAMES]


def _entry(row: tuple[Any, ...]) -> IndexEntry:
    values = dict(zip(_NAMES, row, strict=True))
    lists = {name: json.loads(values[name]) for name in _JSON}
    lists |= {name: tuple(lists[name]) for name in ("inputs", "parents", "decisions")}
    return IndexEntry(**(values | lists))
