"""The leaky bucket: what fits in, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.pace.bucket import Bucket


def test_it_takes_what_it_holds_at_once_and_then_as_much_as_leaks_out() -> None:
    bucket = Bucket(3.0, 10.0)
    for _ in range(3):
        assert bucket.wait_s(1.0, 100.0) == 0.0
        bucket.fill(1.0)
    assert bucket.wait_s(1.0, 100.0) == pytest.approx(0.1)
    assert bucket.wait_s(1.0, 100.1) == pytest.approx(0.0)
    bucket.fill(1.0)
    assert bucket.wait_s(3.0, 100.1) == pytest.approx(0.3)


def test_an_empty_bucket_does_not_save_time_up() -> None:
    bucket = Bucket(2.0, 1.0)
    assert bucket.wait_s(1.0, 1000.0) == 0.0
    bucket.fill(2.0)
    assert bucket.wait_s(1.0, 1000.0) == pytest.approx(1.0)


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    bucket = Bucket(1.0, 1.0)
    assert bucket.wait_s(1.0, 50.0) == 0.0
    bucket.fill(1.0)
    assert bucket.wait_s(1.0, 40.0) == pytest.approx(1.0)


@given(st.floats(0.1, 1000.0), st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.1, 1.0)), max_size=50))
def test_never_more_leaves_than_it_holds_and_leaks(per_s: float, steps: list[tuple[float, float]]) -> None:
    bucket, now, poured = Bucket(1.0 + 0.02 * per_s, per_s), 7.0, 0.0
    for later_s, amount in steps:
        now += later_s
        now += bucket.wait_s(amount, now)
        bucket.fill(amount)
        poured += amount
        assert poured <= bucket.size + (now - 7.0) * per_s + 1e-6
