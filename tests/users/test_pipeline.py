"""A step of a pipeline: a program with an event loop of its own, a frame, and an orchestrator that tries again."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
from pathlib import Path

import pytest

from bulk_sender.sandbox import RunningSandbox
from tests.kit.command import Outcome, end, until
from tests.kit.target import CAMPAIGN, KEY

from .conftest import Machine

pytestmark = pytest.mark.timeout(1200)  # the machine may have to be made first

ROWS = 3000

PROGRAM = f"""
import asyncio, json, os, sys
import polars as pl
import bulk_sender as bs

def recipients():
    numbers = pl.int_range({ROWS}, eager=True)
    return pl.DataFrame({{
        "external_user_id": pl.select(pl.format("user-{{}}", numbers)).to_series(),
        "trigger_properties": pl.select(pl.struct(points=numbers)).to_series(),
    }})

async def heart(beats):
    while True:
        beats.append(None)
        await asyncio.sleep(0.01)

async def main():
    beats = []
    pulse = asyncio.create_task(heart(beats))
    sending = asyncio.create_task(bs.send_async(
        recipients(),
        config={{"braze": {{"campaign_id": "{CAMPAIGN}"}}, "delivery": {{"rate": "40/second", "share_rate": False}}}},
        run_id=bs.run_id_for("winter", os.environ["ORCHESTRATOR_RUN"]),
        runs_dir="runs",
    ))
    asyncio.get_running_loop().add_signal_handler(__import__("signal").SIGTERM, sending.cancel)
    try:
        summary = await sending
    except asyncio.CancelledError:
        print("cancelled", len(beats))
        sys.exit(75)
    pulse.cancel()
    print(json.dumps(summary.to_dict() | {{"beats": len(beats)}}))

asyncio.run(main())
"""


def test_a_killed_and_a_cancelled_attempt_send_to_everybody_exactly_once(
    machine: Machine, tmp_path: Path, braze: RunningSandbox
) -> None:
    (tmp_path / "step.py").write_text(PROGRAM)

    def attempt() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [machine.python, "step.py"],
            cwd=tmp_path,
            env=machine.variables(
                BRAZE_API_KEY=KEY, BRAZE_ENDPOINT=braze.url, ORCHESTRATOR_RUN="scheduled__2026-11-24T03:00:00+00:00"
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def after(requests: int, number: signal.Signals) -> Outcome:
        process = attempt()
        until(lambda: braze.ledger.accepted_requests >= requests)
        return end(process, number)

    assert after(10, signal.SIGKILL).code == -signal.SIGKILL
    cancelled = after(30, signal.SIGTERM)
    assert cancelled.code == 75, cancelled.err
    assert cancelled.out.startswith("cancelled")

    last = end(attempt())
    assert last.code == 0, last.err
    told = last.json
    assert told.pop("beats") > 20  # the program's own loop went on meanwhile
    [run] = (path for path in (tmp_path / "runs").iterdir() if path.is_dir())
    assert told == json.loads((run / "summary.json").read_text())
    assert told["state"] == "finished"
    assert told["accepted"] + told["unknown"] == ROWS
    assert told["unknown"] > 0  # what was in flight, twice

    assert braze.ledger.twice() == {}
    taken = {person.removeprefix("external_user_id:") for person in braze.ledger.recipients}
    with (run / "results.csv").open() as lines:
        statuses = {row["identifier"]: row["status"] for row in csv.DictReader(lines)}
    assert len(statuses) == ROWS
    assert {person for person, status in statuses.items() if status == "accepted"} <= taken
    assert {person for person in statuses if person not in taken} <= {
        person for person, status in statuses.items() if status == "unknown"
    }

    requests = braze.ledger.requests
    assert end(attempt()).json["accepted"] == told["accepted"]
    assert braze.ledger.requests == requests
