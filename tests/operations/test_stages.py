"""What a caller hears before the first request, and how a check is stopped."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import bulk_sender as bs
from bulk_sender.reading import identity
from tests.kit.jobs import braze, options, recipients

ROWS = 2_000
CANARY = bs.Guards(canary=100)
"""The rows are planned in two pieces."""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are hashed 4 KB at a time."""
    monkeypatch.setattr(identity, "_PART", 4096)


def hashed(stages: list[bs.Stage]) -> list[bs.Stage]:
    return [stage for stage in stages if stage.name == "hashing"]


def counted(stages: list[bs.Stage]) -> list[bs.Stage]:
    return [stage for stage in stages if stage.name == "counting"]


def test_a_check_says_how_far_it_is(tmp_path: Path) -> None:
    path, stages = recipients(tmp_path, ROWS), list[bs.Stage]()
    target = {"campaign_id": "c", "endpoint": "http://127.0.0.1:9"}
    bs.check(path, watch=bs.Watch(on_stage=stages.append), guards=CANARY, write_plan=tmp_path / "plan", **target)
    size = path.stat().st_size
    done = [stage.done for stage in hashed(stages)]
    assert len(done) > 1
    assert done == sorted(done)
    assert done[-1] == size
    assert {stage.total for stage in hashed(stages)} == {size}
    assert counted(stages) == [bs.Stage("counting", 100), bs.Stage("counting", ROWS)]
    assert stages == [*hashed(stages), *counted(stages)]


def test_a_check_without_a_plan_only_counts(tmp_path: Path) -> None:
    stages: list[bs.Stage] = []
    bs.check(recipients(tmp_path, 10), watch=bs.Watch(on_stage=stages.append))
    assert stages == [bs.Stage("counting", 10)]


def test_files_that_are_hashed_at_once_are_added_up(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    paths = [recipients(folder, 10) for folder in folders]
    stages: list[bs.Stage] = []
    target = {"campaign_id": "c", "endpoint": "http://127.0.0.1:9"}
    bs.check(paths, watch=bs.Watch(on_stage=stages.append), guards=CANARY, write_plan=tmp_path / "plan", **target)
    size = paths[0].stat().st_size
    assert hashed(stages) == [bs.Stage("hashing", number * size, 3 * size) for number in (1, 2, 3)]


def test_a_send_says_it_too(tmp_path: Path) -> None:
    stages: list[bs.Stage] = []
    with braze() as running:
        given = options(tmp_path / "runs", running.url, guards=bs.Guards(max_recipients=10))
        bs.send(recipients(tmp_path, 10), watch=bs.Watch(on_stage=stages.append), **given)
    size = (tmp_path / "recipients.csv").stat().st_size
    assert stages == [bs.Stage("hashing", size, size), bs.Stage("counting", 10)]


@pytest.mark.parametrize("name", ["hashing", "counting"])
def test_a_control_ends_a_check(tmp_path: Path, name: str) -> None:
    control, stages = bs.Control(), list[bs.Stage]()

    def stop(stage: bs.Stage) -> None:
        stages.append(stage)
        if stage.name == name:
            control.stop("the page was closed")

    target = {"campaign_id": "c", "endpoint": "http://127.0.0.1:9"}
    with pytest.raises(bs.Interrupted, match="the page was closed") as ended:
        watch = bs.Watch(on_stage=stop, control=control)
        bs.check(recipients(tmp_path, ROWS), watch=watch, guards=CANARY, write_plan=tmp_path / "p", **target)
    assert ended.value.exit_code == 2
    assert len([stage for stage in stages if stage.name == name]) == 1
    assert not (tmp_path / "p").exists()


def test_a_stop_after_the_last_row_still_prevents_the_plan(tmp_path: Path) -> None:
    control = bs.Control()
    watch = bs.Watch(on_rows=lambda rows: control.stop("too late") if rows == 10 else None, control=control)
    target = {"campaign_id": "c", "endpoint": "http://127.0.0.1:9"}
    with pytest.raises(bs.Interrupted, match="too late"):
        bs.check(recipients(tmp_path, 10), watch=watch, write_plan=tmp_path / "p", **target)
    assert not (tmp_path / "p").exists()


def test_a_check_does_not_begin_after_a_stop_or_an_abort(tmp_path: Path) -> None:
    stopped, aborted = bs.Control(), bs.Control()
    stopped.stop("SIGTERM", signal.SIGTERM)
    aborted.abort()
    for control, code in ((stopped, 143), (aborted, 2)):
        with pytest.raises(bs.Interrupted) as ended:
            bs.check(recipients(tmp_path, 10), watch=bs.Watch(control=control))
        assert ended.value.exit_code == code
