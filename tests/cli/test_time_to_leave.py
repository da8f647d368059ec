"""A signal ends a send within seconds, however much of the input is unread; a resumed run continues there."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.delivery import stopping
from bulk_sender.reporting.account import write_files
from bulk_sender.sandbox import RunningSandbox
from tests.faults import FaultServer
from tests.kit import jobs
from tests.kit.command import Place, end, until
from tests.kit.journals import opened
from tests.kit.target import CAMPAIGN

ROWS, MANY_ROWS = 200_000, 2_000_000
"""Planning takes seconds, with a filter that keeps few rows also on a fast machine."""
STATUSES = ("accepted", "rejected", "duplicate", "failed", "unknown", "not_sent")


def interrupted(place: Place, braze: RunningSandbox, kept: str, rows: int) -> dict[str, Any]:
    """Send many rows slowly, end that by SIGTERM, and return the summary."""
    number = pl.int_range(rows, eager=True)
    people = {"external_user_id": "u" + number.cast(pl.String), "attributes.chosen": (number % 400 == 0).cast(pl.Int8)}
    pl.DataFrame(people).write_csv(place.folder / "in.csv")
    place.write("job.toml", f'[braze]\ncampaign_id = "{CAMPAIGN}"\n[input]\nfilter = "{kept}"\n')
    process = place.start("send", "in.csv", "-c", "job.toml", "--yes", "--run-id", "r", "--rate", "3/second")
    until(lambda: braze.ledger.accepted_requests >= 1)
    assert end(process, signal.SIGTERM).code == 143
    found = place.summary("r")
    assert found["state"] == "interrupted"
    assert "later rows are not counted" in found["reason"]
    assert sum(found[status] for status in STATUSES) == found["rows"]
    assert (found["accepted"], found["unknown"]) == (braze.ledger.accepted_recipients, 0)
    return found


def test_a_signal_ends_planning_and_rows_that_were_not_read_are_said(place: Place, braze: RunningSandbox) -> None:
    found = interrupted(place, braze, "true", ROWS)
    assert 0 < found["rows"] < ROWS


def test_a_run_interrupted_while_planning_continues_where_it_stopped(place: Place, braze: RunningSandbox) -> None:
    """The filter keeps one row of 400, so that a signal also ends a long search for the next row."""
    found = interrupted(place, braze, r"\"attributes.chosen\" = '1'", MANY_ROWS)
    assert found["rows"] < MANY_ROWS // 400
    assert place.run("resume", "r", "--yes", "--quiet", "--rate", "1000/second").code == 0
    assert place.summary("r")["accepted"] == braze.ledger.accepted_recipients == MANY_ROWS // 400
    assert braze.ledger.twice() == {}


def test_a_request_that_hangs_does_not_keep_a_terminated_process(place: Place) -> None:
    """Supervisors kill a process some seconds after SIGTERM, and then there would be no results."""
    people = place.people(500)
    place.write("job.toml", "[guard]\npreflight = false\n")
    with FaultServer("hang_after_read", patience=60) as server:
        place.variables["BRAZE_ENDPOINT"] = server.url
        options = ("-c", "job.toml", "--campaign-id", CAMPAIGN, "--yes", "--run-id", "r", "--concurrency", "2")
        process = place.start("send", people, *options)
        assert server.ledger.wait(lambda ledger: len(ledger.bodies) == 2, 60)
        began = time.monotonic()
        ended = end(process, signal.SIGTERM)
        assert time.monotonic() - began < 10
    assert ended.code == 143
    found = place.summary("r")
    assert (found["unknown"], found["not_sent"], found["state"]) == (100, 400, "interrupted")
    results = pl.read_csv(place.runs / "r" / "results.csv")
    [late] = results.filter(status="unknown")["error"].unique().to_list()
    assert len(results) == 500
    assert late.startswith("the process was stopped before an answer came")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_question_to_braze_before_the_run(place: Place, number: int, code: int) -> None:
    with FaultServer("hang_after_read", patience=60) as server:
        place.variables["BRAZE_ENDPOINT"] = server.url
        process = place.start("send", place.people(5), "--campaign-id", CAMPAIGN, "--yes", "--run-id", "r", "--quiet")
        assert server.ledger.wait(lambda ledger: bool(ledger.requests), 60)
        began = time.monotonic()
        ended = end(process, number)
        assert time.monotonic() - began < 4
        assert ended.code == code
        assert server.ledger.accepted_ids() == {}
    assert "interrupted: nothing was sent" in ended.err
    assert not (place.runs / "r").exists()


def test_a_report_that_would_take_too_long_is_left_out(tmp_path: Path) -> None:
    with jobs.braze() as running:
        given = jobs.options(tmp_path / "runs", running.url, run_id="r")
        bs.send(jobs.recipients(tmp_path), **given)
    folder = tmp_path / "runs" / "r"
    rejected = folder / "rejected.csv"
    rejected.unlink()
    with opened(folder) as journal:
        summary = write_files(journal, "csv", "interrupted", None, is_late=rejected.exists)
    assert set(summary.files) == {"results", "rejected", "summary", "journal"}
    assert not (folder / "report.html").exists()
    assert len(pl.read_csv(folder / "results.csv")) == 500
    assert json.loads((folder / "summary.json").read_text()) == summary.to_dict()


def test_a_terminated_process_does_not_write_results_for_longer_than_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = bs.Control()
    with jobs.braze(latency_s=0.05) as running:
        given = jobs.options(tmp_path / "runs", running.url, concurrency=1, run_id="r")
        people, folder = jobs.recipients(tmp_path), tmp_path / "runs" / "r"

        def stop_early(moment: bs.Progress) -> None:
            if moment.accepted > 50:
                control.stop("interrupted by SIGTERM", signal.SIGTERM)

        async def approve(_: bs.Progress) -> bool:
            return True

        again = {name: given[name] for name in ("runs_dir", "environment")}
        first = bs.send(people, **given, guards=bs.Guards(canary=50))
        assert all(Path(path).exists() for path in first.files.values())
        monkeypatch.setattr(stopping, "FILES_S", 0.0)
        watch = bs.Watch(control=control, on_progress=stop_early, on_canary=approve)
        ended = bs.resume("r", watch=watch, **again)
        assert (ended.state, ended.exit_code) == ("interrupted", 143)
        assert "there was no time to write the results of every row: bulk-sender export r" in (ended.reason or "")
        assert set(ended.files) == {"summary", "journal"}
        assert not (folder / "results.csv").exists(), "results of an earlier process are not true any more"
        assert json.loads((folder / "summary.json").read_text()) == ended.to_dict()
        finished = bs.resume("r", **again)
    assert (finished.accepted, len(pl.read_csv(finished.files["results"]))) == (500, 500)
