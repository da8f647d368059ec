"""Adaptive concurrency limit against a simulated server: it settles near the best fixed value."""

from __future__ import annotations

import heapq
import random

import pytest

from bulk_sender.pace.concurrency import FEW, OVERDUE_S, AdaptiveLimit, Departures
from tests.pace.simulation import TIMEOUT_S, End, Lanes, Unrelated
from tests.pace.simulation import simulate as paced


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
    limit.throttled(10.0)
    limit.throttled(10.1)
    assert limit.limit == 12
    for second in range(11, 60, 2):
        limit.throttled(float(second))
    assert limit.limit == 1


def test_a_single_sign_of_overload_changes_nothing_and_a_wave_of_them_lowers_it_once() -> None:
    limit = AdaptiveLimit(most=32, value=20)
    limit.strained(10.0)
    limit.strained(10.1)
    assert (limit.limit, limit.lowered) == (20, False)
    for _ in range(10):
        limit.strained(10.2)
    assert (limit.limit, limit.lowered) == (12, True)


def test_few_signs_among_many_answers_change_nothing() -> None:
    limit = AdaptiveLimit(most=64, value=64)
    for number in range(63):
        limit.answered(0.05, in_flight=64, now=1.0)
        if number in (30, 40, 50):
            limit.strained(1.0)
    assert limit.limit == 64


def test_only_429_lowers_it_below_four() -> None:
    limit = AdaptiveLimit(most=32, value=20)
    for second in range(100):
        for _ in range(3):
            limit.strained(10.0 + 2 * second)
    assert limit.limit == FEW


def test_one_slow_answer_in_a_window_changes_nothing() -> None:
    limit = AdaptiveLimit(most=32, value=16)
    for number in range(16 * 20):
        limit.answered(20.0 if number % 16 == 7 else 0.05, in_flight=limit.limit, now=number * 0.003)
    assert limit.lowered is False
    assert limit.limit == 32


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


def test_it_adapts_within_seconds_to_a_server_that_is_slower_for_everybody() -> None:
    """The delay does not depend on the number of requests, so few of them help nobody."""
    seen = paced(lambda now: End(0.05 if now < 20 else 0.3, "answered"), rate=69.4, seconds=60)
    assert seen.rate(18, 20) >= 0.95 * 69.4
    assert seen.rate(32, 60) >= 0.95 * 69.4


# --- a paced run: the asked rate is reached quickly, and unrelated faults do not lower it -----------------------------

DEFAULT_RATE = 250_000 / 3600


@pytest.mark.parametrize("hung", [0.0, 0.0005], ids=["none hung", "some hung"])
@pytest.mark.parametrize("broken", [0.0, 0.02, 0.04], ids=["sound", "2 % broken", "4 % broken"])
@pytest.mark.parametrize("latency_s", [0.05, 0.1, 0.3], ids=["50 ms", "100 ms", "300 ms"])
def test_the_default_rate_is_reached_within_three_seconds_and_kept(
    latency_s: float, broken: float, hung: float
) -> None:
    server = Unrelated(latency_s, broken, hung, random.Random(7))
    seen = paced(server, rate=DEFAULT_RATE, seconds=90)
    assert seen.rate(2, 3) >= 0.95 * DEFAULT_RATE
    assert seen.rate(3, 90) >= 0.98 * DEFAULT_RATE
    assert seen.quietest_s() <= 1.05 * latency_s


def test_a_paced_run_has_no_more_requests_in_flight_than_it_needs() -> None:
    seen = paced(Unrelated(0.1, 0.02), rate=DEFAULT_RATE, seconds=120)
    assert seen.most <= 2 * DEFAULT_RATE * 0.1


@pytest.mark.parametrize("most", [32, 512])
@pytest.mark.parametrize(
    ("lanes", "work_s"), [(16, 0.05), (8, 0.3), (4, 0.1)], ids=["16 lanes", "8 slow lanes", "4 lanes"]
)
def test_it_finds_a_real_limit_of_the_server_and_makes_little_queue(lanes: int, work_s: float, most: int) -> None:
    seen = paced(Lanes(lanes, work_s), rate=1000, seconds=120, most=most)
    assert seen.rate(10, 120) >= 0.95 * lanes / work_s
    assert seen.latency_s(10) <= 2 * work_s
    assert seen.most <= 4 * lanes


def test_a_server_with_a_single_lane_never_has_a_long_queue_even_after_a_while() -> None:
    seen = paced(Lanes(1, 0.02), rate=1000, seconds=900)
    assert seen.latency_s(600) <= 10 * 0.02


def test_a_storm_of_429_brings_it_to_one_and_it_comes_back_within_seconds() -> None:
    seen = paced(lambda now: End(0.05, "throttled" if 20 < now < 25 else "answered"), rate=69.4, seconds=60)
    assert min(limit for at, limit in seen.limits if 20 < at < 26) == 1
    assert seen.rate(28, 60) >= 0.98 * 69.4


def test_a_wave_of_refusals_for_overload_brings_it_to_four_and_it_comes_back_within_seconds() -> None:
    seen = paced(lambda now: End(0.3, "refused" if 20 < now < 25 else "answered"), rate=69.4, seconds=60)
    assert min(limit for at, limit in seen.limits if 20 < at < 26) == FEW
    assert seen.rate(29, 60) >= 0.98 * 69.4


def test_a_server_that_falls_silent_gets_no_further_requests_in_place_of_those_that_hang() -> None:
    seen = paced(
        lambda now: End(TIMEOUT_S if now > 20 else 0.3, "timeout" if now > 20 else "answered"), rate=20, seconds=70
    )
    before = max(limit for at, limit in seen.limits if at < 20)
    assert sum(20 < at < 70 for at in seen.left) <= before


# --- requests that hang -----------------------------------------------------------------------------------------------


def test_a_request_hangs_when_one_that_left_after_it_was_answered() -> None:
    departures = Departures()
    for number in range(4):
        departures.left(number, 10.0 + number / 10)
    assert departures.hanging(0.1, 10.0 + OVERDUE_S) == 0
    assert departures.hanging(0.1, 20.0) == 0, "the server may be silent"
    departures.answered(2)
    departures.ended(2)
    assert departures.hanging(0.1, 20.0) == 2
    departures.ended(0)
    assert departures.hanging(0.1, 20.0) == 1
    assert [departures.is_silence(number) for number in (1, 3)] == [False, True]


def test_the_only_request_in_flight_hangs_after_five_times_the_usual_latency() -> None:
    departures = Departures()
    departures.left("a", 10.0)
    assert [departures.hanging(0.4, 10.0 + age) for age in (1.9, 2.1)] == [0, 1]
    assert departures.hanging(0.0, 1000.0) == 0, "nothing is usual yet"
