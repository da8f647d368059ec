"""How many requests may be under way at once: found by the answers' latency, capped by ``concurrency``.

Additive increase, multiplicative decrease, as TCP does it, with latency as the signal: while answers come as fast
as they ever did, one more request may be under way; when they come slower than ``TOLERANCE`` times the best, or the
server says it has had enough, there will be fewer. Pure: no clock, no I/O; time comes in with each sample.
"""

from __future__ import annotations

from dataclasses import dataclass

TOLERANCE = 1.6
"""Answers slower than this many times the baseline mean that requests queue somewhere."""
GENTLE, FIRM = 0.9, 0.6
"""What is left of the limit after a slow window, and after a refusal or a time-out."""
_FORGET = 0.02
"""How fast the baseline follows answers that stay slower: a server may have changed for good."""


@dataclass(slots=True)
class AdaptiveLimit:
    """``limit`` is the number allowed now, from 1 to ``most``."""

    most: int
    value: float = 4.0
    baseline_s: float = 0.0
    _sum_s: float = 0.0
    _count: int = 0
    _busiest: int = 0
    _calm_after: float = 0.0

    def __post_init__(self) -> None:
        self.value = float(min(self.value, self.most))

    @property
    def limit(self) -> int:
        return max(1, min(self.most, int(self.value)))

    def answered(self, latency_s: float, in_flight: int, now: float) -> None:
        """An answer came after ``latency_s`` seconds, with ``in_flight`` requests under way, itself included."""
        self.baseline_s = latency_s if self.baseline_s == 0.0 else min(latency_s, self.baseline_s)
        self._sum_s += latency_s
        self._count += 1
        self._busiest = max(self._busiest, in_flight)
        if self._count >= max(4, self.limit):
            self._close_window(now)

    def overloaded(self, now: float) -> None:
        """A 429, a 5XX or a time-out: fewer at once. One wave of them counts once."""
        if now >= self._calm_after:
            self.value = max(1.0, self.value * FIRM)
            self._calm_after = now + max(1.0, 2 * self.baseline_s)
        self._start_window()

    def _close_window(self, now: float) -> None:
        mean = self._sum_s / self._count
        if mean > TOLERANCE * self.baseline_s + 0.005:
            self.value = max(1.0, self.value * GENTLE)
            self.baseline_s += _FORGET * (mean - self.baseline_s)
        elif self._busiest >= self.limit and now >= self._calm_after:
            self.value = min(float(self.most), self.value + 1.0)
        self._start_window()

    def _start_window(self) -> None:
        self._sum_s, self._count, self._busiest = 0.0, 0, 0
