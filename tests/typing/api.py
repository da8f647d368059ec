"""The public functions as people write them. Never run: a type checker in strict mode has to accept all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, assert_type

import polars as pl

import bulk_sender as bs


def a_job() -> int:
    summary = bs.send("recipients.parquet", config="job.toml")
    assert_type(summary, bs.Summary)
    assert_type(summary.accepted, int)
    assert_type(summary.reason, str | None)
    return summary.exit_code


def everything_by_keyword(frame: pl.DataFrame) -> bs.Summary:
    control = bs.Control()
    control.stop("the maintenance begins")
    return bs.send(
        frame,
        config={"recipient": {"external_user_id": "id"}},
        campaign_id="00000000-0000-0000-0000-000000000000",
        endpoint="https://rest.iad-01.braze.com",
        rate="100000/hour",
        limit=1000,
        concurrency=8,
        overrides={"delivery.attempts": 3},
        run_id=bs.run_id_for("winter", 2026, 3),
        runs_dir=Path("runs"),
        max_recipients=10_000,
        plan=Path("winter.plan.json"),
        not_after=datetime(2026, 11, 24, 18, 0, tzinfo=UTC),
        result_format="parquet",
        environment={"BRAZE_API_KEY": "…"},
        confirm=lambda preview: preview.known_host,
        control=control,
        on_progress=watch,
        metrics_file="winter.prom",
    )


def watch(progress: bs.Progress) -> None:
    assert_type(progress.accepted, int)
    assert_type(progress.waiting_for, str)


async def in_an_event_loop() -> bs.Summary:
    async with asyncio.timeout(3600):
        return await bs.send_async(["a.csv", Path("b.csv")], config=bs.Config(), on_progress=print)


async def going_on() -> None:
    assert_type(await bs.resume_async("winter"), bs.Summary)
    assert_type(await bs.retry_async("winter", unknown=True, why="nothing in Braze"), bs.Summary)


def looking() -> Iterator[bs.Summary]:
    report = bs.check("recipients.csv", config="job.toml", limit=10, plan="winter.plan.json")
    assert_type(report, bs.CheckReport)
    assert_type(bs.resume("winter", not_after="18:00 Europe/Paris"), bs.Summary)
    assert_type(bs.retry("winter", failed=True), bs.Summary)
    assert_type(bs.resolve("winter", verdict="accepted"), tuple[int, bs.Summary])
    assert_type(bs.explain("winter", 17), dict[str, Any])
    yield bs.status("winter")
    yield from bs.runs("runs")


def in_trouble() -> str:
    try:
        bs.send("recipients.csv")
    except bs.GuardrailError as error:
        return error.hint
    except bs.BulkSenderError as error:
        return f"{error} ({error.exit_code})"
    return ""


def mistakes() -> None:
    bs.send("recipients.csv", confg="job.toml")  # type: ignore[call-arg]
    bs.send("recipients.csv", limit="ten")  # type: ignore[arg-type]
    bs.resume("winter", result_format="csv")  # type: ignore[call-arg]
    bs.retry(17)  # type: ignore[arg-type]
