"""A signal ends a send within seconds, however much of the input is unread; a resumed run continues there."""

from __future__ import annotations

import signal
from typing import Any

import polars as pl

from bulk_sender.sandbox import RunningSandbox
from tests.kit.command import Place, end, until
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
