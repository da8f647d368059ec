"""The columns of an input for a person who says what each one is, and the configuration that is suggested for them."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.config.model import FieldSource
from tests.kit.inputs import put
from tests.kit.samples import SAMPLES
from tests.kit.workbooks import book, table

_ROWS = [
    {"customer_id": 104, "city": "Maceió", "total": "12.5", "day": "2026-02-28"},
    {"customer_id": 107, "city": None, "total": "free", "day": "2026-03-01"},
    {"customer_id": 114, "city": "Halifax", "total": "7", "day": "2026-03-02"},
]
_MANY = [{**_ROWS[2], "customer_id": number} for number in range(200, 250)]


def _csv(folder: Path) -> Path:
    frame = pl.DataFrame(_ROWS + _MANY).with_columns(pl.col("customer_id").cast(pl.String))
    return put(folder, "people.csv", frame.write_csv(separator=";"))


def _excel(folder: Path) -> Path:
    lines = [[str(row[name]) if row[name] is not None else "" for name in row] for row in _ROWS + _MANY]
    return book(folder / "people.xlsx", {"People": table(list(_ROWS[0]), *lines)})


def _parquet(folder: Path) -> Path:
    path = folder / "people.parquet"
    pl.DataFrame(_ROWS + _MANY).write_parquet(path)
    return path


def _ndjson(folder: Path) -> Path:
    return put(folder, "people.ndjson", "".join(json.dumps(row) + "\n" for row in _ROWS + _MANY))


@pytest.mark.parametrize(
    ("write", "format", "dtype", "line"),
    [
        (_csv, "csv", "String", 3),
        (_excel, "excel", "String", 3),
        (_parquet, "parquet", "Int64", 2),
        (_ndjson, "ndjson", "Int64", 2),
    ],
)
def test_each_format_gives_the_same_columns(write: Any, format: str, dtype: str, line: int, tmp_path: Path) -> None:
    path = write(tmp_path)
    found = bs.columns(path)
    assert (found.format, found.rows, found.sampled, found.malformed) == (format, 53, 53, 0)
    assert [column.name for column in found.columns] == ["customer_id", "city", "total", "day"]
    assert found["customer_id"].dtype == dtype
    assert found["customer_id"].samples == ("104", "107", "114", "200", "201")
    assert found["customer_id"].guess == (bs.ColumnUse("external_user_id", "string"),)
    city = found["city"]
    assert (city.samples, city.empty, city.empty_share) == (("Maceió", "Halifax"), 1, 1 / 53)
    assert city.empty_cells == (bs.Cell(2, str(path), line, ""),)
    total = found["total"]
    assert total.guess == (bs.ColumnUse("trigger_properties.total", "float"),)
    assert (total.misfits, total.expected) == (1, "a number")
    assert total.misfit_cells == (bs.Cell(2, str(path), line, "free"),)
    assert found["day"].guess == (bs.ColumnUse("trigger_properties.day", "date"),)
    assert (found["day"].misfits, found["day"].expected, found["day"].uses) == (0, "", ())


def test_how_a_csv_is_read_is_said_with_what_is_a_guess(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "Kundennummer;Ort;Umsatz\n1;Zürich;1.234,50\n2;Köln;2.000,75\n".encode("cp1252"))
    found = bs.columns(path)
    assert found.encoding == bs.Setting("cp1252", is_guess=True)
    assert found.delimiter == bs.Setting(";", is_guess=True)
    assert found.header_row == bs.Setting(1, is_guess=True)
    assert found.decimal == bs.Setting(",", is_guess=True)
    assert found.thousands == bs.Setting(".", is_guess=True)
    assert (found.sheet, found.sheets) == (None, ())
    said = {"encoding": "cp1252", "delimiter": ";", "header_row": 1, "decimal": ",", "thousands": "."}
    sure = bs.columns(path, {"input": said})
    for name, value in said.items():
        assert getattr(sure, name) == bs.Setting(value, is_guess=False)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("name", "text", "delimiter", "header"),
    [
        ("a.csv", "sep=;\nid;city\n1;Rome\n", bs.Setting(";", is_guess=False), bs.Setting(2, is_guess=True)),
        ("a.tsv", "id\tcity\n1\tRome\n", bs.Setting("\t", is_guess=False), bs.Setting(1, is_guess=True)),
        ("a.csv", "\n\nid,city\n1,Rome\n", bs.Setting(",", is_guess=True), bs.Setting(3, is_guess=True)),
        ("a.csv", "My list\n\nid,city\n1,Rome\n", bs.Setting(",", is_guess=True), bs.Setting(3, is_guess=True)),
    ],
)
def test_what_the_file_itself_says_is_not_a_guess(
    name: str, text: str, delimiter: bs.Setting[str], header: bs.Setting[int], tmp_path: Path
) -> None:
    found = bs.columns(put(tmp_path, name, text))
    assert (found.delimiter, found.header_row) == (delimiter, header)
    assert found["city"].samples == ("Rome",)


def test_a_csv_without_a_header_has_no_line_of_it(tmp_path: Path) -> None:
    found = bs.columns(put(tmp_path, "a.csv", "1,Rome\n2,Oslo\n"), {"input": {"header": False}})
    assert found.header_row is None
    assert [column.name for column in found.columns] == ["column_1", "column_2"]


def test_the_sheet_with_people_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    people = table(["Customer ID", "City"], ["u1", "Rome"])
    path = book(tmp_path / "a.xlsx", {"Notes": table(["What", "When"], ["a", "b"]), "People": people})
    found = bs.columns(path)
    assert found.sheet == bs.Setting("People", is_guess=True)
    assert found.sheets == ("Notes", "People")
    assert found["City"].samples == ("Rome",)
    other = bs.columns(path, sheet="Notes")
    assert other.sheet == bs.Setting("Notes", is_guess=False)
    assert [column.name for column in other.columns] == ["What", "When"]
    assert bs.columns(book(tmp_path / "b.xlsx", {"People": people})).sheet == bs.Setting("People", is_guess=False)


def test_a_given_mapping_decides_what_fits(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "id,visits\n1,5\n2,many\n3,7\n")
    config = {
        "recipient": {"external_user_id": "id", "attributes": {"visits": {"column": "visits", "type": "integer"}}}
    }
    column = bs.columns(path, config)["visits"]
    assert column.guess == (bs.ColumnUse("trigger_properties.visits", "string"),)
    assert column.uses == (bs.ColumnUse("attributes.visits", "integer"),)
    assert (column.misfits, column.expected) == (1, "a whole number")
    assert column.misfit_cells == (bs.Cell(2, str(path), 3, "many"),)
    assert bs.columns(path)["visits"].misfits == 0


def test_misfits_are_the_rows_that_check_rejects() -> None:
    path = SAMPLES / "customers.csv"
    config = bs.suggest(path)
    found, report = bs.columns(path, config), bs.check(path, config)
    wrong = {cell.row for column in found.columns for cell in column.misfit_cells}
    assert wrong == {example["row"] for example in report.reasons["invalid_value"]["examples"]} == {88, 141}
    assert [cell.row for cell in found["Customer no"].empty_cells] == [32]
    assert all(column.uses == column.guess for column in found.columns)


def test_one_column_may_go_out_as_several_fields(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "id,city\n1,Rome\n")
    config = {"recipient": {"external_user_id": "id", "trigger_properties": {"a": "city", "b": "city"}}}
    assert [use.field for use in bs.columns(path, config)["city"].uses] == [
        "trigger_properties.a",
        "trigger_properties.b",
    ]


def test_names_that_are_a_mapping_are_uses_without_a_configuration(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "external_user_id,attributes.age:integer,note\n1,5,x\n2,old,y\n")
    found = bs.columns(path)
    assert found["external_user_id"].uses == (bs.ColumnUse("external_user_id", "string"),)
    age = found["attributes.age:integer"]
    assert age.uses == (bs.ColumnUse("attributes.age", "integer"),)
    assert [cell.value for cell in age.misfit_cells] == ["old"]
    assert found["note"].uses == ()


def test_the_members_of_objects_are_found_in_structs_and_in_columns(tmp_path: Path) -> None:
    config = {"recipient": {"external_user_id": "id", "trigger_properties": {"order": "order"}}}
    nested = put(tmp_path, "a.ndjson", '{"id": "1", "order": {"total": 5, "lines": [1, 2]}}\n')
    found = bs.columns(nested, config)["order"]
    assert found.uses == (bs.ColumnUse("trigger_properties.order", "json"),)
    assert json.loads(found.samples[0]) == {"total": 5, "lines": [1, 2]}
    flat = bs.columns(put(tmp_path, "a.csv", "id,order.total:float,order.no\n1,x,7\n"), config)
    assert flat["order.total:float"].uses == (bs.ColumnUse("trigger_properties.order", "float"),)
    assert (flat["order.total:float"].misfits, flat["order.no"].misfits) == (1, 0)


def test_what_is_wrong_with_a_configuration_is_said_beside_what_is_right(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "id,city\n1,Rome\n")
    config = {"recipient": {"external_user_id": "id", "trigger_properties": {"town": "citi", "city": "city"}}}
    found = bs.columns(path, config)
    assert found["city"].uses == (bs.ColumnUse("trigger_properties.city", "string"),)
    [problem] = found.problems
    assert problem == "recipient.trigger_properties.town: the input has no column 'citi' (did you mean 'city'?)"
    assert bs.columns(path, {"recipient": {"trigger_properties": {"city": "city"}}}).problems != ()
    assert bs.columns(path).problems == ()


def test_a_configuration_says_which_texts_are_empty(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "id,city\n1,n/a\n2,?\n3,Rome\n")
    assert bs.columns(path).null_values == ("n/a",)
    assert [cell.value for cell in bs.columns(path)["city"].empty_cells] == ["n/a"]
    found = bs.columns(path, {"input": {"null_values": ["?"]}})
    assert (found.null_values, [cell.row for cell in found["city"].empty_cells]) == (("?",), [2])


def test_dates_that_fit_two_formats_are_named(tmp_path: Path) -> None:
    column = bs.columns(put(tmp_path, "a.csv", "id,day\n1,01/02/2026\n2,03/04/2026\n"))["day"]
    assert column.guess == (bs.ColumnUse("trigger_properties.day", "date", "%d/%m/%Y"),)
    assert column.also == "%m/%d/%Y"


def test_only_the_first_rows_of_a_long_file_are_looked_at(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "id,city\n" + "".join(f"{number},Rome\n" for number in range(400_000)) + "1,\n")
    found = bs.columns(path, rows=100)
    assert (found.rows, found.sampled) == (None, 100)
    assert (found["city"].empty, found["city"].empty_share) == (0, 0.0)
    assert bs.columns(path).sampled == 10_000
    short = bs.columns(put(tmp_path, "b.csv", "id,city\n1,\n2,Rome\n"), rows=2)
    assert (short.rows, short.sampled, short["city"].empty_share) == (2, 2, 0.5)


def test_samples_are_the_first_different_values_and_short(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", f"id,city\n1,Rome\n2,Rome\n3,{'x' * 500}\n4,Oslo\n")
    assert bs.columns(path, samples=2)["city"].samples == ("Rome", "x" * 79 + "…")
    for wrong in ({"rows": 0}, {"samples": 0}):
        with pytest.raises(bs.ConfigError, match="use 1 or more"):
            bs.columns(path, **wrong)


def test_a_total_at_the_end_is_not_among_the_rows(tmp_path: Path) -> None:
    people = "".join(f"u{number},{number}\n" for number in range(20))
    found = bs.columns(put(tmp_path, "a.csv", f"customer_id,points\n{people}Total,190\n"))
    assert (found.rows, found.sampled) == (20, 20)


def test_malformed_rows_are_counted_and_not_in_the_sample(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "id,city\n1,Rome\n2,Oslo,3\n4,Bern\n")
    found = bs.columns(path)
    assert (found.sampled, found.malformed) == (2, 1)
    assert "line 3" in found.malformed_example
    assert found["city"].samples == ("Rome", "Bern")
    assert [cell.row for cell in bs.columns(put(tmp_path, "b.csv", "id,city\n1,Rome,\n2,\n"))["city"].empty_cells] == [
        2
    ]


def test_a_header_alone_has_columns_without_rows(tmp_path: Path) -> None:
    found = bs.columns(put(tmp_path, "a.csv", "id,city\n"))
    assert (found.rows, found.sampled, found.problems) == (0, 0, ())
    assert found["city"].guess == found["city"].samples == ()
    assert (found["city"].empty, found["city"].empty_share) == (0, 0.0)
    with pytest.raises(bs.InputError, match="no valid rows under its header"):
        bs.suggest(tmp_path / "a.csv")


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    for function in (bs.columns, bs.suggest, bs.draft):
        with pytest.raises(bs.InputError, match="is empty"):
            function(put(tmp_path, "a.csv", ""))
        with pytest.raises(bs.InputError, match="not found"):
            function(tmp_path / "nothing.csv")


_NAMES = [
    '<script>alert("x")</script>',
    "=cmd()",
    "a\u202eb",
    "{{ liquid }}",
    "x" * 10_000,
    "a\x1b[31mb",
    "😀",
    "with 'both\" quotes",
    "a.b.c",
    "[recipient]",
    "back\\slash",
    "new\nline",
    "\x7f",
]


def test_hostile_names_are_kept_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"id": ["1", "2"]} | {name: ["1", "x"] for name in _NAMES}).write_parquet(path)
    found = bs.columns(path)
    assert [column.name for column in found.columns] == ["id", *_NAMES]
    assert all(len(column.guess) == 1 and column.samples == ("1", "x") for column in found.columns[1:])
    config = bs.suggest(path)
    assert {source.column for source in config.recipient.trigger_properties.values()} == set(_NAMES)
    assert bs.columns(path, config).problems == ()
    assert json.loads(json.dumps(found.to_dict()))["columns"][1]["name"] == _NAMES[0]


def test_hostile_values_are_shown_without_what_a_terminal_obeys(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"id": ["1"], "city": ["a\x1b[31mb\nc\u202ed"], "raw": [b"\xff\x00"]}).write_parquet(path)
    found = bs.columns(path)
    assert found["city"].samples == ("a b c d",)
    assert found["raw"].samples == ("\\xff",)
    assert found["raw"].guess == ()


@pytest.mark.parametrize("name", ["*", "^id.*$"])
def test_a_name_that_nobody_can_map_is_a_problem(name: str, tmp_path: Path) -> None:
    found = bs.columns(put(tmp_path, "a.csv", f"id,{name}\n1,2\n"))
    assert [column.name for column in found.columns] == ["id", name]
    assert found.columns[1].samples == ("2",)
    assert found.problems == (f"the input has a column {name!r}, which polars treats as a pattern for column names",)
    for refused in (bs.suggest, bs.check):
        with pytest.raises(bs.InputError, match="treats as a pattern"):
            refused(tmp_path / "a.csv")


def test_a_type_that_does_not_exist_is_a_problem(tmp_path: Path) -> None:
    found = bs.columns(put(tmp_path, "a.csv", "external_user_id,attributes.age:int\n1,2\n"))
    assert found["attributes.age:int"].samples == ("2",)
    assert "'int' is not a type" in found.problems[0]


def test_a_table_in_memory_has_columns_too() -> None:
    found = bs.columns(pl.DataFrame({"E-mail": ["a@example.com", "b@example.com"], "on": [True, None]}))
    assert (found.encoding, found.delimiter, found.header_row) == (None, None, None)
    assert found["on"].guess == (bs.ColumnUse("trigger_properties.on", "boolean"),)
    assert [use.field for use in found["E-mail"].guess] == ["email"]


def test_several_files_have_the_columns_of_all_their_rows(tmp_path: Path) -> None:
    paths = [put(tmp_path, f"{name}.csv", f"id,city\n{name},\n") for name in ("a", "b")]
    found = bs.columns(paths)
    assert (found.files, found.rows) == (tuple(map(str, paths)), 2)
    assert [(cell.row, cell.source, cell.source_line) for cell in found["city"].empty_cells] == [
        (1, str(paths[0]), 2),
        (2, str(paths[1]), 2),
    ]


def test_the_suggestion_is_the_configuration_of_the_draft(tmp_path: Path) -> None:
    path = _csv(tmp_path)
    given = {"braze": {"campaign_id": "c-1"}, "input": {"delimiter": ";"}}
    draft = bs.draft(path, given)
    config = bs.suggest(path, given)
    assert config == draft.config == bs.Config.parse(tomllib.loads(draft.text), where="")
    assert (config.braze.campaign_id, config.input.delimiter) == ("c-1", ";")
    assert config.recipient.external_user_id == FieldSource(column="customer_id")
    assert config.recipient.trigger_properties["day"] == FieldSource(column="day", type="date")
    assert any("people are identified by column 'customer_id'" in note for note in draft.notes)
    assert any("'free'" in doubt for doubt in draft.doubts)
    assert replace(draft, text="").notes == draft.notes
    assert bs.check(path, config).valid == 52


@pytest.mark.parametrize("header", ["email,first_name,points", "email,Prénom,points", "points,email,name"])
def test_a_list_with_a_column_email_is_suggested_what_can_be_sent(header: str, tmp_path: Path) -> None:
    cells = {"email": "{0}@example.com", "points": "{0}"}
    rows = "".join(",".join(cells.get(name, "Zoe").format(n) for name in header.split(",")) + "\n" for n in range(5))
    path = put(tmp_path, "a.csv", f"{header}\n{rows}")
    config = bs.suggest(path)
    assert config.recipient.prioritization is not None
    assert len(config.recipient.trigger_properties) == 2
    assert bs.check(path, config).valid == 5
    assert [use.field for use in bs.columns(path)["email"].guess] == ["email"]


def test_overrides_and_a_sheet_are_settings_of_the_configuration(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "id|city\n1|Rome\n")
    assert bs.suggest(path, overrides={"input.delimiter": "|"}).input.delimiter == "|"
    assert bs.columns(path, overrides={"input.delimiter": "|"}).delimiter == bs.Setting("|", is_guess=False)
    with pytest.raises(bs.InputError, match="no sheet 'x'"):
        bs.suggest(SAMPLES / "export-de.xlsx", sheet="x")
