from __future__ import annotations

from collections import Counter

import pytest

from bulk_sender.sandbox import WEATHERS
from bulk_sender.sandbox.weather import CLIMATES, LOST, Event, Fate, Weather

SEEDS = range(40)


def events(name: str, count: int, seed: int = 1, latency_s: float | None = None) -> list[Event]:
    weather = Weather(name, seed, latency_s)
    return [weather.next() for _ in range(count)]


def test_offers_the_weathers_of_the_command_line() -> None:
    assert WEATHERS == ("calm", "slow", "throttled", "lost-answers", "outage", "storm")


@pytest.mark.parametrize("name", WEATHERS)
def test_the_same_seed_gives_the_same_events(name: str) -> None:
    assert events(name, 500, seed=7) == events(name, 500, seed=7)


def test_another_seed_gives_other_events() -> None:
    assert events("storm", 500, seed=7) != events("storm", 500, seed=8)


def test_an_invalid_weather_is_refused_with_a_list_of_the_valid_ones() -> None:
    with pytest.raises(ValueError, match="'fog' is not a valid weather: use calm, slow, throttled"):
        Weather("fog")


def test_calm_answers_everything_at_once() -> None:
    assert set(events("calm", 1000)) == {Event()}


def test_slow_delays_every_answer_and_does_nothing_else() -> None:
    day = events("slow", 1000)
    assert {event.fate for event in day} == {Fate.ANSWERED}
    assert all(0.2 <= event.latency_s <= 1.5 for event in day)
    assert min(event.latency_s for event in day) < 0.25
    assert max(event.latency_s for event in day) > 1.45


@pytest.mark.parametrize("name", WEATHERS)
def test_a_fixed_latency_replaces_the_weathers_own(name: str) -> None:
    assert {event.latency_s for event in events(name, 100, latency_s=0.25)} == {0.25}


def test_throttled_has_a_small_window_that_others_use_up() -> None:
    assert (CLIMATES["throttled"].limit, CLIMATES["throttled"].window_s) == (60, 2.0)
    for seed in SEEDS:
        assert Fate.EMPTIED in [event.fate for event in events("throttled", 20, seed)]
    fates = Counter(event.fate for event in events("throttled", 20_000))
    assert set(fates) == {Fate.ANSWERED, Fate.EMPTIED}
    assert 300 < fates[Fate.EMPTIED] < 500


def test_lost_answers_loses_one_in_a_hundred_and_one_among_the_first_sixty() -> None:
    for seed in SEEDS:
        assert any(event.fate in LOST for event in events("lost-answers", 60, seed))
    fates = Counter(event.fate for event in events("lost-answers", 20_000))
    assert set(fates) == {Fate.ANSWERED, *LOST}
    assert 150 < sum(fates[fate] for fate in LOST) < 250


def test_an_outage_comes_once_between_the_5th_and_25th_request_for_2_to_4_seconds() -> None:
    for seed in SEEDS:
        day = events("outage", 2_000, seed)
        [dark] = [place for place, event in enumerate(day) if event.fate is Fate.DARK]
        assert 4 <= dark <= 24
        assert 2.0 <= day[dark].dark_s <= 4.0
        assert {event.fate for event in day} == {Fate.ANSWERED, Fate.DARK}


def test_a_storm_has_every_kind_of_event() -> None:
    fates = Counter(event.fate for event in events("storm", 20_000))
    assert set(fates) == set(Fate)
    assert fates[Fate.DARK] == 1
    assert 0.9 < fates[Fate.ANSWERED] / 20_000 < 0.93
    assert max(event.latency_s for event in events("storm", 1_000)) <= 0.3
    for seed in SEEDS:
        early = [event.fate for event in events("storm", 90, seed)]
        assert Fate.DARK in early[39:]
        assert any(fate in LOST for fate in early[:40])
