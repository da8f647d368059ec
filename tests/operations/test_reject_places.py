"""Where a rejected row is, and which cell its reason is about: of a run, and of a check before one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.planning.plan import REJECTS, ROWS, reject_reasons
from tests.kit.command import Here, Place
from tests.kit.inputs import put
from tests.kit.workbooks import book, table

_CONFIG: dict[str, Any] = {
    "braze": {"campaign_id": "c"},
    "recipient": {
        "external_user_id": "no",
        "trigger_properties": {"total": {"column": "total", "type": "float"}},
        "attributes": {"age": {"column": "age", "type": "integer"}},
    },
}
_TEXT = "no;total;age\nu1;1.5;7\n\nu2;free;7\n;2;8\nu4;3\nu5;4;old\nu1;5;9\n"


def _of_run(path: Path, folder: Path, config: dict[str, Any] = _CONFIG) -> pl.DataFrame:
    bs.send(path, config, run_id="a", runs_dir=folder / "runs", sandbox=True)
    return bs.rejects("a", runs_dir=folder / "runs")


def test_each_reason_names_its_cell_in_a_run_and_in_a_check(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", _TEXT)
    found = _of_run(path, tmp_path)
    assert found.select("row", "source_line", "column", "value", "error_code").rows() == [
        (2, 4, "total", "free", "invalid_value"),
        (3, 5, "no", None, "missing_identifier"),
        (4, 6, None, None, "malformed_row"),
        (5, 7, "age", "old", "invalid_value"),
    ]
    assert found.row(0, named=True) == {
        "row": 2,
        "source": str(path),
        "source_row": 2,
        "source_line": 4,
        "identifier_type": "external_user_id",
        "identifier": "u2",
        "column": "total",
        "value": "free",
        "error_code": "invalid_value",
        "error": "column 'total': 'free' is not a number",
    }
    report = bs.check(path, _CONFIG, runs_dir=tmp_path / "runs")
    assert [bs.Reject(*row) for row in found.iter_rows()] == report.rejects
    assert report.to_dict()["rejects"][0]["value"] == "free"


def test_each_frame_of_the_rejects_has_the_same_rows(tmp_path: Path) -> None:
    found = _of_run(put(tmp_path, "people.csv", _TEXT), tmp_path)
    assert bs.rejects("a", like="lazy", runs_dir=tmp_path / "runs").collect().equals(found)
    bs.send(
        pl.DataFrame({"no": ["u1"], "total": ["1"], "age": ["1"]}), _CONFIG, run_id="b", runs_dir=tmp_path, sandbox=True
    )
    assert (bs.rejects("b", runs_dir=tmp_path).schema, len(bs.rejects("b", runs_dir=tmp_path))) == (found.schema, 0)


@pytest.mark.parametrize(
    ("recipient", "row", "where"),
    [
        ({"email": "a", "prioritization": ["identified"]}, {"a": "x@"}, ("a", "x@", "invalid_email")),
        (
            {"email": "a", "prioritization": ["identified"]},
            {"a": "a\u200b@x.org"},
            ("a", "a\u200b@x.org", "invalid_email"),
        ),
        ({"email": "a"}, {"a": "a@example.com"}, (None, None, "missing_prioritization")),
        ({"email": "a", "prioritization": "p"}, {"a": "a@example.com", "p": ""}, ("p", None, "missing_prioritization")),
        ({"email": "a", "prioritization": "p"}, {"a": "a@example.com", "p": "x"}, ("p", "x", "invalid_prioritization")),
        (
            {"user_alias": {"alias_name": "a", "alias_label": "b"}},
            {"a": "n", "b": ""},
            ("b", None, "incomplete_alias"),
        ),
        ({"external_user_id": "a"}, {"a": "x" * 998}, ("a", "x" * 80 + "…", "identifier_too_long")),
        (
            {"external_user_id": "a", "send_to_existing_only": "b"},
            {"a": "u", "b": "false"},
            ("b", "false", "existing_only_without_attributes"),
        ),
        (
            {"external_user_id": {"column": "a", "type": "integer"}},
            {"a": "1.5"},
            ("a", "1.5", "invalid_identifier"),
        ),
        (
            {"external_user_id": "a", "attributes": {"gender": "b"}},
            {"a": "u", "b": "robot"},
            ("b", "robot", "invalid_attribute"),
        ),
        ({"external_user_id": "a", "trigger_properties": {"x": "b"}}, {"a": "u", "b": "{{x}}"}, ("b", None, "liquid")),
    ],
)
def test_each_rule_knows_its_column(
    recipient: dict[str, Any], row: dict[str, str], where: tuple[str | None, str | None, str]
) -> None:
    config = {"recipient": recipient, "input": {"profile_fields": "reject", "liquid": "reject"}}
    good = dict.fromkeys(row, "")
    report = bs.check([row, good], config)
    found = report.rejects[0]
    assert (found.row, found.column, found.value, found.error_code) == (1, *where)


def test_rejects_of_an_earlier_release_have_no_places() -> None:
    rows = pl.DataFrame([{**dict.fromkeys(ROWS), "row": 7, "verdict": "rejected", "error": "e"}], schema=ROWS)
    found = reject_reasons(rows, pl.DataFrame({"\x00row": [7], "no": ["u"]}))
    assert found.schema == REJECTS
    assert found.select("row", "column", "value", "error").rows() == [(7, None, None, "e")]


def test_a_reason_about_a_whole_row_has_no_column() -> None:
    config = {"recipient": {"external_user_id": "a", "trigger_properties": {"x": "b"}}, "delivery": {"max_body_kb": 4}}
    [found] = bs.check([{"a": "u", "b": "x" * 5000}], config).rejects
    assert (found.column, found.value, found.error_code) == (None, None, "too_large")


def test_the_first_of_several_reasons_is_the_one_that_is_placed() -> None:
    fields = {"x": {"column": "b", "type": "integer"}, "y": {"column": "c", "type": "integer"}}
    [found] = bs.check(
        [{"a": "u", "b": "p", "c": "q"}], {"recipient": {"external_user_id": "a", "trigger_properties": fields}}
    ).rejects
    assert (found.column, found.value, found.error) == ("b", "p", "column 'b': 'p' is not a whole number")


def test_only_the_first_rejected_rows_are_in_the_report(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "no;total;age\n" + "u;free;1\n" * 1000)
    report = bs.check(path, _CONFIG, rejects=tmp_path / "rejected.csv", runs_dir=tmp_path)
    assert [each.row for each in report.rejects] == list(range(1, 201))
    assert (report.rejected, len((tmp_path / "rejected.csv").read_text().splitlines())) == (1000, 1001)


def test_a_check_writes_the_file_that_a_run_writes(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", _TEXT.replace("u5", "é").encode("cp1252"))
    _of_run(path, tmp_path)
    target = tmp_path / "before.csv"
    bs.check(path, _CONFIG, rejects=target, runs_dir=tmp_path / "runs")
    of_run = (tmp_path / "runs" / "a" / "rejected.csv").read_bytes()
    lines = [line.removesuffix(b";a") for line in of_run.split(b"\n")]
    assert [line.removesuffix(b";") for line in target.read_bytes().split(b"\n")] == lines
    assert target.stat().st_mode & 0o777 == 0o600


def test_fixed_rows_of_a_check_are_sent_without_a_question_about_a_run(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", "no;total;age\nu1;1;1\nu2;free;2\n")
    target = tmp_path / "fix.csv"
    assert bs.check(path, _CONFIG, rejects=target, runs_dir=tmp_path / "runs").rejected == 1
    target.write_text(target.read_text().replace(";free;", ";9;", 1))
    summary = bs.send(target, _CONFIG, run_id="fixed", runs_dir=tmp_path / "runs", sandbox=True)
    assert (summary.accepted, summary.rejected) == (1, 0)


def test_a_check_of_fixed_rows_keeps_the_run_that_rejected_them(tmp_path: Path) -> None:
    _of_run(put(tmp_path, "people.csv", _TEXT), tmp_path)
    again = tmp_path / "again.csv"
    bs.check(tmp_path / "runs" / "a" / "rejected.csv", _CONFIG, rejects=again, runs_dir=tmp_path / "runs")
    found = pl.read_csv(again, separator=";", infer_schema=False)
    assert set(found["run"]) == {"a"}
    assert found["source_line"].to_list() == ["4", "5", "6", "7"]


def test_a_workbook_of_rejected_rows_is_sent_back_as_it_is(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", {"People": table(["no", "total", "age"], ["007", "free", "1"], ["8", "1", "1"])})
    target = tmp_path / "fix.xlsx"
    bs.check(path, _CONFIG, rejects=target, runs_dir=tmp_path)
    again = bs.check(target, _CONFIG, runs_dir=tmp_path)
    assert [(each.identifier, each.column, each.value) for each in again.rejects] == [("007", "total", "free")]


def test_an_existing_file_is_never_replaced_and_nothing_is_read(tmp_path: Path) -> None:
    target = put(tmp_path, "fix.csv", "mine")
    with pytest.raises(bs.ConfigError, match="already exists and is never overwritten"):
        bs.check(tmp_path / "no-such-input.csv", _CONFIG, rejects=target)
    assert target.read_text() == "mine"
    with pytest.raises(bs.ConfigError, match="is not a folder"):
        bs.check(tmp_path / "no-such-input.csv", _CONFIG, rejects=tmp_path / "nowhere" / "fix.csv")


def test_without_rejected_rows_the_file_has_the_header_only(tmp_path: Path) -> None:
    target = tmp_path / "fix.csv"
    bs.check(put(tmp_path, "a.csv", "no;total;age\nu1;1;1\n"), _CONFIG, rejects=target, runs_dir=tmp_path)
    assert target.read_text() == "no;total;age;error;source_line;run\n"


def test_the_command_writes_the_rejected_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    place.write("people.csv", "external_user_id,attributes.n:integer\nu1,x\nu2,2\n")
    done = Here(capsys, monkeypatch).run(place, "check", "people.csv", "--rejects", "fix.csv")
    assert done.code == 1
    assert "Rejected rows written to fix.csv: 1 row" in done.err
    assert (tmp_path / "fix.csv").read_text().splitlines()[1].startswith("u1,x,")
