"""Ramp after a canary: the run starts slowly however the canary was approved; without a canary it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from bulk_sender.pace.limiter import ramped
from tests.kit.jobs import braze, options, recipients
from tests.kit.target import ENVIRONMENT


async def approve(_: bs.Progress) -> bool:
    return True


class Watched:
    """The progress snapshots of a run, with those after its first fifty rows kept separately."""

    def __init__(self) -> None:
        self.moments: list[bs.Progress] = []

    def __call__(self, moment: bs.Progress) -> None:
        self.moments.append(moment)

    @property
    def ramping(self) -> list[bs.Progress]:
        return [moment for moment in self.moments if moment.ramping_s]


CANARY = bs.Guards(canary=50)


def given(tmp_path: Path, url: str, ramp: float, **more: Any) -> dict[str, Any]:
    overrides = {"delivery.share_rate": False, "delivery.ramp": ramp}
    return options(tmp_path / "runs", url, run_id="a", rate="40/second", overrides=overrides, **more)


def test_the_pace_grows_after_an_approved_canary(tmp_path: Path) -> None:
    watched = Watched()
    with braze() as running:
        job = given(tmp_path, running.url, 1.0, guards=CANARY, watch=bs.Watch(on_canary=approve, on_progress=watched))
        summary = bs.send(recipients(tmp_path, 1000), **job)
    assert (summary.state, summary.accepted) == ("finished", 1000)
    assert watched.ramping
    assert {moment.rate_asked for moment in watched.moments} == {40.0}
    first = watched.ramping[0]
    assert 0 < first.ramping_s <= 1.0
    assert first.rate_now == pytest.approx(ramped(40.0, 1.0 - first.ramping_s, 1.0), rel=0.1)
    rates = [moment.rate_now for moment in watched.ramping]
    assert rates == sorted(rates)
    before = [moment for moment in watched.moments if moment.accepted < 50]
    assert all(moment.rate_now == 40.0 for moment in before), "the canary itself is sent at the full rate"


def test_a_held_run_starts_slowly_once_its_resumption_is_approved(tmp_path: Path) -> None:
    held, resumed, again = Watched(), Watched(), Watched()
    with braze() as running:
        job = given(tmp_path, running.url, 600.0, guards=CANARY)
        assert bs.send(recipients(tmp_path, 400), **job, on_progress=held).state == "stopped"
        control = bs.Control()

        def stop(moment: bs.Progress) -> None:
            resumed(moment)
            if moment.accepted:
                control.stop("seen enough")

        common: dict[str, Any] = {"runs_dir": tmp_path / "runs", "environment": ENVIRONMENT}
        watch = bs.Watch(control=control, on_progress=stop, on_canary=approve)
        assert bs.resume("a", **common, watch=watch).state == "stopped"
        finished = bs.resume("a", **common, on_progress=again)
    assert not held.ramping
    assert resumed.ramping
    assert resumed.ramping[0].rate_now < 5.0
    assert not again.ramping, "it was stopped for another reason"
    assert (finished.state, finished.accepted) == ("finished", 400)


def test_a_ramp_can_be_disabled_and_needs_a_canary(tmp_path: Path) -> None:
    watched = Watched()
    with braze() as running:
        job = given(tmp_path, running.url, 0, guards=CANARY, watch=bs.Watch(on_canary=approve))
        bs.send(recipients(tmp_path, 120), **job, on_progress=watched)
        job = given(tmp_path, running.url, 600.0) | {"run_id": "b"}
        bs.send(recipients(tmp_path, 120), **job, on_progress=watched, again=True)
    assert not watched.ramping
