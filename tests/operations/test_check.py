"""A check tells all that a send would do, and does none of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from tests.kit.samples import CONFIGURED, ROOT, SAMPLES, claimed_invalid, claimed_repeats

# Nobody listens there: whatever a check sent would fail.
NOWHERE = {"braze.endpoint": "http://127.0.0.1:9", "braze.campaign_id": "c"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


def check(path: Path, *rows: str, **tables: Any) -> bs.CheckReport:
    path.write_text("\n".join(rows) + "\n")
    return bs.check(path, config=tables, overrides=NOWHERE)


def test_the_counts_reasons_and_examples_are_those_of_the_rows(path: Path) -> None:
    bad = [f"u{number},x" for number in range(5)]
    report = check(path, "external_user_id,attributes.n:integer", "a,1", *bad, ",1", "a,2", "b,")
    assert (report.rows, report.valid, report.rejected, report.duplicate) == (9, 2, 6, 1)
    assert {code: reason["count"] for code, reason in report.reasons.items()} == {
        "invalid_value": 5,
        "missing_identifier": 1,
        "duplicate": 1,
    }
    assert [example["row"] for example in report.reasons["invalid_value"]["examples"]] == [2, 3, 4]
    assert report.reasons["invalid_value"]["examples"][0] == {
        "row": 2,
        "source": str(path),
        "source_row": 2,
        "source_line": 3,
        "identifier": "u0",
        "error": "column 'attributes.n:integer': 'x' is not a whole number",
    }
    assert report.identifiers == {"external_user_id": 2}


def test_the_sample_is_the_first_request_as_it_would_go_out(path: Path) -> None:
    message = {"trigger_properties": {"season": "winter"}}
    report = check(path, "external_user_id", *(f"u{number}" for number in range(120)), message=message)
    assert report.sample_request == {
        "campaign_id": "c",
        "broadcast": False,
        "trigger_properties": {"season": "winter"},
        "recipients": [{"external_user_id": f"u{number}"} for number in range(50)],
    }
    assert report.samples == [{"external_user_id": f"u{number}"} for number in range(3)]


def test_requests_and_time_are_those_of_the_configured_rate(path: Path) -> None:
    rows = ["external_user_id", *(f"u{number}" for number in range(120))]
    report = check(path, *rows, delivery={"rate": "60/minute"})
    assert (report.requests, report.seconds) == (3, 2.0)  # the first request waits for nobody


@pytest.mark.parametrize(
    ("rows", "code"),
    [(["a,x"], 0), (["a,x", "a,x"], 0), (["a,x", ",x"], 1), ([",x"], 1), (["a,x", ",", " ,"], 0)],
    ids=["all can go", "a duplicate is no fault", "one is rejected", "none can go", "blank rows are no rows"],
)
def test_the_exit_code_tells_whether_every_row_could_go(path: Path, rows: list[str], code: int) -> None:
    assert check(path, "external_user_id,trigger_properties.x", *rows).exit_code == code


def test_an_input_without_rows_or_without_a_file_is_refused(path: Path) -> None:
    with pytest.raises(bs.InputError, match="has no data row"):
        check(path, "external_user_id")
    with pytest.raises(bs.InputError, match="not found"):
        bs.check(path.with_name("no.csv"), overrides=NOWHERE)


def test_columns_that_are_not_sent_are_named(path: Path) -> None:
    report = check(path, "external_user_id,shoe size,city", "u,41,Paris")
    assert report.unused_columns == ("shoe size", "city")
    assert any("columns that will not be sent: 'shoe size', 'city'" in warning for warning in report.warnings)


def test_nothing_is_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    check(path, "external_user_id", "u")
    assert [entry.name for entry in path.parent.iterdir()] == ["people.csv"]


@pytest.mark.parametrize("name", ["recipients.csv", *CONFIGURED])
def test_a_sample_has_the_faults_that_its_readme_claims_at_the_rows_it_claims(name: str) -> None:
    config = ROOT / "config" / CONFIGURED[name] if name in CONFIGURED else None
    report = bs.check(SAMPLES / name, config=config)
    assert (report.rejected, report.duplicate) == (len(claimed_invalid(name)), len(claimed_repeats(name)))
    claimed = {row: column for row, column, _ in claimed_invalid(name)}
    for code, reason in report.reasons.items():
        for example in reason["examples"]:
            if code == "duplicate":
                assert example["row"] in [row for row, _ in claimed_repeats(name)]
            else:
                assert claimed[example["row"]] in example["error"]


def test_a_check_compares_with_a_plan_file_and_sends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("external_user_id\nu1\nu2\n")
    given: dict[str, Any] = {"campaign_id": "a", "endpoint": "http://127.0.0.1:9", "environment": {}}
    planned = bs.Guards(plan_file=tmp_path / "plan.json")
    bs.check(path, write_plan=tmp_path / "plan.json", **given)
    assert bs.check(path, guards=planned, **given).valid == 2
    path.write_text("external_user_id\nu1\nu3\n")
    with pytest.raises(bs.GuardrailError, match=r"differs from the plan in input .*people\.csv"):
        bs.check(path, guards=planned, **given)


def test_a_check_warns_of_an_address_that_is_not_a_rest_host(path: Path) -> None:
    path.write_text("external_user_id\na\n")
    report = bs.check(path, endpoint="https://sdk.iad-01.braze.com", environment={})
    assert [text for text in report.warnings if "https://rest.iad-01.braze.com" in text]
    assert not bs.check(path, endpoint="https://rest.iad-01.braze.com", environment={}).warnings
