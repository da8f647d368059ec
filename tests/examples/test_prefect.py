from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from tests.examples.conftest import Stage

pytest.importorskip("prefect", reason="Prefect is not installed: examples/README.md says how to run this")


@pytest.fixture
def example(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    from prefect.testing.utilities import prefect_test_harness

    sys.modules.pop("prefect_task", None)
    with prefect_test_harness(server_startup_timeout=450):
        yield importlib.import_module("prefect_task")


@pytest.mark.timeout(1200)
def test_a_flow_sends_each_file_once_and_a_stopped_run_goes_on_in_the_tasks_retry(
    example: Any, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [stage.recipients("one.csv", 120), stage.recipients("two.csv", 80)]
    send, calls = bs.send_async, []

    async def stopped_at_first(*args: Any, **options: Any) -> bs.Summary:
        calls.append(options["run_id"])
        if len(calls) == 1:
            control = bs.Control()
            control.stop("the first try is stopped")
            return await send(*args, **options, watch=bs.Watch(control=control))
        return await send(*args, **options)

    monkeypatch.setattr(example.bs, "send_async", stopped_at_first, raising=False)
    flow = example.winter_campaign
    monkeypatch.setattr(example, "send_to_braze", example.send_to_braze.with_options(retry_delay_seconds=0))
    assert asyncio.run(flow(sources, stage.job)) == {"accepted": 200}
    assert len(calls) == 3
    assert calls[0] == calls[1] != calls[2]
    assert stage.accepted() == 200
    assert {folder.name for folder in stage.runs.iterdir()} == set(calls)


@pytest.mark.timeout(1200)
def test_what_a_retry_can_not_mend_is_not_tried_again(example: Any, stage: Stage) -> None:
    source = stage.recipients("one.csv", 10)
    stage.job.write_text("[braze]\ncampain_id = 'a'\n")
    with pytest.raises(bs.ConfigError, match="campain_id"):
        asyncio.run(example.winter_campaign([source], stage.job))
    assert stage.accepted() == 0
