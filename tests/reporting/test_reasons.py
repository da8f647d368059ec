"""Why rows did not go out: counted to the last row, told without names."""

from __future__ import annotations

from pathlib import Path

import polars as pl

import bulk_sender as bs
from bulk_sender.journal.answers import AttemptRef
from bulk_sender.reporting.reasons import MOST_REASONS, Reasons, refusals, rejections
from tests.kit.journals import Sent, read, written
from tests.reporting.runs import Run


def rows(reasons: Reasons) -> int:
    return sum(reason.rows for reason in reasons.shown) + reasons.other_rows


def test_the_reasons_add_up_to_the_counts(any_run: Run) -> None:
    with read(any_run.folder) as journal:
        assert rows(rejections(journal)) == any_run.summary.rejected
        assert rows(refusals(journal)) == any_run.summary.failed + any_run.summary.unknown


def test_rejections_are_told_by_code_and_column_with_the_first_rows(tmp_path: Path) -> None:
    source = tmp_path / "people.csv"
    lines = ["external_user_id,attributes.age:integer,attributes.points:integer"]
    lines += [
        f"{'' if row % 40 == 0 else f'customer-{row:04d}'},{'old' if row % 10 == 3 else 40}," for row in range(1, 101)
    ]
    lines[6] += "many"
    source.write_text("\n".join(lines) + "\n")
    bs.send(source, run_id="run", runs_dir=tmp_path, sandbox=True)
    with read(tmp_path / "run") as journal:
        told = [(reason.code, reason.what, reason.rows) for reason in rejections(journal).shown]
        examples = {reason.what: reason.examples for reason in rejections(journal).shown}
    assert told == [
        ("invalid_value", "column 'attributes.age:integer'", 10),
        ("missing_identifier", "", 2),
        ("invalid_value", "column 'attributes.points:integer'", 1),
    ]
    [age] = examples["column 'attributes.age:integer'"]
    assert age.rows == "rows 3, 13, 23" and "'old' is not a whole number" in age.error
    [points] = examples["column 'attributes.points:integer'"]
    assert (points.rows, points.identifier) == ("row 6", "cu…")


def test_an_identifier_that_a_reason_quotes_is_masked_there_too(tmp_path: Path) -> None:
    source = tmp_path / "mails.csv"
    source.write_text("email,prioritization\nmaria.lopez,identified|most_recently_updated\n")
    bs.send(source, run_id="run", runs_dir=tmp_path, sandbox=True)
    with read(tmp_path / "run") as journal:
        [reason] = rejections(journal).shown
    assert reason.code == "invalid_email"
    assert [example.error for example in reason.examples] == ["'ma…' is not a valid e-mail address"]


def test_the_same_reasons_are_in_the_results_file(lost: Run) -> None:
    results = pl.read_csv(lost.folder / "results.csv", infer_schema=False)
    unknown = results.filter(status="unknown").group_by("error").len().sort("error").rows()
    with read(lost.folder) as journal:
        assert sorted((reason.what, reason.rows) for reason in refusals(journal).shown) == unknown


def test_a_refused_row_is_named_by_its_number_alone(hostile: Run) -> None:
    with read(hostile.folder) as journal:
        told = {reason.status: reason for reason in refusals(journal).shown}
    assert (told["failed"].rows, told["failed"].requests, told["failed"].http_status) == (1, 1, 400)
    [example] = told["failed"].examples
    assert (example.rows, example.identifier) == ("row 30", "<s…")
    assert "refuse" not in told["failed"].what and "someone@" not in told["failed"].what
    [batch] = told["unknown"].examples
    assert "180" not in batch.rows and batch.identifier == ""


def test_the_most_frequent_reasons_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    sent = [Sent(number / 10, "refused", message=f"reason {number}", size=number + 1) for number in range(30)]
    found = refusals(written(tmp_path / "run", sent))
    assert [reason.what for reason in found.shown] == [
        f"reason {number}" for number in range(29, 29 - MOST_REASONS, -1)
    ]
    assert (found.others, found.other_rows) == (10, sum(range(1, 11)))
    assert found.shown[0].examples[0].rows == "rows 436 to 465"


def test_a_reason_that_was_decided_upon_says_so(tmp_path: Path) -> None:
    with written(tmp_path / "run", [Sent(0, "unknown", message="no answer")]) as journal:
        journal.decide({AttemptRef(1, 1): "failed"}, "seen in Braze", "user")
        [reason] = refusals(journal).shown
    assert (reason.status, reason.what) == ("failed", "no answer; decided: failed")


def test_rows_that_are_to_be_sent_again_are_no_failures_any_more(tmp_path: Path) -> None:
    with written(tmp_path / "run", [Sent(0, "refused", message="no")]) as journal:
        journal.decide({AttemptRef(1, 1): "resend"}, "mended", "user")
        assert refusals(journal).shown == ()
