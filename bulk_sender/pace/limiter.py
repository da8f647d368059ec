"""The rate limiter: when the next request may leave.

aiolimiter is a leaky bucket, and it lets a whole period's worth go at once. So the period is short: the bucket holds
one request plus twenty milliseconds' worth. That keeps the rate smooth from the start, and a task that wakes late can
still catch up. ``Spacing`` then makes sure that no second ever sees more than a second's worth. The bucket is slightly
slower than the spacing, so that requests rarely wait there.

One bucket serves the whole run: to go slower, a request costs more of it. A new bucket for each new rate would start
empty, and headers that change with each answer would undo the limit.

After a canary the rate ramps up: a fault that few rows could not show appears in the first minute, when few requests
have been sent.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import anyio
from aiolimiter import AsyncLimiter

from bulk_sender.pace.backoff import WAITS, Waits
from bulk_sender.pace.budget import Budget
from bulk_sender.pace.shared import SharedRate
from bulk_sender.pace.spacing import Spacing

_TRICKLE_PER_S = 0.2
_BURST_S = 0.02
"""A late task may catch up on this much time at once."""
_SLOWER = 0.996
"""The bucket's rate as a share of the requested one."""
_RAMP_START = 0.1
"""A ramp begins at this share of the rate."""


def ramped(rate: float, since_s: float, over_s: float) -> float:
    """Return the rate ``since_s`` seconds into a ramp, which grows evenly from a tenth of ``rate`` to the whole.

    The ramp ends after ``over_s`` seconds; 0 means no ramp.
    """
    if since_s >= over_s:
        return rate
    return rate * (_RAMP_START + (1.0 - _RAMP_START) * max(0.0, since_s) / over_s)


class Pace:
    """Hands out turns to send.

    ``rate`` is in requests a second. ``reserve`` is the share of the workspace's limit to leave for others. ``shared``
    is the rate that the runs of this workspace share.
    """

    def __init__(
        self,
        rate: float,
        *,
        first: float | None = None,
        reserve: float = 0.0,
        shared: SharedRate | None = None,
        closed_for: Callable[[], float] = lambda: 0.0,
        waits: Waits = WAITS,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        """``first``: the rate until an answer reports the workspace's limit.

        ``closed_for`` returns the seconds until sending is allowed again, and 0 while it is.
        """
        self.asked = rate
        self.reserve = reserve
        self._shared = shared
        self.waiting_until: float | None = None
        """When all workers may continue, on ``clock``; None while they do not wait."""
        self._closed_for = closed_for
        self._waits, self._clock = waits, clock
        self._rng = rng or random.Random()
        burst = 1.0 + _BURST_S * rate
        self._limiter = AsyncLimiter(burst, burst / (_SLOWER * rate))
        self._spacing = Spacing(rate)
        self._queue = anyio.Lock()
        self._throttled = 0
        self._allowed = rate if first is None else min(rate, first)
        """The rate that the rest of the workspace's limit allows."""
        self._ramp_began, self._ramp_s = 0.0, 0.0

    @property
    def current(self) -> float:
        """The current rate in requests a second: ``asked``, or less during a ramp or when the limit runs low."""
        return min(self._allowed, ramped(self.asked, self._clock() - self._ramp_began, self._ramp_s))

    @property
    def limited_to(self) -> float:
        """The rate in requests a second that the rest of the workspace's limit allows, at most ``asked``."""
        return self._allowed

    @property
    def ramping_s(self) -> float:
        """Seconds until a ramp reaches the full rate; 0.0 without one."""
        return max(0.0, self._ramp_began + self._ramp_s - self._clock())

    def ramp(self, over_s: float) -> None:
        """Slow down now, and grow back to the full rate within ``over_s`` seconds."""
        self._ramp_began, self._ramp_s = self._clock(), over_s

    async def turn_at_once(self) -> bool:
        """Take a turn if one is free right now. Return False instead of waiting."""
        if not self._is_free():
            return False
        await self._limiter.acquire()  # returns at once: there is capacity
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
        async with self._queue:  # one at a time, or tasks that pay in parts would all leave together
            while owed > 0:
                await self._pause()
                price = max(1.0, self.asked / self.current)
                part = min(owed * price, self._limiter.max_rate)
                await self._limiter.acquire(part)
                if self.waiting_until is None and self._closed_for() <= 0:
                    owed -= part / price + 1e-9
            if self._shared is not None:
                await self._shared.turn(self._left_s)

    async def leave(self) -> None:
        """Wait, if needed, just before a request leaves: requests that bunched up since their turn are spread out."""
        if self._shared is not None:
            await self._shared.leave()
        if (wait := self._spacing.leave(self._clock())) > 0.0:
            await anyio.sleep(wait)

    async def _pause(self) -> None:
        while (left := self._left_s()) > 0:
            # Short naps: the wait may grow, a clock may be set, the machine may be suspended.
            nap = min(left, 1.0)
            await anyio.sleep(nap)
        self.waiting_until = None

    def _left_s(self) -> float:
        throttled = 0.0 if self.waiting_until is None else self.waiting_until - self._clock()
        return max(throttled, self._closed_for())

    def throttled(self, wait_s: float | None) -> float:
        """Make all workers wait after a 429, and return for how many seconds.

        ``wait_s`` is what the server asked for, None when it named no time: then each wave of 429s doubles the pause.
        """
        already = self.waiting_until is not None and self.waiting_until > self._clock()
        if not already:
            self._throttled += 1
        seconds = wait_s
        if seconds is None:
            seconds = max(self._waits.shortest_s, self._waits.backoff(self._throttled, self._rng))
        until = self._clock() + seconds + self._rng.uniform(0.0, 0.25)
        self._wait_until(until)
        return seconds

    def observe(self, budget: Budget | None) -> None:
        """Slow down in time for what is left of the workspace's limit, as an answer other than 429 reported it."""
        self._throttled = 0
        if budget is None:
            return
        usable = budget.remaining - self.reserve * budget.limit
        left_s = max(self._waits.shortest_s, budget.left_s)
        if usable < 1:
            self._wait_until(self._clock() + left_s)
            return
        self._allowed = min(self.asked, max(_TRICKLE_PER_S, usable / left_s))
        if self._shared is not None:
            self._shared.allowed(self._allowed)

    def _wait_until(self, until: float) -> None:
        """Never shorten a wait that was asked for earlier."""
        self.waiting_until = until if self.waiting_until is None else max(until, self.waiting_until)
        if self._shared is not None:
            self._shared.pause(self.waiting_until - self._clock())
