"""Whoever cancels the task leaves no batch out of the account."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

import bulk_sender as bs
from tests.kit.jobs import braze, options, recipients


async def in_flight(run: asyncio.Task[bs.Summary], begun: asyncio.Event) -> None:
    waiting = asyncio.create_task(begun.wait())
    await asyncio.wait([run, waiting], timeout=20, return_when=asyncio.FIRST_COMPLETED)
    assert begun.is_set(), run


async def cancel_in_flight(source: Path, given: dict[str, Any]) -> None:
    begun = asyncio.Event()

    def on_progress(moment: bs.Progress) -> None:
        if moment.in_flight == 4 and moment.accepted:
            begun.set()

    run = asyncio.create_task(bs.send_async(source, **given, on_progress=on_progress))
    await in_flight(run, begun)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run


def test_cancelling_the_task_leaves_what_is_in_flight_unknown_and_closes_the_account(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    with braze(latency_s=0.4) as running:
        given = options(runs, running.url, concurrency=4, run_id="a")
        asyncio.run(cancel_in_flight(recipients(tmp_path, 1000), given))
    told = json.loads((runs / "a" / "summary.json").read_text())
    standing = bs.status("a", runs_dir=runs)
    assert standing.state == "stopped"
    assert standing.reason == told["reason"]
    assert told["reason"] == "the task that was sending was cancelled", "the whole input was read"
    assert standing.unknown == told["unknown"] == 200
    assert standing.accepted > 0
    assert standing.not_sent == 800 - standing.accepted
    statuses = (runs / "a" / "results.csv").read_text().splitlines()[1:]
    assert sum(",unknown," in line for line in statuses) == 200


def test_the_same_call_after_a_cancellation_sends_the_rest_and_no_unknown_rows(tmp_path: Path) -> None:
    source, runs = recipients(tmp_path, 1000), tmp_path / "runs"
    with braze(latency_s=0.4) as running:
        given = options(runs, running.url, concurrency=4, run_id="a")
        asyncio.run(cancel_in_flight(source, given))
        summary = bs.send(source, **given | {"concurrency": 32})
        assert (summary.state, summary.unknown, summary.accepted) == ("finished", 200, 800)
    assert not running.ledger.twice()


def test_a_time_limit_of_asyncio_and_one_of_anyio_cancel_alike(tmp_path: Path) -> None:
    source, runs = recipients(tmp_path, 1000), tmp_path / "runs"

    async def limited(url: str) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await bs.send_async(source, **options(runs, url, concurrency=4, run_id="asyncio"))
        with anyio.move_on_after(5.0) as scope:
            await bs.send_async(source, **options(runs, url, concurrency=4, run_id="anyio"), again=True)
        assert scope.cancelled_caught

    with braze(latency_s=40.0) as running:
        asyncio.run(limited(running.url))
    for name in ("asyncio", "anyio"):
        standing = bs.status(name, runs_dir=runs)
        assert (standing.state, standing.unknown, standing.accepted) == ("stopped", 200, 0)
        assert (runs / name / "results.csv").exists()


def test_cancelling_again_while_the_account_is_closed_does_not_spoil_it(tmp_path: Path) -> None:
    source, runs = recipients(tmp_path, 1000), tmp_path / "runs"

    async def impatient(url: str) -> None:
        begun = asyncio.Event()
        run = asyncio.create_task(
            bs.send_async(
                source,
                **options(runs, url, concurrency=4, run_id="a"),
                on_progress=lambda moment: begun.set() if moment.in_flight == 4 else None,
            )
        )
        await in_flight(run, begun)
        while not run.done():
            run.cancel()
            await asyncio.sleep(0)
        assert run.cancelled()

    with braze(latency_s=5.0) as running:
        asyncio.run(impatient(running.url))
    standing = bs.status("a", runs_dir=runs)
    assert standing.unknown == 200
    assert bs.resolve("a", verdict="accepted", runs_dir=runs)[0] == 200


SCRIPT = """
import sys, bulk_sender as bs
bs.send(sys.argv[1], campaign_id="00000000-0000-0000-0000-000000000000", endpoint=sys.argv[2], run_id="a",
        runs_dir=sys.argv[3], concurrency=4, on_progress=lambda p: print(p.in_flight, flush=True))
"""


def test_an_interrupted_script_leaves_a_closed_account(tmp_path: Path) -> None:
    source, runs = recipients(tmp_path, 1000), tmp_path / "runs"
    environment = {**os.environ, "BRAZE_API_KEY": "0123abcd-0123-abcd-0123-0123456789ab"}
    with braze(latency_s=5.0) as running:
        command = [sys.executable, "-c", SCRIPT, str(source), running.url, str(runs)]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as run:
            assert run.stdout is not None
            for line in run.stdout:
                if line.strip() == "4":
                    break
            run.send_signal(signal.SIGINT)
            _, errors = run.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    standing = bs.status("a", runs_dir=runs)
    assert (standing.state, standing.unknown, standing.not_sent) == ("stopped", 200, 800)
