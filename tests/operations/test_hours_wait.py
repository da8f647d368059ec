"""Outside the hours in which sending is allowed, a run waits, says so, and can be stopped."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

import bulk_sender as bs
from bulk_sender.pace.limiter import Pace
from bulk_sender.run.execution import Execution
from tests.kit.jobs import braze, options, recipients

NOON = datetime(2026, 2, 27, 12, 0, tzinfo=UTC)
WINDOW = {"overrides": {"delivery.window": "12:00-13:00 UTC", "delivery.share_rate": False}}


class Clock:
    """A clock on the wall that shows ``start`` when it is looked at first, and goes as fast as any."""

    def __init__(self, start: datetime) -> None:
        self._start, self._since = start, 0.0

    def __call__(self) -> datetime:
        self._since = self._since or time.monotonic()
        return self._start + timedelta(seconds=time.monotonic() - self._since)


def set_clock(monkeypatch: pytest.MonkeyPatch, start: datetime) -> None:
    defaults = Execution.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "wall", Clock(start))


def test_no_turn_is_given_while_it_is_closed_and_it_is_asked_again_and_again() -> None:
    answers = [0.02, 0.02, 0.02, 0.0]
    asked = []

    def closed_for() -> float:
        asked.append(answers[0])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def one_turn() -> None:
        with anyio.fail_after(60):
            await Pace(1000.0, closed_for=closed_for).turn()

    anyio.run(one_turn)
    assert asked[:4] == [0.02, 0.02, 0.02, 0.0]


def test_a_run_begins_to_send_when_the_window_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock(monkeypatch, NOON - timedelta(seconds=1))
    moments: list[bs.Progress] = []
    with braze() as running:
        given = options(tmp_path / "runs", running.url, **WINDOW)
        summary = bs.send(recipients(tmp_path), **given, on_progress=moments.append)
    waited = [moment for moment in moments if moment.waiting_for]
    assert waited
    assert {moment.requests for moment in waited} == {0}
    assert {moment.waiting_for for moment in waited} == {
        "the hours in which sending is allowed (12:00-13:00 UTC)",
    }
    assert 0 < waited[0].waiting_s <= 1.0
    assert (summary.state, summary.accepted) == ("finished", 500)


def test_a_run_inside_the_window_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock(monkeypatch, NOON + timedelta(minutes=30))
    moments: list[bs.Progress] = []
    with braze() as running:
        given = options(tmp_path / "runs", running.url, **WINDOW)
        summary = bs.send(recipients(tmp_path), **given, on_progress=moments.append)
    assert summary.accepted == 500
    assert not any(moment.waiting_for for moment in moments)


def test_a_run_that_waits_for_its_window_can_be_stopped_and_everything_is_in_its_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, NOON - timedelta(hours=9))
    control = bs.Control()

    def stop(moment: bs.Progress) -> None:
        if moment.waiting_for and moment.plan_complete:
            control.stop("not today")

    with braze() as running:
        given = options(tmp_path / "runs", running.url, **WINDOW)
        summary = bs.send(recipients(tmp_path, 120), **given, watch=bs.Watch(on_progress=stop, control=control))
        assert running.ledger.facts()["accepted_recipients"] == 0
    assert (summary.state, summary.reason, summary.not_sent) == ("stopped", "not today", 120)


def test_the_window_closes_on_a_run_in_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock(monkeypatch, NOON + timedelta(minutes=59, seconds=59))
    control = bs.Control()

    def stop(moment: bs.Progress) -> None:
        if moment.waiting_for and not moment.in_flight:
            control.stop("closed")

    with braze() as running:
        given = options(tmp_path / "runs", running.url, **WINDOW | {"rate": "5/second"})
        summary = bs.send(recipients(tmp_path, 2000), **given, watch=bs.Watch(on_progress=stop, control=control))
    assert summary.reason == "closed"
    assert 0 < summary.accepted < 2000
    assert summary.accepted + summary.not_sent == 2000
