"""Where the table of a CSV begins: titles, comments, ``sep=`` lines and a configured header row."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError, InputError
from bulk_sender.reading.header import header_index
from tests.kit.reading import Read, read, reader, written

FRENCH = "N° client;Prénom;Ville;Total\n000077;Zoé;Paris;12,50\n000078;Ann;Lyon;7,00\n"
PLAIN = "external_user_id,name\nanna,Ann\nben,Ben\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "export.csv"


def _lines(found: Read) -> list[int]:
    lines = found.chunks[0].lines
    return [] if lines is None else lines.to_list()


@pytest.mark.parametrize(
    ("above", "table", "line"),
    [
        ("Clients actifs - hiver 2026\n", FRENCH, 2),
        ("Clients actifs - hiver 2026\nExport du 27/11/2026\n\n", FRENCH, 4),
        ("Clients;;;\n;;;\n", FRENCH, 3),
        ("Clients, hiver 2026\n", FRENCH, 2),
        ('"Clients\nhiver 2026"\n\n', FRENCH, 4),
        ("Exporté le;27/11/2026;;\nLignes;2;;\n", FRENCH, 3),
        (
            "Kundenliste;;;Stand 27.11.2026\n",
            "Kundennr;Name;E-Mail;Ort\n7;Ann;a@example.com;Ulm\n8;Bo;b@example.com;\n",
            2,
        ),
        ("# exported by the shop\n# 2 rows\n", PLAIN, 3),
        ("# exported by the shop, nightly\n", PLAIN, 2),
        ("#exported\n", "id,name\nanna,Ann\nben,Ben\n", 2),
        ("# exported\n", "email\nann@example.com\nben@example.com\n", 2),
        ("Customers\n", "email\nann@example.com\nben@example.com\n", 2),
        ("Customers\n", "external_user_id\nanna\nben\n", 2),
        ("List of people\n\n", "id,name\nanna,Ann\nben,Ben\n", 3),
        ("Report\n", "id\tmail\tname\n1\ta@example.com\tAnn\n2\tb@example.com\tBen\n", 2),
        ("Report\n", "id~mail~name\n1~a@example.com~Ann\n2~b@example.com~Ben\n", 2),
        ("Sales 2023 to 2024\n", "customer,2023,2024\nu1,5,6\nu2,7,8\n", 2),
        ("Title\n", "id,name,,\nu1,Ann,,\nu2,Ben,,\n", 2),
        ("\n\nA title that is long\n\n\n", FRENCH, 6),
    ],
)
def test_the_header_is_found_below_what_is_above_it(path: Path, above: str, table: str, line: int) -> None:
    found = reader(path, above + table)
    alone = read(reader(path.with_name("alone.csv"), table, delimiter=found.dialect.delimiter))
    assert found.dialect.delimiter in table.splitlines()[0] or len(alone.columns) == 1
    rows = read(found)
    assert (rows.columns, rows.rows, rows.faults) == (alone.columns, alone.rows, {})
    assert _lines(rows) == list(range(line + 1, line + 1 + len(rows.rows)))
    [note] = found.notes()
    assert note.startswith(f"the header is line {line}; {line - 1} line")


def test_a_second_table_below_does_not_take_the_header(path: Path) -> None:
    """As in exports of web analytics, whose totals by day follow."""
    days = "".join(f"1/{day}/26,{day}\n" for day in range(1, 9))
    found = reader(path, f'# Pages\n# 2026\n\nemail,Views,Time\na@x.com,"1,2",0:30\n\nDay,Views\n{days}')
    assert found.dialect.columns == ("email", "Views", "Time")


def test_what_is_left_out_is_said_with_its_first_line(path: Path) -> None:
    [note] = reader(path, "Clients actifs - hiver 2026\nExport du 27/11/2026\n\n" + FRENCH).notes()
    assert note == "the header is line 4; 3 lines above it were left out: 'Clients actifs - hiver 2026'"
    [note] = reader(path, "# exported\n" + PLAIN).notes()
    assert note == "the header is line 2; 1 line above it was left out: '# exported'"


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "sep=;;;;", "\ufeffsep=;"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_for_excel_gives_the_delimiter(path: Path, first: str, end: str) -> None:
    text = f"{first}\nid;a,b,c\nu1;x,y,z\n".replace("\n", end)
    found = reader(path, text)
    rows = read(found)
    assert (rows.columns, rows.rows) == (["id", "a,b,c"], [("u1", "x,y,z")])
    assert found.notes() == [f"the header is line 2; 1 line above it was left out: {first.strip(chr(0xFEFF))!r}"]


def test_a_line_for_excel_may_name_a_tab_and_any_other_character(path: Path) -> None:
    assert read(reader(path, "sep=\\t\nid\tn\nu1\t1\n")).rows == [("u1", "1")]
    assert read(reader(path, "sep=\t\nid\tn\nu1\t1\n")).rows == [("u1", "1")]
    assert read(reader(path, "sep=:\nid:n\nu1:1\n")).rows == [("u1", "1")]
    assert read(reader(path, "sep=,\nid;n\nu1;1\n", delimiter=";")).rows == [("u1", "1")]
    assert read(reader(path, "sep=;\nA title\n\n" + FRENCH)).columns[0] == "N° client"
    assert read(reader(path, "sep=;\nu1;1\n", header=False)).rows == [("u1", "1")]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "external_user_id,name,country\nu1,Smith, John,FR\nu2,Mo, Al,FR\nanna,Lee, Jo,FR\n", id="all ragged"
        ),
        pytest.param("id,tags\nanna,red;green;blue\nu2,a1;b2;c3\nu3,a4;b5;c6\n", id="lists in cells"),
        pytest.param("channel\nemail\nsms\nemail\n", id="a name of ours as a value"),
        pytest.param("id,name\n1,Ann\n2,Bo\nid,name,age\n3,Cy,5\n4,Di,6\n5,Ed,7\n", id="two exports of other widths"),
        pytest.param("id,name\n\nid,name\n3,Cy\n", id="a repeated header"),
        pytest.param("id,,\nu1,Ann,x\nu2,Bo,y\n", id="columns without names"),
        pytest.param(",name,mail\n0,Ann,a@example.com\n1,Bo,b@example.com\n", id="an index without a name"),
        pytest.param("#,name\n1,Ann\n2,Bo\n", id="a number sign as a name"),
        pytest.param("#id,name\n1,Ann\n2,Bo\n", id="a name that begins with a number sign"),
        pytest.param("name\nAnn\nBo\n7\n", id="a column of names"),
        pytest.param("email\nunknown\na@example.com\nb@example.com\n", id="a word above addresses"),
        pytest.param("2026,2027\na,b\n1,2\n", id="years as names"),
        pytest.param("id;a,b\n1;x,y\n2;z,w\n", id="a name with a comma"),
        pytest.param("u1,Ann,5\nu2,Bo,6\n", id="no header"),
        pytest.param("only one line", id="one line"),
        pytest.param("a,b\n", id="a header alone"),
    ],
)
def test_an_ordinary_header_stays_the_header(path: Path, text: str) -> None:
    found = reader(path, text)
    assert found.notes() == []
    first = text.splitlines()[0]
    names = [name.strip() for name in first.split(found.dialect.delimiter)]
    assert found.schema().names() == [name or f"column_{place}" for place, name in enumerate(names, 1)]


_NAMES = st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=8), min_size=1, max_size=5, unique=True)
_CELL = st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=6)


@given(names=_NAMES, data=st.data())
def test_a_first_row_of_names_as_wide_as_the_rows_is_the_header_whatever_they_hold(
    names: list[str], data: st.DataObject
) -> None:
    width = len(names)
    rows = data.draw(st.lists(st.lists(_CELL, min_size=width, max_size=width), max_size=8))
    if len({name.casefold() for name in names}) == width:
        assert header_index([names, *rows]) == 0


def test_the_header_of_a_sheet_is_chosen_by_the_same_function() -> None:
    title: list[str | None] = ["Clients actifs", None, None, None]
    rows = [["1", "Zoé", "Paris", None], ["2", "Ann", None, "x"]]
    assert header_index([title, [None] * 4, ["N°", "Prénom", "Ville", "Note"], *rows]) == 2
    assert header_index([["N°", "Prénom", "Ville", None], *rows]) == 0
    assert header_index([[None] * 4, ["N°", "Prénom", "Ville", "Note"], *rows]) == 1
    assert header_index([]) == 0


# ----- a configured line


def test_a_configured_header_row_counts_the_lines_of_the_file(path: Path) -> None:
    text = 'A "title",\nthat, looks, like\na header,of,it\n\nid,n\nu1,1\n'
    for table in (text, text.replace("\n", "\r\n"), "\ufeff" + text):
        found = reader(path, table, header_row=5)
        rows = read(found)
        assert (rows.columns, rows.rows, found.notes()) == (["id", "n"], [("u1", "1")], [])
        assert _lines(rows) == [6]


def test_a_configured_first_line_is_the_header_even_if_it_is_a_title(path: Path) -> None:
    assert reader(path, "A title\n\n" + FRENCH, header_row=1).schema().names() == ["A title"]


def test_a_line_for_excel_counts_as_the_first_line(path: Path) -> None:
    found = reader(path, "sep=;\nid;a,b,c\nu1;x,y,z\n", header_row=2)
    assert (read(found).columns, read(found).rows) == (["id", "a,b,c"], [("u1", "x,y,z")])


@pytest.mark.parametrize(("line", "why"), [(2, "is blank"), (9, "does not exist: the file has 6 lines")])
def test_a_line_without_text_is_refused(path: Path, line: int, why: str) -> None:
    with pytest.raises(InputError, match=rf"line {line}, where \[input\] header_row says the header is, {why}"):
        reader(path, "Clients actifs\n\n\n" + FRENCH, header_row=line)


def test_fixed_rows_have_their_header_in_the_first_line_whatever_is_configured(path: Path) -> None:
    rejected = written([["id", "n", "error", "source_line", "run"], ["u1", "1", "bad", "9", "r"]])
    assert read(reader(path, rejected, header_row=4)).rows == [("u1", "1", "bad", "9", "r")]


def test_a_header_row_needs_a_header() -> None:
    with pytest.raises(ConfigError, match="header_row needs a header"):
        Config.parse({"input": {"header_row": 2, "header": False}}, where="the test")
    with pytest.raises(ConfigError, match="greater than or equal to 1"):
        Config.parse({"input": {"header_row": 0}}, where="the test")
