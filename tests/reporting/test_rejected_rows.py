"""Rejected rows that nobody fixed are rejected again, with the same cells, and fixed ones are sent: in every format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sender.config.model import Config
from bulk_sender.errors import InputError
from bulk_sender.reading.added import foreign_columns, unreadable_column
from bulk_sender.reporting.files import write_rejects
from bulk_sender.reporting.rows import rejects
from tests.kit.accounts import journal_of
from tests.kit.inputs import put
from tests.kit.reading import planned, rows_of, written
from tests.recipients.typed import Table, typed_frames

HEADER = ["external_user_id", "attributes.a", "attributes.b", "attributes.n:integer"]


class Rejected:
    """The rejects of an input: their files, and what the journal says of them."""

    def __init__(self, folder: Path, path: Path, settings: dict[str, Any] | None = None) -> None:
        pieces = list(planned(path, Config.parse(settings or {}, where="the test")))
        with journal_of(folder, path, settings=settings, pieces=pieces) as journal:
            self.files = write_rejects(journal, folder)
            self.frame = pl.concat(rejects(journal))
        rows = rows_of(pieces)
        self.codes = rows.filter(verdict="rejected")["error_code"].to_list()
        self.sound = rows.height - len(self.codes)

    @property
    def own(self) -> pl.DataFrame:
        """Their own cells; no text is no cell."""
        own = self.frame.drop(foreign_columns(self.frame.columns))
        return own.select(pl.all().replace("", None))

    @property
    def unreadable(self) -> list[str | None]:
        name = unreadable_column(self.frame.columns)
        return [None] * len(self.frame) if name is None else self.frame[name].to_list()

    @property
    def reasons(self) -> list[str]:
        """Why they were rejected, without where."""
        return [text.rpartition("line ")[2].partition(": ")[2] or text for text in self.frame[-3].to_list()]


def assert_rejected_again(first: Rejected, again: Rejected) -> None:
    """Whether all rows came back as they were."""
    assert again.sound == 0
    assert again.codes == first.codes
    assert again.own.equals(first.own)
    assert again.unreadable == first.unreadable


def there_and_back(
    folder: Path, path: Path, settings: dict[str, Any] | None = None, kind: str = "rejected"
) -> tuple[Rejected, Rejected]:
    first = Rejected(folder / "run", path, settings)
    again = Rejected(folder / "again", first.files[kind], settings)
    assert_rejected_again(first, again)
    return first, again


def rewritten(path: Path, change: Callable[[dict[str, str]], None], encoding: str = "utf-8", **dialect: Any) -> None:
    """Change the rows of a CSV, as a spreadsheet program would."""
    reader = csv.DictReader(io.StringIO(path.read_bytes().decode(encoding), newline=""), strict=True, **dialect)
    rows = list(reader)
    for row in rows:
        change(row)
    text = written([list(reader.fieldnames or []), *(list(row.values()) for row in rows)], **dialect)
    path.write_bytes(text.encode(encoding))


def recipients(path: Path, settings: dict[str, Any] | None = None) -> list[Any]:
    rows = rows_of(planned(path, Config.parse(settings or {}, where="the test")))
    assert rows["error"].to_list() == [None] * len(rows)
    return [json.loads(text) for text in rows["recipient"]]


# ----- rows that could not be read


UNREADABLE = {
    "too many cells": "u1,Smith, John,FR,7",
    "too few cells": "u1,Ann",
    "one cell": "u1",
    "text after a quote": 'u1,"An" n,FR,7',
    "a record over two lines": 'u1,"An"" n\nmore" x,FR,7',
    "too many cells with a NUL": "u1,\x00,b,7,x",
}


@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_row_that_could_not_be_read_comes_back_with_its_text(tmp_path: Path, raw: str, end: str) -> None:
    lines = [",".join(HEADER), "u0,a,b,7", raw, "u2,a,b,8"]
    path = put(tmp_path, "input.csv", end.join(lines) + end)
    first, again = there_and_back(tmp_path, path)
    assert first.codes == ["malformed_row"]
    assert first.sound == 2
    assert first.unreadable == [raw]
    assert first.frame["source_line"].to_list() == ["3"]
    assert "put its cells right, then empty its cell in the column 'unreadable'" in first.frame["error"][0]
    third = Rejected(tmp_path / "third", again.files["rejected"])
    assert_rejected_again(first, third)
    assert third.frame["error"][0].count("then empty its cell") == 1


def test_such_a_row_is_sent_once_it_is_put_right(tmp_path: Path) -> None:
    path = put(tmp_path, "input.csv", f"{','.join(HEADER)}\nu1,Smith, John,FR,7\nu2,Ann\nu3,c,d,x\n")
    file = Rejected(tmp_path / "run", path).files["rejected"]
    right = {"u1": ["Smith, John", "FR", "7"], "u2": ["Ann", "", "8"], "u3": ["c", "d", "9"]}

    def cells_alone(row: dict[str, str]) -> None:
        row.update(zip(HEADER[1:], right[row["external_user_id"]], strict=True))

    def emptied(row: dict[str, str]) -> None:
        row["unreadable"] = ""

    rewritten(file, cells_alone)
    assert rows_of(planned(file))["error_code"].to_list() == ["malformed_row", "malformed_row", None]
    rewritten(file, emptied)
    assert recipients(file) == [
        {"external_user_id": "u1", "attributes": {"a": "Smith, John", "b": "FR", "n": 7}},
        {"external_user_id": "u2", "attributes": {"a": "Ann", "n": 8}},
        {"external_user_id": "u3", "attributes": {"a": "c", "b": "d", "n": 9}},
    ]


@pytest.mark.parametrize("name", ["unreadable", "bulk_sender_unreadable", "unreadable:integer"])
def test_an_own_column_of_that_name_keeps_its_cells(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, "input.csv", f"external_user_id,attributes.n:integer,{name}\nu1,x,1\nu2,2\nu3,y,3\n")
    first, _ = there_and_back(tmp_path, path)
    assert first.own[name].to_list() == ["1", None, "3"]
    assert first.unreadable == [None, "u2,2", None]
    sound = put(tmp_path, "sound.csv", f"external_user_id,attributes.n:integer,{name}\nu1,x,1\nu3,y,3\n")
    (tmp_path / "sound").mkdir()
    first, _ = there_and_back(tmp_path / "sound", sound)
    assert first.codes == ["invalid_value"] * 2
    assert first.own[name].to_list() == ["1", "3"]


def test_a_file_without_such_rows_has_no_column_for_them(tmp_path: Path) -> None:
    path = put(tmp_path, "input.csv", f"{','.join(HEADER)}\nu1,a,b,x\n")
    assert Rejected(tmp_path / "run", path).frame.columns == [*HEADER, "error", "source_line", "run"]


@pytest.mark.parametrize(
    "line", ['{"external_user_id": "u", ', "null", '{"external_user_id":"a","external_user_id":"b"}', "x" * 5000, '"é"']
)
def test_a_line_that_is_no_object_comes_back_with_its_whole_text(tmp_path: Path, line: str) -> None:
    path = put(tmp_path, "input.ndjson", f'{{"external_user_id": "u0"}}\n\n{line}\n{{"external_user_id": "u2"}}\n')
    first, again = there_and_back(tmp_path, path)
    assert (first.sound, first.unreadable, first.codes) == (2, [line], ["malformed_row"])
    assert first.frame["source_line"].to_list() == ["3"]
    there_and_back(tmp_path / "again", again.files["rejected"])


def test_a_header_again_is_rejected_again_in_any_format(tmp_path: Path) -> None:
    frame = pl.DataFrame({"external_user_id": ["u1", "external_user_id"], "attributes.n": ["1", "attributes.n"]})
    for kind, write in (
        ("csv", "write_csv"),
        ("ndjson", "write_ndjson"),
        ("parquet", "write_parquet"),
        ("xlsx", "write_excel"),
    ):
        folder = tmp_path / kind
        folder.mkdir()
        getattr(frame, write)(folder / f"input.{kind}")
        for file in Rejected(folder / "run", folder / f"input.{kind}").files.values():
            assert rows_of(planned(file))["error_code"].to_list() == ["malformed_row"]


def test_an_invisible_character_and_a_blank_stay_in_the_cell(tmp_path: Path) -> None:
    path = put(tmp_path, "input.csv", "email,prioritization,attributes.a\na\u200b@x.com,identified, b \u202f\n")
    first, _ = there_and_back(tmp_path, path)
    assert first.codes == ["invalid_email"]
    assert first.own.row(0) == ("a\u200b@x.com", "identified", " b \u202f")


def test_a_recipient_that_is_too_large_is_rejected_again(tmp_path: Path) -> None:
    path = put(tmp_path, "input.csv", f"external_user_id,attributes.a\nu1,{'x' * 400_000}\n")
    first, _ = there_and_back(tmp_path, path, {"delivery": {"max_body_kb": 256}})
    assert first.codes == ["too_large"]
    assert first.own["attributes.a"].to_list() == ["x" * 400_000]


def test_a_file_without_a_header_has_one_in_its_rejects(tmp_path: Path) -> None:
    table = {
        "input": {"header": False, "header_row": None},
        "recipient": {"external_user_id": "column_1", "attributes": {"n": {"column": "column_2", "type": "integer"}}},
    }
    del table["input"]["header_row"]
    path = put(tmp_path, "input.csv", "u1,x\nu2,1,2\nu3,3\n")
    first, _ = there_and_back(tmp_path, path, table)
    assert first.codes == ["invalid_value", "malformed_row"]
    assert first.unreadable == [None, "u2,1,2"]


def test_another_format_in_the_configuration_does_not_hide_the_rejects(tmp_path: Path) -> None:
    table = {"input": {"format": "ndjson"}}
    path = put(tmp_path, "input.txt", '{"external_user_id": ""}\n{"external_user_id": "u"}\nx\n'.replace('""', '" "'))
    there_and_back(tmp_path, path, table)


@pytest.mark.parametrize("name", ["input.csv", "input.ndjson"])
def test_bytes_that_are_not_text_refuse_the_file(tmp_path: Path, name: str) -> None:
    line = "é,é\n" if name.endswith("csv") else '{"external_user_id": "é"}\n'
    data = ("external_user_id,a\n" if name.endswith("csv") else "").encode() + (line * 50).encode() + b"\xff,1\n"
    with pytest.raises(InputError, match=rf"not valid UTF-8: byte {data.index(0xFF)} is not part of a character"):
        list(planned(put(tmp_path, name, data)))


# ----- the dialect of the input


DIALECTS = {
    "semicolons, cp1252, CRLF": (";", "cp1252", "\r\n", False),
    "tabs, UTF-16": ("\t", "utf-16", "\r\n", False),
    "a byte-order mark, all in quotes": (",", "utf-8-sig", "\r\n", True),
    "pipes, LF": ("|", "utf-8", "\n", False),
    "an old Mac": (";", "mac_roman", "\r", False),
    "tildes": ("~", "utf-8", "\n", True),
}


@pytest.mark.parametrize(("delimiter", "encoding", "end", "quoted"), DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("above", ["", "Export\n\n", "sep={}\n"], ids=["plain", "titles", "sep"])
def test_rejects_are_written_like_their_input(
    tmp_path: Path, delimiter: str, encoding: str, end: str, quoted: bool, above: str
) -> None:
    quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    rows = [["Kunde", "Größe", "Wort"], ["ä1", "1", "x"], ["", "größer", 'say "é", now; or\tnot'], ["ä3", "3"]]
    text = written(rows, delimiter=delimiter, quoting=quoting, lineterminator="\n")
    text = above.format(delimiter if delimiter != "\t" else "\\t") + text
    path = put(tmp_path, "input.csv", text.replace("\n", end).encode(encoding))
    table: dict[str, Any] = {"recipient": {"external_user_id": "Kunde", "attributes": {"w": "Wort"}}}
    if encoding == "mac_roman":
        table["input"] = {"encoding": encoding}
    first, _ = there_and_back(tmp_path, path, table)
    raw = first.files["rejected"].read_bytes()
    found = raw.decode(encoding)
    assert found.encode(encoding) == raw
    assert found.count(end) == 3 + above.startswith("sep=")
    assert len(found.splitlines()) == 3 + above.startswith("sep=")
    assert found.startswith("sep=") == above.startswith("sep=")
    [header, *lines] = csv.reader(io.StringIO(found, newline=""), delimiter=delimiter, strict=True)
    header = lines.pop(0) if above.startswith("sep=") else header
    assert header == ["Kunde", "Größe", "Wort", "unreadable", "error", "source_line", "run"]
    assert [line[:4] for line in lines] == [
        ["", "größer", 'say "é", now; or\tnot', ""],
        ["ä3", "3", "", f'"ä3"{delimiter}"3"' if quoted else f"ä3{delimiter}3"],
    ]
    assert [line[5] for line in lines] == [str(3 + above.count("\n")), str(4 + above.count("\n"))]
    assert ('"Kunde"' in found) == quoted


def test_a_guess_that_would_be_another_in_the_rejects_gives_way_to_a_byte_order_mark(tmp_path: Path) -> None:
    rows = "".join(f"u{n};кофе и чай по утрам, {n};1\n" for n in range(50))
    text = f"external_user_id;attributes.a;attributes.n:integer\n{rows}u;щ;x\n"
    path = put(tmp_path, "input.csv", text.encode("cp1251"))
    first, _ = there_and_back(tmp_path, path)
    assert first.own["attributes.a"].to_list() == ["щ"]


def test_a_typed_input_with_a_configured_encoding_that_lacks_a_letter(tmp_path: Path) -> None:
    frame = pl.DataFrame({"external_user_id": ["", " "], "attributes.a": ["щ", "é"]})
    frame.write_parquet(tmp_path / "input.parquet")
    first, _ = there_and_back(tmp_path, tmp_path / "input.parquet", {"input": {"encoding": "cp1252", "delimiter": ";"}})
    assert first.files["rejected"].read_bytes().decode("utf-8-sig").splitlines()[0] == "sep=;"


# ----- workbooks


def test_a_workbook_gets_a_workbook_of_its_rejects(tmp_path: Path) -> None:
    table = {"recipient": {"external_user_id": "id", "attributes": {"n": {"column": "n", "type": "integer"}}}}
    table |= {"input": {"sheet": "Clients"}}
    with xlsxwriter.Workbook(str(tmp_path / "input.xlsx")) as book:
        book.add_worksheet("Notes").write_row(0, 0, ["read me"])
        page = book.add_worksheet("Clients")
        page.write_row(0, 0, ["List of clients"])
        page.write_row(2, 0, ["id", "n", "name"])
        zeros = book.add_format({"num_format": "000000"})
        for row, (who, number, name) in enumerate([(7, 1, "a"), (8, "many", "00123"), (9, 2, "c"), ("", 3, "d")], 3):
            page.write(row, 0, who, zeros)
            page.write(row, 1, number)
            page.write(row, 2, name)
    first, _ = there_and_back(tmp_path, tmp_path / "input.xlsx", table)
    _, again = there_and_back(tmp_path / "again", first.files["rejected_xlsx"], table, "rejected_xlsx")
    assert first.own.rows() == [("000008", "many", "00123"), (None, "3", "d")]
    assert first.frame["source_line"].to_list() == ["5", "7"]
    found = pl.read_csv(again.files["rejected"], infer_schema=False)
    assert found["id"].to_list() == ["000008", None]


# ----- always


def characters_of(encoding: str) -> st.SearchStrategy[str]:
    """All characters that an encoding has, but NUL and CR.

    As ``st.characters(codec=encoding)``, which tries every character of Unicode: that takes seconds for each encoding.
    """
    if encoding.startswith("utf-"):
        return st.characters(codec="utf-8", exclude_characters="\x00\r")
    return st.sampled_from(
        [letter for letter in bytes(range(256)).decode(encoding, "ignore") if letter not in "\x00\r"]
    )


def text_in(encoding: str) -> st.SearchStrategy[str]:
    """Cells in an encoding, with what a dialect may trip over."""
    letters = st.text(characters_of(encoding), max_size=5)
    odd = [
        "",
        '"',
        '""',
        ",",
        ";",
        "\t",
        "|",
        "\n",
        "'",
        "=1+1",
        " ",
        "N/A",
        "007",
        "sep=;",
        "#",
        "_x0041_",
        "a\x07b",
        "{",
    ]
    return letters | st.sampled_from(odd)


CODES = ["utf-8", "utf-8-sig", "cp1252", "cp1250", "utf-16", "utf-16-le", "utf-32", "cp1251"]


@st.composite
def csv_inputs(draw: st.DrawFn) -> tuple[bytes, dict[str, Any], str]:
    """A CSV as anybody may write it, with rows that are sound, wrong, or cannot be read; the settings; its encoding."""
    encoding = draw(st.sampled_from(CODES))
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quoting = draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    cells = text_in(encoding)
    lines = [written([HEADER], delimiter=delimiter, quoting=quoting, lineterminator=end)]
    for number, (kind, a, b) in enumerate(
        draw(
            st.lists(
                st.tuples(st.sampled_from(["no number", "no one", "short", "long", "quote", "sound"]), cells, cells),
                max_size=6,
            )
        )
    ):
        row = {
            "no number": [f"u{number}", a, b, "x"],
            "no one": ["", a, b, "7"],
            "short": [f"u{number}", a],
            "long": [f"u{number}", a, b, "7", "more"],
            "quote": [f"u{number}", a, b, "7"],
            "sound": [f"u{number}", a, b, "7"],
        }[kind]
        line = written([row], delimiter=delimiter, quoting=quoting, lineterminator=end)
        lines.append(f'"u{number}"x{delimiter}{line}' if kind == "quote" else line)
    lines.append(written([["last", "", "", "x"]], delimiter=delimiter, quoting=quoting, lineterminator=end))
    mark = draw(st.sampled_from(["", "\ufeff"])) if encoding == "utf-8" else ""
    told = (
        {} if encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32") and draw(st.booleans()) else {"encoding": encoding}
    )
    told |= draw(st.sampled_from([{}, {"delimiter": delimiter}]))
    return (mark + "".join(lines)).encode(encoding), {"input": told}, encoding


@settings(max_examples=settings.default.max_examples // 2)
@given(made=csv_inputs())
def test_rejects_of_any_csv_come_back_cell_by_cell(
    tmp_path_factory: pytest.TempPathFactory, made: tuple[bytes, dict[str, Any], str]
) -> None:
    data, table, _ = made
    folder = tmp_path_factory.mktemp("csv")
    first, _ = there_and_back(folder, put(folder, "input.csv", data), table)
    assert_fixed_rows_are_sent(first, folder, table)


def assert_fixed_rows_are_sent(first: Rejected, folder: Path, table: dict[str, Any], kind: str = "rejected") -> None:
    """Fix the identifier, the number and what could not be read; every other cell goes out as it was."""
    fixed = first.frame.with_row_index("_").with_columns(
        pl.format("v{}", "_").alias("external_user_id"), pl.lit("7").alias("attributes.n:integer")
    )
    name = unreadable_column(first.frame.columns)
    fixed = fixed.drop("_").with_columns(*([pl.lit(None, pl.String).alias(name)] if name else []))
    path = folder / "fixed.csv"
    fixed.write_csv(path, include_bom=True, quote_style="always")
    expected = [
        {
            "external_user_id": f"v{number}",
            "attributes": {key: row[f"attributes.{key}"] for key in ("a", "b") if row[f"attributes.{key}"]} | {"n": 7},
        }
        for number, row in enumerate(first.own.to_dicts())
    ]
    plain = {key: value for key, value in table.items() if key != "input"}
    assert recipients(path, plain) == expected


JSON_LINES = st.lists(
    st.fixed_dictionaries(
        {
            "external_user_id": st.sampled_from(["", "u", None]),
            "n": st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
        },
        optional={
            "o": st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 9)),
            "l": st.lists(st.integers(0, 9), max_size=2),
        },
    ).map(json.dumps)
    | st.text(st.characters(codec="utf-8", exclude_characters="\n\r\x00"), min_size=1, max_size=8)
    | st.sampled_from(['{"n": NaN}', '{"external_user_id": "u", "external_user_id": "v"}', "{", '{"n": "\\ud800"}']),
    min_size=1,
    max_size=8,
).filter(lambda lines: not "\n".join(lines).encode().removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["))
"""No JSON array, which is refused."""


@settings(max_examples=settings.default.max_examples // 2)
@given(lines=JSON_LINES)
def test_rejects_of_any_ndjson_come_back(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    folder = tmp_path_factory.mktemp("ndjson")
    last = '{"external_user_id": "", "n": 1}'
    table = {"recipient": {"external_user_id": "external_user_id"}}
    there_and_back(folder, put(folder, "input.ndjson", "\n".join([*lines, last]) + "\n"), table)


@settings(max_examples=settings.default.max_examples // 2)
@given(made=typed_frames().filter(lambda made: bool(made.rows)), kind=st.sampled_from(["parquet", "arrow"]))
def test_rejects_of_any_typed_table_come_back(tmp_path_factory: pytest.TempPathFactory, made: Table, kind: str) -> None:
    folder = tmp_path_factory.mktemp("typed")
    schema = {name: column.dtype for name, column in made.kinds.items()}
    frame = pl.DataFrame([{name: row[name] for name in made.kinds} for row in made.rows], schema=schema)
    frame = frame.with_columns(external_user_id=pl.lit(" "), is_row=True)
    path = folder / f"input.{kind}"
    (frame.write_parquet if kind == "parquet" else frame.write_ipc)(path)
    there_and_back(folder, path)


SHEET_CELLS = (
    text_in("utf-8")
    | st.integers(-(10**12), 10**12)
    | st.floats(-1e6, 1e6)
    | st.booleans()
    | st.dates().filter(lambda day: day.year > 1900)
)


@settings(max_examples=settings.default.max_examples // 2)
@given(rows=st.lists(st.tuples(SHEET_CELLS, SHEET_CELLS), min_size=1, max_size=6))
def test_rejects_of_any_workbook_come_back_in_a_workbook(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("sheet")
    with xlsxwriter.Workbook(str(folder / "input.xlsx"), {"strings_to_formulas": False}) as book:
        page = book.add_worksheet("Data")
        page.write_row(0, 0, ["external_user_id", "attributes.a", "attributes.b"])
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        for number, row in enumerate(rows, 1):
            page.write_string(number, 0, " ")
            for place, cell in enumerate(row, 1):
                if isinstance(cell, str):
                    page.write_string(number, place, cell)
                elif hasattr(cell, "year"):
                    page.write_datetime(number, place, cell, day)
                else:
                    page.write(number, place, cell)
        page.write_string(len(rows) + 1, 1, "not blank")
    first, _ = there_and_back(folder, folder / "input.xlsx")
    workbook = Rejected(folder / "book", first.files["rejected_xlsx"])
    assert_rejected_again(first, workbook)
    assert_rejected_again(first, Rejected(folder / "book again", workbook.files["rejected_xlsx"]))
