"""A leaky bucket. Pure: time comes with each call, in seconds on one clock."""

from __future__ import annotations


class Bucket:
    """``size`` is what fits in, and ``per_s`` what leaks out in a second. It starts empty."""

    def __init__(self, size: float, per_s: float) -> None:
        self.size = size
        self._per_s = per_s
        self._level, self._at = 0.0, 0.0

    def wait_s(self, amount: float, now: float) -> float:
        """Return the seconds until ``amount``, at most ``size``, fits in; 0.0 when it does."""
        self._level = max(0.0, self._level - max(0.0, now - self._at) * self._per_s)
        self._at = now
        return max(0.0, (self._level + amount - self.size) / self._per_s)

    def fill(self, amount: float) -> None:
        """Put in what fits."""
        self._level += amount
