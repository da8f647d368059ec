"""Rate limiter: which headers it trusts, how long it waits, and that the rate is exact and smooth."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import selectors
import time
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.braze.headers import budget, server_now, throttle_wait
from bulk_sender.pace.backoff import WAITS
from bulk_sender.pace.budget import Budget
from bulk_sender.pace.limiter import Pace, ramped

NOW = 1_800_000_000.0
T = TypeVar("T")


def reset(value: object) -> dict[str, str]:
    return {"x-ratelimit-reset": str(value), "x-ratelimit-remaining": "0", "x-ratelimit-limit": "250000"}


# --- 429: how long to wait (F40, F41) ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 7 "}, 7),
        ({"retry-after": "0"}, 1),
        ({"retry-after": "3600"}, 3600),
        ({"retry-after": "3601"}, None),
        ({"retry-after": "3601", **reset(NOW + 9)}, None),
        ({"retry-after": "3601", **reset(int(NOW) + 9)}, 9),
        ({"retry-after": "soon", "x-ratelimit-retry-after": "4"}, 4),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, 1),
        ({"retry-after": formatdate(NOW - 90, usegmt=True)}, None),
        ({"x-ratelimit-retry-after": "12"}, 12),
        ({"retry-after": "3", "x-ratelimit-retry-after": "12", **reset(int(NOW) + 50)}, 3),
        (reset(int(NOW) + 50), 50),
        (reset(int(NOW)), 1),
        (reset(int(NOW) + 3600), 3600),
        (reset(int(NOW) + 3601), None),
        (reset(int(NOW) - 1), None),
        (reset(32503680000), None),
        (reset(int(NOW * 1000) + 1000), None),
        (reset(-1), None),
        (reset("1e9"), None),
        (reset("nan"), None),
        (reset("inf"), None),
        (reset(""), None),
        (reset("9" * 400), None),
        # newer contracts: seconds left instead of an epoch
        (reset(8), 8),
        (reset(0), 1),
        (reset(3600), 3600),
        (reset(3601), None),
        (reset(999_999_999), None),
        ({"x-ratelimit-retry-after": "4"}, 4),
        ({"x-ratelimit-reset": "", "x-ratelimit-limit": "", "x-ratelimit-remaining": ""}, None),
        ({}, None),
    ],
)
def test_the_wait_that_headers_request(headers: dict[str, str], seconds: float | None) -> None:
    assert throttle_wait(headers, NOW) == seconds


def test_the_wait_is_computed_from_the_servers_clock() -> None:
    there = NOW + 5 * 3600
    assert throttle_wait({"date": formatdate(there, usegmt=True), **reset(int(there) + 20)}, NOW) == 20
    assert server_now({"date": formatdate(there, usegmt=True)}, NOW) == there
    assert server_now({"date": "yesterday"}, NOW) == NOW
    assert server_now({}, NOW) == NOW


HEADER = (
    st.text(max_size=12)
    | st.integers(-(10**13), 10**13).map(str)
    | st.floats().map(str)
    | st.integers(int(NOW) - 4000, int(NOW) + 4000).map(str)
    | st.integers(0, 2**33).map(lambda at: formatdate(at, usegmt=True))
    | st.sampled_from(
        ["Mon, 99 Foo 2026 25:61:61 GMT", "Thu, 01 Jan 0000 00:00:00 +9999", "1 Jan 2026", ", , :: -", "0 0 0"]
    )
)
READ = (
    "retry-after",
    "x-ratelimit-retry-after",
    "x-ratelimit-reset",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "date",
)
HEADERS = st.fixed_dictionaries({}, optional=dict.fromkeys(READ, HEADER))


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.sampled_from(["429", "201"]), HEADERS), max_size=6), st.integers(0, 2**32))
def test_no_headers_make_it_wait_longer_than_an_hour_or_not_at_all(
    answers: list[tuple[str, dict[str, str]]], seed: int
) -> None:
    clock = FakeClock()
    pace = Pace(69.4, reserve=0.1, clock=clock, rng=random.Random(seed))
    for kind, headers in answers:
        if kind == "429":
            assert 1.0 <= pace.throttled(throttle_wait(headers, NOW)) <= WAITS.longest_s
            assert pace.waiting_until is not None
            assert clock.now + 1.0 <= pace.waiting_until
        else:
            pace.observe(budget(headers, NOW))
        assert pace.waiting_until is None or pace.waiting_until <= clock.now + WAITS.longest_s + 0.25
        assert 0.2 <= pace.current <= pace.asked


def test_a_wave_of_429_is_one_pause_of_the_longest_requested_wait() -> None:
    clock = FakeClock()
    pace = Pace(100, clock=clock, rng=random.Random(1))
    for seconds in ("5", "30", "2"):
        pace.throttled(throttle_wait({"retry-after": seconds}, NOW))
    assert pace.waiting_until is not None
    assert 30 <= pace.waiting_until - clock.now <= 30.25


def test_without_headers_pauses_grow_per_wave_and_shrink_after_a_success() -> None:
    clock = FakeClock()
    pace = Pace(100, clock=clock, rng=random.Random(1))

    def longest() -> float:
        waits = []
        for _ in range(12):
            waits.append(pace.throttled(throttle_wait({}, NOW)))
            clock.now += waits[-1] + 1
        return max(waits)

    assert 10 < longest() <= 60
    pace.observe(budget({}, NOW))
    assert pace.throttled(throttle_wait({}, NOW)) == 1.0


def test_backoff_grows_with_full_jitter_up_to_a_minute() -> None:
    rng = random.Random(1)
    for failures, most in ((1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60)):
        waits = [WAITS.backoff(failures, rng) for _ in range(300)]
        assert 0 <= min(waits) < 0.1 * most
        assert 0.9 * most < max(waits) <= most


# --- the shared limit -------------------------------------------------------------------------------------------------


def told(limit: object, remaining: object, left: int) -> dict[str, str]:
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(int(NOW) + left),
    }


def test_the_remaining_limit_is_read_if_it_is_plausible() -> None:
    assert budget(told(250_000, 1000, 60), NOW) == Budget(250_000, 1000, 60)
    for broken in (told(0, 1, 60), told("x", 1, 60), told(1, "-1", 60), told(1, 1, 3601), told(1, 1, -1), {}):
        assert budget(broken, NOW) is None


def test_it_slows_down_for_the_remaining_limit_and_recovers() -> None:
    pace = Pace(69.4, clock=FakeClock())
    pace.observe(budget(told(250_000, 600, 60), NOW))
    assert pace.current == pytest.approx(10)
    pace.observe(budget({}, NOW))
    assert pace.current == pytest.approx(10), "an answer without headers says nothing"
    pace.observe(budget(told(250_000, 249_999, 3600), NOW))
    assert pace.current == pytest.approx(69.4)


def test_it_leaves_the_reserve_to_others() -> None:
    clock = FakeClock()
    pace = Pace(1000, reserve=0.1, clock=clock)
    pace.observe(budget(told(1000, 700, 60), NOW))
    assert pace.current == pytest.approx(10)
    assert pace.waiting_until is None
    pace.observe(budget(told(1000, 100, 60), NOW))
    assert pace.waiting_until == clock.now + 60


def test_a_pause_is_never_cut_short_by_a_later_answer() -> None:
    clock = FakeClock()
    pace = Pace(100, clock=clock)
    pace.throttled(throttle_wait({"retry-after": "100"}, NOW))
    pace.observe(budget(told(1000, 0, 5), NOW))
    assert pace.waiting_until is not None
    assert pace.waiting_until >= clock.now + 100


# --- after a canary ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since_s", "rate"), [(-1, 10), (0, 10), (6, 19), (30, 55), (54, 91), (59.999, 100), (60, 100), (1e9, 100)]
)
def test_a_ramp_grows_evenly_from_a_tenth_to_the_full_rate(since_s: float, rate: float) -> None:
    assert ramped(100.0, since_s, 60.0) == pytest.approx(rate, rel=1e-4)


def test_a_ramp_of_zero_length_is_disabled() -> None:
    assert ramped(100.0, 0.0, 0.0) == 100.0


@given(st.floats(0.01, 10_000), st.floats(0, 4000), st.floats(0, 4000), st.floats(0, 3600))
def test_a_ramp_never_decreases_and_never_exceeds_the_rate(rate: float, one: float, other: float, over: float) -> None:
    early, late = ramped(rate, min(one, other), over), ramped(rate, max(one, other), over)
    assert 0.0999 * rate <= early <= late * (1 + 1e-9)
    assert late <= rate * (1 + 1e-9)


def test_it_ramps_up_on_request_and_reports_how_long() -> None:
    clock = FakeClock()
    pace = Pace(100.0, clock=clock)
    assert (pace.current, pace.ramping_s) == (100.0, 0.0)
    pace.ramp(60.0)
    assert (pace.current, pace.ramping_s) == (pytest.approx(10.0), 60.0)
    clock.now += 30
    assert (pace.current, pace.ramping_s) == (pytest.approx(55.0), 30.0)
    clock.now += 31
    assert (pace.current, pace.ramping_s) == (100.0, 0.0)


def test_the_slower_of_the_ramp_and_the_remaining_limit_applies() -> None:
    clock = FakeClock()
    pace = Pace(100.0, clock=clock)
    pace.ramp(60.0)
    pace.observe(budget(told(250_000, 1200, 60), NOW))
    assert pace.current == pytest.approx(10.0)
    clock.now += 30
    assert pace.current == pytest.approx(20.0)
    pace.observe(budget(told(250_000, 249_999, 3600), NOW))
    assert pace.current == pytest.approx(55.0), "the limit has reset, the ramp continues"


# --- in time: a loop whose clock jumps to the next timer, so that no busy machine changes a number --------------------


NO_STALL = (math.inf, 0.0)


class JumpingSelector(selectors.DefaultSelector):
    """A selector that advances the clock by the requested wait instead of waiting. Each loop iteration takes a moment.

    ``stall``: how often the loop is blocked, and for how long, in seconds, as by other threads that hold the GIL.
    """

    def __init__(self, stall: tuple[float, float]) -> None:
        super().__init__()
        self.now = 0.0
        self._every, self._for = stall
        self._next = self._every

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += max(timeout or 0.0, 1e-7)
        if self.now >= self._next:
            self.now += self._for
            self._next += self._every
        return super().select(0)


def in_jumping_time(
    work: Callable[[Callable[[], float]], Coroutine[Any, Any, T]], stall: tuple[float, float] = NO_STALL
) -> T:
    """Run ``work(clock)`` in a loop in which only stalls take time."""
    selector = JumpingSelector(stall)
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    try:
        return loop.run_until_complete(work(loop.time))
    finally:
        loop.close()


async def departures(
    pace: Pace, clock: Callable[[], float], workers: int, seconds: float, each: Callable[[int], None] | None = None
) -> list[float]:
    """Return when turns were given to constantly busy workers, in seconds from the start."""
    at: list[float] = []
    began = clock()

    async def worker() -> None:
        while True:
            await pace.turn()
            await pace.leave()
            at.append(clock() - began)
            if each is not None:
                each(len(at))

    tasks = [asyncio.ensure_future(worker()) for _ in range(workers)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return at


def busiest(at: list[float], window: float) -> int:
    """Return the most departures in any half-open window of that many seconds."""
    most = first = 0
    for last, moment in enumerate(at):
        while moment - at[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("rate", [0.5, 69.4, 500.0, 1000.0])
def test_the_rate_is_exact_and_smooth(rate: float) -> None:
    seconds, burst = max(10.0, 200 / rate), 1.0 + 0.02 * rate
    at = in_jumping_time(lambda clock: departures(Pace(rate, clock=clock), clock, 32, seconds))
    assert len(at) / seconds == pytest.approx(rate, rel=0.01, abs=burst / seconds)
    assert busiest(at, 1.0) <= math.ceil(rate)
    assert busiest(at, 0.1) <= 0.1 * rate + burst + 1
    assert all(number <= rate * moment + burst + 1 for number, moment in enumerate(at, 1))


@pytest.mark.parametrize("rate", [69.4, 1000.0])
def test_on_a_real_clock_the_rate_is_never_exceeded_however_late_workers_wake(rate: float) -> None:
    burst = 1.0 + 0.02 * rate
    at = asyncio.run(departures(Pace(rate), time.monotonic, 32, 1.2))
    assert 0 < len(at) <= 1.2 * rate + burst + 1 + 0.3 * rate  # the end may be noticed late
    assert all(number <= rate * moment + burst + 1 for number, moment in enumerate(at, 1))


@pytest.mark.parametrize("rate", [69.4, 500.0, 1000.0])
def test_the_time_of_a_blocked_loop_is_made_up_for_up_to_one_second(rate: float) -> None:
    stall = (0.137, 0.011)
    at = in_jumping_time(lambda clock: departures(Pace(rate, clock=clock), clock, 32, 30.0), stall)
    assert (len(at) - 1) / (at[-1] - at[0]) == pytest.approx(rate, rel=0.01)
    assert busiest(at, 1.0) <= math.ceil(1.002 * rate), "workers that wake after a stall leave late, once"


def test_headers_that_change_with_each_answer_do_not_undo_the_limit() -> None:
    def work(clock: Callable[[], float]) -> Coroutine[Any, Any, list[float]]:
        pace = Pace(200.0, clock=clock)
        return departures(
            pace, clock, 16, 10.0, lambda number: pace.observe(budget(told(9999, 1800 + number % 7 * 50, 60), NOW))
        )

    assert 300 <= len(in_jumping_time(work)) <= 352, "thirty to thirty-five a second, and the burst"


def test_a_slow_pace_gives_turns_one_at_a_time() -> None:
    def work(clock: Callable[[], float]) -> Coroutine[Any, Any, list[float]]:
        pace = Pace(400.0, clock=clock)
        pace.observe(budget(told(9999, 600, 60), NOW))
        return departures(pace, clock, 32, 10.0)

    at = in_jumping_time(work)
    assert 99 <= len(at) <= 101
    assert min(later - earlier for earlier, later in itertools.pairwise(at)) > 0.08


def test_requests_leave_at_the_pace_of_the_ramp() -> None:
    def work(clock: Callable[[], float]) -> Coroutine[Any, Any, list[float]]:
        pace = Pace(100.0, clock=clock)
        pace.ramp(60.0)
        return departures(pace, clock, 32, 70.0)

    at = in_jumping_time(work)
    each_second = [sum(second <= moment < second + 1 for moment in at) for second in range(70)]
    for second, count in enumerate(each_second):
        assert count == pytest.approx(ramped(100.0, second + 0.5, 60.0), abs=3), second
    assert sum(each_second[:60]) == pytest.approx(0.996 * 3300, abs=10)


def test_there_is_no_burst_after_a_pause() -> None:
    def work(clock: Callable[[], float]) -> Coroutine[Any, Any, list[float]]:
        pace = Pace(100.0, clock=clock, rng=random.Random(1))
        pace.throttled(throttle_wait({"retry-after": "60"}, NOW))
        return departures(pace, clock, 32, 70.0)

    at = in_jumping_time(work)
    assert at[0] >= 60, "nobody left during the pause"
    assert busiest(at, 0.1) <= 13
    assert len(at) >= 950


def test_a_cancelled_turn_does_not_block_others() -> None:
    async def go() -> None:
        pace = Pace(10.0)
        await pace.turn()
        await pace.turn()
        stuck = [asyncio.ensure_future(pace.turn()) for _ in range(3)]
        await asyncio.sleep(0.02)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        async with asyncio.timeout(1):
            await pace.turn()

    asyncio.run(go())


def test_a_first_rate_holds_until_the_server_reports_its_limit() -> None:
    pace = Pace(100.0, first=4.0)
    assert pace.current == 4.0
    pace.observe(None)
    assert pace.current == 4.0
    pace.observe(Budget(limit=250, remaining=200, left_s=60.0))
    assert pace.current == pytest.approx(200 / 60)
    pace.observe(Budget(limit=250_000, remaining=249_000, left_s=1800.0))
    assert pace.current == 100.0
    assert Pace(2.0, first=4.0).current == 2.0
