"""Braze's rate limits: fixed windows that begin on the clock, shared by everyone who uses the workspace.

Source: Braze's page on rate limits: 250,000 requests an hour with recipients (shared by the campaign and
the Canvas endpoint), 250 a minute for broadcasts, 250 a minute for ``/users/export/ids``. A window begins
at a multiple of its own length since the epoch, so an hourly one on the full hour, and all of its requests
may be spent in its first second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]
"""Seconds since the epoch, UTC."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the limit says to one request, as its answer's headers tell it.

    ``reset`` is whole epoch seconds, rounded up so that who waits for it never comes early;
    ``retry_after_s`` is whole seconds, at least 1.
    """

    granted: bool
    limit: int
    remaining: int
    reset: int
    retry_after_s: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers, names in lower case as Braze sends them; ``retry-after`` only with a refusal."""
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
            raise ValueError(f"a rate limit needs at least one request and a window: got {limit} in {window_s} s")
        self.limit = limit
        self.window_s = window_s
        self._clock = clock
        self._window = -1
        self._used = 0

    def take(self) -> Allowance:
        """Count one request, or refuse it when the window is spent. A refused request isn't counted."""
        now = self._enter_window()
        granted = self._used < self.limit
        if granted:
            self._used += 1
        return self._allowance(now, granted)

    def look(self) -> Allowance:
        """What the headers of an answer say that itself costs nothing."""
        return self._allowance(self._enter_window(), granted=True)

    def empty(self) -> None:
        """Other jobs of the workspace take all that is left of this window."""
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
