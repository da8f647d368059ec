"""The six counts: problems first, each with what to do about it."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.journal.records import Status
from bulk_sender.reporting.advice import COSTS, ORDER, TROUBLE, counts, explain_command, headline, slices
from bulk_sender.reporting.origin import Origin
from bulk_sender.reporting.summary import Hold, State, Summary

CALM = {"accepted": 7, "duplicate": 2}
ROWS = st.fixed_dictionaries({status.value: st.integers(0, 10**9) for status in ORDER})


def account(state: State = "finished", run_id: str = "winter", **rows: int) -> Summary:
    found: dict[str, Any] = {status.value: rows.get(status, 0) for status in ORDER}
    return Summary(
        run_id=run_id,
        state=state,
        rows=sum(found.values()),
        **found,
        batches=1,
        requests=1,
        started_at="2026-02-28T10:15:00.000Z",
        finished_at="2026-02-28T10:16:00.000Z",
        elapsed_s=60.0,
        recipients_per_s=1.0,
        reason=None,
        files={},
    )


def commands(summary: Summary, status: Status, **where: Any) -> list[str]:
    [found] = [count for count in counts(summary, **where) if count.status is status]
    return [step.command for step in found.steps if step.command]


@given(ROWS)
def test_all_six_are_told_and_what_is_empty_comes_last(rows: dict[str, int]) -> None:
    found = counts(account(**rows))
    assert sorted(count.status for count in found) == sorted(ORDER)
    assert {count.status: count.rows for count in found} == rows
    full = [count.status for count in found if count.rows]
    assert full == [status for status in ORDER if rows[status]]
    assert [count.status for count in found][: len(full)] == full


@given(ROWS)
def test_every_trouble_has_a_command_and_what_is_well_has_none(rows: dict[str, int]) -> None:
    for count in counts(account(**rows), rejects="rejected.csv"):
        assert any(step.command for step in count.steps) == (count.rows > 0 and count.status in TROUBLE)


def test_the_commands_are_those_of_the_interface() -> None:
    run = account("stopped", unknown=1, failed=1, not_sent=1, rejected=1)
    assert commands(run, Status.UNKNOWN) == [
        "bulk-sender reconcile winter",
        "bulk-sender explain winter ROW",
        "bulk-sender resolve winter --as accepted",
        "bulk-sender resolve winter --as failed",
        "bulk-sender retry winter --unknown",
    ]
    assert commands(run, Status.FAILED) == ["bulk-sender retry winter --failed"]
    assert commands(run, Status.NOT_SENT) == ["bulk-sender resume winter"]
    assert commands(run, Status.REJECTED, rejects="runs/winter/rejected.csv") == [
        "bulk-sender send runs/winter/rejected.csv"
    ]


def test_the_safest_choice_about_unknown_rows_comes_first_and_each_says_what_it_may_cost() -> None:
    [found] = [count for count in counts(account(unknown=3)) if count.status is Status.UNKNOWN]
    words = [step.words for step in found.steps]
    order = [
        "Ask Braze",
        "Look at",
        "Or leave them",
        "count them as accepted",
        "count them as failed",
        "send them again",
    ]
    assert all(named in said for named, said in zip(order, words, strict=False))
    for verdict, said in zip(("accepted", "failed", "resend"), words[3:], strict=False):
        assert COSTS[verdict] in said
    assert words[-1].startswith("To decide about some of them")
    calls = [step.call for step in found.steps if step.call]
    assert calls == [
        "bs.reconcile('winter')",
        "bs.explain('winter', row)",
        "bs.resolve('winter', verdict=\"accepted\")",
        "bs.resolve('winter', verdict=\"failed\")",
        "bs.retry('winter', unknown=True)",
    ]


def test_a_stopped_run_is_resumed_before_fixed_rows_are_sent() -> None:
    found = [count.status for count in counts(account("stopped", not_sent=1, rejected=1), rejects="r.csv")]
    assert found[:2] == [Status.NOT_SENT, Status.REJECTED]


@pytest.mark.parametrize(
    ("state", "resumed", "fixed"),
    [
        ("stopped", "Fix what stopped the run, then resume it:", "Once this run has finished, send it"),
        ("interrupted", "Resume the run:", "Once this run has finished, send it"),
        ("finished", None, "Fix these rows in r.csv, then send it"),
    ],
)
def test_the_words_fit_the_reason_why_a_run_is_incomplete(state: str, resumed: str | None, fixed: str) -> None:
    run = account(state, not_sent=resumed is not None, rejected=1)
    words = {count.status: count.steps[0].words for count in counts(run, rejects="r.csv") if count.steps}
    assert words.get(Status.NOT_SENT) == resumed
    assert fixed in words[Status.REJECTED]


def test_a_held_run_says_what_to_do_if_the_message_or_the_file_was_wrong() -> None:
    run = replace(account("stopped", accepted=10, not_sent=90), held=Hold(10, "2026-02-28T10:15:00.000Z"))
    assert commands(run, Status.NOT_SENT) == ["bulk-sender resume winter"]
    [found] = [count for count in counts(run) if count.status is Status.NOT_SENT]
    assert "corrected in Braze first" in found.steps[0].words
    assert "--exclude winter" in found.steps[1].words


def test_errors_that_name_no_row_are_told_with_the_accepted_rows() -> None:
    run = replace(account(accepted=100), accepted_with_errors=50)
    assert headline(run) == "100 of 100 rows accepted (50 with errors that name no row)."
    [found] = [count for count in counts(run) if count.status is Status.ACCEPTED]
    assert "50 of them with errors that name no row" in found.steps[0].words


def test_a_place_with_spaces_can_be_pasted_into_a_shell() -> None:
    place, rejects = "/srv/my runs/$HOME; rm -rf ~", "/srv/my runs/it's/rejected.csv"
    run = account(failed=1, rejected=1)
    [retry] = commands(run, Status.FAILED, runs_dir=place)
    assert shlex.split(retry) == ["bulk-sender", "retry", "winter", "--failed", "--runs-dir", place]
    [send] = commands(run, Status.REJECTED, rejects=rejects)
    assert shlex.split(send) == ["bulk-sender", "send", rejects]
    assert shlex.split(explain_command(run, place))[-1] == place


def test_a_stopped_run_can_be_resumed_even_when_no_counted_row_is_left() -> None:
    assert commands(account("stopped", accepted=5), Status.NOT_SENT) == ["bulk-sender resume winter"]


def test_a_run_in_progress_is_left_alone() -> None:
    run = account("running", unknown=1, failed=1, not_sent=1, rejected=1)
    assert not [step.command for count in counts(run) for step in count.steps if step.command]


def test_a_rehearsal_asks_its_own_sandbox() -> None:
    run, rehearsal = account(unknown=1, rejected=1), Origin(sandbox=True)
    [first, *_] = [step for count in counts(run, origin=rehearsal) for step in count.steps]
    assert (first.words.split(" who")[0], first.command) == ("Ask the sandbox", "bulk-sender reconcile winter")
    assert commands(run, Status.REJECTED, rejects="r.csv", origin=rehearsal) == ["bulk-sender send r.csv --sandbox"]


def test_fixed_rows_are_sent_with_the_options_the_run_was_started_with() -> None:
    run, origin = account(rejected=1), Origin(given={"--config": "/my jobs/winter.toml", "--campaign-id": "c1"})
    assert commands(run, Status.REJECTED, rejects="r.csv", origin=origin) == [
        "bulk-sender send r.csv --config '/my jobs/winter.toml' --campaign-id c1"
    ]


@given(ROWS)
def test_the_bar_is_full_and_every_row_can_be_seen(rows: dict[str, int]) -> None:
    found = slices(counts(account(**rows)))
    assert {piece.status for piece in found} == {status for status in ORDER if rows[status]}
    assert all(piece.width > 0.5 for piece in found)
    ends = [round(piece.left + piece.width, 2) for piece in found]
    assert [round(piece.left, 2) for piece in found] == pytest.approx([0.0, *ends][: len(found)], abs=0.02)
    assert not found or ends[-1] == pytest.approx(100, abs=0.02)


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        (account(accepted=1234), "All 1,234 rows accepted."),
        (account(**CALM), "7 of 9 rows accepted; 2 are duplicates."),
        (account(**CALM, unknown=1), "7 of 10 rows accepted; 1 needs your attention."),
        (
            account("stopped", **CALM, not_sent=3),
            "The run stopped before its end. 7 of 12 rows accepted; 3 need your attention.",
        ),
        (account("running", accepted=2, not_sent=3), "The run is in progress: 2 of 5 rows accepted so far."),
    ],
)
def test_the_headline_tells_the_worst_first(summary: Summary, said: str) -> None:
    assert headline(summary) == said
