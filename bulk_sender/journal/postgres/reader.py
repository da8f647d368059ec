"""A run's journal in PostgreSQL, to be read."""

from __future__ import annotations

from typing import Any

import psycopg

from bulk_sender.journal.place import Place
from bulk_sender.journal.postgres.errors import unreadable
from bulk_sender.journal.postgres.schema import COLUMNS, quoted, table
from bulk_sender.journal.postgres.session import Session
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


class PostgresReader(SqlReader):
    """One run's journal, to be read. Not thread-safe: one thread at a time may use it."""

    def __init__(self, run: RunRef, session: Session, number: int) -> None:
        """``number``: the run's id in the database."""
        super().__init__(run)
        self._session = session
        self._number = number
        self._tables = tables_of(number)

    @property
    def place(self) -> Place:
        return self._session.place

    def reader(self) -> RunReader:
        """Open another reader, without a second proof: the journal was proved sound for this one."""
        return PostgresReader(self.run, Session(self.place), self._number)

    def close(self) -> None:
        self._session.close()

    def _rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]:
        try:
            return self._session.rows(self._tables + sql.replace("?", "%s"), values)
        except psycopg.Error as error:
            raise unreadable(self.place, error) from None
