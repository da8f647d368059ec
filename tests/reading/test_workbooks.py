"""Workbooks: which sheet is read, and cells as people see them."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

import bulk_sender as bs
from bulk_sender.errors import BulkSenderError, InputError
from bulk_sender.guessing.draft import draft
from bulk_sender.reading import workbook_markup
from bulk_sender.reading.number_format import Shown, number_format
from tests.kit.inputs import chunks, read, recipients
from tests.kit.workbooks import MAIN, STRICT, book, cell, rewritten, rows, table

CASES = Path(__file__).parent / "data" / "workbooks"
PEOPLE = table(["external_user_id", "n"], ["u1", 1], ["u2", 2])


def column(path: Path, name: str = "trigger_properties.v", **config: Any) -> list[Any]:
    return read(path, **config)[name].to_list()


def one_column(*cells: str, header: str = "trigger_properties.v") -> str:
    """A sheet with an identifier in A, and these cells in B from row 2 on."""
    lines = [[cell("A1", "external_user_id"), cell("B1", header)]]
    return rows(*lines, *([cell(f"A{n}", f"u{n}"), each] for n, each in enumerate(cells, 2)))


# Dates.


def test_dates_of_a_workbook_from_a_mac_are_those_that_it_shows() -> None:
    assert column(CASES / "02_mac_1904_dates.xlsx") == [dt.date(2026, 2, 28)]


@pytest.mark.parametrize("properties", ['<workbookPr date1904="true"/>', "<workbookPr date1904='1'/>"])
def test_the_epoch_counts_for_every_kind_of_date(properties: str, tmp_path: Path) -> None:
    made = rows(
        [cell("A1", "external_user_id"), cell("B1", "day"), cell("C1", "moment"), cell("D1", "clock")],
        [cell("A2", "u1"), cell("B2", 0, style=1), cell("C2", 44619.5, style=2), cell("D2", 0.25, style=3)],
    )
    path = book(tmp_path / "b.xlsx", made, formats=["yyyy-mm-dd", "d/m/yy h:mm", "hh:mm"], properties=properties)
    found = read(path).row(0)
    assert found == ("u1", dt.date(1904, 1, 1), dt.datetime(2026, 2, 28, 12), dt.time(6))


def test_an_extension_with_the_same_name_does_not_change_the_epoch(tmp_path: Path) -> None:
    made = one_column(cell("B2", 46081, style=1))
    other = '<ext><x15:workbookPr xmlns:x15="urn:other" date1904="1"/></ext>'
    path = book(tmp_path / "b.xlsx", made, formats=["yyyy-mm-dd"], calculation=other)
    assert column(path) == [dt.date(2026, 2, 28)]


def test_times_and_dates_look_the_same_beside_text() -> None:
    found = read(CASES / "06_times_and_dates_beside_text.xlsx")
    assert found["trigger_properties.opens"].to_list() == ["08:30:00", "closed"]
    assert found["trigger_properties.day"].to_list() == ["2026-02-28", "soon"]


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Paris"])
@pytest.mark.parametrize("form", ["yyyy-mm-dd", "dd/mm/yyyy hh:mm", "hh:mm:ss", "[h]:mm"])
def test_a_value_is_sent_with_the_same_text_whatever_shares_its_column(
    form: str, timezone: str, tmp_path: Path
) -> None:
    number = 0.3541666666666667 if form in ("hh:mm:ss", "[h]:mm") else 46081 + (0.4375 if "hh" in form else 0)
    sent = []
    for others in ([], ["closed"], [True]):
        cells = [cell("B2", number, style=1)]
        cells += [cell("B3", "closed") if other == "closed" else cell("B3", 1, kind="b") for other in others]
        path = book(tmp_path / "b.xlsx", one_column(*cells), formats=[form])
        report = bs.check(path, config={"input": {"timezone": timezone}})
        sent.append(report.samples[0]["trigger_properties"]["v"])
    assert len(set(sent)) == 1


def test_iso_dates_are_dates(tmp_path: Path) -> None:
    made = one_column(cell("B2", "2026-02-28", kind="d"), cell("B3", "2026-03-01T00:00:00Z", kind="d"))
    assert column(book(tmp_path / "b.xlsx", made)) == [dt.date(2026, 2, 28), dt.date(2026, 3, 1)]


@pytest.mark.parametrize(
    ("code", "shown"),
    {
        "General": Shown.NUMBER,
        "0.00E+00": Shown.NUMBER,
        "#,##0.00 [$€-40C]": Shown.NUMBER,
        '0" days"': Shown.NUMBER,
        "0%": Shown.NUMBER,
        "@": Shown.NUMBER,
        "[$-40C]d mmmm yyyy;@": Shown.DATE,
        "mmm-yy": Shown.DATE,
        "[$-F800]dddd\\,\\ mmmm\\ dd\\,\\ yyyy": Shown.DATE,
        "h:mm AM/PM": Shown.TIME,
        "mm:ss.0": Shown.TIME,
        "[h]:mm:ss": Shown.ELAPSED,
        "yyyy/mm/dd\\ hh:mm": Shown.MOMENT,
        "000000": Shown.CODE,
        "00000;-00000": Shown.CODE,
        "000\\-00\\-0000": Shown.CODE,
        '0#" "##" "##" "##" "##': Shown.CODE,
        "[Red]0000": Shown.CODE,
        "0": Shown.NUMBER,
        "00.00": Shown.NUMBER,
        "#,##000": Shown.NUMBER,
        "# ?/?": Shown.NUMBER,
    }.items(),
)
def test_a_number_format_says_what_a_number_is(code: str, shown: Shown) -> None:
    assert number_format(200, code).shown == shown


# Zeros, words, and large numbers.


@pytest.mark.parametrize(
    ("form", "number", "shown"),
    [
        ("000000", 7, "000007"),
        ("000000", 1234567, "1234567"),
        ("00-000", 7, "00-007"),
        ("000\\-00\\-0000", 12345678, "012-34-5678"),
        ('"C-"0000', 42, "C-0042"),
        ('0#" "##" "##" "##" "##', 612345678, "06 12 34 56 78"),
        ("[<=99999]00000;00000-0000", 1001, "01001"),
        ("[<=99999]00000;00000-0000", 10010002, "01001-0002"),
        ("[>=10000]0;00000", 123, "00123"),
        ("[Red][<100]0000;[>=1000]0;000000", 500, "000500"),
        ("_(00000_);(00000)", 750, "00750"),
        ("* 00000", 750, "00750"),
        ("[$CH-807]0000", 42, "CH0042"),
        ('"N°"\u00a0000', 7, "N°\u00a0007"),
        ("0000;-0000;0000", 0, "0000"),
    ],
)
def test_zeros_that_a_number_format_shows_are_kept(form: str, number: int, shown: str, tmp_path: Path) -> None:
    path = book(tmp_path / "b.xlsx", one_column(cell("B2", number, style=1)), formats=[form])
    assert column(path) == [shown]


@pytest.mark.parametrize(
    ("form", "number"),
    [("[>=10000]0;00000", 12345), ("0000;-0000;", 0), ('[=0]"";0000', 0), ("[<100]0000", 100), ("000,000", 7)],
)
def test_a_section_without_zeros_shows_a_number(form: str, number: int, tmp_path: Path) -> None:
    path = book(tmp_path / "b.xlsx", one_column(cell("B2", number, style=1)), formats=[form])
    assert column(path) == [number]


def test_numbers_that_a_format_of_zeros_cannot_show_stay_numbers(tmp_path: Path) -> None:
    made = one_column(cell("B2", -5, style=1), cell("B3", 2.5, style=1))
    assert column(book(tmp_path / "b.xlsx", made, formats=["000"])) == ["-5", "2.5"]


def test_whole_numbers_beside_fractions_stay_whole(tmp_path: Path) -> None:
    numbers = [10, "10.0", 0, -3, "1E+3", "4613.92", "0.1", "1E-7", "1.2345678901234568E+25", "9007199254740993"]
    cells = [cell(f"B{row}", number, kind="n") for row, number in enumerate(numbers, 2)]
    path = book(tmp_path / "b.xlsx", one_column(*cells))
    shown = ["10", "10", "0", "-3", "1000", "4613.92", "0.1", "1e-07", "1.2345678901234568e+25", "9007199254740993"]
    assert column(path) == shown
    sent = [text.partition('"v":')[2].rstrip("}") for text in recipients(path)]
    assert sent == shown
    only = book(tmp_path / "c.xlsx", one_column(cell("B2", "0.5", kind="n"), cell("B3", "1.5", kind="n")))
    assert column(only) == [0.5, 1.5]


def test_words_beside_numbers_stay_words() -> None:
    assert column(CASES / "03_na_words_beside_numbers.xlsx") == ["5", "N/A", "NA", "NULL", "None"]


@pytest.mark.parametrize("word", ["nan", "NaN", "#N/A", "-", "inf", "true", "1e5 ", "N/A"])
def test_a_word_is_text_unless_null_values_names_it(word: str, tmp_path: Path) -> None:
    path = book(tmp_path / "b.xlsx", one_column(cell("B2", 5), cell("B3", word)))
    assert column(path) == ["5", word]
    assert column(path, null_values=(word,)) == [5, None]


def test_true_and_false_beside_numbers_stay_words(tmp_path: Path) -> None:
    made = one_column(cell("B2", 5), cell("B3", 1, kind="b"), cell("B4", 0, kind="b"))
    assert column(book(tmp_path / "b.xlsx", made)) == ["5", "TRUE", "FALSE"]
    made = one_column(cell("B2", 1, kind="b"), cell("B3", 0, kind="b"))
    assert column(book(tmp_path / "b.xlsx", made)) == [True, False]


def test_check_says_that_a_few_texts_make_numbers_text(tmp_path: Path) -> None:
    path = book(tmp_path / "b.xlsx", one_column(cell("B2", 5), cell("B3", 6), cell("B4", "tbd")))
    assert any("1 text among 2 cells of another kind" in warning for warning in bs.check(path).warnings)


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        ("1234567890123456789", 1234567890123456789),
        ("1.2345678901234568E+16", 12345678901234568),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_large_numbers_keep_their_digits_and_are_warned_of(stored: str, found: int, tmp_path: Path) -> None:
    path = book(tmp_path / "b.xlsx", one_column(cell("B2", stored, kind="n"), cell("B3", 10)))
    assert column(path) == [found, 10]
    assert any("16 digits or more: B2." in warning for warning in bs.check(path).warnings)
    path = book(tmp_path / "c.xlsx", one_column(cell("B2", stored, kind="n"), cell("B3", 2.5)))
    assert column(path)[0] == str(found)


def test_a_phone_number_that_is_stored_as_a_number_keeps_its_digits() -> None:
    assert column(CASES / "07_phone_as_number.xlsx", "attributes.phone") == [15550100001, 15550100002]


# Formulas and errors.


def test_formulas_that_were_never_calculated_are_named() -> None:
    report = bs.check(CASES / "04_formulas_never_calculated.xlsx")
    [warning] = [text for text in report.warnings if "formula" in text]
    assert "'trigger_properties.v': 2 formulas without a value count as empty: B3, B4" in warning


def test_formulas_of_a_library_that_writes_0_for_all_are_named(tmp_path: Path) -> None:
    made = one_column(cell("B2", 0, formula="1+1"), cell("B3", 0, formula="A1"))
    path = book(tmp_path / "b.xlsx", made, calculation='<calcPr fullCalcOnLoad="1"/>')
    assert any("2 formulas with the value 0" in text for text in bs.check(path).warnings)
    assert not any("formula" in text for text in bs.check(book(tmp_path / "c.xlsx", made)).warnings)


def test_a_formula_that_gives_no_text_is_just_empty(tmp_path: Path) -> None:
    made = one_column(cell("B2", "", formula='""', kind="str"), cell("B3", "x", formula="A3", kind="str"))
    path = book(tmp_path / "b.xlsx", made)
    assert column(path) == [None, "x"]
    assert not any("formula" in text for text in bs.check(path).warnings)


@pytest.mark.parametrize("odd", ["", "<!-- read by the careful parser -->"])
def test_cells_merged_over_several_rows_are_named(odd: str, tmp_path: Path) -> None:
    path = tmp_path / "b.xlsx"
    with xlsxwriter.Workbook(path) as made:
        sheet = made.add_worksheet()
        sheet.merge_range("A1:C1", "People")
        sheet.write_row("A3", ["external_user_id", "trigger_properties.v", "note"])
        for row in range(3, 40):
            sheet.write_row(row, 0, [f"u{row}", "x", "y"])
        for first in (4, 8, 12, 20):
            sheet.merge_range(f"B{first}:C{first + 2}", "Paris")
        sheet.merge_range("A41:C41", "End")
    rewritten(path, "xl/worksheets/sheet1.xml", lambda text: text.replace("<sheetData>", f"<sheetData>{odd}"))
    said = [text for text in bs.check(path).warnings if "of merged cells" in text]
    assert len(said) == 1
    assert "column 'trigger_properties.v': 4 ranges of merged cells: B4:B6, B8:B10, B12:B14 and 1 more" in said[0]


def test_error_cells_are_named_where_their_column_is_used(tmp_path: Path) -> None:
    cells = [cell(f"B{n}", error, kind="e") for n, error in enumerate(["#REF!", "#N/A", "#REF!", "#DIV/0!"], 2)]
    path = book(tmp_path / "b.xlsx", one_column(*cells, cell("B6", 1)))
    assert column(path) == [None, None, None, None, 1]
    [warning] = [text for text in bs.check(path).warnings if "error" in text]
    assert "4 cells with an error count as empty: B2 (#REF!), B3 (#N/A), B4 (#REF!) and 1 more" in warning
    unused: dict[str, Any] = {"recipient": {"external_user_id": "external_user_id"}}
    assert not any("an error" in text for text in bs.check(path, unused).warnings)


# Sheets.


def test_a_hidden_first_sheet_is_not_read() -> None:
    path = CASES / "05_hidden_first_sheet.xlsx"
    assert column(path, "external_user_id") == ["real1"]
    assert column(path, "external_user_id", sheet="Sheet") == ["last-years-list"]
    [warning] = [text for text in bs.check(path).warnings if "sheet" in text]
    assert "sheet 'Send these' was read (2 rows); not read: 'Sheet' (2 rows, hidden)" in warning


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_the_first_visible_sheet_with_rows_is_read(state: str, tmp_path: Path) -> None:
    sheets = {"Old": table(["external_user_id"], ["old"]), "Please read me": table(["Read this"]), "Data": PEOPLE}
    path = book(tmp_path / "b.xlsx", sheets, states={"Old": state}, charts=["Chart"])
    assert column(path, "external_user_id") == ["u1", "u2"]
    wanted = "sheet = \"Data\"    # not read: 'Old' (1 row, hidden), 'Please read me' (1 row), 'Chart' (a chart)\n"
    assert wanted.replace("(1 row, hidden)", "(2 rows, hidden)") in draft(path)


def test_one_sheet_alone_needs_no_note(tmp_path: Path) -> None:
    assert not any("sheet" in text for text in bs.check(book(tmp_path / "b.xlsx", PEOPLE)).warnings)


@pytest.mark.parametrize("name", ["Nothing", "Chart"])
def test_a_sheet_that_cannot_be_read_is_an_error_that_lists_the_others_with_their_sizes(
    name: str, tmp_path: Path
) -> None:
    path = book(tmp_path / "b.xlsx", {"Read me": table(["a"]), "Data": PEOPLE}, charts=["Chart"])
    with pytest.raises(InputError, match=name) as caught:
        read(path, sheet=name)
    assert caught.value.hint == "its sheets: 'Read me' (1 row), 'Data' (3 rows), 'Chart' (a chart)"


def test_a_sheet_is_named_without_regard_to_case(tmp_path: Path) -> None:
    path = book(tmp_path / "b.xlsx", {"Cover": table(["a"], ["b"]), "Data": PEOPLE})
    assert column(path, "external_user_id", sheet="data") == ["u1", "u2"]


def test_a_sheet_of_an_input_without_workbooks_is_said_to_have_no_effect(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("external_user_id\nu1\nu2\n")
    said = bs.check(tmp_path / "a.csv", sheet="Clients").warnings
    assert "sheet 'Clients' was chosen, but no input is a workbook, so it has no effect" in said
    assert not [text for text in bs.check(tmp_path / "a.csv").warnings if "workbook" in text]


def test_no_identifier_on_a_cover_sheet_names_the_other_sheets(tmp_path: Path) -> None:
    path = book(tmp_path / "b.xlsx", {"Cover": table(["Please read me"], ["Line 1"], ["Line 2"]), "Data": PEOPLE})
    with pytest.raises(BulkSenderError, match="no column identifies a recipient") as caught:
        bs.check(path)
    assert "'Data' (3 rows): choose with --sheet" in caught.value.hint
    assert bs.check(path, sheet="Data").valid == 2


def test_rows_that_a_filter_hides_are_counted(tmp_path: Path) -> None:
    made = table(["external_user_id", "n"], ["u1", 1], ["u2", 2], ["u3", 3], ["u4", ""], hidden=(3, 4))
    assert any(
        "2 rows of sheet 'People' are hidden" in text for text in bs.check(book(tmp_path / "b.xlsx", made)).warnings
    )


def test_blank_rows_are_no_rows_and_lines_are_those_of_the_sheet(tmp_path: Path) -> None:
    lines = [
        [cell("C3", "external_user_id"), cell("D3", "n")],
        [cell("C4", "u1")],
        [],
        [cell("C6", None), cell("D6", " ")],
    ]
    path = book(tmp_path / "b.xlsx", rows(*lines, [cell("C7", "u2")], [], [cell("C9", None)], first=3))
    [chunk] = chunks(path)
    assert chunk.frame.rows() == [("u1", None), ("u2", None)]
    assert chunk.lines is not None
    assert chunk.lines.to_list() == [4, 7]
    assert "2 rows without any value left out" in bs.check(path).warnings


def test_reading_resumes_at_any_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook_markup, "BLOCK_BYTES", 2_000)
    monkeypatch.setattr(workbook_markup, "HEAD_BYTES", 500)
    frame = pl.DataFrame({"id": [f"{n:05d}" for n in range(400)], "n": range(400)})
    frame.write_excel(tmp_path / "b.xlsx")
    found = chunks(tmp_path / "b.xlsx")
    assert len(found) > 5
    assert pl.concat([each.frame for each in found]).equals(frame)
    for each in found:
        rest = chunks(tmp_path / "b.xlsx", each.end)
        assert sum(len(one.frame) for one in rest) == len(frame) - each.end.row
        if rest:
            assert rest[0].lines is not None
            assert rest[0].lines[0] == each.end.row + 2


def test_a_resumed_reading_counts_no_blank_rows_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook_markup, "BLOCK_BYTES", 300)
    monkeypatch.setattr(workbook_markup, "HEAD_BYTES", 300)
    lines = [[cell("A1", "external_user_id")], *([cell(f"A{n}", f"u{n}")] if n % 3 else [] for n in range(2, 60))]
    path = book(tmp_path / "b.xlsx", rows(*lines))
    found = chunks(path)
    assert sum(each.blank_rows for each in found) == 19
    for each in found[:-1]:
        rest = chunks(path, each.end)
        assert all(one.blank_rows >= 0 for one in rest)
        assert sum(one.blank_rows for one in rest) <= 19


# Other programs' XML.

_HEAD = '<?xml version="1.0"?><worksheet xmlns="' + MAIN + '">'
_TITLE = '<row r="1"><c r="A1" t="str"><v>external_user_id</v></c></row>'
ODD = {
    "prefixes": f'<?xml version="1.0"?><x:worksheet xmlns:x="{MAIN}"><x:sheetData>'
    '<x:row r="1"><x:c r="A1" t="str"><x:v>external_user_id</x:v></x:c></x:row>'
    '<x:row r="2"><x:c r="A2" t="str"><x:v>é &amp; 1</x:v></x:c></x:row></x:sheetData></x:worksheet>',
    "no references": f'{_HEAD}<sheetData><row><c t="str"><v>external_user_id</v></c></row>'
    '<row><c t="str"><v>é &amp; 1</v></c></row></sheetData></worksheet>',
    "comments": f"{_HEAD}<sheetData><!-- a -->{_TITLE.replace('_user', '<!-- b -->_user')}"
    '\n <row r="2">\n<c r=\'A2\' t="str"><v><![CDATA[é & 1]]></v></c></row></sheetData></worksheet>',
    "rich text": f'{_HEAD}<sheetData>{_TITLE}<row r="2"><c r="A2" t="inlineStr"><is>'
    '<r><rPr><b/><color rgb="FF"/></rPr><t xml:space="preserve">é &amp;</t></r><r><t xml:space="preserve"> 1</t></r>'
    '<rPh sb="0" eb="1"><t>no</t></rPh></is></c></row></sheetData></worksheet>',
    "attributes": f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<worksheet xmlns="{MAIN}" '
    'mc:Ignorable="x14ac" xmlns:mc="urn:mc" xmlns:x14ac="urn:x"><dimension ref="A1"/><sheetData>'
    '<row r="1" spans="1:1" x14ac:dyDescent="0.25"><c r="A1" t="str" ph="1"><v>external_user_id</v></c></row>'
    '<row r="2"><c t="str" r="A2"><v>é &#38; 1</v></c></row></sheetData></worksheet>',
}


@pytest.mark.parametrize("name", ODD)
def test_a_sheet_is_read_whatever_program_wrote_it(name: str, tmp_path: Path) -> None:
    assert read(book(tmp_path / "b.xlsx", ODD[name])).rows() == [("é & 1",)]


def test_a_sheet_in_utf_16_is_read(tmp_path: Path) -> None:
    path = book(tmp_path / "b.xlsx", PEOPLE)
    declared = '<?xml version="1.0" encoding="UTF-16"?>'
    rewritten(path, "xl/worksheets/sheet1.xml", lambda text: declared + text, encoding="utf-16")
    assert column(path, "external_user_id") == ["u1", "u2"]


def test_the_strict_form_is_read(tmp_path: Path) -> None:
    made = one_column(cell("B2", 46081, style=1))
    path = book(tmp_path / "b.xlsx", made, formats=["yyyy-mm-dd"], namespace=STRICT)
    assert column(path) == [dt.date(2026, 2, 28)]


SHARED = (
    "<si><t>external_user_id</t></si><si><t>trigger_properties.v</t></si>"
    '<si><t xml:space="preserve">  a  </t></si><si><t> b </t></si><si><t>c_x000D_&lt;_x005F_x000D_</t></si>'
)


@pytest.mark.parametrize(
    "more", ["", "<si><r><t>rich </t></r></si>", '<si><t>x</t><rPh sb="0" eb="1"><t>y</t></rPh></si>', "<si/>"]
)
def test_shared_strings_are_read_as_they_look(more: str, tmp_path: Path) -> None:
    def shared(reference: str, index: int) -> str:
        return cell(reference, index, kind="s")

    lines = [[shared("A1", 0), shared("B1", 1)]]
    lines += [[cell(f"A{n}", f"u{n}"), shared(f"B{n}", n)] for n in (2, 3, 4)]
    path = book(tmp_path / "b.xlsx", rows(*lines), shared=SHARED + more)
    assert column(path) == ["  a  ", "b", "c\r<_x000D_"]


# Hostile and damaged workbooks.


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE w [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    inside = '<sheetData><row r="1"><c r="A1" t="str"><v>&b;</v></c></row></sheetData>'
    sheet = f'{bomb}<worksheet xmlns="{MAIN}">{inside}</worksheet>'
    with pytest.raises(InputError, match="document type declaration"):
        read(book(tmp_path / "b.xlsx", sheet))


@pytest.mark.parametrize("more", ["<si/>", "<si><t>a</t></si>"])
def test_too_many_texts_are_refused(more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook_markup, "MAX_STRINGS", 100)
    with pytest.raises(InputError, match="more than 100 texts"):
        read(book(tmp_path / "b.xlsx", PEOPLE, shared=more * 101))


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("<sheetData><row r='1'><c r='A1'><v>1</v></row></sheetData>", "mismatched tag"),
        ('<sheetData><row r="1"><c r="A1"><v>1</v></c></row>', "mismatched tag"),
        (
            '<sheetData><row r="1"><c r="A1" t="s"><v>7</v></c></row></sheetData>',
            "text that the workbook does not have",
        ),
        (rows([cell("A2", "b")], first=2).replace("</sheetData>", rows([cell("A1", "a")])[11:]), "not in order"),
        ("<sheetData/>", "has no columns"),
    ],
)
def test_damage_is_an_error_that_names_the_file(inside: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read(book(tmp_path / "b.xlsx", inside))
    assert "b.xlsx" in str(caught.value)


@pytest.mark.parametrize("name", ["a.xls", "a.xlsx", "a.csv", "a"])
@pytest.mark.parametrize(
    "begin", ["<!DOCTYPE html>", "\ufeff\n<html>", "<table border=1>", '<?xml version="1.0"?><Workbook>']
)
def test_a_page_that_is_called_a_workbook_is_refused_with_the_way_out(name: str, begin: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(f"{begin}<tr><td>external_user_id</td></tr>\n<tr><td>u1</td></tr>\n")
    with pytest.raises(InputError, match="is a page in HTML or XML") as caught:
        read(path)
    assert "save it as .xlsx" in caught.value.hint


@pytest.mark.parametrize(("ending", "said"), [("xlsb", "binary workbook"), ("ods", "OpenDocument")])
def test_other_kinds_of_workbooks_are_named(ending: str, said: str, tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / f"b.{ending}"
    with zipfile.ZipFile(path, "w") as archive:
        if ending == "xlsb":
            archive.writestr("[Content_Types].xml", "<Types/>")
            archive.writestr("xl/workbook.bin", b"x")
        else:
            archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
            archive.writestr("content.xml", "<x/>")
    with pytest.raises(InputError, match=said) as caught:
        read(path)
    assert "save it as .xlsx" in caught.value.hint


# Properties.

_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Co", "Cn"]), max_size=20) | st.sampled_from(
    ["N/A", "  x ", "a\nb", "_x000D_", "<&>\"'", "00123", "=1+1", "1904"]
)
_CELLS = st.one_of(
    st.none(),
    _TEXTS,
    st.integers(-(10**14), 10**14),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.booleans(),
    st.dates(dt.date(1901, 1, 1), dt.date(2200, 1, 1)),
    st.datetimes(dt.datetime(1901, 1, 1), dt.datetime(2200, 1, 1)).map(lambda moment: moment.replace(microsecond=0)),
    st.times().map(lambda time: time.replace(microsecond=0)),
)


def _seen(value: Any) -> str | None:
    """A cell as a person reads it. Whole floats look like whole numbers."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        value = float(f"{value:.16G}")  # as the library writes it
        return str(int(value)) if value.is_integer() and abs(value) < 2**63 else repr(value)
    if isinstance(value, dt.datetime):
        return value.isoformat() if value.time() != dt.time() else value.date().isoformat()
    if isinstance(value, str):
        return value if value.strip() else None
    return None if value is None else str(value)


@settings(max_examples=60, deadline=None)
@given(data=st.lists(st.tuples(_CELLS, _CELLS), min_size=1, max_size=8), constant=st.booleans())
def test_a_workbook_comes_back_as_people_see_it(
    tmp_path_factory: pytest.TempPathFactory, data: list[tuple[Any, Any]], constant: bool
) -> None:
    path = tmp_path_factory.mktemp("book") / "b.xlsx"
    with xlsxwriter.Workbook(path, {"constant_memory": constant, "strings_to_formulas": False}) as made:
        sheet = made.add_worksheet()
        forms = {
            dt.datetime: made.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            dt.date: made.add_format({"num_format": "dd/mm/yyyy"}),
            dt.time: made.add_format({"num_format": "hh:mm:ss"}),
        }
        sheet.write_row(0, 0, ["id", "a", "b"])
        for row, cells in enumerate(data, 1):
            sheet.write_string(row, 0, f"u{row}")
            for place, value in enumerate(cells, 1):
                if type(value) in forms:
                    sheet.write_datetime(row, place, value, forms[type(value)])
                elif isinstance(value, bool):
                    sheet.write_boolean(row, place, value)
                elif isinstance(value, str):
                    sheet.write_string(row, place, value)
                elif value is not None:
                    sheet.write_number(row, place, value)
    found = read(path)
    for place, name in enumerate("ab"):
        wanted = [_seen(cells[place]) for cells in data]
        has_moments = any(isinstance(cells[place], dt.datetime) and cells[place].time() != dt.time() for cells in data)
        shown = [_plain(value, has_moments) for value in found[name].to_list()]
        assert shown == [_with_time(text, cells[place], has_moments) for text, cells in zip(wanted, data, strict=True)]


def _plain(value: Any, has_moments: bool) -> str | None:
    if isinstance(value, dt.datetime):
        return value.isoformat() if has_moments else value.date().isoformat()
    text = _seen(value)
    return re.sub(r"^(\d{4}-\d\d-\d\dT[\d:]+)\+00:00$", r"\1", text) if text else text


def _with_time(text: str | None, value: Any, has_moments: bool) -> str | None:
    """A date beside datetimes is written with midnight."""
    return f"{text}T00:00:00" if has_moments and isinstance(value, dt.date) and text and "T" not in text else text


@settings(max_examples=40, deadline=None)
@given(data=st.lists(st.lists(st.none() | _TEXTS | st.integers(-(10**9), 10**9), max_size=4), max_size=6))
def test_the_quick_and_the_careful_reading_find_the_same_cells(
    tmp_path_factory: pytest.TempPathFactory, data: list[list[Any]]
) -> None:
    sheet = table(["id", "a", "b", "c"], ["a row with a value"], *data)
    folder = tmp_path_factory.mktemp("book")
    quick = read(book(folder / "q.xlsx", sheet))
    careful = read(book(folder / "c.xlsx", sheet.replace("<sheetData>", "<sheetData><!-- c -->")))
    inside = sheet.replace("<", "<w:").replace("<w:/", "</w:")
    prefixed = f'<?xml version="1.0"?><w:worksheet xmlns:w="{MAIN}">{inside}</w:worksheet>'
    other = read(book(folder / "p.xlsx", prefixed))
    assert quick.equals(careful)
    assert quick.equals(other)
    assert quick.schema == careful.schema == other.schema


# ----- several files


@pytest.mark.parametrize("other", ["xlsx", "csv"])
@pytest.mark.parametrize("first", ["workbook", "text"])
def test_a_column_of_numbers_in_one_workbook_and_of_text_in_another_file_is_text(
    first: str, other: str, tmp_path: Path
) -> None:
    numbers = pl.DataFrame({"external_user_id": [7, 1001], "v": [1.5, 2], "on": [dt.date(2026, 2, 28), None]})
    words = pl.DataFrame({"external_user_id": ["007", "a"], "v": ["2,5", "N/A"], "on": ["soon", "2026-03-01"]})
    names = ("a.xlsx", f"b.{other}") if first == "workbook" else ("b.xlsx", f"a.{other}")
    numbers.write_excel(tmp_path / names[0])
    words.write_excel(tmp_path / names[1]) if other == "xlsx" else words.write_csv(tmp_path / names[1])
    found = sorted(read(tmp_path).rows())
    assert found == [
        ("007", "2,5", "soon"),
        ("1001", "2", None),
        ("7", "1.5", "2026-02-28"),
        ("a", "N/A", "2026-03-01"),
    ]


def test_a_column_that_a_parquet_file_has_as_numbers_is_not_made_text(tmp_path: Path) -> None:
    pl.DataFrame({"external_user_id": ["a"]}).write_excel(tmp_path / "a.xlsx")
    pl.DataFrame({"external_user_id": [1]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet: column 'external_user_id' is Int64, but String in .*a\.xlsx"):
        read(tmp_path)
