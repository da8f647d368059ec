"""CSV reader: what counts as a row, a cell and a column, and which files are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulk_sender.errors import InputError
from bulk_sender.reading import csv as reading_csv
from tests.kit.reading import Read, read, reader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "input.csv"


def columns_and_rows(found: Read) -> tuple[list[str], list[tuple[str | None, ...]]]:
    return found.columns, found.rows


# ----- valid files


@pytest.mark.parametrize(
    ("content", "columns", "rows"),
    [
        pytest.param("a,b\n1,2\n", ["a", "b"], [("1", "2")], id="a line end after the last row"),
        pytest.param("a,b\n1,2", ["a", "b"], [("1", "2")], id="no line end after the last row"),
        pytest.param("a,b\r\n1,2\r\n3,4\r\n", ["a", "b"], [("1", "2"), ("3", "4")], id="CRLF"),
        pytest.param("a,b\r1,2\r3,4\r", ["a", "b"], [("1", "2"), ("3", "4")], id="CR alone"),
        pytest.param("a,b\r1,2\n3,4\r\n5,6", ["a", "b"], [("1", "2"), ("3", "4"), ("5", "6")], id="all line ends"),
        pytest.param(b"\xef\xbb\xbfa,b\n1,2\n", ["a", "b"], [("1", "2")], id="a byte-order mark"),
        pytest.param("a;b\n1,5;2\n", ["a", "b"], [("1,5", "2")], id="semicolons are detected"),
        pytest.param("a\tb\n1,5\t2;x\n", ["a", "b"], [("1,5", "2;x")], id="tabs are detected"),
        pytest.param("a|b|c\n1|2|3\n", ["a", "b", "c"], [("1", "2", "3")], id="bars are detected"),
        pytest.param('"a,x";"b,y";"c,z"\n1;2;3\n', ["a,x", "b,y", "c,z"], [("1", "2", "3")], id="not in quotes"),
        pytest.param("\n\r\na,b\n1,2\n", ["a", "b"], [("1", "2")], id="blank lines before the header"),
        pytest.param("a,b\n\n1,2\n\r\n\n3,4\n\n", ["a", "b"], [("1", "2"), ("3", "4")], id="blank lines are not rows"),
        pytest.param("a\nx\n\ny\n", ["a"], [("x",), ("y",)], id="blank lines are not rows with one column either"),
        pytest.param('a\nx\n""\ny\n', ["a"], [("x",), (None,), ("y",)], id="an empty cell in quotes is a row"),
        pytest.param('a,b\n"",\n', ["a", "b"], [(None, None)], id="an empty cell is null, quoted or not"),
        pytest.param("a,b\n,\n1,2\n,\n", ["a", "b"], [(None, None), ("1", "2"), (None, None)], id="empty rows count"),
        pytest.param(
            "a\tb\n\t\n \t \n", ["a", "b"], [(None, None), (" ", " ")], id="blanks are cells, not blank lines"
        ),
        pytest.param("a,b\n1,2,\n3,4,,\n", ["a", "b"], [("1", "2"), ("3", "4")], id="delimiters after the last cell"),
        pytest.param("a,b,\n1,2,\n", ["a", "b", "column_3"], [("1", "2", None)], id="a column without a name"),
        pytest.param(' a , "b"\n 1 , 2 \n', ["a", '"b"'], [(" 1 ", " 2 ")], id="names are trimmed, cells are not"),
        pytest.param('a,b\n"x\ny","z\r\nw"\n', ["a", "b"], [("x\ny", "z\r\nw")], id="line ends in quotes"),
        pytest.param('a,b\n"x\ry",z\n', ["a", "b"], [("x\ry", "z")], id="a CR in quotes"),
        pytest.param('a,b\n"say ""hi""",","\n', ["a", "b"], [('say "hi"', ",")], id="doubled quotes, quoted delimiter"),
        pytest.param('a,"b\nc"\n1,2\n', ["a", "b\nc"], [("1", "2")], id="a line end in a column's name"),
        pytest.param('5" pipe,b\n1,2\n', ['5" pipe', "b"], [("1", "2")], id="a stray quote in the header"),
        pytest.param('a,b\n5" pipe,2\n', ["a", "b"], [('5" pipe', "2")], id="a quote inside a bare cell"),
        pytest.param('a,b\n "x", "y"\n', ["a", "b"], [(' "x"', ' "y"')], id="a quote after a space is a character"),
        pytest.param("a,b\nnull,NULL\nNA,#x\n", ["a", "b"], [("null", "NULL"), ("NA", "#x")], id="words are words"),
        pytest.param("a,b\n007,1e5\n", ["a", "b"], [("007", "1e5")], id="leading zeros survive"),
        pytest.param("a,b\n\x00,\x1f\n", ["a", "b"], [("\x00", "\x1f")], id="control characters"),
        pytest.param(
            "a,b\nx\ufeff,\ufeffy\n", ["a", "b"], [("x\ufeff", "\ufeffy")], id="a mark within a record is kept"
        ),
        pytest.param("a,b\n\ufeffx,y\n", ["a", "b"], [("x", "y")], id="a byte-order mark before a record is dropped"),
        pytest.param(
            'a,b\r\n\ufeff"x,1",y\r\n\ufeff\ufeffz,w\r\n',
            ["a", "b"],
            [("x,1", "y"), ("z", "w")],
            id="marks before quotes",
        ),
        pytest.param("\n\ufeffa,b\n1,2\n", ["a", "b"], [("1", "2")], id="a byte-order mark after a blank line"),
        pytest.param('a,b\n"x\n\ufeffy",z\n', ["a", "b"], [("x\n\ufeffy", "z")], id="a mark within quotes is kept"),
        pytest.param("a~b\n1,5~2\n", ["a", "b"], [("1,5", "2")], id="tildes are detected"),
        pytest.param("a^b\n1^2\n", ["a", "b"], [("1", "2")], id="circumflexes are detected"),
        pytest.param("a\x01b\n1\x012\n", ["a", "b"], [("1", "2")], id="the delimiter of Hive is detected"),
        pytest.param("a~b\n1\n", ["a~b"], [("1",)], id="a tilde that only the header has is part of its name"),
        pytest.param("ключ,名前\nд,😀\n", ["ключ", "名前"], [("д", "😀")], id="any script"),
    ],
)
def test_reads(path: Path, content: str, columns: list[str], rows: list[tuple[str | None, ...]]) -> None:
    assert columns_and_rows(read(reader(path, content))) == (columns, rows)


def test_a_header_alone_has_columns_and_no_rows(path: Path) -> None:
    assert columns_and_rows(read(reader(path, "a,b\n"))) == (["a", "b"], [])
    assert columns_and_rows(read(reader(path, "a,b"))) == (["a", "b"], [])


def test_a_configured_delimiter_overrides_detection(path: Path) -> None:
    found = read(reader(path, "a;b,c\n1;2,3\n", delimiter=";"))
    assert columns_and_rows(found) == (["a", "b,c"], [("1", "2,3")])


def test_without_a_header_columns_are_numbered_and_the_first_line_is_a_row(path: Path) -> None:
    found = read(reader(path, "x,y\n1,2\n", header=False))
    assert columns_and_rows(found) == (["column_1", "column_2"], [("x", "y"), ("1", "2")])


# ----- malformed rows


def test_a_row_with_too_few_fields_is_malformed_and_the_others_are_not(path: Path) -> None:
    found = read(reader(path, "a,b,c\n1,2,3\n4,5\n6,7,8\n"))
    assert found.rows[0::2] == [("1", "2", "3"), ("6", "7", "8")]
    assert found.faults == {2: "the row has 2 fields, but the header has 3"}


def test_a_row_with_too_many_fields_is_malformed_and_names_the_extra_ones(path: Path) -> None:
    found = read(reader(path, "a,b\n1,2\n3,4,5,6\n"))
    assert found.rows == [("1", "2"), ("3", "4")]
    assert found.faults == {2: "the row has 4 fields, but the header has 2; extra: '5,6'"}


def test_a_short_row_is_detected_after_a_row_with_an_extra_delimiter(path: Path) -> None:
    assert read(reader(path, "a,b\n1,2,\n3\n")).faults == {2: "the row has 1 field, but the header has 2"}


def test_a_blank_line_is_skipped_after_a_row_with_extra_delimiters(path: Path) -> None:
    found = read(reader(path, "a,b\n1,2,\n\n3,4\n"))
    assert (found.rows, found.faults) == ([("1", "2"), ("3", "4")], {})


def test_text_after_a_closing_quote_makes_the_row_malformed(path: Path) -> None:
    found = read(reader(path, 'a,b\n"He said "hi", twice",2\n3,4\n'))
    assert found.rows[1] == ("3", "4")
    assert found.faults == {1: "invalid quotes: text follows a closing quote"}


def test_rows_swallowed_by_a_missing_quote_are_malformed_and_not_a_value(path: Path) -> None:
    found = read(reader(path, 'a,b\n1,"open\n2,x\n3,"closed"\n4,y\n'))
    assert found.rows[-1] == ("4", "y")
    assert found.faults == {1: "invalid quotes: text follows a closing quote (3 lines were read as this row)"}


# ----- refused files


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("\n\r\n \n", "is empty", id="nothing but blank lines"),
        pytest.param("a,b,a\n1,2,3\n", "columns 1 and 3 are both named 'a'", id="a name twice"),
        pytest.param("a, a \n1,2\n", "columns 1 and 2 are both named 'a'", id="a name twice apart from spaces"),
        pytest.param('a,"b\n1,2\n', "the header line cannot be read: a quote is never closed", id="an open header"),
        pytest.param('"a"x,b\n1,2\n', "cannot be read: invalid quotes", id="a broken header"),
        pytest.param(b"a,b\n" + b"\x00" * 100, "is binary, not text", id="NULs"),
    ],
)
def test_refuses(path: Path, content: str | bytes, reason: str) -> None:
    with pytest.raises(InputError, match=r"input\.csv") as refused:
        reader(path, content)
    assert reason in str(refused.value)
    assert refused.value.hint


def test_refuses_a_quote_that_is_never_closed_and_names_its_row(path: Path) -> None:
    found = reader(path, 'a,b\n1,2\n3,"4\n5,6\n7,8\n')
    with pytest.raises(InputError, match=r"a quote opened in row 2 is never closed \(line 3\)"):
        read(found)


def test_refuses_a_record_that_never_ends_before_memory_is_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr(reading_csv, "MAX_RECORD_BYTES", 1 << 20)
    found = reader(path, 'a,b\n1,2\n3,"4\n' + "5,6\n" * 600_000)
    with pytest.raises(InputError, match=r"a record after row 1 is longer than 1 MB \(in line 3 or below\)"):
        read(found)


def test_refuses_a_header_that_never_ends(path: Path) -> None:
    with pytest.raises(InputError, match="the header line is longer than 1 MB"):
        reader(path, "a," * 600_000)


# ----- blocks


def test_a_record_longer_than_a_block_is_read_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 8)
    long = 'x\n"",' * 50
    found = read(reader(path, f'a,b\n1,2\n"{long}",3\n4,5\n'))
    assert found.rows == [("1", "2"), (long.replace('""', '"'), "3"), ("4", "5")]
    assert len(found.chunks) > 1


def test_a_malformed_row_does_not_affect_other_blocks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 64)
    rows = [f"{n},v{n}" for n in range(1, 201)]
    rows[99] = "100"
    rows[149] = '150,5" pipe'
    found = read(reader(path, "a,b\n" + "\n".join(rows)))
    assert [row[0] for row in found.rows] == [str(n) for n in range(1, 201)]
    assert found.rows[149] == ("150", '5" pipe')
    assert list(found.faults) == [100]


def test_ordinary_blocks_use_the_fast_path_even_beside_unusual_ones(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    careful: list[int] = []
    carefully = reading_csv._parse_carefully

    def counted(block: bytes, *rest: object) -> object:
        careful.append(len(block))
        return carefully(block, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(reading_csv, "_parse_carefully", counted)
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 1 << 10)
    plain = '1,"x, ""y"" \n\r"\r\n2,""\n3,\n' * 100
    read(reader(path, "a,b\n" + plain))
    assert careful == []
    read(reader(path, "a,b\n" + plain + "only one\n" + plain))
    assert 1 <= len(careful) <= 2
