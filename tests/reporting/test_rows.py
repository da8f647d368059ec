"""Results: one line for each row, in the order of the input, and six counts that add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sender.journal.answers import Counts
from bulk_sender.journal.store import RunReader
from bulk_sender.reporting.rows import RESULTS, explain, results
from bulk_sender.reporting.summary import Summary
from tests.kit.accounts import LOST, UNAVAILABLE, Fate, answer, journal_of, taken

COLUMNS = [
    *("row", "source", "source_row", "identifier_type", "identifier", "status", "dispatch_id", "batch", "attempts"),
    *("http_status", "error_code", "error", "sent_at", "source_line"),
]
STATUSES = ("accepted", "rejected", "duplicate", "failed", "unknown", "not_sent")

ACCEPTED = Fate((("accepted", taken("d1")),))
RETRIED = Fate((("not_sent", UNAVAILABLE), ("not_sent", UNAVAILABLE), ("accepted", taken("d2"))))
FAILED = Fate((("failed", answer(400, "country is wrong")),))
UNKNOWN = Fate((("unknown", LOST),))
OPEN = Fate((("", None),))
WAITING = Fate((("not_sent", UNAVAILABLE),))
NEVER = Fate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "input.csv"


def people(path: Path, count: int) -> Path:
    path.write_text("external_user_id\n" + "".join(f"u{number}\n" for number in range(1, count + 1)))
    return path


def lines(journal: RunReader) -> list[dict[str, Any]]:
    with journal:
        frame = pl.concat(results(journal))
    assert frame.columns == COLUMNS
    assert frame.schema == RESULTS
    return frame.to_dicts()


def one(journal: RunReader) -> dict[str, Any]:
    [line] = lines(journal)
    return line


def test_the_columns_are_those_of_the_interface_in_its_order() -> None:
    assert list(RESULTS) == COLUMNS
    assert [name for name, dtype in RESULTS.items() if dtype.is_integer()] == [
        *("row", "source_row", "batch", "attempts", "http_status", "source_line")
    ]


def test_an_accepted_row_has_its_dispatch_id_and_no_error(path: Path) -> None:
    found = one(journal_of(path.parent / "run", people(path, 1), [ACCEPTED]))
    sent_at = found.pop("sent_at")
    assert found == {
        "row": 1,
        "source": str(path),
        "source_row": 1,
        "identifier_type": "external_user_id",
        "identifier": "u1",
        "status": "accepted",
        "dispatch_id": "d1",
        "batch": 1,
        "attempts": 1,
        "http_status": 201,
        "error_code": None,
        "error": None,
        "source_line": 2,
    }
    assert pl.Series([sent_at]).str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", strict=True).item()


@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        pytest.param(
            RETRIED, {"status": "accepted", "attempts": 3, "http_status": 201, "dispatch_id": "d2"}, id="after retries"
        ),
        pytest.param(
            FAILED,
            {
                "status": "failed",
                "attempts": 1,
                "http_status": 400,
                "error_code": "http_400",
                "error": "country is wrong",
            },
            id="refused",
        ),
        pytest.param(
            UNKNOWN,
            {
                "status": "unknown",
                "attempts": 1,
                "http_status": 201,
                "error_code": "no_answer",
                "error": "HTTP 201 began, but the answer was never complete (ReadError); likely accepted",
            },
            id="in doubt",
        ),
        pytest.param(OPEN, {"status": "unknown", "attempts": 1, "http_status": None}, id="no outcome was recorded"),
        pytest.param(
            WAITING,
            {"status": "not_sent", "attempts": 1, "http_status": 503, "error": "Service Unavailable"},
            id="to be tried again",
        ),
        pytest.param(
            NEVER,
            {"status": "not_sent", "attempts": 0, "http_status": None, "error": None, "sent_at": None},
            id="not tried",
        ),
        pytest.param(
            Fate(UNKNOWN.attempts, decided=("accepted", "seen in Braze")),
            {"status": "accepted", "dispatch_id": None, "attempts": 1},
            id="decided to be accepted",
        ),
        pytest.param(
            Fate(UNKNOWN.attempts, decided=("resend", "retry")),
            {"status": "not_sent", "attempts": 1},
            id="to be sent again",
        ),
        pytest.param(
            Fate((("accepted", answer(201, "success", dispatch_id="d", errors=["a note"])),)),
            {"status": "accepted", "dispatch_id": "d", "error_code": "accepted_with_errors", "error": '["a note"]'},
            id="accepted with a note",
        ),
    ],
)
def test_a_row_has_the_status_of_its_batch(path: Path, fate: Fate, expected: dict[str, Any]) -> None:
    found = one(journal_of(path.parent / "run", people(path, 1), [fate]))
    assert {name: found[name] for name in expected} == expected


def test_a_decision_is_told_with_its_reason_and_what_it_was_about(path: Path) -> None:
    fate = Fate(UNKNOWN.attempts, decided=("accepted", "seen in Braze"))
    found = one(journal_of(path.parent / "run", people(path, 1), [fate]))
    assert found["error"].endswith("likely accepted; decided: accepted (seen in Braze)")


def test_a_batch_that_was_split_has_its_parts_instead(path: Path) -> None:
    refused = answer(400, "recipients[0] is wrong")
    split = Fate((("split", refused),), parts=(FAILED, Fate((("split", refused),), parts=(ACCEPTED, UNKNOWN))))
    found = lines(journal_of(path.parent / "run", people(path, 4), [split]))
    assert [line["status"] for line in found] == ["failed", "failed", "accepted", "unknown"]
    assert [line["batch"] for line in found] == [2, 2, 4, 5]
    assert [line["attempts"] for line in found] == [2, 2, 3, 3]


def test_rejected_and_duplicate_rows_stand_between_the_others_without_a_batch(path: Path) -> None:
    path.write_text("external_user_id,attributes.n:integer\nu1,1\n,2\nu2,x\nu1,3\nu3,4\n")
    found = lines(journal_of(path.parent / "run", path, [ACCEPTED]))
    assert [line["status"] for line in found] == ["accepted", "rejected", "rejected", "duplicate", "accepted"]
    assert [line["identifier"] for line in found] == ["u1", None, "u2", "u1", "u3"]
    assert [line["error_code"] for line in found] == [None, "missing_identifier", "invalid_value", "duplicate", None]
    for line in found[1:4]:
        assert (line["batch"], line["attempts"], line["http_status"], line["sent_at"]) == (None, 0, None, None)


def test_an_alias_is_its_label_and_its_name(path: Path) -> None:
    path.write_text("user_alias.alias_name,user_alias.alias_label\nada,crm\n")
    found = one(journal_of(path.parent / "run", path))
    assert (found["identifier_type"], found["identifier"]) == ("user_alias", "crm:ada")


def test_rows_of_many_files_and_batches_are_in_the_order_of_the_input(tmp_path: Path) -> None:
    paths = [people(tmp_path / "a.csv", 120), tmp_path / "b.csv"]
    paths[1].write_text("external_user_id\n" + "".join(f"v{number}\n" for number in range(1, 31)))
    found = lines(journal_of(tmp_path / "run", paths, [ACCEPTED, FAILED, UNKNOWN]))
    assert [line["row"] for line in found] == list(range(1, 151))
    assert [line["source_row"] for line in found] == [*range(1, 121), *range(1, 31)]
    assert [line["status"] for line in found] == ["accepted"] * 50 + ["failed"] * 50 + ["unknown"] * 50


@pytest.mark.parametrize(
    ("message", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1+1", "'=1+1"),
        ("\x1b[31mred\x07", "red"),
        ("two\nlines", "two lines"),
        ("a=1", "a=1"),
    ],
)
def test_the_servers_words_are_no_formula_and_no_control_characters(path: Path, message: str, cell: str) -> None:
    fate = Fate((("failed", answer(400, message)),))
    assert one(journal_of(path.parent / "run", people(path, 1), [fate]))["error"] == cell


def test_a_rejected_cell_is_no_formula_when_a_reason_begins_with_it(path: Path) -> None:
    path.write_text("email,prioritization\n=cmd@x,identified\n")
    assert one(journal_of(path.parent / "run", path))["error"].startswith("'=cmd@x' is not a valid e-mail address")


def test_a_run_without_rows_has_no_lines(path: Path) -> None:
    path.write_text("external_user_id\n")
    with journal_of(path.parent / "run", path) as journal:
        assert journal.chunk_ids() == []
        assert list(results(journal)) == []
        assert journal.counts() == Counts()


# ----- the story of one row


def test_a_rows_story_has_all_attempts_of_all_its_batches(path: Path) -> None:
    refused = answer(400, "recipients[1] is wrong")
    split = Fate((("not_sent", UNAVAILABLE), ("split", refused)), parts=(ACCEPTED, FAILED))
    with journal_of(path.parent / "run", people(path, 2), [split]) as journal:
        story = explain(journal, 2)
        assert story is not None
        assert story["recipient"] == {"external_user_id": "u2"}
        assert [[attempt["status"] for attempt in batch["attempts"]] for batch in story["batches"]] == [
            ["not_sent", "split"],
            ["failed"],
        ]
        assert explain(journal, 3) is None


# ----- always

FATES = st.sampled_from(
    [ACCEPTED, RETRIED, FAILED, UNKNOWN, OPEN, WAITING, NEVER, Fate(UNKNOWN.attempts, decided=("failed", "x"))]
)


@settings(max_examples=settings.default.max_examples // 3)
@given(
    cells=st.lists(st.sampled_from(["u1", "u2", "", "bad", *(f"v{n}" for n in range(40))]), min_size=1, max_size=130),
    fates=st.lists(FATES, min_size=3, max_size=3),
)
def test_every_row_has_one_line_and_the_six_counts_add_up(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str], fates: list[Fate]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    path = folder / "input.csv"
    path.write_text(
        "external_user_id,n:integer,attributes.n:integer\n"
        + "".join(f"{cell},{number},{'x' if cell == 'bad' else number}\n" for number, cell in enumerate(cells))
    )
    people_met = {cell for cell in cells if cell not in ("", "bad")}
    fates = fates[: -(-len(people_met) // 50)]
    journal = journal_of(folder / "run", path, fates)
    counted = asdict(journal.counts())
    found = lines(journal)
    assert [line["row"] for line in found] == list(range(1, len(cells) + 1))
    by_status = Counter(line["status"] for line in found)
    assert counted == {"rows": len(cells)} | {name: by_status[name] for name in STATUSES}
    assert by_status["rejected"] == sum(cell in ("", "bad") for cell in cells)
    assert by_status["duplicate"] == len(cells) - by_status["rejected"] - len(people_met)
    more: dict[str, Any] = {"batches": 0, "requests": 0, "started_at": "", "finished_at": None, "elapsed_s": 0.0}
    Summary("run", "finished", **counted, **more, recipients_per_s=0.0, reason=None, files={})  # asserts the sum
