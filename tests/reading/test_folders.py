"""Folders and patterns: what is passed over and said, and many small files read together."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.config.model import Config
from bulk_sender.errors import InputError
from bulk_sender.reading import together
from bulk_sender.reading.chunk import Chunk
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from tests.kit.inputs import chunks, put, read
from tests.kit.reading import planned, rows_of
from tests.kit.workbooks import book, table

HEADER = "external_user_id,attributes.n\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two parts, and beside them what programs leave in folders."""
    place = tmp_path / "export"
    (place / "_delta").mkdir(parents=True)
    (place / ".git").mkdir()
    put(place, "part-1.csv", HEADER + "u1,1\n")
    put(place, "part-2.csv", HEADER + "u2,2\n")
    put(place, "empty.csv", "")
    put(place, "blank.csv", "\n \n")
    put(place, "header.csv", HEADER)
    put(place, "packed.csv.gz", gzip.compress(b""))
    for name in (
        "_SUCCESS",
        "_metadata",
        ".DS_Store",
        "~$people.xlsx",
        ".~lock.people.csv#",
        "README.md",
        "part-1.csv.crc",
    ):
        put(place, name, "x")
    put(place / "_delta", "old.csv", HEADER + "u9,9\n")
    put(place / ".git", "older.csv", HEADER + "u8,8\n")
    return place


def notes(given: Any) -> list[str]:
    with Spool() as spool:
        return Input.open([given], ReadSettings(), spool).notes


def test_what_is_no_part_of_a_folder_is_passed_over_and_said(folder: Path) -> None:
    assert read(folder)["external_user_id"].to_list() == ["u1", "u2"]
    assert notes(folder) == [
        "passed over 5 files (hidden or left by another program): .DS_Store, .git, _SUCCESS, _delta and 1 more",
        "passed over 2 files (lock files of an office program): .~lock.people.csv#, ~$people.xlsx",
        "passed over 2 files (not in a format of inputs): README.md, part-1.csv.crc",
        "passed over 4 files (without rows): blank.csv, empty.csv, header.csv, packed.csv.gz",
    ]


def test_check_says_what_was_passed_over(folder: Path) -> None:
    report = bs.check(folder)
    assert (report.rows, report.valid) == (2, 2)
    assert any("passed over 4 files (without rows)" in warning for warning in report.warnings)


def test_marks_locks_and_folders_that_match_a_pattern_are_passed_over(folder: Path) -> None:
    (folder / "more.csv").mkdir()
    put(folder, "~$x.csv", "lock")
    put(folder, "_mine.csv", HEADER + "u3,3\n")
    found = read(str(folder / "*.csv"))["external_user_id"].to_list()
    assert found == ["u3", "u1", "u2"]
    said = " ".join(notes(str(folder / "*.csv")))
    assert "passed over 1 folder: more.csv" in said
    assert "~$x.csv" in said
    assert "blank.csv, empty.csv, header.csv" in said
    put(folder, "_started_1", "x")
    said = " ".join(notes(str(folder / "[_p]*[0-9s1]*")))
    assert "_started_1" in said


@pytest.mark.parametrize("given", ["folder", "pattern"])
def test_nothing_left_is_an_error_that_lists_what_was_passed_over(tmp_path: Path, given: str) -> None:
    put(tmp_path, "a.csv", "")
    put(tmp_path, "b.csv", HEADER)
    put(tmp_path, "_SUCCESS", "")
    with pytest.raises(InputError, match="has rows") as refused:
        chunks(tmp_path if given == "folder" else str(tmp_path / "*"))
    for name in ("a.csv", "b.csv", "_SUCCESS"):
        assert name in refused.value.hint


def test_a_file_without_rows_that_was_named_is_still_an_error(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "")
    with pytest.raises(InputError, match="is empty"):
        chunks([put(tmp_path, "b.csv", HEADER + "u1,1\n"), path])


@pytest.mark.parametrize("kind", ["parquet", "ipc"])
def test_parts_without_rows_are_passed_over_whatever_their_types(tmp_path: Path, kind: str) -> None:
    frame = pl.DataFrame({"external_user_id": ["u1"], "n": [1]})
    parts = [frame.clear().cast({"n": pl.Null}), frame, frame.clear()]
    for index, part in enumerate(parts):
        getattr(part, f"write_{kind}")(tmp_path / f"part-{index}.{kind}")
    assert read(tmp_path).rows() == [("u1", 1)]
    assert notes(tmp_path) == [f"passed over 2 files (without rows): part-0.{kind}, part-2.{kind}"]


def test_a_workbook_or_ndjson_without_rows_in_a_folder_is_passed_over(tmp_path: Path) -> None:
    for name, inside in {"a": table(["external_user_id"], ["u1"]), "b": table(["external_user_id"]), "c": ""}.items():
        book(tmp_path / f"{name}.xlsx", inside or "<sheetData/>")
    put(tmp_path, "d.ndjson", "\n \n")
    put(tmp_path, "e.ndjson", "\ufeff\n")
    assert read(tmp_path).rows() == [("u1",)]
    assert notes(tmp_path) == ["passed over 4 files (without rows): b.xlsx, c.xlsx, d.ndjson, e.ndjson"]


@pytest.mark.parametrize("given", ["folder", "pattern"])
def test_a_link_to_a_missing_part_is_an_error(tmp_path: Path, given: str) -> None:
    put(tmp_path, "a.csv", HEADER + "u1,1\n")
    (tmp_path / "b.csv").symlink_to(tmp_path / "gone.csv")
    with pytest.raises(InputError, match=r"b\.csv is a link to a file that does not exist"):
        chunks(tmp_path if given == "folder" else str(tmp_path / "*.csv"))


def test_brackets_in_a_folders_name_are_explained(tmp_path: Path) -> None:
    place = tmp_path / "dir [x]"
    place.mkdir()
    put(place, "a.csv", HEADER + "u1,1\n")
    with pytest.raises(InputError, match=r"no file matches .*dir \[x\]/\*\.csv") as refused:
        chunks(str(place / "*.csv"))
    assert f"name the folder {str(place)!r}" in refused.value.hint
    [escaped] = [word for word in refused.value.hint.split("'") if "[[]x]" in word]
    assert len(read(escaped)) == len(read(place)) == 1
    with pytest.raises(InputError) as refused:
        chunks(str(tmp_path / "*.csv"))
    assert refused.value.hint == "check the folder and the pattern"


# ----- many small files


def _parts(place: Path, kind: str, bodies: list[list[tuple[str, str]]]) -> None:
    place.mkdir(parents=True)
    for index, rows in enumerate(bodies):
        frame = pl.DataFrame(rows, schema={"external_user_id": pl.String, "attributes.n": pl.String}, orient="row")
        getattr(frame, f"write_{kind}")(place / f"part-{index:03}.{kind}")


BODIES = [[(f"u{part}-{row}", str(row)) for row in range(part % 4 + 1)] for part in range(60)]


@pytest.mark.parametrize("kind", ["csv", "parquet", "ndjson", "ipc"])
def test_small_files_fill_whole_batches_and_keep_their_names_and_numbers(tmp_path: Path, kind: str) -> None:
    _parts(tmp_path / "in", kind, BODIES)
    pieces = list(planned(tmp_path / "in"))
    rows = rows_of(pieces)
    assert [size for piece in pieces for size in piece.sizes] == [50, 50, 50]
    expected = [
        (f"part-{part:03}.{kind}", row + 1, identifier)
        for part, body in enumerate(BODIES)
        for row, (identifier, _) in enumerate(body)
    ]
    assert [
        (Path(source).name, row, who) for source, row, who in rows.select("source", "source_row", "identifier").rows()
    ] == (expected)
    assert rows["row"].to_list() == list(range(1, 151))
    above = int(kind == "csv")
    assert rows["source_line"].to_list() == [row + above for _, row, _ in expected]
    assert len(list(chunks(tmp_path / "in"))) == 1


def _quoted(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_text(pl.read_csv(path, infer_schema=False).write_csv(quote_style="always"))


@pytest.mark.parametrize("kind", ["csv", "parquet", "ndjson", "ipc", "quoted csv", "csv.gz", "hive"])
def test_small_files_take_one_call_and_not_one_each(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "hive":
        for part in range(60):
            _parts(tmp_path / "in" / f"part={part}", "parquet", BODIES[part : part + 1])
    else:
        _parts(tmp_path / "in", kind.removeprefix("quoted ").removesuffix(".gz"), BODIES)
    if kind == "quoted csv":
        _quoted(tmp_path / "in")
    if kind == "csv.gz":
        for path in (tmp_path / "in").iterdir():
            put(tmp_path / "in", path.name, gzip.compress(path.read_bytes())).rename(path.with_suffix(".csv.gz"))
    calls: list[int] = []

    def counting(files: list[together.Small]) -> Chunk | None:
        calls.append(len(files))
        return read_together(files)

    read_together = together.read_together
    monkeypatch.setattr("bulk_sender.reading.source.read_together", counting)
    assert len(read(tmp_path / "in")) == 150
    assert calls == [60]


def test_a_row_to_reject_or_to_leave_out_in_one_of_many_is_found_in_its_file(tmp_path: Path) -> None:
    _parts(tmp_path / "in", "csv", BODIES)
    put(tmp_path / "in", "part-010.csv", HEADER + 'a,"1\n2"\n,\nb\n\n' + HEADER + "c,3\n")
    rows = rows_of(planned(tmp_path / "in"))
    odd = rows.filter(pl.col("source").str.ends_with("part-010.csv"))
    assert odd.select("source_row", "source_line", "error_code").rows() == [
        (1, 2, None),
        (2, 5, "malformed_row"),
        (3, 7, "malformed_row"),
        (4, 8, None),
    ]
    assert "part-010.csv, line 5: the row has 1 field" in odd["error"][1]
    assert "part-010.csv, line 7: the row repeats the header" in odd["error"][2]
    assert rows["row"].to_list() == list(range(1, len(rows) + 1))


@pytest.mark.parametrize("kind", ["csv", "parquet", "ndjson"])
def test_a_run_resumes_at_any_chunk_of_many_files(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulk_sender.reading.source.chunk_rows", lambda columns: 20)
    monkeypatch.setattr("bulk_sender.reading.streams.chunk_rows", lambda columns: 20)
    _parts(tmp_path / "in", kind, BODIES)
    whole = chunks(tmp_path / "in")
    assert len(whole) > 5
    frame = pl.concat([chunk.frame for chunk in whole])
    for chunk in whole:
        for position in (chunk.start, chunk.end):
            rest = [each.frame for each in chunks(tmp_path / "in", position)]
            assert frame.slice(position.row).equals(pl.concat([frame.clear(), *rest]))


def test_a_damaged_file_among_many_is_named(tmp_path: Path) -> None:
    _parts(tmp_path / "in", "parquet", BODIES)
    path = tmp_path / "in" / "part-030.parquet"
    path.write_bytes(path.read_bytes()[:20] + b"\xff" * 60 + path.read_bytes()[80:])
    with pytest.raises(InputError, match=r"part-030\.parquet"):
        read(tmp_path / "in")


def test_hive_partitions_of_small_files_keep_their_values(tmp_path: Path) -> None:
    for country in ("FR", "DE"):
        _parts(tmp_path / f"country={country}", "parquet", BODIES[:5])
    found = read(tmp_path)
    assert found["country"].to_list() == ["DE"] * 11 + ["FR"] * 11
    assert rows_of(planned(tmp_path, Config()))["row"].to_list() == list(range(1, 23))
