"""What people read fits any width, lines up, and holds commands that can be copied."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.cli.render import inspection as reports
from bulk_sender.cli.render import preview as messages
from bulk_sender.cli.render import summary as summaries
from bulk_sender.cli.render.layout import COLUMN, STYLES, notice, run_command, wrapped
from bulk_sender.journal.answers import Doubt
from bulk_sender.planning.report import CheckReport
from bulk_sender.reporting.origin import Origin
from bulk_sender.reporting.summary import BroadcastResult, RunOverview, Summary
from bulk_sender.run.preview import Preview
from bulk_sender.text.clean import plain
from bulk_sender.text.masking import without_addresses
from bulk_sender.text.numbers import duration, number

_LONG_ID = "20260228-101500-1a2b"


_FOLDER = Path("bulk-sender-runs", _LONG_ID).absolute()
_SUMMARY = Summary(
    run_id=_LONG_ID,
    state="finished",
    rows=3000,
    accepted=1234,
    rejected=8,
    duplicate=6,
    failed=2,
    unknown=750,
    not_sent=1000,
    batches=60,
    requests=62,
    started_at="2026-02-28T10:15:00.000Z",
    finished_at=None,
    elapsed_s=130.4,
    recipients_per_s=948.3,
    reason=None,
    files={
        "results": str(_FOLDER / "results.csv"),
        "rejected": str(_FOLDER / "rejected.csv"),
        "journal": str(_FOLDER / "journal.sqlite"),
        "summary": str(_FOLDER / "summary.json"),
    },
)


def _listed(summary: Summary, run_id: str = _LONG_ID) -> RunOverview:
    """The run as the list of runs has it."""
    sent = {"inputs": ("data/people.csv",), "target": "campaign-1"}
    return RunOverview.of(run_id, summary.to_dict() | {"run_id": run_id}, started_at="", **sent)


_PREVIEW = Preview(
    run_id=_LONG_ID,
    kind="campaign",
    target="c" * 36,
    endpoint="https://rest.iad-01.braze.com",
    known_host=True,
    sandbox=None,
    rate="250000/hour",
    server_errors="retry",
    recipients=2986,
    report=CheckReport(
        rows=3000,
        valid=2986,
        rejected=8,
        duplicate=6,
        requests=60,
        seconds=0.85,
        reasons={"invalid_value": {"count": 7}, "missing_identifier": {"count": 1}, "duplicate": {"count": 6}},
    ),
)


@pytest.fixture(autouse=True)
def _called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/bulk-sender"])


def _lines(summary: Summary, width: int | None) -> list[str]:
    return [line.plain for line in summaries.summary(summary, width)]


@pytest.mark.parametrize("width", [40, 80])
def test_a_summary_fits_but_for_commands_which_stay_whole(width: int) -> None:
    lines = _lines(_SUMMARY, width)
    too_long = [line for line in lines if len(line) > width]
    assert all(line.startswith("    bulk-sender ") or "bulk-sender-runs/" in line for line in too_long)
    assert f"    bulk-sender retry {_LONG_ID} --unknown" in lines
    assert f"    bulk-sender resume {_LONG_ID}" in lines
    assert f"    bulk-sender send bulk-sender-runs/{_LONG_ID}/rejected.csv" in lines


def test_the_counts_line_up_with_trouble_first() -> None:
    counted = [match for line in _lines(_SUMMARY, 80) if (match := re.fullmatch(r"( *[\d,]+)  ([a-z ]+)", line))]
    names = ["unknown", "failed", "rejected", "not sent", "accepted", "duplicate", "rows"]
    assert [match[2] for match in counted] == names
    assert len({len(match[1]) for match in counted}) == 1


def test_only_trouble_that_is_there_comes_with_advice() -> None:
    clean = replace(_SUMMARY, accepted=2994, rejected=0, failed=0, unknown=0, not_sent=0)
    lines = _lines(clean, 80)
    assert not any("bulk-sender " in line for line in lines)
    assert lines[0] == f"Run {_LONG_ID} finished"
    assert not any("rejected.csv" in line for line in lines)


def test_a_run_that_is_stopped_without_a_planned_row_can_still_be_resumed() -> None:
    stopped = replace(_SUMMARY, state="stopped", reason="why", rows=0, **dict.fromkeys(STYLES, 0))
    assert f"    bulk-sender resume {_LONG_ID}" in _lines(stopped, 80)


def test_without_a_terminal_no_sentence_is_wrapped() -> None:
    text = "word " * 100
    assert wrapped(text, None) == [text]


@pytest.mark.parametrize("width", [40, 80])
def test_a_preview_fits_and_its_numbers_line_up(width: int) -> None:
    lines = [line.plain for line in messages.preview(_PREVIEW, width)]
    assert all(len(line) <= max(width, 2 + COLUMN + len(_PREVIEW.target)) for line in lines)
    ends = {
        match.end()
        for line in lines
        if (match := re.match(r"  (?:recipients|rejected|duplicates|requests) +[\d,]+", line))
    }
    assert len(ends) == 1
    assert "7 invalid_value, 1 missing_identifier" in " ".join(" ".join(lines).split())


def test_a_preview_of_a_resumed_run_shows_its_state_and_what_is_sent_again() -> None:
    doubt = Doubt(750, 15, "no answer came", "accepted", "2026-02-28T10:15:00.000Z", "2026-02-28T10:16:00.000Z")
    about = replace(_PREVIEW, report=None, standing=_SUMMARY, again={"unknown": 750}, doubts=(doubt,), recipients=1750)
    told = "\n".join(line.plain for line in messages.preview(about, 80))
    for words in (
        f"send again, in run {_LONG_ID}",
        "750 unknown rows",
        "also 1,000 rows",
        "no answer came; likely accepted",
    ):
        assert words in told
    assert "10:15:00 to 10:16:00 UTC, in 15 batches" in " ".join(told.split())


def test_evidence_shows_each_time_once_and_the_day_where_it_changes() -> None:
    def told(until: str) -> str:
        doubt = Doubt(50, 1, "no answer came", "", "2026-02-28T23:59:58.100Z", until)
        return " ".join(line.plain for line in messages.doubts((doubt,), None))

    assert "sent 2026-02-28 23:59:58 UTC" in told("2026-02-28T23:59:58.900Z")
    assert "sent 2026-02-28 23:59:58 to 23:59:59 UTC" in told("2026-02-28T23:59:59.900Z")
    assert "sent 2026-02-28 23:59:58 to 2026-03-01 00:00:07 UTC" in told("2026-03-01T00:00:07.000Z")


@given(st.text(max_size=200), st.integers(20, 120))
def test_no_text_from_outside_commands_the_terminal(text: str, width: int) -> None:
    shown = "\n".join(line.plain for line in notice("error", "red", text, text, width))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)
    assert "\x1b" not in plain(text)


_BROADCAST = replace(
    _SUMMARY, rows=0, **dict.fromkeys(STYLES, 0), broadcast=BroadcastResult("unknown", error="no answer came")
)


def test_a_run_takes_one_line_of_an_ordinary_terminal() -> None:
    lines = [line.plain for line in reports.runs([_listed(_SUMMARY), _listed(_BROADCAST), _listed(_SUMMARY, "w")], 110)]
    assert len(lines) == 4
    assert max(map(len, lines)) <= 110
    assert lines[2].split()[:5] == [_LONG_ID, "finished", "broadcast", "unknown", "1"]
    assert len({line.index("2026-", 21) for line in lines[1:]}) == 1  # one column
    wide = [line.plain for line in reports.runs([_listed(_SUMMARY), _listed(_BROADCAST)], 120)]
    heads = ["RUN", "STATE", "ROWS", "ACCEPTED", "NEEDS", "ATTENTION", "STARTED", "(UTC)", "FILE", "TO"]
    assert wide[0].split() == heads
    assert wide[1].endswith("  people.csv  campaign-1")


def test_a_broadcast_shows_the_outcome_of_its_request_and_no_rows() -> None:
    lines = _lines(_BROADCAST, 80)
    assert lines[0] == f"Broadcast {_LONG_ID} finished. It needs your attention"
    told = "\n".join(lines)
    assert "  unknown        Braze may or may not have accepted it" in told
    assert "no answer came" in told
    assert f"    bulk-sender resolve {_LONG_ID} --as accepted" in lines
    assert not re.search(r"\d  (rows|accepted)", told)
    assert max(len(line) for line in _lines(_BROADCAST, 40) if not line.startswith("    bulk-sender ")) <= 51
    assert _lines(replace(_BROADCAST, broadcast=BroadcastResult("accepted", "d1")), 80)[0].endswith(" finished")


def test_fixed_rows_are_sent_like_the_run_and_a_rehearsal_asks_its_sandbox() -> None:
    given = {"--config": str(Path("winter.toml").absolute()), "--campaign-id": "c 1"}
    lines = [line.plain for line in summaries.summary(_SUMMARY, 80, Origin(sandbox=True, given=given))]
    [send] = [line.strip() for line in lines if "bulk-sender send" in line]
    assert send.endswith("/rejected.csv --config winter.toml --campaign-id 'c 1' --sandbox")
    assert any("Ask the sandbox who received" in line for line in lines)
    assert any("bulk-sender reconcile" in line for line in _lines(_SUMMARY, 80))


def test_runs_take_two_lines_each_where_one_is_too_long() -> None:
    assert len(reports.runs([_listed(_SUMMARY), _listed(_SUMMARY)], 120)) == 3
    narrow = [line.plain for line in reports.runs([_listed(_SUMMARY)], 40)]
    sent = "people.csv to campaign-1"
    assert narrow == [f"{_LONG_ID}  finished", f"  1,234 of 3,000 accepted, 1,760 need attention; {sent}"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0071, "7 ms"),
        (0.4, "400 ms"),
        (0.9999, "1 s"),
        (3.44, "3.4 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (130, "2 min 10 s"),
        (3723, "1 h 2 min"),
        (180_000, "2 d 2 h"),
    ],
)
def test_durations_are_as_fine_as_they_need_to_be(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_numbers_have_thousands_apart() -> None:
    assert [number(value) for value in (0, 7, 7.5, 1234, 12345678)] == ["0", "7", "7.5", "1,234", "12,345,678"]


def test_commands_quote_what_a_shell_would_take_apart() -> None:
    assert run_command("resume", "/a b/r") == "bulk-sender resume r --runs-dir '/a b'"


def test_a_log_quotes_no_address() -> None:
    assert (
        without_addresses("Braze refuses 'anna@example.com' (recipients[0])") == "Braze refuses '***' (recipients[0])"
    )
