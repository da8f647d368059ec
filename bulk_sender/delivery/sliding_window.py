"""Never more than one second's worth of turns in any second. Pure.

A leaky bucket alone gives a choice of two evils: small, it loses the time of whoever wakes late; large, it lets more
than a second's worth go in some second. Behind a large one this window takes away the excess: the n-th turn is no
earlier than a second after the turn that many places before it.
"""

from __future__ import annotations

import math
from collections import deque

_SLACK = 0.004
"""So much longer than needed: between its turn and its arrival a request takes longer one time than another."""


class SlidingWindow:
    """``rate``: turns a second. At most that many, rounded up, are within any span of the time that they take."""

    def __init__(self, rate: float) -> None:
        most = max(1, math.ceil(rate))
        self._span_s = most / rate * (1.0 + _SLACK)
        self._turns: deque[float] = deque(maxlen=most)

    def wait_s(self, now: float) -> float:
        """Seconds until the next turn may be taken, 0.0 when it may be taken now."""
        if len(self._turns) < (self._turns.maxlen or 0):
            return 0.0
        return max(0.0, self._turns[0] + self._span_s - now)

    def take(self, now: float) -> None:
        """A turn was taken."""
        self._turns.append(now)
