"""Prefect 3: a task that sends one file, in a flow that sends several.

The run is named after the flow's run and the file, so that a retry of the task or of the flow resumes it.
"""

from __future__ import annotations

import os
from pathlib import Path

from prefect import flow, runtime, task
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State, TaskRun

import bulk_sender as bs

RUNS_DIR = os.environ.get("BULK_SENDER_RUNS", "/var/lib/bulk-sender/runs")


class StoppedEarly(Exception):
    """The run can be resumed. No other failure is worth a retry."""


async def is_worth_a_retry(_task: object, _run: TaskRun, state: State[object]) -> bool:
    ended = await state.aresult(raise_on_failure=False)
    return isinstance(ended, StoppedEarly | bs.RunHeldError)


@task(retries=4, retry_delay_seconds=600, retry_condition_fn=is_worth_a_retry)
async def send_to_braze(source: Path, config: Path) -> bs.Summary:
    """Send ``source`` with the configuration ``config``, a TOML file. Needs BRAZE_API_KEY or BRAZE_API_KEY_FILE."""
    run_id = bs.run_id_for(runtime.flow_run.id, source.name)
    run = bs.RunName(id=run_id, folder=RUNS_DIR, must_exist=True)  # a missing disk must not look like a first run
    summary = await bs.send_async(source, config=config, run=run)
    if summary.state != "finished":
        raise StoppedEarly(f"run {run_id} {summary.state}: {summary.reason}")
    return summary


@flow
async def winter_campaign(sources: list[Path], config: Path) -> dict[str, int]:
    """Send the files one after the other: they share one rate limit."""
    summaries = [await send_to_braze(source, config) for source in sources]
    names = ("run_id", "rows", "accepted", "rejected", "failed", "unknown")
    await create_table_artifact(
        key="winter-campaign", table=[{name: getattr(summary, name) for name in names} for summary in summaries]
    )
    undecided = [summary.run_id for summary in summaries if summary.failed or summary.unknown]
    if undecided:
        raise RuntimeError(f"rows are failed or unknown, someone has to decide: {', '.join(undecided)}")
    return {"accepted": sum(summary.accepted for summary in summaries)}
