from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.sandbox.ratelimit import RateLimit

from .samples import SetClock

HOUR = 1_800_000_000.0  # a full hour of the UTC clock


def test_grants_exactly_the_limit() -> None:
    limit = RateLimit(3, 3600, SetClock(HOUR + 60))
    allowances = [limit.take() for _ in range(5)]
    assert [allowance.granted for allowance in allowances] == [True, True, True, False, False]
    assert [allowance.remaining for allowance in allowances] == [2, 1, 0, 0, 0]
    assert {allowance.reset for allowance in allowances} == {int(HOUR) + 3600}
    assert allowances[-1].retry_after_s == 3540


def test_the_window_resets_on_the_full_hour() -> None:
    clock = SetClock(HOUR + 3599.9)
    limit = RateLimit(1, 3600, clock)
    assert limit.take().granted
    assert not limit.take().granted
    clock.now = HOUR + 3600
    assert limit.take().granted


def test_headers_are_in_lower_case_with_retry_after_only_when_refused() -> None:
    limit = RateLimit(1, 60, SetClock(HOUR + 20.5))
    assert limit.take().headers() == [
        (b"x-ratelimit-limit", b"1"),
        (b"x-ratelimit-remaining", b"0"),
        (b"x-ratelimit-reset", b"%d" % (HOUR + 60)),
    ]
    assert limit.take().headers()[-1] == (b"retry-after", b"40")


def test_looking_does_not_count() -> None:
    limit = RateLimit(1, 60, SetClock())
    assert limit.look().remaining == 1
    assert limit.look().remaining == 1
    assert limit.take().granted


def test_others_can_use_up_the_rest_of_a_window_but_not_the_next() -> None:
    clock = SetClock(HOUR)
    limit = RateLimit(100, 2, clock)
    limit.empty()
    assert not limit.take().granted
    clock.now += 2
    assert limit.take().remaining == 99


@pytest.mark.parametrize(("limit", "window_s"), [(0, 60), (1, 0), (1, -1)])
def test_refuses_a_limit_that_allows_no_request(limit: int, window_s: float) -> None:
    with pytest.raises(ValueError, match="at least one request"):
        RateLimit(limit, window_s, SetClock())


@given(
    limit=st.integers(1, 20),
    window_s=st.sampled_from([0.5, 1, 2, 60, 3600]),
    steps=st.lists(st.floats(0, 30), max_size=60),
)
def test_never_exceeds_the_limit_in_a_window_and_never_reports_a_reset_too_early(
    limit: int, window_s: float, steps: list[float]
) -> None:
    clock = SetClock(HOUR)
    rate = RateLimit(limit, window_s, clock)
    granted: dict[int, int] = {}
    for step in steps:
        clock.now += step
        allowance = rate.take()
        window = int(clock.now // window_s)
        granted[window] = granted.get(window, 0) + allowance.granted
        assert allowance.reset >= (window + 1) * window_s
        assert clock.now + allowance.retry_after_s >= (window + 1) * window_s
    assert all(count <= limit for count in granted.values())
