"""A paced run in simulated time: workers, faults that have nothing to do with load, and servers that queue or refuse.

No I/O and no clock, so minutes of sending take milliseconds. It makes the same calls as ``delivery.turns.Turns``.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from bulk_sender.pace.concurrency import AdaptiveLimit, Departures

TIMEOUT_S = 60.0
LOOK_S = 0.25
"""How often a run looks for requests that hang."""


@dataclass(frozen=True)
class End:
    """How a request ends: ``after_s`` seconds, with ``kind`` answered, broken, throttled, refused or timeout."""

    after_s: float
    kind: str


Server = Callable[[float], End]


@dataclass
class Unrelated:
    """A fast enough server behind a network that breaks some connections and loses some answers."""

    latency_s: float
    broken: float = 0.0
    hung: float = 0.0
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    def __call__(self, now: float) -> End:
        drawn = self.rng.random()
        latency = self.latency_s * self.rng.uniform(0.9, 1.1)
        if drawn < self.hung:
            return End(TIMEOUT_S, "timeout")
        return End(latency, "broken" if drawn < self.hung + self.broken else "answered")


@dataclass
class Lanes:
    """A server that handles ``lanes`` requests at once, ``work_s`` each, and queues the rest."""

    lanes: int
    work_s: float
    free_at: list[float] = field(default_factory=list)

    def __call__(self, now: float) -> End:
        self.free_at = self.free_at or [0.0] * self.lanes
        start = max(now, heapq.heappop(self.free_at))
        heapq.heappush(self.free_at, start + self.work_s)
        return End(start + self.work_s - now, "answered")


@dataclass
class Outcome:
    """What happened: when each request left, and how each one ended."""

    left: list[float] = field(default_factory=list)
    ended: list[tuple[float, End]] = field(default_factory=list)
    most: int = 0
    """The most requests in flight at once."""
    limits: list[tuple[float, int]] = field(default_factory=list)

    def rate(self, since: float, until: float) -> float:
        """Return the requests per second that left between two moments."""
        return sum(since <= at < until for at in self.left) / (until - since)

    def quietest_s(self) -> float:
        """Return the longest time without a request."""
        return max(after - before for before, after in zip(self.left, self.left[1:], strict=False))

    def latency_s(self, since: float) -> float:
        """Return the mean latency of the answers since a moment."""
        found = [end.after_s for at, end in self.ended if at >= since and end.kind == "answered"]
        return sum(found) / len(found)


def simulate(server: Server, *, rate: float, seconds: float, most: int = 32) -> Outcome:
    """Send at ``rate`` requests a second for ``seconds``, with at most ``most`` workers."""
    limit, departures, seen = AdaptiveLimit(most=most), Departures(), Outcome()
    in_flight: list[tuple[float, int, float, End]] = []
    now = due = look = 0.0
    number = 0
    while now < seconds:
        hanging = departures.hanging(limit.baseline_s, now)
        if len(in_flight) < min(most, limit.limit + hanging) and due <= now:
            end = server(now)
            heapq.heappush(in_flight, (now + end.after_s, number, now, end))
            departures.left(number, now)
            seen.left.append(now)
            seen.most = max(seen.most, len(in_flight))
            number, due = number + 1, max(due, now - 0.02) + 1 / rate
            continue
        has_room = len(in_flight) < min(most, limit.limit + hanging)
        now = min([in_flight[0][0]] * bool(in_flight) + [due] * has_room + [look])
        if now == look:
            look += LOOK_S
        if in_flight and in_flight[0][0] <= now:
            crowd = len(in_flight) - departures.hanging(limit.baseline_s, now)
            _, ending, _, end = heapq.heappop(in_flight)
            if end.kind == "answered":
                departures.answered(ending)
            departures.ended(ending)
            seen.ended.append((now, end))
            if end.kind == "answered":
                limit.answered(end.after_s, crowd, now)
            elif end.kind == "throttled":
                limit.throttled(now)
            elif end.kind in ("refused", "timeout"):
                limit.strained(now)
            seen.limits.append((now, limit.limit))
    return seen
