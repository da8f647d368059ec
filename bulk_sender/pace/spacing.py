"""Space requests so that no second sees more than a second's worth. Pure.

A small bucket loses time when a task wakes late; a large one allows bursts. This window sits behind a large bucket and
removes the bursts: the n-th request leaves no earlier than a second after the one that many places before it.
"""

from __future__ import annotations

import math
from collections import deque

_SLACK = 0.001
"""Safety margin: network jitter can bunch requests."""


class Spacing:
    """``rate`` is in requests a second. At most that many, rounded up, leave within the time that they may take."""

    def __init__(self, rate: float) -> None:
        most = max(1, math.ceil(rate))
        self._span_s = most / rate * (1.0 + _SLACK)
        self._left: deque[float] = deque([-math.inf] * most, maxlen=most)

    def leave(self, now: float) -> float:
        """Register one more request, and return the seconds that it has to wait."""
        at = max(now, self._left[0] + self._span_s)
        self._left.append(at)
        return at - now
