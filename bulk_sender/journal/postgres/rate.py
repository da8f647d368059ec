"""One rate for all machines: the schedule of a workspace in a row of the database.

The row holds when the next request of any process may leave, on the server's clock, which is the only one that counts.
A thread reserves turns ahead, so that the event loop never waits for the database. Each time it takes half of what is
free within the next moments: processes share the rate without knowing of each other. Without a database there are no
turns, so nothing leaves.

A turn is handed out a little early, because a request still needs its durable intent, and the request leaves at the
turn's moment. One that comes too late for its turn takes another: late processes do not add up to a burst.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import anyio
import psycopg

from bulk_sender.errors import BulkSenderError
from bulk_sender.journal.place import Place
from bulk_sender.journal.postgres.errors import unreadable
from bulk_sender.journal.postgres.session import Connection, Session

_SLOWER = 0.99
"""The schedule's rate as a share of the requested one. It makes up for ``_LATE_S`` in any second."""
_EARLY_S, _LATE_S = 0.02, 0.01
"""A turn is handed out so long before its moment, and its request may leave so long after it."""
_BETWEEN_S = 0.1
"""Reserve at most once in this time, while there are turns."""
_BETWEEN_IN_NEED_S = 0.02
"""Reserve at most once in this time while requests wait for a turn and there is none.

A process that is slower than the rate lets most of its turns pass: a few are soon over where the rate is high.
"""
_AHEAD, _MOST_AHEAD_S = 5, 1.0
"""Reserve within so many times the time from one reservation to the next, and at most half of what is free there."""
_FRESH_S = 0.5
"""A turn counts only if the row was read within this time: another process may have received a 429."""
_LOOK_S = 0.1
"""Read the row so long before a turn that was reserved longer ago."""
_AGAIN_S = 0.2
"""Wait so long before the next try while there is no database."""
_NAP_S = 1.0
_CLOCK_DRIFT = 0.0005

_NEW = "INSERT INTO rate (workspace, tat, paused_until) VALUES (%s, 0, 0) ON CONFLICT DO NOTHING"
_PAUSE = """
UPDATE rate SET paused_until = greatest(paused_until, extract(epoch FROM clock_timestamp())::float8 + %s)
WHERE workspace = %s
"""
_RESERVE = """
WITH held AS (SELECT * FROM rate WHERE workspace = %(workspace)s FOR UPDATE),
timed AS (SELECT *, extract(epoch FROM clock_timestamp())::float8 AS now, %(told)s::float8 AS told FROM held),
judged AS (SELECT *, allowed < coalesce(told, 'infinity') AND abs(now - told_at) < 5 AS is_kept FROM timed),
limited AS (
  SELECT *, CASE WHEN is_kept THEN allowed ELSE told END AS least,
         CASE WHEN is_kept THEN told_at ELSE now END AS since,
         CASE WHEN tat < now + 7200 THEN tat END AS free,
         CASE WHEN paused_until < now + 7200 THEN paused_until END AS pause
  FROM judged),
spaced AS (
  SELECT *, greatest(now, free, pause) AS first, 1 / (%(slower)s * least(%(rate)s, least)) AS apart FROM limited),
turns AS (
  SELECT *, least(%(want)s, greatest(1, floor((now + %(ahead)s - first) / 2 / apart)))::integer AS number FROM spaced)
UPDATE rate SET tat = CASE WHEN number > 0 THEN first + number * apart ELSE turns.tat END,
                allowed = least, told_at = since
FROM turns WHERE rate.workspace = %(workspace)s
RETURNING number, first, apart, coalesce(pause, 0), extract(epoch FROM clock_timestamp())::float8
"""
"""An allowed rate holds for 5 s. A schedule more than two hours ahead is left over from a clock that was set back."""


class _Reply(NamedTuple):
    """What a reservation brought. Times are of the server's clock, in seconds."""

    number: int
    first: float
    apart: float
    paused_until: float
    now: float


class PostgresRate:
    """One process's turns of one workspace. For the tasks of one event loop."""

    def __init__(
        self,
        place: Place,
        workspace: str,
        rate_per_s: float,
        *,
        is_over: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``is_over``: whether nothing can leave any more, so that nobody has to wait for a turn.

        Raises JournalError, ConfigError when the database does not take part.
        """
        self._session = Session(place, patience_s=_NAP_S, welcome=_make_fast)
        self._workspace, self._rate = workspace, rate_per_s
        self._is_over, self._clock = is_over, clock
        self._trip_s = 0.0
        """How long the last reservation took."""
        self._turns: deque[float] = deque()
        """Reserved turns, by their moments on the server's clock."""
        self._taken: deque[float] = deque()
        """Those of requests that have not left yet."""
        self._used = int(rate_per_s * _BETWEEN_S)
        """Turns taken since the last reservation; before the first, as many as the rate allows."""
        self._server_s = 0.0
        """The server's clock minus this process's, or a little less: turns come late rather than early."""
        self._set_at = -math.inf
        self._seen_at = -math.inf
        """When the row was read last, at the latest."""
        self._paused_until = 0.0
        """As the row has it."""
        self._own_pause = self._untold = -math.inf
        """When the pause ends that this process asked for, on its own clock; the second until the row has it."""
        self._told: float | None = None
        self._is_asked = self._is_closed = False
        self._wake = threading.Event()
        self._waiting = 0
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        try:
            self._request(0)
        except psycopg.Error as error:
            self._session.close()
            raise unreadable(place, error) from None
        except BaseException:
            self._session.close()
            raise
        self._thread = threading.Thread(target=self._serve, name="shared-rate", daemon=True)
        self._thread.start()

    # --- for the event loop -------------------------------------------------------------------------------------

    def is_due(self) -> bool:
        """Whether a turn may be taken now."""
        now = self._clock()
        there = now + self._server_s
        oldest = max(there - _LATE_S, self._paused_until)
        turns = self._turns  # the thread may replace it
        while turns and turns[0] < oldest:
            turns.popleft()
        is_held = now < self._own_pause or now > self._seen_at + _FRESH_S
        return self._is_over() or (not is_held and bool(turns) and turns[0] <= there + _EARLY_S)

    def take(self) -> float:
        """Take the turn that is due. Returns 0.0."""
        with suppress(IndexError):  # dropped, or all is over: ``leave`` looks
            self._taken.append(self._turns.popleft())
        self._used += 1
        if self._used > 1:
            self._ask()
        return 0.0

    async def turn(self, held_s: Callable[[], float] = lambda: 0.0) -> None:
        """Wait for a turn and take it; ``held_s`` counts at its moment, as the wait may be long."""
        self._loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            while not self.is_due() or held_s() > 0.0:
                self._news.clear()
                wait_s = min(_NAP_S, max(held_s(), self._wait_s()))
                if self._turns:
                    await anyio.sleep(wait_s)
                else:
                    with anyio.move_on_after(wait_s):
                        await self._news.wait()
        finally:
            self._waiting -= 1
        self.take()

    async def leave(self) -> None:
        """Wait for the moment of a turn that was taken, or for another turn when that is too long ago."""
        while not self._is_over():
            if not self._taken:
                await self.turn()
                continue
            moment = self._taken.popleft()
            if (wait := moment - self._clock() - self._server_s) > 0.0:
                await anyio.sleep(wait)
            if moment > self._clock() + self._server_s - _LATE_S:
                return

    def pause(self, seconds: float) -> None:
        """Make the whole workspace wait. Reserved turns are dropped."""
        until = self._clock() + seconds
        if until > self._own_pause:
            self._own_pause = self._untold = until
            self._turns = deque()
            self._wake.set()

    def allowed(self, rate: float) -> None:
        """Tell the workspace the rate that its limit allows, with the next reservation, while it is less than asked."""
        self._told = rate if rate < self._rate else None

    def close(self) -> None:
        self._is_closed = True
        self._wake.set()
        self._session.cut()
        self._thread.join(_NAP_S)

    def _wait_s(self) -> float:
        """Return the seconds until something may have changed, and ask the thread for what is missing."""
        now = self._clock()
        if now < self._own_pause:
            return self._own_pause - now
        if not (turns := self._turns):
            self._is_asked = True
            self._wake.set()  # also when it was asked before, while there were turns
            return _NAP_S
        due_s = turns[0] - _EARLY_S - now - self._server_s
        if now + due_s < self._seen_at + _FRESH_S / 2:
            return due_s
        look_s = _LOOK_S + self._trip_s
        if due_s > look_s:
            return due_s - look_s
        self._ask()
        return max(due_s, _EARLY_S)

    def _ask(self) -> None:
        if not self._is_asked:
            self._is_asked = True
            self._wake.set()

    # --- the thread ---------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        reserved_at, left = -math.inf, None
        while not self._is_closed:
            self._wake.wait(left)
            self._wake.clear()
            try:
                if self._untold > -math.inf:
                    self._tell()
                between_s = _BETWEEN_IN_NEED_S if self._waiting and not self._turns else _BETWEEN_S
                left = max(0.0, reserved_at + between_s - self._clock()) if self._is_asked else None
                if left == 0.0 and not self._is_closed:
                    reserved_at, left = self._clock(), None
                    self._reserve()
            except (psycopg.Error, BulkSenderError, OSError):  # the journal says what is wrong with the database
                self._turns = deque()
                self._untold = self._own_pause if self._own_pause > self._clock() else -math.inf
                left = _AGAIN_S
        self._session.close()

    def _tell(self) -> None:
        until, self._untold = self._untold, -math.inf
        if (seconds := until - self._clock()) > 0.0:
            self._session.through(lambda connection: connection.execute(_PAUSE, [seconds, self._workspace]))

    def _reserve(self) -> None:
        used, self._used = self._used, 0
        self._request(max(2 * used - len(self._turns), 0 if self._turns else 1))
        self._is_asked = False
        if self._waiting and self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._news.set)

    def _request(self, want: int) -> None:
        """Reserve up to ``want`` turns, which may be none, and read the row."""
        values: dict[str, Any] = {
            "workspace": self._workspace,
            "told": self._told,
            "slower": _SLOWER,
            "rate": self._rate,
            "ahead": min(_MOST_AHEAD_S, _AHEAD * (_BETWEEN_S + self._trip_s)),
            "want": want,
        }
        asked_at = 0.0

        def reserve(connection: Connection) -> _Reply:
            nonlocal asked_at
            while True:
                asked_at = self._clock()
                if (row := connection.execute(_RESERVE, values).fetchone()) is not None:
                    return _Reply(*row)
                connection.execute(_NEW, [self._workspace])

        reply = self._session.through(reserve)
        answered_at = self._clock()
        if answered_at < asked_at + _FRESH_S:
            self._learn(reply, asked_at, answered_at)

    def _learn(self, reply: _Reply, asked_at: float, answered_at: float) -> None:
        """Add the turns of a reply that came soon enough to say something about now."""
        server_s = reply.now - answered_at
        oldest = self._server_s - _CLOCK_DRIFT * (answered_at - self._set_at)
        was_set = server_s < oldest - _FRESH_S
        self._server_s = server_s if was_set else max(server_s, oldest)
        self._set_at = answered_at
        self._seen_at = asked_at
        self._paused_until = reply.paused_until
        self._trip_s = answered_at - asked_at
        self._turns.extend(reply.first + number * reply.apart for number in range(reply.number))


def _make_fast(connection: Connection) -> None:
    """Let commits return before they are on the disk: no record is written over this connection."""
    connection.execute("SET synchronous_commit = off")
