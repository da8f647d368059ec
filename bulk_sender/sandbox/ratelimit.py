"""Rate limits of Braze: fixed windows aligned to the clock, shared by everyone who uses the workspace.

Source: Braze's page on rate limits. A window starts at a multiple of its length since the epoch, so an hourly one
starts on the full hour. All of its requests may be used in its first second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]
"""Seconds since the epoch, UTC."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The rate limit's decision on one request, as the answer's headers report it.

    ``reset`` is in whole epoch seconds, rounded up so that a waiting client is never too early;
    ``retry_after_s`` is in whole seconds, at least 1.
    """

    granted: bool
    limit: int
    remaining: int
    reset: int
    retry_after_s: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers, in lower case as Braze sends them; ``retry-after`` only with a refusal."""
        headers = [
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % self.reset),
        ]
        if not self.granted:
            headers.append((b"retry-after", b"%d" % self.retry_after_s))
        return headers


class RateLimit:
    """``limit`` requests in every window of ``window_s`` seconds, by ``clock``."""

    def __init__(self, limit: int, window_s: float, clock: Clock) -> None:
        if limit < 1 or window_s <= 0:
            raise ValueError(f"a rate limit needs at least one request and a positive window: {limit} in {window_s} s")
        self.limit = limit
        self.window_s = window_s
        self._clock = clock
        self._window = -1
        self._used = 0

    def take(self) -> Allowance:
        """Count one request, or refuse it when the window is used up. A refused request is not counted."""
        now = self._enter_window()
        granted = self._used < self.limit
        if granted:
            self._used += 1
        return self._allowance(now, granted)

    def look(self) -> Allowance:
        """Return the current allowance without counting a request."""
        return self._allowance(self._enter_window(), granted=True)

    def empty(self) -> None:
        """Use up the rest of this window, as other jobs of the workspace would."""
        self._enter_window()
        self._used = self.limit

    def _enter_window(self) -> float:
        now = self._clock()
        window = math.floor(now / self.window_s)
        if window != self._window:
            self._window, self._used = window, 0
        return now

    def _allowance(self, now: float, granted: bool) -> Allowance:
        reset = math.ceil((self._window + 1) * self.window_s)
        return Allowance(granted, self.limit, self.limit - self._used, reset, max(1, math.ceil(reset - now)))


class KeyedRateLimit:
    """A separate :class:`RateLimit` for each key."""

    def __init__(self, limit: int, window_s: float, clock: Clock) -> None:
        self._limit = limit
        self._window_s = window_s
        self._clock = clock
        self._window = -1
        self._limits: dict[str, RateLimit] = {}

    def take(self, key: str) -> Allowance:
        window = math.floor(self._clock() / self._window_s)
        if window != self._window:  # no key has used anything of the new window
            self._window, self._limits = window, {}
        return self._limits.setdefault(key, RateLimit(self._limit, self._window_s, self._clock)).take()
