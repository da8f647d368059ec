"""Adaptive concurrency: how many requests may be in flight, found from the latency of the answers.

It doubles while it is reached, until answers take longer than ``TOLERANCE`` times the usual, as in TCP's slow start.
Then fewer may be in flight, and the next steps start at one request and double again. The usual latency is a slow
average of medians, not the best ever seen: on a busy machine single answers are late for unrelated reasons.

Only what says something about the load lowers the limit: a 429, several refusals for overload or time-outs, slow
answers. A broken connection or half an answer does not. Pure: no clock and no I/O, time comes with each sample.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from statistics import median

TOLERANCE = 1.5
"""Answers slower than this many times the usual mean that requests are queueing somewhere."""
SLACK_S = 0.01
"""Smaller differences come from this machine, not from the server."""
GENTLE, FIRM = 0.9, 0.6
"""Factors for the limit after a slow window, and after a 429 or signs of overload."""
FEW = 4
"""Only a 429 lowers the limit below this: so few requests overload no server."""
SIGNS = 3
"""A 503 or a time-out alone may have any cause. So many within a window, and an eighth of it, are an overload."""
OVERDUE = 5
"""A request that takes more than this many times the usual latency may hang."""
OVERDUE_S = 0.5
"""No request counts as overdue before this age."""
_WINDOW = 8
_SLOWER, _FASTER = 0.01, 0.3
"""How fast the usual latency follows slower and faster windows."""
_PATIENCE = 3
"""Slow windows at ``FEW`` until that latency counts as the usual one."""


@dataclass(slots=True)
class AdaptiveLimit:
    """``limit`` is the number of requests allowed in flight now, from 1 to ``most``."""

    most: int
    value: float = float(FEW)
    baseline_s: float = 0.0
    """The usual latency; 0.0 before the first window has ended."""
    lowered: bool = False
    """Whether it was lowered and still holds requests back: one that is not reached, or only grows, does not."""
    _step: float = 512.0
    """How much the limit grows after the next calm window: at most to its double."""
    _latencies: list[float] = field(default_factory=list)
    _full: int = 0
    """Answers of this window that came while the limit was reached."""
    _busiest: int = 0
    _signs: int = 0
    _slow_at_few: int = 0
    """Slow windows in a row at the fewest requests. The first may still hold what had queued up before."""
    _calm_after: float = 0.0

    def __post_init__(self) -> None:
        self.value = float(min(self.value, self.most))

    @property
    def limit(self) -> int:
        return max(1, min(self.most, int(self.value)))

    def answered(self, latency_s: float, in_flight: int, now: float) -> None:
        """Record an answer after ``latency_s`` seconds, with ``in_flight`` requests including its own."""
        self._latencies.append(latency_s)
        self._full += in_flight >= self.limit
        self._busiest = max(self._busiest, in_flight)
        if len(self._latencies) >= max(_WINDOW, self.limit):
            self._close_window(now)

    def throttled(self, now: float) -> None:
        """Lower the limit after a 429. One wave of them counts once."""
        self._shrink(now, 1.0)

    def strained(self, now: float) -> None:
        """Record a sign of overload: a time-out, or a refusal for overload. Several lower the limit, one does not."""
        self._signs += 1
        if self._signs >= SIGNS and 8 * self._signs >= len(self._latencies) + self._signs:
            self._shrink(now, float(FEW))

    def cap(self, most: int) -> None:
        """Never allow more than ``most`` again, and at least one."""
        self.most = max(1, min(self.most, most))
        self.value = min(self.value, float(self.most))

    def _shrink(self, now: float, least: float) -> None:
        if now < self._calm_after:
            return
        self._lower(FIRM, least)
        self._calm_after = now + max(1.0, 2 * self.baseline_s)
        self._start_window()

    def _lower(self, factor: float, least: float) -> None:
        lower = max(min(self.value, least), self.value * factor)
        self.lowered = self.lowered or lower < self.value
        self.value, self._step = lower, 1.0

    def _close_window(self, now: float) -> None:
        middle = median(self._latencies)
        usual = self.baseline_s or middle
        is_full = 2 * self._full >= len(self._latencies)
        # While the limit is reached, slower answers may be its own doing, and must not become usual bit by bit.
        follow = _FASTER if middle <= usual else 0.0 if is_full else _SLOWER
        if middle > TOLERANCE * usual + SLACK_S:
            self._slow_at_few = self._slow_at_few + 1 if self.value <= FEW else 0
            if self._slow_at_few >= _PATIENCE:
                follow = _FASTER  # so few requests are not the cause, so this has become usual
            self._lower(GENTLE, float(FEW))
        elif is_full and now >= self._calm_after:
            self._slow_at_few = 0
            self.value = min(float(self.most), self.value + min(self.value, self._step))
            self._step = min(512.0, 2 * self._step)
            self.lowered = self.lowered and self.value < self.most
        elif not is_full:
            self._relax()
        self.baseline_s = usual + follow * (middle - usual)
        self._start_window()

    def _relax(self) -> None:
        """Come back slowly from a limit that is not reached: it would only put more rows in doubt."""
        self.lowered, self._step = False, 1.0
        if 2 * self._busiest <= self.value:
            self.value = max(min(self.value, float(FEW)), self.value * GENTLE)

    def _start_window(self) -> None:
        self._latencies.clear()
        self._full = self._busiest = self._signs = 0


class Departures:
    """The requests in flight, and how many of them hang: those do not count against the limit.

    A request hangs when it is overdue and one that left after it was answered, or when it is the only one in flight. If
    the server has fallen silent, nothing is answered, so no further requests leave.
    """

    def __init__(self) -> None:
        self._left: dict[Hashable, float] = {}
        self._answered = float("-inf")
        """When the latest request that was answered had left."""

    def left(self, request: Hashable, now: float) -> None:
        """Record that a request is about to leave."""
        self._left[request] = now

    def ended(self, request: Hashable) -> None:
        """Record the end of a request, answered or not."""
        self._left.pop(request, None)

    def answered(self, request: Hashable) -> None:
        """Record an answer to a request that has not ended yet.

        Only moments from ``left`` are compared: between that and the first byte, a commit may take long.
        """
        self._answered = max(self._answered, self._left[request])

    def is_silence(self, request: Hashable) -> bool:
        """Whether nothing that left after ``request`` was answered."""
        return self._answered < self._left[request]

    def hanging(self, usual_s: float, now: float) -> int:
        """Return how many requests hang, where answers usually take ``usual_s`` seconds."""
        if not usual_s:
            return 0
        latest = now - max(OVERDUE_S, OVERDUE * usual_s)
        is_alone = len(self._left) == 1
        found = 0
        for left in self._left.values():  # in the order in which they left
            if left >= latest:
                break
            found += is_alone or left < self._answered
        return found
