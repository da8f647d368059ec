"""Property tests: any CSV file is read as the csv module reads it, wherever its blocks are cut."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulk_sender.errors import InputError
from bulk_sender.reading import csv as reading_csv
from bulk_sender.reading.csv import CsvReader
from tests.kit.reading import Cells, Read, read, reader, written

NASTY = st.sampled_from(["", " ", ",", ";", "\t", "|", '"', '""', "\n", "\r", "\r\n", "\x85", "\u2028", "\ufeff"])
CELLS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6),
    st.lists(NASTY | st.just("x"), max_size=4).map("".join),
)
BLOCKS = st.integers(1, 200)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Draw a header and rows of the same width."""
    width = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=12))
    return [[f"c{index}" for index in range(width)], *rows]


def in_blocks(csv_reader: CsvReader, size: int) -> Read:
    with patch.object(reading_csv, "BLOCK_BYTES", size):
        return read(csv_reader)


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@given(
    table=tables(),
    delimiter=st.sampled_from(",;\t|"),
    line_end=st.sampled_from(["\n", "\r\n"]),
    block=BLOCKS,
    has_last_end=st.booleans(),
)
def test_files_written_by_the_csv_module_are_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    quoting: int,
    table: list[list[str]],
    delimiter: str,
    line_end: str,
    block: int,
    has_last_end: bool,
) -> None:
    if quoting == csv.QUOTE_MINIMAL:  # it leaves a lone CR unquoted in a file of LF lines, which is ambiguous
        table = [[cell.replace("\r", "") for cell in row] for row in table]
    table = [[row[0].lstrip("\ufeff"), *row[1:]] for row in table]  # a mark before a record is dropped
    text = written(table, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    text = text if has_last_end else text[: -len(line_end)]
    given_delimiter = delimiter if len(table[0]) == 1 else None  # a single column has no delimiter to detect
    found = in_blocks(reader(_path(tmp_path_factory), text, delimiter=given_delimiter), block)
    expected = [tuple(cell or None for cell in row) for row in table[1:]]
    assert (found.columns, found.rows, found.faults) == (table[0], expected, {})


@dataclass
class ByTheCsvModule:
    """A file's body as the csv module reads it line by line: rows as wide as the header, and the malformed ones.

    Byte-order marks before a record are not part of it.
    """

    rows: list[Cells] = field(default_factory=list)
    malformed: list[int] = field(default_factory=list)
    is_open: bool = False


def by_the_csv_module(body: str, width: int, delimiter: str) -> ByTheCsvModule:
    found = ByTheCsvModule()
    lines = list(io.StringIO(body, newline=""))
    before = 0

    def unmarked() -> Iterator[str]:
        for number, line in enumerate(lines):
            yield line.lstrip("\ufeff") if number == before else line

    records = csv.reader(unmarked(), delimiter=delimiter)
    for record in records:
        own, before = "".join(lines[before : records.line_num]).lstrip("\ufeff"), records.line_num
        if not record:
            continue
        if len(record) < width or any(record[width:]) or not _is_strict(own, delimiter):
            found.malformed.append(len(found.rows) + 1)
        found.rows.append(tuple(cell or None for cell in (record + [""] * width)[:width]))
        # After a record that ends properly, the next line is a separate record.
        found.is_open = len(list(csv.reader(io.StringIO(own + "\n" + "end", newline=""), delimiter=delimiter))) == 1
    return found


def _is_strict(record: str, delimiter: str) -> bool:
    try:
        list(csv.reader(io.StringIO(record, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    return True


@given(
    body=st.lists(
        st.sampled_from(["a", "é", ",", ",", '"', '"', '""', "\n", "\n", "\r", "\r\n", " ", ";", "\ufeff"]), max_size=60
    ).map("".join),
    width=st.integers(1, 3),
    block=BLOCKS,
)
@example(body="1,2,\n3\n", width=2, block=100)
@example(body='"a\n\n"\n\n""\n', width=1, block=3)
@example(body='a\r"', width=1, block=1)
def test_any_content_is_read_as_the_csv_module_reads_it(
    tmp_path_factory: pytest.TempPathFactory, body: str, width: int, block: int
) -> None:
    header = ",".join(f"c{index}" for index in range(width)) + "\n"
    expected = by_the_csv_module(body, width, ",")
    csv_reader = reader(_path(tmp_path_factory), header + body, delimiter=",")
    if expected.is_open:
        with pytest.raises(InputError, match="never closed"):
            in_blocks(csv_reader, block)
        return
    found = in_blocks(csv_reader, block)
    assert (found.rows, sorted(found.faults)) == (expected.rows, expected.malformed)


@given(table=tables(), block=BLOCKS, other_block=BLOCKS, quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_reading_resumes_at_the_end_of_any_chunk_with_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], block: int, other_block: int, quoting: int
) -> None:
    text = written(table, quoting=quoting, lineterminator="\n")
    csv_reader = reader(_path(tmp_path_factory), text, delimiter=",")
    whole = in_blocks(csv_reader, block)
    for chunk in whole.chunks:
        with patch.object(reading_csv, "BLOCK_BYTES", other_block):
            rest = read(csv_reader, chunk.end)
        assert rest.rows == whole.rows[chunk.end.row :]
        assert rest.faults == {row: fault for row, fault in whole.faults.items() if row > chunk.end.row}


def test_a_large_file_of_all_kinds_of_rows_is_read_as_the_csv_module_reads_it(tmp_path: Path) -> None:
    """Use a file large enough for polars to split a block among its threads."""
    sound = '1,"a ""quoted"" cell",x\n2,"two\nlines",\n3,"",""\n4,plain,ünïcode\n5,,\n' * 5_000
    odd = ["6\n", "6,b,c,d\n", '6,5" pipe,x\n', ",,\n", "\n", "6,b,c,\n7,b\n", '"6"x,,\n', "6,a\rb,c\n"]
    body = "".join(each + sound for each in odd)
    expected = by_the_csv_module(body, 3, ",")
    csv_reader = reader(tmp_path / "large.csv", "a,b,c\n" + body)
    for block in (1 << 20, 1 << 24):
        found = in_blocks(csv_reader, block)
        assert found.rows == expected.rows
        assert sorted(found.faults) == expected.malformed


def _path(factory: pytest.TempPathFactory) -> Path:
    return factory.getbasetemp() / "property.csv"


def test_the_rows_of_a_chunk_have_the_schema_of_the_reader(tmp_path: Path) -> None:
    csv_reader = reader(tmp_path / "input.csv", 'a,b\n1,2\n3\n"",\n')
    for chunk in csv_reader.read(read(csv_reader).chunks[0].start):
        assert chunk.frame.schema == csv_reader.schema() == pl.Schema({"a": pl.String(), "b": pl.String()})
