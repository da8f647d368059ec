"""When the next request may leave: the asked rate, what Braze's headers say of the shared limit, and waits.

aiolimiter is a leaky bucket: it lets a whole period's worth go at once. So the period is kept short: the bucket
holds one request and what twenty milliseconds are worth, and the pace is smooth from the start, yet the time of
whoever wakes a little late is made up for. That this never makes more than a second's worth in a second is a sliding
window's care, at the moment when a request leaves: the bucket is a little slower, so that nobody waits there for long.
There is one bucket for the whole run: to go slower, a request costs more of it. A new bucket for each new rate would
start empty, and headers that change with each answer would undo the limit.

Behind a canary the pace ramps up: what a few rows could not show shows in the first minute, and then few requests
have left.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

import anyio
from aiolimiter import AsyncLimiter

from bulk_sender.braze.headers import budget, throttle_wait
from bulk_sender.pace.backoff import backoff
from bulk_sender.pace.budget import SHORTEST_WAIT_S
from bulk_sender.pace.shared import SharedRate
from bulk_sender.pace.spacing import SlidingWindow

_TRICKLE_PER_S = 0.2
_BURST_S = 0.02
"""Turns worth this much time may be made up for at once."""
_SLOWER = 0.996
"""The bucket's rate in units of the asked one."""
_RAMP_START = 0.1
"""Share of the rate with which a ramp begins."""


def ramped(rate: float, since_s: float, over_s: float) -> float:
    """The rate ``since_s`` seconds after a canary was approved: from a tenth of ``rate``, evenly to the whole of it.

    The whole is reached after ``over_s`` seconds; with 0 at once.
    """
    if since_s >= over_s:
        return rate
    return rate * (_RAMP_START + (1.0 - _RAMP_START) * max(0.0, since_s) / over_s)


class Pace:
    """Gives out turns.

    ``rate``: requests a second asked for; ``reserve``: share of the limit left to others; ``shared``: the turns that
    all runs of this workspace on this machine take from.
    """

    def __init__(
        self,
        rate: float,
        *,
        reserve: float = 0.0,
        shared: SharedRate | None = None,
        closed_for: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        """``closed_for``: seconds until sending is allowed again, 0 while it is."""
        self.asked = rate
        self.reserve = reserve
        self._shared = shared
        self.waiting_until: float | None = None
        """On ``clock``: when the whole pool goes on, or None."""
        self._closed_for = closed_for
        self._clock, self._wall = clock, wall
        self._rng = rng or random.Random()
        burst = 1.0 + _BURST_S * rate
        self._limiter = AsyncLimiter(burst, burst / (_SLOWER * rate))
        self._second = SlidingWindow(rate)
        self._queue = anyio.Lock()
        self._throttled = 0
        self._allowed = rate
        """What is left of the shared limit allows so much."""
        self._ramp_began, self._ramp_s = 0.0, 0.0

    @property
    def current(self) -> float:
        """The pace now, in requests a second: ``asked``, or less while it ramps or the shared limit runs low."""
        return min(self._allowed, ramped(self.asked, self._clock() - self._ramp_began, self._ramp_s))

    @property
    def ramping_s(self) -> float:
        """Seconds until a ramp has reached its rate; 0.0 when there is none."""
        return max(0.0, self._ramp_began + self._ramp_s - self._clock())

    def ramp(self, over_s: float) -> None:
        """From now on begin slowly, and grow to the rate within ``over_s`` seconds."""
        self._ramp_began, self._ramp_s = self._clock(), over_s

    async def turn_at_once(self) -> bool:
        """Take a turn if one can be had this moment, without waiting for anything."""
        if not self._is_free():
            return False
        await self._limiter.acquire()  # does not wait: it has the capacity
        if self._shared is not None:
            self._shared.take()
        return True

    def _is_free(self) -> bool:
        return (
            self.waiting_until is None
            and not self._queue.locked()
            and self.current >= self.asked
            and self._closed_for() <= 0
            and self._limiter.has_capacity()
            and (self._shared is None or self._shared.is_due())
        )

    async def turn(self) -> None:
        """Wait until a request may leave."""
        if await self.turn_at_once():
            return
        owed = 1.0
        async with self._queue:  # one after the other, or those who pay in parts would all leave at once
            while owed > 0:
                await self._pause()
                price = max(1.0, self.asked / self.current)
                part = min(owed * price, self._limiter.max_rate)
                await self._limiter.acquire(part)
                if self.waiting_until is None and self._closed_for() <= 0:
                    owed -= part / price + 1e-9
            if self._shared is not None and (wait := self._shared.take()) > 0.0:
                await anyio.sleep(wait)

    async def leave(self) -> None:
        """The moment before a request with a turn leaves: mostly none; what has bunched up since is drawn apart."""
        if (wait := self._second.leave(self._clock())) > 0.0:
            await anyio.sleep(wait)

    async def _pause(self) -> None:
        while (left := self._left_s()) > 0:
            # In short naps: meanwhile more may have to be waited, a clock may be set, the machine may sleep.
            nap = min(left, 1.0)
            await anyio.sleep(nap)
        self.waiting_until = None

    def _left_s(self) -> float:
        throttled = 0.0 if self.waiting_until is None else self.waiting_until - self._clock()
        return max(throttled, self._closed_for())

    def throttled(self, headers: Mapping[str, str]) -> float:
        """A 429 came: the whole pool waits. Returns the seconds; each 429 of one wave counts once."""
        already = self.waiting_until is not None and self.waiting_until > self._clock()
        if not already:
            self._throttled += 1
        told = throttle_wait(headers, self._wall())
        seconds = told if told is not None else max(SHORTEST_WAIT_S, backoff(self._throttled, self._rng))
        until = self._clock() + seconds + self._rng.uniform(0.0, 0.25)
        self._wait_until(until)
        return seconds

    def observe(self, headers: Mapping[str, str]) -> None:
        """An answer other than 429 came: slow down early enough for what is left of the shared limit."""
        self._throttled = 0
        known = budget(headers, self._wall())
        if known is None:
            return
        usable = known.remaining - self.reserve * known.limit
        if usable < 1:
            self._wait_until(self._clock() + max(SHORTEST_WAIT_S, known.left_s))
            return
        self._allowed = min(self.asked, max(_TRICKLE_PER_S, usable / max(known.left_s, SHORTEST_WAIT_S)))

    def _wait_until(self, until: float) -> None:
        """Never shorter than what was told before."""
        self.waiting_until = until if self.waiting_until is None else max(until, self.waiting_until)
