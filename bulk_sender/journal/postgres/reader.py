"""A run's journal in PostgreSQL, to be read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import psycopg

from bulk_sender.journal.answers import Worker
from bulk_sender.journal.place import Place
from bulk_sender.journal.postgres.errors import unreadable
from bulk_sender.journal.postgres.ids import BLOCK
from bulk_sender.journal.postgres.proof import prove_chunk
from bulk_sender.journal.postgres.schema import COLUMNS, quoted, table
from bulk_sender.journal.postgres.session import Session
from bulk_sender.journal.postgres.stored import StoredRows
from bulk_sender.journal.sql.queries import SqlReader
from bulk_sender.journal.sql.seal import Value
from bulk_sender.journal.sql.state import STATE
from bulk_sender.journal.store import RunReader, RunRef


def tables_of(run: int) -> str:
    """Return the beginning of a statement that makes one run's records look like a database of their own.

    Row 0 of ``epoch`` is not a start of a process: it stands for a process that has the run open before it begins one.
    """
    parts = []
    for name, columns in COLUMNS.items():
        listed = ", ".join(quoted(column) for column, _ in columns)
        only = " AND id > 0" if name == "epoch" else ""
        parts.append(f"{name} AS NOT MATERIALIZED (SELECT {listed} FROM {table(name)} WHERE run = {run}{only})")
    return f"WITH {', '.join(parts)}, state AS NOT MATERIALIZED ({STATE}) "


_SILENT_S = 5
_WORKERS = f"""
SELECT id, command, at, pid, host,
  CASE WHEN fenced_at IS NOT NULL THEN 'given_up' WHEN ended_at IS NOT NULL THEN 'ended'
       WHEN clock_timestamp() - beat_at > interval '{_SILENT_S} s' THEN 'silent' ELSE 'working' END,
  (SELECT count(*) FROM attempt a WHERE a.run = e.run AND a.epoch = e.id AND length(a.body_sha256) > 0),
  to_char(beat_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
  (SELECT min(chunk) FROM lease l WHERE l.run = e.run AND l.holder = e.id AND NOT l.done)
FROM epoch e WHERE run = %(run)s AND id > 0
  AND id >= coalesce((SELECT max(id) FROM epoch WHERE run = %(run)s AND id > 0 AND command <> 'join'), 0) ORDER BY id
"""


class PostgresReader(SqlReader):
    """One run's journal, to be read. Not thread-safe: one thread at a time may use it."""

    def __init__(self, run: RunRef, session: Session, number: int, key: bytes, rows: StoredRows) -> None:
        """``number``: the run's id in the database. ``key``: that of its seals. ``rows``: those that are elsewhere."""
        super().__init__(run)
        self._stored_rows = rows
        self._session = session
        self._number, self._key = number, key
        self._tables = tables_of(number)

    @property
    def place(self) -> Place:
        return self._session.place

    def reader(self) -> RunReader:
        """Open another reader, without a second proof: the journal was proved sound for this one."""
        return PostgresReader(self.run, Session(self.place), self._number, self._key, self._stored_rows)

    def frame(self, chunk: int) -> bytes:
        return self._stored_rows.get(super().frame(chunk))

    def rejects(self, chunk: int) -> bytes:
        return self._stored_rows.get(super().rejects(chunk))

    def prove_chunk(self, chunk: int) -> None:
        try:
            self._session.through(lambda connection: prove_chunk(connection, self.run, self._number, self._key, chunk))
        except psycopg.Error as error:
            raise unreadable(self.place, error) from None

    def workers(self) -> tuple[Worker, ...]:
        try:
            found = self._session.rows(_WORKERS, {"run": self._number})
        except psycopg.Error as error:
            raise unreadable(self.place, error) from None
        return tuple(Worker(*row) for row in found)

    def _strands(self) -> Iterator[tuple[int, int, int]]:
        found = self._rows(
            "SELECT epoch, min(id), max(id) FROM attempt WHERE length(body_sha256) > 0"
            " GROUP BY epoch, (id - 1) / ? ORDER BY min(id)",
            BLOCK,
        )
        for epoch, blocks in groupby(found, key=itemgetter(0)):
            own = list(blocks)
            yield epoch, own[0][1], own[-1][2]

    def close(self) -> None:
        self._session.close()

    def _rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]:
        try:
            return self._session.rows(self._tables + sql.replace("?", "%s"), values)
        except psycopg.Error as error:
            raise unreadable(self.place, error) from None
