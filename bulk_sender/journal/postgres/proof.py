"""The proof that a run's journal is sound and complete. It only reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import capabilities

from bulk_sender.errors import JournalError
from bulk_sender.journal.place import Place
from bulk_sender.journal.postgres.errors import unreadable
from bulk_sender.journal.postgres.schema import COLUMNS, WRITTEN_IN, quoted, table
from bulk_sender.journal.postgres.session import Connection, Session
from bulk_sender.journal.sql.rows import TABLES
from bulk_sender.journal.sql.seal import seal
from bulk_sender.journal.store import RunRef

_WITHOUT_GAPS = ("epoch", "chunk")
_ITS_BATCHES = "batch = ANY (ARRAY(SELECT id FROM batch WHERE run = %(run)s AND chunk = %(chunk)s))"
_OF_A_CHUNK = {
    "chunk": "id = %(chunk)s",
    "batch": "chunk = %(chunk)s",
    "attempt": _ITS_BATCHES,
    "outcome": f"attempt = ANY (ARRAY(SELECT id FROM attempt WHERE run = %(run)s AND {_ITS_BATCHES}))",
    "decision": _ITS_BATCHES,
}
"""Which records of a table are about one chunk. As arrays, they are found by indexes, without statistics as well."""
_PLANNED = """
SELECT valid, (SELECT coalesce(sum(size), 0) FROM batch WHERE run = %(run)s AND chunk = %(chunk)s AND parent IS NULL)
FROM chunk WHERE run = %(run)s AND id = %(chunk)s
"""

Proved = dict[tuple[Place, str], tuple[Any, ...]]
"""What the runs were like when they were proved."""


def prove(place: Place, run: RunRef, number: int, key: bytes) -> None:
    """Prove each record of a run, and that none is missing, as of one moment. Raises JournalError.

    Over its own connection, so that a writer can go on beating.
    """

    def work(connection: Connection) -> None:
        with _one_moment(connection):
            _prove_identity(connection, run, number)
            found: Counter[int] = Counter()
            for name in TABLES:
                _prove_table(connection, run, number, name, key, found)
            _prove_counts(connection, run, number, found)

    session = Session(place)
    try:
        session.through(work)
    except psycopg.Error as error:
        raise unreadable(place, error) from None
    finally:
        session.close()


def prove_facts(connection: Connection, run: RunRef, number: int, key: bytes) -> None:
    """Prove how a run was started, for a process that proves each chunk when it takes it. Raises JournalError."""
    with _one_moment(connection):
        _prove_identity(connection, run, number)
        _prove_table(connection, run, number, "run", key, Counter())


def prove_chunk(connection: Connection, run: RunRef, number: int, key: bytes, chunk: int) -> None:
    """Prove each record about a chunk, and that none of its batches is missing. Raises JournalError."""
    with _one_moment(connection):
        for name, only in _OF_A_CHUNK.items():
            _prove_table(connection, run, number, name, key, Counter(), only, chunk)
        row = connection.execute(_PLANNED, {"run": number, "chunk": chunk}).fetchone()
        if row is None or row[0] != row[1]:
            raise damaged(run, f"batches of chunk {chunk} are missing")


@contextmanager
def _one_moment(connection: Connection) -> Iterator[None]:
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def state_of(connection: Connection, number: int) -> tuple[Any, ...]:
    """Return what changes with each commit to a run."""
    row = connection.execute(
        "SELECT count(*), sum(commit_no)::bigint, sum(records)::bigint FROM epoch WHERE run = %s", [number]
    ).fetchone()
    assert row is not None
    return row


def _prove_identity(connection: Connection, run: RunRef, number: int) -> None:
    row = connection.execute("SELECT value FROM fact WHERE run = %s AND name = 'run_id'", [number]).fetchone()
    if row is None or json.loads(row[0]) != run.name:
        raise damaged(run, "it does not say which run it belongs to")


def _prove_table(
    connection: Connection,
    run: RunRef,
    number: int,
    name: str,
    key: bytes,
    found: Counter[int],
    where: str = "true",
    chunk: int = 0,
) -> None:
    """Prove the records of a table, and count them by epoch. ``where``: only those of one ``chunk``."""
    columns = COLUMNS[name]
    listed = ", ".join(quoted(column) for column, _ in columns)
    in_epoch = "written_in" if name in WRITTEN_IN else "id" if name == "epoch" else "epoch"
    only = " AND id > 0" if name == "epoch" else ""
    count = last = 0
    with connection.cursor(binary=True) as cursor:
        sql = f"SELECT {listed}, seal, {in_epoch} FROM {table(name)} WHERE run = %(run)s{only} AND {where}"
        values_of = {"run": number, "chunk": chunk}
        for *values, sealed, epoch in cursor.stream(sql, values_of, size=_at_once(name)):
            if seal(name, tuple(values), key) != sealed:
                raise damaged(run, f"a record of {name} ({str(values[0])[:20]}) fails its checksum")
            found[epoch] += 1
            count += 1
            last = max(last, values[0]) if name in _WITHOUT_GAPS else 0
    if last > count and not chunk:
        raise damaged(run, f"records of {name} are missing")


def _at_once(name: str) -> int:
    """Return how many rows to take at a time: chunks are large, and an old libpq takes only one."""
    return 500 if name != "chunk" and capabilities.has_stream_chunked() else 1


def _prove_counts(connection: Connection, run: RunRef, number: int, found: Counter[int]) -> None:
    rows = connection.execute("SELECT id, records FROM epoch WHERE run = %s", [number]).fetchall()
    for epoch, records in rows:
        if found[epoch] != records:
            raise damaged(
                run,
                f"epoch {epoch} has {found[epoch]} records, and had {records}: some were lost, added by hand, or an "
                "old copy was put back",
            )
    if stray := set(found) - {epoch for epoch, _ in rows}:
        raise damaged(run, f"it has records of epoch {min(stray)}, which is not there")


def damaged(run: RunRef, what: str) -> JournalError:
    return JournalError(
        f"the journal of run {run.name!r} in PostgreSQL is damaged: {what}",
        hint="nothing will be sent from it; keep the database as it is, and restore it if there is a sound backup",
    )
