"""Commits of one process, each a single statement that proves that the process still has the run.

The statement updates the process's row of ``epoch`` under the number of the commit, and inserts the records only if
that row was there and unfenced. So a fence, the order of commits, the beat and the records are one step. A commit whose
answer was lost is repeated under its number: if it was done before, the number says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bulk_sender.errors import JournalError
from bulk_sender.journal.postgres.schema import BYTES, COLUMNS, WRITTEN_IN, quoted, table
from bulk_sender.journal.postgres.session import Connection
from bulk_sender.journal.sql.rows import TABLES, Row
from bulk_sender.journal.sql.seal import Value, seal

_ME = """
WITH me AS (
  UPDATE epoch SET commit_no = %s, records = records + %s, beat_at = clock_timestamp()
  WHERE run = %s AND id = %s AND claim = %s AND commit_no = %s AND fenced_at IS NULL AND ended_at IS NULL
  RETURNING run, id, records)"""


class TakenOverError(JournalError):
    """Another process has fenced this one, or has the run."""


class ForgottenError(JournalError):
    """The database does not have what it confirmed."""


class Commits:
    """The commits under one row of ``epoch``. ``claim``: the writer's own mark on that row."""

    def __init__(self, run: int, epoch: int, claim: str, key: bytes, *, number: int, records: int) -> None:
        """``number`` and ``records``: those that the row has now."""
        self.epoch = epoch
        self.claim = claim
        self._run, self._key = run, key
        self._number, self._records = number, records

    def make(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Commit rows, which may be none, as the next commit; return how many records the epoch has then.

        May be repeated after a lost connection; ``made`` comes after it. Raises psycopg.Error, TakenOverError,
        ForgottenError.
        """
        statement, arrays = _inserts(rows, self._key)
        following = self._number + 1
        values = [following, len(rows), self._run, self.epoch, self.claim, self._number, *arrays]
        found = connection.execute(f"{_ME}{statement} SELECT records FROM me", values).fetchone()
        records = self._records + len(rows)
        if found is None:
            found = self._settled(connection, following)
        if found != (records,):
            raise _forgotten(f"{found[0]} records instead of {records}")
        return records

    def done(self, connection: Connection) -> int | None:
        """Return the epoch's records when the next commit was done already, and its answer was lost; else None."""
        row = connection.execute(
            "SELECT records FROM epoch WHERE run = %s AND id = %s AND claim = %s AND commit_no = %s",
            [self._run, self.epoch, self.claim, self._number + 1],
        ).fetchone()
        return None if row is None else int(row[0])

    def made(self, records: int) -> None:
        """Count a commit that is durable."""
        self._number += 1
        self._records = records

    def _settled(self, connection: Connection, number: int) -> tuple[int]:
        """Return the epoch's records when this very commit was done before its answer was lost."""
        row = connection.execute(
            "SELECT commit_no, records, claim, fenced_at IS NOT NULL OR ended_at IS NOT NULL FROM epoch"
            " WHERE run = %s AND id = %s",
            [self._run, self.epoch],
        ).fetchone()
        if row is None:
            raise _forgotten("nothing of this process")
        commit_no, records, claim, is_over = row
        if claim != self.claim or is_over:
            raise TakenOverError("another process has taken over this run since this one started")
        if commit_no != number:
            raise _forgotten(f"commit {commit_no} as the last one instead of {number - 1}")
        return (int(records),)


def _forgotten(what: str) -> ForgottenError:
    return ForgottenError(f"the database has lost commits that it had confirmed: it has {what}")


def _inserts(rows: Sequence[Row], key: bytes) -> tuple[str, list[list[Any]]]:
    """Return the inserts as parts of the statement, with one array for each column."""
    by_table: dict[str, list[tuple[Value, ...]]] = {}
    for name, values in rows:
        values = tuple(map(_storable, values))
        by_table.setdefault(name, []).append((*values, seal(name, values, key)))
    parts, arrays = [], []
    for name in sorted(by_table, key=TABLES.index):
        columns = [*COLUMNS[name], ("seal", BYTES)]
        names = ", ".join(quoted(column) for column, _ in columns)
        marks = ", ".join(f"{'%b' if kind == BYTES else '%s'}::{kind}[]" for _, kind in columns)
        own, mine = (", written_in", ", me.id") if name in WRITTEN_IN else ("", "")
        parts.append(
            f", to_{name} AS (INSERT INTO {table(name)} (run, {names}{own})"
            f" SELECT me.run, u.*{mine} FROM me, unnest({marks}) AS u)"
        )
        arrays += [list(column) for column in zip(*by_table[name], strict=True)]
    return "".join(parts), arrays


def _storable(value: Value) -> Value:
    """Return text as PostgreSQL can store it: without NUL characters, and without halves of surrogate pairs."""
    if not isinstance(value, str) or (value.isascii() and "\0" not in value):
        return value
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def insert_epoch(
    connection: Connection, run: int, key: bytes, row: Row, claim: str, node: str, outcomes: Sequence[Row]
) -> int:
    """Insert an epoch's own record and the outcomes that it begins with; return how many records it has.

    For a transaction that locks the run.
    """
    name, values = row
    values = tuple(map(_storable, values))
    names = ", ".join(quoted(column) for column, _ in COLUMNS[name])
    marks = ", ".join(["%s"] * len(values))
    connection.execute(
        f"INSERT INTO epoch (run, {names}, seal, claim, node, records) VALUES (%s, {marks}, %s, %s, %s, %s)",
        [run, *values, seal(name, values, key), claim, node, 1 + len(outcomes)],
    )
    _insert(connection, run, values[0], key, outcomes)
    return 1 + len(outcomes)


def insert_facts(connection: Connection, run: int, key: bytes, rows: Sequence[Row], claim: str, node: str) -> None:
    """Insert the facts of a new run, and row 0 of ``epoch``, for a process that has the run open without an epoch."""
    connection.execute(
        'INSERT INTO epoch (run, id, command, at, pid, host, "user", seal, claim, node, records)'
        " VALUES (%s, 0, '', '', 0, '', '', '', %s, %s, %s)",
        [run, claim, node, len(rows)],
    )
    _insert(connection, run, 0, key, rows)


def _insert(connection: Connection, run: int, epoch: Value, key: bytes, rows: Sequence[Row]) -> None:
    if rows:
        statement, arrays = _inserts(rows, key)
        me = "WITH me AS (SELECT %s::bigint AS run, %s::bigint AS id)"
        connection.execute(f"{me}{statement} SELECT 1", [run, epoch, *arrays])
