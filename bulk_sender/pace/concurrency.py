"""Adaptive concurrency: how many requests may be in flight, found from the latency of the answers.

Additive increase, multiplicative decrease, as in TCP, with latency as the signal. While answers arrive as fast as
usual, one more request may be in flight. When they take longer than ``TOLERANCE`` times the usual, or the server
refuses for overload, fewer may. The usual latency is a slow average, not the best ever seen: on a busy machine single
answers are late for unrelated reasons. Pure: no clock and no I/O, time comes with each sample.
"""

from __future__ import annotations

from dataclasses import dataclass

TOLERANCE = 1.5
"""Answers slower than this many times the usual mean that requests are queueing somewhere."""
SLACK_S = 0.01
"""Smaller differences come from this machine, not from the server."""
GENTLE, FIRM = 0.9, 0.6
"""Factors for the limit after a slow window, and after a refusal or a time-out."""
FEW = 4
"""Latency alone never lowers the limit below this: so few requests overload no server."""
_WINDOW = 16
_SLOWER, _FASTER = 0.001, 0.3
"""How fast the usual latency follows slower and faster windows."""


@dataclass(slots=True)
class AdaptiveLimit:
    """``limit`` is the number of requests allowed in flight now, from 1 to ``most``."""

    most: int
    value: float = float(FEW)
    baseline_s: float = 0.0
    lowered: bool = False
    """Whether it was lowered and has not come back to ``most`` since: a limit that only grows holds nothing back."""
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
        """Record an answer after ``latency_s`` seconds, with ``in_flight`` requests including its own."""
        self._sum_s += latency_s
        self._count += 1
        self._busiest = max(self._busiest, in_flight)
        if self._count >= max(_WINDOW, self.limit):
            self._close_window(now)

    def overloaded(self, now: float) -> None:
        """Lower the limit after a 429, a 5XX or a time-out. One wave of them counts once."""
        if now >= self._calm_after:
            self.value = max(1.0, self.value * FIRM)
            self.lowered = True
            self._calm_after = now + max(1.0, 2 * self.baseline_s)
        self._start_window()

    def _close_window(self, now: float) -> None:
        mean = self._sum_s / self._count
        usual = self.baseline_s or mean
        if mean > TOLERANCE * usual + SLACK_S:
            self.value = max(min(self.value, float(FEW)), self.value * GENTLE)
            self.lowered = True
        elif self._busiest >= self.limit and now >= self._calm_after:
            self.value = min(float(self.most), self.value + 1.0)
            self.lowered = self.lowered and self.value < self.most
        self.baseline_s = usual + (_SLOWER if mean > usual else _FASTER) * (mean - usual)
        self._start_window()

    def _start_window(self) -> None:
        self._sum_s, self._count, self._busiest = 0.0, 0, 0
