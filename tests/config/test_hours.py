"""Hours in which sending is allowed, over midnight, weekends and changes of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.config.hours import SendingHours


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "now", "wait"),
    [
        ("09:00-20:00 UTC", "2026-11-24T09:00", 0),
        ("09:00-20:00 UTC", "2026-11-24T19:59:59", 0),
        ("09:00-20:00 UTC", "2026-11-24T20:00", 13 * 3600),
        ("09:00-20:00 UTC", "2026-11-24T08:30", 1800),
        ("9:00-20:00 Europe/Paris", "2026-11-24T08:00", 0),
        ("9:00-20:00 Europe/Paris", "2026-11-24T07:59", 60),
        ("22:00-06:00 UTC", "2026-11-24T03:00", 0),
        ("22:00-06:00 UTC", "2026-11-24T21:00", 3600),
        ("mon-fri 09:00-20:00 UTC", "2026-11-28T10:00", 47 * 3600),
        ("sat,sun 09:00-20:00 UTC", "2026-11-28T10:00", 0),
        ("fri-mon 09:00-20:00 UTC", "2026-11-24T10:00", 71 * 3600),
        ("fri 22:00-06:00 UTC", "2026-11-28T05:00", 0),
    ],
)
def test_the_wait_is_until_the_window_opens(window: str, now: str, wait: int) -> None:
    assert SendingHours.parse(window).wait_s(at(now)) == wait


def test_a_night_with_a_change_of_the_clocks_is_an_hour_shorter() -> None:
    # 28 March 2026, 20:00 in Paris; the next morning's nine o'clock is twelve hours away, not thirteen.
    assert SendingHours.parse("09:00-20:00 Europe/Paris").wait_s(at("2026-03-28T19:00")) == 12 * 3600


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("9 to 5", "is not a valid window"),
        ("09:00-20:00", "is not a valid window"),
        ("09:00-25:00 UTC", "time that is not valid"),
        ("09:00-09:00 UTC", "is empty"),
        ("09:00-20:00 Europe/Atlantis", "is not a time zone"),
        ("someday 09:00-20:00 UTC", "is not a weekday"),
    ],
)
def test_a_wrong_window_says_how_to_write_it(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        SendingHours.parse(text)


@given(st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2027, 12, 31)), st.integers(0, 23))
def test_after_the_wait_the_window_is_open(moment: datetime, hour: int) -> None:
    from datetime import timedelta

    window = SendingHours.parse(f"{hour:02}:15-{(hour + 5) % 24:02}:45 America/New_York")
    now = moment.replace(tzinfo=UTC)
    assert window.wait_s(now + timedelta(seconds=window.wait_s(now))) == 0.0
