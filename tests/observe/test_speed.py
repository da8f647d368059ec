"""How fast a run is, and how long the rest takes."""

from __future__ import annotations

import pytest

from bulk_sender.observe.speed import Speed, seconds_left


def test_speed_is_that_of_the_last_seconds() -> None:
    speed = Speed()
    for second in range(61):
        sent = 100 * second if second <= 40 else 4000 + 10 * (second - 40)
        found = speed.take(float(second), sent)
    assert found == pytest.approx(10.0, abs=1.0)


@pytest.mark.parametrize(
    ("to_send", "speed", "waiting_s", "left_s"),
    [
        (100, 10.0, 0.0, 10.0),
        (100, 10.0, 2.5, 12.5),
        (None, 10.0, 0.0, None),
        (100, 0.0, 5.0, None),
        (0, 0.0, 0.0, 0.0),
    ],
)
def test_the_rest_takes_as_long_as_it_did_lately(
    to_send: int | None, speed: float, waiting_s: float, left_s: float | None
) -> None:
    assert seconds_left(to_send, speed, waiting_s) == left_s
