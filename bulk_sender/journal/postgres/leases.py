"""Leases in SQL: which process may send a chunk. They only divide the work, and can be made again from the records.

``holder`` is the epoch of the process that has the chunk; NULL while anybody may take it; ``HELD_BACK`` while it waits
behind a canary. A lease that is done keeps its holder.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from bulk_sender.journal.postgres.reader import tables_of
from bulk_sender.journal.postgres.session import Connection
from bulk_sender.journal.records import CanaryReleased, Lease, LeaseOrder, LeaseState

HELD_BACK = 0
_NEW = (LeaseState.OPEN, LeaseState.HELD_BACK)


def changes(orders: Iterable[LeaseOrder]) -> tuple[str, list[Any]]:
    """Return the parts of a commit's statement that change leases, with their values. They hang on its row ``me``."""
    orders = list(orders)
    is_released = any(isinstance(order, CanaryReleased) for order in orders)
    leases = [order for order in orders if isinstance(order, Lease)]
    parts, values = "", []
    if new := [lease for lease in leases if lease.state in _NEW]:
        parts += (
            ", to_lease AS (INSERT INTO lease (run, chunk, holder)"
            " SELECT me.run, u.chunk, u.holder FROM me, unnest(%s::bigint[], %s::bigint[]) AS u(chunk, holder))"
        )
        # A chunk of the commit that releases the others is not seen by it.
        waits = [lease.state is LeaseState.HELD_BACK and not is_released for lease in new]
        values += [[lease.chunk for lease in new], [HELD_BACK if wait else None for wait in waits]]
    if old := [lease for lease in leases if lease.state not in _NEW]:
        parts += (
            ", old_lease AS (UPDATE lease SET done = u.done, holder = CASE WHEN u.done THEN me.id END"
            " FROM me, unnest(%s::bigint[], %s::boolean[]) AS u(chunk, done)"
            " WHERE lease.run = me.run AND lease.chunk = u.chunk AND lease.holder = me.id)"
        )
        values += [[lease.chunk for lease in old], [lease.state is LeaseState.DONE for lease in old]]
    if is_released:
        parts += (
            ", released AS (UPDATE lease SET holder = NULL FROM me"
            f" WHERE lease.run = me.run AND lease.holder = {HELD_BACK} AND NOT lease.done)"
        )
    return parts, values


def open_all(connection: Connection, run: int, canary: int | None) -> None:
    """Make leases fit the records. ``canary``: hold back the chunks behind so many rows.

    For a transaction of the process that plans. A lease that a living process took meanwhile is left as it is.
    """
    connection.execute(
        "INSERT INTO lease (run, chunk) SELECT run, id FROM chunk WHERE run = %s ON CONFLICT DO NOTHING", [run]
    )
    connection.execute(
        f"{tables_of(run)}, unsent AS MATERIALIZED (SELECT DISTINCT chunk FROM state WHERE status = 'not_sent'),"
        " before AS (SELECT id, sum(rows) OVER (ORDER BY id) - rows AS rows FROM chunk),"
        " wanted AS (SELECT before.id, coalesce(before.rows >= %s, false) AS waits,"
        "   before.id IN (SELECT chunk FROM unsent) AS is_unsent FROM before)"
        f" UPDATE lease SET done = NOT is_unsent, holder = CASE WHEN waits AND is_unsent THEN {HELD_BACK} END"
        " FROM wanted WHERE lease.run = %s AND lease.chunk = wanted.id AND NOT (lease.done AND NOT is_unsent)"
        f" AND (lease.done OR lease.holder IS NULL OR lease.holder = {HELD_BACK})",
        [canary, run],
    )


def take(connection: Connection, run: int, epoch: int, claim: str, has: Collection[int]) -> int | None:
    """Take the lowest open chunk, for a transaction. Returns None without one, or when the process was fenced."""
    # A fence waits for this lock, and so gives back what is taken here; or it came first, and nothing is taken.
    mine = connection.execute(
        "SELECT 1 FROM epoch WHERE run = %s AND id = %s AND claim = %s AND fenced_at IS NULL AND ended_at IS NULL"
        " FOR SHARE",
        [run, epoch, claim],
    ).fetchone()
    if mine is None:
        return None
    row = connection.execute(  # taken before, and the answer was lost
        "SELECT chunk FROM lease WHERE run = %s AND holder = %s AND NOT done AND NOT chunk = ANY(%s) LIMIT 1",
        [run, epoch, list(has)],
    ).fetchone()
    row = (
        row
        or connection.execute(
            "UPDATE lease SET holder = %s WHERE run = %s AND chunk = (SELECT chunk FROM lease WHERE run = %s"
            " AND holder IS NULL AND NOT done ORDER BY chunk LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING chunk",
            [epoch, run, run],
        ).fetchone()
    )
    return None if row is None else int(row[0])


def give_back(connection: Connection, run: int, epoch: int) -> None:
    """Let others take the chunks of a process that can write nothing more."""
    connection.execute("UPDATE lease SET holder = NULL WHERE run = %s AND holder = %s AND NOT done", [run, epoch])


def latest_attempt(connection: Connection, run: int, chunk: int) -> int:
    """Return the highest id of an attempt in a chunk; 0 without one."""
    row = connection.execute(
        "SELECT coalesce(max(a.id), 0) FROM batch b JOIN attempt a ON a.run = b.run AND a.batch = b.id"
        " WHERE b.run = %s AND b.chunk = %s",
        [run, chunk],
    ).fetchone()
    assert row is not None
    return int(row[0])
