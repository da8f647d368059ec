from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest

import bulk_sender as bs
from tests.examples.conftest import Stage

dg = pytest.importorskip("dagster", reason="Dagster is not installed: examples/README.md says how to run this")


@pytest.fixture
def example(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Any:
    policy = dg.RetryPolicy
    monkeypatch.setattr(dg, "RetryPolicy", lambda max_retries, delay: policy(max_retries=max_retries, delay=0))
    sys.modules.pop("dagster_asset", None)
    return importlib.import_module("dagster_asset")


def materialize(example: Any, **options: Any) -> Any:
    return dg.materialize([example.winter_campaign], partition_key="2026-02-01", raise_on_error=False, **options)


def events(result: Any) -> list[str]:
    return [event.event_type_value for event in result.all_events]


def test_materializing_a_day_again_sends_nothing_again(example: Any, stage: Stage) -> None:
    stage.recipients("2026-02-01.csv", 120)
    for _ in range(2):
        result = materialize(example)
        assert result.success
        [materialization] = result.asset_materializations_for_node("winter_campaign")
        assert materialization.metadata["accepted"].value == 120
        assert materialization.metadata["run_id"].value == "winter.2026-02-01"
    assert stage.accepted() == 120


def test_a_stopped_run_goes_on_in_the_retry(example: Any, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.recipients("2026-02-01.csv", 120)
    send, controls = bs.send, [bs.Control()]
    controls[0].stop("the first try is stopped")
    monkeypatch.setattr(
        bs,
        "send",
        lambda *args, **options: send(*args, **options, watch=bs.Watch(control=controls.pop() if controls else None)),
        raising=False,
    )
    result = materialize(example)
    assert result.success
    kinds = events(result)
    assert kinds.index("STEP_UP_FOR_RETRY") < kinds.index("STEP_RESTARTED") < kinds.index("STEP_SUCCESS")
    assert stage.accepted() == 120


def test_what_a_retry_can_not_mend_fails_at_once(example: Any, stage: Stage) -> None:
    result = materialize(example)  # there is no such file
    assert not result.success
    assert "STEP_UP_FOR_RETRY" not in events(result)
    assert "STEP_FAILURE" in events(result)
