"""Repeated headers are rejected, and the last rows left out, wherever the chunks end."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.reading import csv as reading_csv
from bulk_sender.reading.streams import REPEATED
from tests.kit.inputs import chunks, faults, put, read
from tests.kit.reading import planned, rows_of

HEADER = "external_user_id,attributes.n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{HEADER}\nu1,1\n{HEADER}\nu2,2\n", id="joined"),
        pytest.param(f"\ufeff{HEADER}\nu1,1\n\ufeff{HEADER}\nu2,2\n", id="joined with byte-order marks"),
        pytest.param(f'{HEADER}\nu1,1\n"external_user_id","attributes.n"\nu2,2\n', id="quoted"),
        pytest.param(f"{HEADER}\nu1,1\n external_user_id , attributes.n \nu2,2\n", id="with blanks"),
        pytest.param(f"{HEADER},\nu1,1,\n{HEADER},\nu2,2,\n", id="with an empty column"),
        pytest.param("external_user_id\nu1\nexternal_user_id\nu2\n", id="one column"),
        pytest.param(f"{HEADER}\nu1,1\n{HEADER.upper()}\nu2,2\n", id="capitals"),
    ],
)
def test_a_row_equal_to_the_header_is_rejected_with_that_reason(tmp_path: Path, text: str) -> None:
    path = put(tmp_path, "joined.csv", text)
    assert faults(path) == {2: REPEATED}
    assert rows_of(planned(path))["error_code"].to_list() == [None, "malformed_row", None]


def test_a_row_with_one_other_cell_is_a_row(tmp_path: Path) -> None:
    assert faults(put(tmp_path, "a.csv", f"{HEADER}\nexternal_user_id,1\nu1,attributes.n\n")) == {}


def test_a_row_equal_to_the_header_is_rejected_in_other_formats(tmp_path: Path) -> None:
    frame = pl.DataFrame({"external_user_id": ["u1", "external_user_id"], "attributes.n": ["1", "attributes.n"]})
    frame.write_parquet(tmp_path / "a.parquet")
    frame.write_ndjson(tmp_path / "a.ndjson")
    assert faults(tmp_path / "a.parquet") == faults(tmp_path / "a.ndjson") == {2: REPEATED}


def test_what_nobody_fixed_is_rejected_again(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", f"{HEADER}\n{HEADER}\nu1,1\n")
    bs.send(path, run_id="r", runs_dir=tmp_path / "runs", sandbox=True)
    again = bs.send(tmp_path / "runs" / "r" / "rejected.csv", run_id="again", runs_dir=tmp_path / "runs", sandbox=True)
    assert (again.rejected, again.accepted) == (1, 0)


@pytest.mark.parametrize("block", [8, 30, 100_000])
@pytest.mark.parametrize("count", [1, 2, 5, 50])
def test_the_last_rows_are_left_out(tmp_path: Path, block: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", block)
    monkeypatch.setattr("bulk_sender.reading.csv.chunk_bytes", lambda columns, usual: block)
    path = put(tmp_path, "a.csv", f"{HEADER}\n" + "".join(f"u{n},{n}\n,\n" for n in range(20)) + "\n,\n")
    frame = read(path, skip_last=count) if count < 20 else pl.DataFrame()
    kept = [f"u{n}" for n in range(max(0, 20 - count))]
    assert (frame["external_user_id"].to_list() if len(frame) else []) == kept
    for chunk in chunks(path, skip_last=count):  # a run that is resumed anywhere leaves out the same rows
        rest = [each.frame for each in chunks(path, chunk.end, skip_last=count)]
        assert pl.concat([frame.clear(), *rest]).equals(frame.slice(chunk.end.row))


def test_the_last_rows_of_each_file_are_left_out_and_counted(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        put(tmp_path, name, f"{HEADER}\n{name},1\nTOTAL,1\n")
    report = bs.check(tmp_path, {"input": {"skip_last": 1}})
    assert (report.rows, report.valid) == (2, 2)
    assert "2 last rows left out ([input] skip_last)" in report.warnings
    assert not any("looks like a total" in warning for warning in report.warnings)
    told = bs.check(tmp_path / "a.csv").warnings
    assert any("TOTAL" in warning and "skip_last = 1" in warning for warning in told)


def test_all_fixed_rows_are_sent_whatever_is_configured(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", f"A title\n\n{HEADER}\n,1\nu2,2\nTOTAL,3\n")
    config = {"input": {"skip_last": 1, "header_row": 3}}
    bs.send(path, config, run_id="r", runs_dir=tmp_path / "runs", sandbox=True)
    fixed = tmp_path / "runs" / "r" / "rejected.csv"
    text = fixed.read_text().splitlines()
    fixed.write_text("\n".join([text[0], "u1" + text[1]]) + "\n")
    again = bs.send(fixed, config, run_id="again", runs_dir=tmp_path / "runs", sandbox=True)
    assert (again.rows, again.accepted) == (1, 1)
