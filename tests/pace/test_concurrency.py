"""Adaptive concurrency limit against a simulated server: it settles near the best fixed value."""

from __future__ import annotations

import heapq

import pytest

from bulk_sender.pace.concurrency import AdaptiveLimit


class ServerModel:
    """A server that handles ``lanes`` requests at once, ``work_s`` each, and queues the rest; simulated time."""

    def __init__(self, lanes: int, work_s: float) -> None:
        self.lanes, self.work_s = lanes, work_s
        self.free_at = [0.0] * lanes
        heapq.heapify(self.free_at)

    def latency(self, now: float) -> float:
        start = max(now, heapq.heappop(self.free_at))
        heapq.heappush(self.free_at, start + self.work_s)
        return start + self.work_s - now


def simulate(server: ServerModel, limit: AdaptiveLimit | int, requests: int) -> tuple[float, float]:
    """Return the requests per second and the mean latency of the last half."""
    now, sent = 0.0, 0
    under_way: list[tuple[float, float]] = []
    ends: list[float] = []
    latencies: list[float] = []
    while sent < requests:
        allowed = limit if isinstance(limit, int) else limit.limit
        while len(under_way) < allowed and sent < requests:
            latency = server.latency(now)
            heapq.heappush(under_way, (now + latency, latency))
            sent += 1
        in_flight = len(under_way)
        now, latency = heapq.heappop(under_way)
        ends.append(now)
        latencies.append(latency)
        if isinstance(limit, AdaptiveLimit):
            limit.answered(latency, in_flight, now)
    half = len(ends) // 2
    return (len(ends) - half) / (ends[-1] - ends[half]), sum(latencies[half:]) / len(latencies[half:])


def best_fixed(lanes: int, work_s: float, most: int) -> float:
    return max(simulate(ServerModel(lanes, work_s), fixed, 3000)[0] for fixed in range(1, most + 1))


@pytest.mark.parametrize(
    ("lanes", "work_s"),
    [(64, 0.005), (16, 0.05), (8, 0.3), (4, 0.1), (1, 0.02)],
    ids=["fast", "usual", "slow", "narrow", "single"],
)
def test_it_settles_within_a_tenth_of_the_best_fixed_value(lanes: int, work_s: float) -> None:
    limit = AdaptiveLimit(most=32)
    reached, _ = simulate(ServerModel(lanes, work_s), limit, 6000)
    assert reached >= 0.9 * best_fixed(lanes, work_s, 32)


def test_an_overloaded_server_is_not_made_to_queue() -> None:
    _, unlimited = simulate(ServerModel(4, 0.1), 32, 6000)
    _, adaptive = simulate(ServerModel(4, 0.1), AdaptiveLimit(most=32), 6000)
    assert unlimited == pytest.approx(0.8, rel=0.05)
    assert adaptive < 0.2


def test_refusals_reduce_it_once_per_wave_and_never_below_one() -> None:
    limit = AdaptiveLimit(most=32, value=20)
    limit.overloaded(10.0)
    limit.overloaded(10.1)
    assert limit.limit == 12
    for second in range(11, 60, 2):
        limit.overloaded(float(second))
    assert limit.limit == 1


def test_it_starts_low_and_stays_low_if_the_pace_needs_no_more() -> None:
    limit = AdaptiveLimit(most=32)
    for number in range(1000):
        limit.answered(0.05, in_flight=2, now=number * 0.1)
    assert limit.limit == 4


def test_it_adapts_to_a_server_that_became_permanently_slower() -> None:
    limit = AdaptiveLimit(most=16, value=8)
    for number in range(200):
        limit.answered(0.05, in_flight=limit.limit, now=number * 0.05)
    for number in range(20_000):
        limit.answered(0.2, in_flight=limit.limit, now=10 + number * 0.2)
    assert limit.limit >= 8
