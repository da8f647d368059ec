"""Rows without any value are left out, and the others are numbered without gaps."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.reading import csv as reading_csv
from tests.kit.inputs import chunks, put
from tests.kit.reading import planned, rows_of

ROWS = ["u1,a", ",", "u2,b", " ,\u00a0", "", ",", ",x", "u3,c", ",", ","]


@pytest.mark.parametrize("block", [8, 20, 100_000])
def test_they_are_left_out_of_a_csv_wherever_its_blocks_end(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", block)
    path = put(tmp_path, "people.csv", "\n".join(["external_user_id,trigger_properties.x", *ROWS]))
    rows = rows_of(planned(path))
    assert rows["row"].to_list() == rows["source_row"].to_list() == [1, 2, 3, 4]
    assert rows["error_code"].to_list() == [None, None, "missing_identifier", None]
    read = chunks(path)
    assert all(one.end.row == other.start.row for one, other in pairwise(read))
    for chunk in read:  # a run that is resumed at any chunk reads the same rows
        rest = pl.concat([each.frame for each in chunks(path, chunk.start)])
        assert rest.equals(pl.concat([each.frame for each in read]).slice(chunk.start.row))


@pytest.mark.parametrize("kind", ["parquet", "ndjson", "xlsx"])
def test_they_are_left_out_of_other_formats(tmp_path: Path, kind: str) -> None:
    frame = pl.DataFrame({"external_user_id": ["u1", None, "u2", None], "n": [1, None, 2, None]})
    path = tmp_path / f"people.{kind}"
    getattr(frame, {"parquet": "write_parquet", "ndjson": "write_ndjson", "xlsx": "write_excel"}[kind])(path)
    rows = rows_of(planned(path))
    assert rows["identifier"].to_list() == ["u1", "u2"]
    assert rows["row"].to_list() == [1, 2]


def test_malformed_rows_keep_their_place(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", "external_user_id,x\nu1,a\n,\nu2\n,\nu3,b,c\nu4,d\n")
    rows = rows_of(planned(path))
    assert rows["error_code"].to_list() == [None, "malformed_row", "malformed_row", None]
    assert rows["row"].to_list() == [1, 2, 3, 4]


def test_check_says_how_many(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", "\n".join(["external_user_id,trigger_properties.x", *ROWS]))
    report: Any = bs.check(path)
    assert report.rows == 4
    assert "5 rows without any value left out" in report.warnings


def test_a_row_that_is_blank_but_for_its_last_column_is_found_among_many_columns_with_few_calls_of_polars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns, calls = 2_000, []
    path = put(
        tmp_path, "people.csv", "\n".join([",".join(f"c{n}" for n in range(columns)), "," * (columns - 1) + "x"])
    )
    for name in ("select", "select_seq"):  # a call on a series is a call of select_seq
        real = getattr(pl.DataFrame, name)
        monkeypatch.setattr(pl.DataFrame, name, lambda *args, real=real: calls.append(1) or real(*args))
    assert [len(chunk.frame) for chunk in chunks(path)] == [1]
    assert len(calls) < 100
