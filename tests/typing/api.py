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
    assert_type(summary.state, bs.State)
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
        environment={"BRAZE_API_KEY": "…"},
        run=bs.RunName(id=bs.run_id_for("winter", 2026, 3), folder=Path("runs"), result_format="parquet"),
        guards=bs.Guards(
            max_recipients=10_000,
            plan_file=Path("winter.plan.json"),
            not_after=datetime(2026, 11, 24, 18, 0, tzinfo=UTC),
            canary=100,
            confirm=lambda preview: preview.known_host,
        ),
        watch=bs.Watch(on_progress=watch, on_canary=approve, metrics_file="winter.prom", control=control),
        sandbox=bs.Sandbox(weather="storm"),
    )


def in_short(frame: pl.DataFrame) -> bs.Summary:
    return bs.send(frame, "job.toml", run_id="winter", runs_dir="runs", sandbox=True, on_progress=watch)


def built_once() -> Iterator[bs.Summary]:
    settings: bs.SendSettings = {"campaign_id": "a", "rate": "100000/hour"}
    guards, run = bs.Guards(canary=100), bs.RunName(folder="runs")
    for source in ("one.csv", "two.csv"):
        yield bs.send(source, run=run, guards=guards, **settings)


def watch(progress: bs.Progress) -> None:
    assert_type(progress.accepted, int)
    assert_type(progress.waiting_for, str)


async def approve(progress: bs.Progress) -> bool:
    return not progress.failed


async def in_an_event_loop() -> bs.Summary:
    async with asyncio.timeout(3600):
        return await bs.send_async(["a.csv", Path("b.csv")], config=bs.Config(), on_progress=print)


async def resuming() -> None:
    assert_type(await bs.resume_async("winter", rate="50000/hour"), bs.Summary)
    assert_type(await bs.retry_async("winter", unknown=True, why="nothing in Braze"), bs.Summary)


def looking() -> Iterator[bs.Summary]:
    report = bs.check("recipients.csv", config="job.toml", limit=10, write_plan="winter.plan.json")
    assert_type(report, bs.CheckReport)
    assert_type(bs.resume("winter", guards=bs.Guards(not_after="18:00 Europe/Paris")), bs.Summary)
    assert_type(bs.retry("winter", failed=True), bs.Summary)
    assert_type(bs.resolve("winter", verdict="accepted", confirm=has_evidence), tuple[int, bs.Summary])
    assert_type(bs.reconcile("winter", endpoint="https://rest.iad-01.braze.com"), bs.Reconciliation)
    assert_type(bs.explain("winter", 17), dict[str, Any])
    yield bs.status("winter")
    yield from bs.runs("runs")


def has_evidence(doubts: tuple[bs.Doubt, ...]) -> bool:
    return all(doubt.likely == "accepted" for doubt in doubts)


def to_everybody() -> bs.BroadcastResult | None:
    preview = bs.preview_broadcast("job.toml")
    assert_type(preview, bs.BroadcastPreview)
    summary = bs.broadcast("job.toml", confirm_campaign="a", confirm=lambda preview: preview.audience is not None)
    return summary.broadcast


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
    bs.send("recipients.csv", max_recipients=10)  # type: ignore[call-arg]
    bs.send("recipients.csv", guards=bs.Watch())  # type: ignore[arg-type]
    bs.resume("winter", limit=10)  # type: ignore[call-arg]
    bs.retry(17)  # type: ignore[arg-type]
    bs.Guards(canary="ten")  # type: ignore[arg-type]
    bs.Guards().canary = 10  # type: ignore[misc]


def a_page(path: Path) -> bs.Config:
    found = bs.columns(path, {"input": {"delimiter": ";"}}, sheet="People", rows=200, samples=3)
    assert_type(found, bs.Columns)
    assert_type(found["city"].misfit_cells, tuple[bs.Cell, ...])
    assert_type(found.header_row, bs.Setting[int] | None)
    assert_type(bs.draft(path).text, str)
    return bs.suggest(path, overrides={"input.delimiter": ";"})


def places(path: Path) -> list[str | None]:
    assert_type(bs.rejects("winter"), pl.DataFrame)
    assert_type(bs.rejects("winter", like="lazy"), pl.LazyFrame)
    return [each.column for each in bs.check(path, rejects="fix.csv").rejects]
