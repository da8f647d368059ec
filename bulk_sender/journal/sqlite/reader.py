"""A run's journal in SQLite, to be read."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Any

from bulk_sender.journal.sql.queries import SqlReader
from bulk_sender.journal.sql.seal import Value
from bulk_sender.journal.sql.state import STATE
from bulk_sender.journal.sqlite.database import JOURNAL, connect_to_read
from bulk_sender.journal.sqlite.proof import unreadable
from bulk_sender.journal.store import RunReader, RunRef


class SqliteReader(SqlReader):
    """One run's journal, to be read. Not thread-safe: one thread at a time may use it."""

    def __init__(self, run: RunRef, connection: sqlite3.Connection) -> None:
        super().__init__(run)
        self._connection = connection
        connection.executescript(f"CREATE TEMP VIEW state AS {STATE};")

    def reader(self) -> RunReader:
        """Open another reader, without a second proof: the journal was proved sound for this one."""
        try:
            return SqliteReader(self.run, connect_to_read(self.run.folder / JOURNAL))
        except sqlite3.Error as error:
            raise unreadable(self.run.folder, error) from None

    def prove_chunk(self, chunk: int) -> None:
        """Do nothing: the whole run was proved when it was opened."""

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()

    def _rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise unreadable(self.run.folder, error) from None
