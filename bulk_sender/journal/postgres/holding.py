"""Which process has a run, and whether it is still alive.

A process says so with a beat in each commit, at least one a second, and with an advisory lock of its connection, which
ends with the process. Both only decide when a process may be declared dead. That it writes nothing afterwards is
ensured by the claim and the fence in its row of ``epoch``.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from dataclasses import dataclass
from typing import Any

from bulk_sender.journal.postgres.session import Connection, Session
from bulk_sender.text.times import now

BEAT_S = 1.0
_GONE_S = 2.0
"""A process without a beat for so long, and without a connection, is dead: a living one reconnects and beats."""
_BETWEEN_LOOKS_S = 0.2

_LOCKED = """EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid = ('x' || substr(claim, 1, 8))::bit(32)::bigint::oid
  AND objid = ('x' || substr(claim, 9, 8))::bit(32)::bigint::oid)"""
_HOLDERS = f"""
SELECT node, commit_no, extract(epoch FROM clock_timestamp() - beat_at)::float8,
       extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8, {_LOCKED}
FROM epoch WHERE run = %s AND fenced_at IS NULL AND ended_at IS NULL AND id >= %s ORDER BY id DESC
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """The mark of one opened writer. ``token``: 16 hexadecimal digits, which also name its advisory lock."""

    token: str
    node: str
    """How people know the process."""

    @classmethod
    def new(cls) -> Claim:
        return cls(secrets.token_hex(8), f"process {os.getpid()} on {socket.gethostname()} since {now()}")

    def on(self, epoch: int) -> str:
        """Return the mark on one row of ``epoch``."""
        return f"{self.token}.{epoch}"

    def lock(self, connection: Connection) -> None:
        """Show that this process has a connection, for as long as the connection lasts."""
        connection.execute("SELECT pg_try_advisory_lock(('x' || %s)::bit(64)::bigint)", [self.token])


def holder(session: Session, run: int, ttl_s: float, first: int = 0) -> str | None:
    """Describe the process that has a run; None when none does. Takes up to 2 s after one has died.

    ``first``: 1 to leave out a process that has not begun an epoch.
    """
    seen: dict[str, int] = {}
    while True:
        rows = session.rows(_HOLDERS, [run, first])
        if not rows:
            return None
        for node, commit_no, age_s, uptime_s, is_locked in rows:
            # A server that started after the last beat has no locks, and nobody could beat while it was down.
            may_live = is_locked or uptime_s < age_s
            if (may_live and min(age_s, uptime_s) < ttl_s) or seen.setdefault(node, commit_no) != commit_no:
                return str(node)
        if all(age_s >= _GONE_S for _, _, age_s, _, _ in rows):
            return None
        time.sleep(_BETWEEN_LOOKS_S)


def row_zero(connection: Connection, run: int) -> tuple[Any, ...]:
    """Return number, claim and records of the row for a process that has the run open without an epoch."""
    row = connection.execute("SELECT commit_no, claim, records FROM epoch WHERE run = %s AND id = 0", [run]).fetchone()
    assert row is not None
    return row


def latest_epoch(connection: Connection, run: int) -> int:
    """Return the latest epoch that has begun; 0 before the first."""
    row = connection.execute("SELECT max(id) FROM epoch WHERE run = %s", [run]).fetchone()
    assert row is not None
    return int(row[0])


def take(connection: Connection, run: int, claim: Claim, seen: tuple[Any, ...]) -> bool:
    """Claim a run in the state that was ``seen``. Returns False when another process was faster."""
    number, before, _ = seen
    done = connection.execute(
        "UPDATE epoch SET claim = %s, node = %s, commit_no = commit_no + 1, beat_at = clock_timestamp(),"
        " ended_at = NULL, fenced_at = NULL WHERE run = %s AND id = 0 AND claim = %s AND commit_no = %s",
        [claim.on(0), claim.node, run, before, number],
    )
    return done.rowcount == 1


def let_go(connection: Connection, run: int, epoch: int, claim: str) -> bool:
    """End this process's part in a run. Returns False when it had none any more."""
    done = connection.execute(
        "UPDATE epoch SET ended_at = clock_timestamp() WHERE run = %s AND id = %s AND claim = %s"
        " AND fenced_at IS NULL AND ended_at IS NULL",
        [run, epoch, claim],
    )
    return done.rowcount == 1
