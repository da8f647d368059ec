"""Never more than one second's worth of requests in any second. Pure.

A leaky bucket alone gives a choice of two evils: small, it loses the time of whoever wakes late; large, it lets more
than a second's worth go in some second. Behind a large one this window takes away the excess: the n-th request leaves
no earlier than a second after the one that many places before it.
"""

from __future__ import annotations

import math
from collections import deque

_SLACK = 0.001
"""So much longer than needed: on the way to the server requests move a little closer together."""


class SlidingWindow:
    """``rate``: requests a second. At most that many, rounded up, leave within the time that is theirs."""

    def __init__(self, rate: float) -> None:
        most = max(1, math.ceil(rate))
        self._span_s = most / rate * (1.0 + _SLACK)
        self._left: deque[float] = deque([-math.inf] * most, maxlen=most)

    def leave(self, now: float) -> float:
        """One more is about to leave. Returns how long it has to wait, in seconds."""
        at = max(now, self._left[0] + self._span_s)
        self._left.append(at)
        return at - now
