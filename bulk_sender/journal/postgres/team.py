"""What the processes of one run tell each other through its database, and how one gives up another.

All of it is at READ COMMITTED: each statement sees what was committed before it got its locks. At REPEATABLE READ the
second statement of a fence would not see the last intent of the process that it shuts out.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg

from bulk_sender.errors import BulkSenderError
from bulk_sender.journal.answers import AttemptRef, WorkLeft
from bulk_sender.journal.postgres import leases
from bulk_sender.journal.postgres.holding import let_go
from bulk_sender.journal.postgres.peers import Peers
from bulk_sender.journal.postgres.session import Connection
from bulk_sender.journal.records import LEFT, AttemptOutcome, Decision, Ending, Status
from bulk_sender.journal.sql.rows import PLAN_COMPLETE, row_of
from bulk_sender.journal.sql.seal import seal
from bulk_sender.text.times import now

if TYPE_CHECKING:
    from bulk_sender.journal.postgres.writer import PostgresWriter

_LIVE = "fenced_at IS NULL AND ended_at IS NULL"
_LEFT = f"""
SELECT count(*) FILTER (WHERE holder IS NULL), count(*) FILTER (WHERE holder > 0), count(*) FILTER (WHERE holder = 0),
  EXISTS (SELECT 1 FROM fact WHERE run = %(run)s AND name = '{PLAN_COMPLETE}' AND value = 'true'),
  EXISTS (SELECT 1 FROM epoch WHERE run = %(run)s AND command <> 'join' AND {_LIVE}),
  (SELECT count(*) FROM epoch WHERE run = %(run)s AND id <> %(me)s AND {_LIVE}),
  (SELECT stop FROM run WHERE id = %(run)s)
FROM lease WHERE run = %(run)s AND NOT done"""
_LATE = """
SELECT late.attempt, late.epoch, late.status, late.dispatch_id, late.at, late.seal, o.batch FROM late
JOIN outcome o ON o.run = late.run AND o.attempt = late.attempt
WHERE late.run = %s AND late.status = 'accepted' AND o.status = 'unknown' AND o.code = 'process_ended'
  AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.run = late.run AND d.attempt = late.attempt)
ORDER BY late.attempt"""
_SHARED = """
SELECT o.batch, o.attempt, o.dispatch_id FROM outcome o WHERE o.run = %(run)s AND o.status = 'accepted'
AND o.dispatch_id <> '' AND o.dispatch_id = ANY (ARRAY(
  SELECT o.dispatch_id FROM outcome o JOIN attempt a ON a.run = o.run AND a.id = o.attempt
  JOIN batch b ON b.run = o.run AND b.id = o.batch
  WHERE o.run = %(run)s AND o.status = 'accepted' AND o.dispatch_id <> '' GROUP BY o.dispatch_id
  HAVING count(DISTINCT CASE WHEN length(a.body_sha256) = 0 THEN b.parent ELSE b.id END) > 1))
AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.run = o.run AND d.attempt = o.attempt) ORDER BY o.attempt"""


class PostgresTeam:
    """The processes of one run, for one of them. Any thread may use it: the writer's session takes one at a time."""

    def __init__(self, writer: PostgresWriter, run: int, key: bytes, ttl_s: float) -> None:
        """``run``: its id in the database."""
        self._writer, self._run, self._key = writer, run, key
        self._peers = Peers(ttl_s)
        self._looked_at = 0.0

    @property
    def stopped(self) -> str:
        return self._writer.commits.stop

    # --- work ---------------------------------------------------------------------------------------------------

    def open_leases(self, canary: int | None) -> None:
        def work(connection: Connection) -> int:
            with connection.transaction():
                leases.open_all(connection, self._run, canary)
                return self._writer.commits.make_again(connection)

        self._writer.commit(work)

    def take(self, has: Collection[int]) -> int | None:
        def work(connection: Connection) -> tuple[int, int] | None:
            with connection.transaction():
                mine = self._writer.commits
                chunk = leases.take(connection, self._run, mine.epoch, mine.claim, has)
                return None if chunk is None else (chunk, leases.latest_attempt(connection, self._run, chunk))

        taken = self._writer.kept(work)
        if taken is None:
            return None
        chunk, latest = taken
        # What holds for a batch is what its attempt with the highest id says.
        self._writer.ids.pass_by("attempt", latest)
        return chunk

    def left(self) -> WorkLeft:
        def work(connection: Connection) -> tuple[Any, ...]:
            row = connection.execute(_LEFT, {"run": self._run, "me": self._writer.commits.epoch}).fetchone()
            assert row is not None
            return row

        *left, self._writer.commits.stop = self._writer.kept(work)
        return WorkLeft(*left)

    def stop(self, reason: str) -> None:
        def work(connection: Connection) -> int:
            with connection.transaction():
                connection.execute("UPDATE run SET stop = %s WHERE id = %s AND stop = ''", [reason, self._run])
                return self._writer.commits.make_again(connection)

        self._writer.commit(work)

    # --- the end ------------------------------------------------------------------------------------------------

    def leave(self, reason: str, elapsed_s: float) -> bool:
        mine = self._writer.commits
        row = row_of(Ending(mine.epoch, now(), LEFT, reason, round(elapsed_s, 3)), mine.epoch)

        def work(connection: Connection) -> bool:
            with connection.transaction():
                connection.execute("SELECT 1 FROM run WHERE id = %s FOR UPDATE", [self._run])  # one leaves at a time
                found = connection.execute(_LEFT, {"run": self._run, "me": mine.epoch}).fetchone()
                if found is not None and not WorkLeft(*found[:-1]).others:
                    return False
                if mine.done(connection) is None:
                    mine.make(connection, [row])
                    leases.give_back(connection, self._run, mine.epoch)
                    let_go(connection, self._run, mine.epoch, mine.claim)
                return True

        return self._writer.end_with(work)

    def settle(self) -> None:
        self.accept_late()
        shared = self._rows(_SHARED, {"run": self._run})
        why = "its dispatch_id was given to another batch too"
        self._decide(
            Decision.doubt(self._writer.new_decision_id(), batch, attempt, why) for batch, attempt, _ in shared
        )

    def accept_late(self) -> None:
        """Record the acceptances of which a process learned after it was given up, unless somebody has decided."""
        self._decide(Decision.late(self._writer.new_decision_id(), *told) for told in self._late())

    def _decide(self, decisions: Iterable[Decision]) -> None:
        if found := list(decisions):
            self._writer.write(found)

    def _late(self) -> Iterator[tuple[int, int, str]]:
        """The batch, attempt and dispatch_id of each acceptance that came too late to be recorded."""
        for attempt, epoch, status, dispatch_id, at, sealed, batch in self._rows(_LATE, [self._run]):
            if seal("late", (attempt, epoch, status, dispatch_id, at), self._key) == sealed:
                yield batch, attempt, dispatch_id

    def on_the_way_s(self, attempts: Iterable[AttemptRef], longest_s: float) -> float:
        [(fenced_s,)] = self._rows(
            "SELECT min(extract(epoch FROM clock_timestamp() - e.fenced_at))::float8 FROM attempt a"
            " JOIN epoch e ON e.run = a.run AND e.id = a.epoch WHERE a.run = %s AND a.id = ANY(%s)",
            [self._run, [ref.attempt for ref in attempts]],
        )
        return 0.0 if fenced_s is None else max(0.0, longest_s - fenced_s)

    def _rows(self, sql: str, values: Any) -> list[tuple[Any, ...]]:
        return self._writer.kept(lambda connection: connection.execute(sql, values).fetchall())

    # --- those that are gone ------------------------------------------------------------------------------------

    def give_up_silent(self) -> None:
        """Fence the processes that have not been heard of for long; look for them now and then."""
        if time.monotonic() - self._looked_at < self._peers.pause_s:
            return
        rows = self._writer.kept(
            lambda connection: connection.execute(
                f"SELECT id, commit_no FROM epoch WHERE run = %s AND id <> %s AND {_LIVE}",
                [self._run, self._writer.commits.epoch],
            ).fetchall()
        )
        self._looked_at = time.monotonic()
        for epoch in self._peers.silent(dict(rows), self._looked_at, self._writer.connections):
            self._writer.fence(epoch)

    def fence(self, epoch: int) -> None:
        self._writer.fence(epoch)

    def testify(self, outcomes: Sequence[AttemptOutcome]) -> None:
        """Leave word of what a fenced process has learned about its attempts. It claims nothing, so it needs no fence.

        An answer that names rows says too much for it, and is left out. Trouble is passed over.
        """
        told = [
            (it.attempt, self._writer.epoch, it.status, it.judged.dispatch_id, it.at)
            for it in outcomes
            if it.status != Status.UNKNOWN and not it.judged.errors
        ]
        columns = [list(column) for column in zip(*[(*one, seal("late", one, self._key)) for one in told], strict=True)]
        if columns:
            with suppress(psycopg.Error, BulkSenderError):
                self._writer.through(
                    lambda connection: connection.execute(
                        "INSERT INTO late (run, attempt, epoch, status, dispatch_id, at, seal) SELECT %s, u.* FROM"
                        " unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %b::bytea[])"
                        " AS u(attempt, epoch, status, dispatch_id, at, seal)"
                        " JOIN attempt a ON a.run = %s AND a.id = u.attempt AND a.epoch = u.epoch"
                        " ON CONFLICT DO NOTHING",
                        [self._run, *columns, self._run],
                    )
                )
