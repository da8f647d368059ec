"""The files of a run's folder: what they hold, who may read them, and that rejected rows can be sent again."""

from __future__ import annotations

import csv
import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sender.atomic import replacing, write_json
from bulk_sender.config.model import Config
from bulk_sender.errors import BulkSenderError
from bulk_sender.journal.facts import Format
from bulk_sender.journal.store import RunWriter
from bulk_sender.reporting import workbooks
from bulk_sender.reporting.files import write_rejects, write_results
from bulk_sender.reporting.rows import RESULTS, results
from tests.kit.accounts import LOST, Fate, answer, journal_of, taken
from tests.kit.inputs import read as read_workbook
from tests.kit.reading import planned, rows_of, written

FATES = [Fate((("accepted", taken("d1")),)), Fate((("failed", answer(400, 'a,"b"\n=c')),)), Fate((("unknown", LOST),))]
FORMATS: tuple[Format, ...] = ("csv", "parquet", "ndjson")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[RunWriter]:
    """120 sound rows in three batches, a rejected and a duplicate one."""
    path = tmp_path / 'in"put,.csv'
    rows = [[f"u{number},é", str(number)] for number in range(120)]
    path.write_text(written([["external_user_id", "attributes.n:integer"], *rows, ["x", "no number"], ["u0,é", "0"]]))
    with journal_of(tmp_path / "run", path, FATES) as opened:
        yield opened


def folder_of(journal: RunWriter) -> Path:
    return journal.run.folder


# ----- results


def read_back(path: Path, kind: Format) -> list[dict[str, Any]]:
    """A results file by other means than polars', with a CSV's empty cells as None and its numbers as numbers."""
    if kind == "parquet":
        found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return found
    if kind == "ndjson":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return [
            {name: (int(cell) if RESULTS[name].is_integer() else cell) if cell else None for name, cell in row.items()}
            for row in csv.DictReader(file, strict=True)
        ]


@pytest.mark.parametrize("kind", FORMATS)
def test_results_have_one_line_a_row_in_the_order_of_the_input(journal: RunWriter, kind: Format) -> None:
    path = folder_of(journal) / f"results.{kind}"
    write_results(journal, path, kind)
    found = read_back(path, kind)
    assert found == pl.concat(results(journal)).to_dicts()
    assert list(found[0]) == list(RESULTS)
    assert [line["row"] for line in found] == list(range(1, 123))
    assert [line["status"] for line in found] == [
        *["accepted"] * 50,
        *["failed"] * 50,
        *["unknown"] * 20,
        "rejected",
        "duplicate",
    ]


@pytest.mark.parametrize("kind", FORMATS)
def test_results_can_be_those_of_some_statuses(journal: RunWriter, kind: Format) -> None:
    path = folder_of(journal) / f"some.{kind}"
    write_results(journal, path, kind, {"failed", "rejected"})
    assert [line["row"] for line in read_back(path, kind)] == [*range(51, 101), 121]


@pytest.mark.parametrize("kind", FORMATS)
def test_results_of_an_empty_run_have_columns_and_no_line(tmp_path: Path, kind: Format) -> None:
    (tmp_path / "input.csv").write_text("external_user_id\n")
    with journal_of(tmp_path / "run", tmp_path / "input.csv") as journal:
        write_results(journal, tmp_path / "results", kind)
        write_rejects(journal, tmp_path)
    assert read_back(tmp_path / "results", kind) == []
    if kind == "csv":
        assert (tmp_path / "results").read_text() == ",".join(RESULTS) + "\n"
    if kind == "parquet":
        assert pq.read_schema(tmp_path / "results").names == list(RESULTS)


@pytest.mark.parametrize("kind", FORMATS)
def test_writing_twice_gives_the_same_bytes(journal: RunWriter, kind: Format) -> None:
    path = folder_of(journal) / f"results.{kind}"
    contents = []
    for _ in range(2):
        write_results(journal, path, kind)
        write_rejects(journal, folder_of(journal))
        contents.append((path.read_bytes(), (folder_of(journal) / "rejected.csv").read_bytes()))
    assert contents[0] == contents[1]


# ----- who may read them


def write_all(journal: RunWriter, folder: Path) -> list[Path]:
    for kind in FORMATS:
        write_results(journal, folder / f"results.{kind}", kind)
    write_rejects(journal, folder)
    write_json(folder / "summary.json", {"a": "é"})
    return [*(folder / f"results.{kind}" for kind in FORMATS), folder / "rejected.csv", folder / "summary.json"]


def test_files_are_private_whatever_the_umask_and_whatever_was_there(journal: RunWriter, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        open_to_all = tmp_path / "results.csv"
        open_to_all.write_text("old")
        open_to_all.chmod(0o666)
        paths = write_all(journal, tmp_path)
    finally:
        os.umask(before)
    assert [oct(path.stat().st_mode & 0o777) for path in paths] == ["0o600"] * 5
    assert "old" not in open_to_all.read_text()


def test_what_is_being_written_is_private_from_its_first_byte(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with replacing(tmp_path / "results.csv") as temporary:
            assert temporary.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_a_file_in_another_encoding_is_private_too(tmp_path: Path) -> None:
    (tmp_path / "input.csv").write_text("external_user_id\n\n", encoding="cp1252")
    before = os.umask(0)
    try:
        with journal_of(
            tmp_path / "run", tmp_path / "input.csv", settings={"input": {"encoding": "cp1252"}}
        ) as journal:
            write_rejects(journal, tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "rejected.csv").stat().st_mode & 0o777 == 0o600


def test_a_link_at_a_files_place_is_replaced_not_followed(journal: RunWriter, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    names = [
        "results.csv",
        ".results.csv.new",
        "rejected.csv",
        ".rejected.csv.new",
        "summary.json",
        ".summary.json.new",
    ]
    for name in names:
        (tmp_path / name).symlink_to(precious)
    write_all(journal, tmp_path)
    assert precious.read_text() == "precious"
    assert not any((tmp_path / name).is_symlink() for name in names)
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


def test_what_fails_on_its_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["summary.json"]


def test_a_place_that_can_not_be_written_is_named_with_what_to_do(journal: RunWriter, tmp_path: Path) -> None:
    (tmp_path / "results.csv").mkdir()
    for path in (tmp_path / "results.csv", tmp_path / "no" / "results.csv"):
        with pytest.raises(BulkSenderError, match=r"results\.csv cannot be written") as refused:
            write_results(journal, path, "csv")
        assert "bulk-sender export writes the results" in refused.value.hint
    assert [entry.name for entry in (tmp_path / "results.csv").iterdir()] == []
    assert not (tmp_path / ".results.csv.new").exists()


# ----- rejected rows


def rejected(folder: Path, path: Path, table: dict[str, Any] | None = None) -> Path:
    """``rejected.csv`` of a run of ``path``."""
    with journal_of(folder, path, settings=table) as journal:
        write_rejects(journal, folder)
    return folder / "rejected.csv"


def test_rejected_rows_keep_all_their_own_cells_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "input.csv"
    own = ['=1+1, "q"', " a\nb ", "", "007", "\t", "é😀", "-1", "row 5"]
    names = ["external_user_id", "=name", "two\nlines", "reason", "row", "status", "identifier", "attributes.n:integer"]
    path.write_text(written([names, own, ["u", *own[1:-1], "7"]]))
    with rejected(tmp_path / "run", path).open(newline="") as file:
        found = list(csv.reader(file, strict=True))
    assert found[0] == [*names, "error", "source_line", "run"]
    assert [row[:-3] for row in found[1:]] == [own]
    assert found[1][-2:] == ["3", "run"]  # the header takes two lines
    assert found[1][-3] == "column 'attributes.n:integer': 'row 5' is not a whole number"


def test_a_column_called_error_is_kept_beside_the_new_reason(tmp_path: Path) -> None:
    path = tmp_path / "input.csv"
    path.write_text("error,external_user_id,x\nan old reason,,1\n")
    with rejected(tmp_path / "run", path).open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {
                "error": "an old reason",
                "external_user_id": "",
                "x": "1",
                "bulk_sender_error": "no identifier: external_user_id (column 'external_user_id') is empty",
                "source_line": "2",
                "run": "run",
            }
        ]


def test_a_run_without_rejected_rows_has_the_header_alone(tmp_path: Path) -> None:
    path = tmp_path / "input.csv"
    path.write_text("external_user_id,x\nu,1\n")
    assert rejected(tmp_path / "run", path).read_text() == "external_user_id,x,error,source_line,run\n"


def sent(path: Path, table: dict[str, Any] | None = None) -> list[Any]:
    """The recipients that would go out for a file."""
    pieces = list(planned(path, Config.parse(table or {}, where="the test")))
    return [json.loads(text) for text in rows_of(pieces)["recipient"].drop_nulls()] if pieces else []


@pytest.mark.parametrize(
    ("table", "encoding", "separator", "header"),
    [
        pytest.param({}, "utf-8", ",", True, id="as it comes"),
        pytest.param({"delimiter": ";"}, "utf-8", ";", True, id="with a configured delimiter"),
        pytest.param({"delimiter": "\t", "encoding": "cp1252"}, "cp1252", "\t", True, id="in a configured encoding"),
        pytest.param({"encoding": "utf-16"}, "utf-16", ",", True, id="in two bytes a character"),
        pytest.param({"header": False}, "utf-8", ",", False, id="without a header"),
    ],
)
def test_rejected_rows_can_be_mended_and_sent_with_the_same_configuration(
    tmp_path: Path, table: dict[str, Any], encoding: str, separator: str, header: bool
) -> None:
    names = ("Kunde", "Größe", "Wort") if header else ("column_1", "column_2", "column_3")
    settings_ = {
        "recipient": {
            "external_user_id": names[0],
            "attributes": {"size": {"column": names[1], "type": "integer"}, "word": names[2]},
        },
        "input": table,
    }
    rows = [["ä;1", "1", "x, y"], ["ä;2", "groß", 'say "é",\nnow'], ["ä;3", "kühn", "z"]]
    path = tmp_path / "input.csv"
    path.write_bytes(written([*([list(names)] if header else []), *rows], delimiter=separator).encode(encoding))
    again = rejected(tmp_path / "run", path, settings_)
    assert sent(again, settings_) == []
    mended = again.read_bytes().decode(encoding).replace("groß", "2").replace("kühn", "3")
    again.write_bytes(mended.encode(encoding))
    assert sent(path, settings_) + sent(again, settings_) == [
        {"external_user_id": "ä;1", "attributes": {"size": 1, "word": "x, y"}},
        {"external_user_id": "ä;2", "attributes": {"size": 2, "word": 'say "é",\nnow'}},
        {"external_user_id": "ä;3", "attributes": {"size": 3, "word": "z"}},
    ]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6) | st.sampled_from(
    ["", '"', ",", "\n", "\r", "\r\n", "=1", " ", "a\rb", ";"]
)


@settings(max_examples=settings.default.max_examples // 2)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_any_cells_come_back_from_the_rejected_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("rejected")
    path = folder / "input.csv"
    header = ["external_user_id", "attributes.a", "attributes.b", "attributes.n:integer"]
    table = [[f"u{number}", *cells, "no number"] for number, cells in enumerate(rows)]
    path.write_text(written([header, *table], quoting=csv.QUOTE_ALL), newline="")
    again = rejected(folder / "run", path)
    mended = again.read_bytes().decode().replace("no number", str(7))
    again.write_bytes(mended.encode())
    expected = [
        {
            "external_user_id": f"u{number}",
            "attributes": {name: c for name, c in zip("ab", cells, strict=True) if c} | {"n": 7},
        }
        for number, cells in enumerate(rows)
    ]
    assert sent(again) == expected


# ----- workbooks


def test_results_can_be_a_workbook_with_identifiers_as_text(journal: RunWriter, tmp_path: Path) -> None:
    write_results(journal, tmp_path / "results.xlsx", "xlsx")
    found = read_workbook(tmp_path / "results.xlsx", format="excel")
    expected = pl.concat(results(journal))
    assert found.columns == list(RESULTS)
    assert found["identifier"].to_list() == expected["identifier"].to_list()
    assert found["row"].to_list() == expected["row"].to_list()
    assert found["status"].to_list() == expected["status"].to_list()
    with zipfile.ZipFile(tmp_path / "results.xlsx") as book:
        page = book.read("xl/worksheets/sheet1.xml").decode()
    assert re.search(r'<c r="E2" s="\d+" t="inlineStr"><is><t>u0,é</t></is></c>', page)
    assert '<c r="A2"><v>1</v></c>' in page or re.search(r'<c r="A2" s="\d+"><v>1</v></c>', page)


def test_the_zeros_of_identifiers_are_in_the_workbook(tmp_path: Path) -> None:
    (tmp_path / "input.csv").write_text("external_user_id\n000104\n")
    with journal_of(tmp_path / "run", tmp_path / "input.csv") as made:
        write_results(made, tmp_path / "results.xlsx", "xlsx")
    found = read_workbook(tmp_path / "results.xlsx")
    assert found["identifier"].to_list() == ["000104"]
    assert (tmp_path / "results.xlsx").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input.csv", "results.xlsx", "run"]


def test_what_does_not_fit_into_a_sheet_continues_in_the_next(
    tmp_path: Path, journal: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "MAX_ROWS", 51)
    write_results(journal, tmp_path / "results.xlsx", "xlsx")
    rows = [
        read_workbook(tmp_path / "results.xlsx", sheet=name)["row"].to_list()
        for name in ("Results", "Results 2", "Results 3")
    ]
    assert rows == [list(range(1, 51)), list(range(51, 101)), list(range(101, 123))]


@pytest.mark.parametrize(("rows", "length"), [(2, 40_000), (60, 5)])
def test_what_no_sheet_can_hold_is_in_the_csv_alone(
    tmp_path: Path, rows: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "MAX_ROWS", 51)
    monkeypatch.setattr(workbooks, "MAX_BYTES", 30_000)
    frame = pl.DataFrame({"external_user_id": [" "] * rows, "a": ["x" * min(length, 32_000)] * rows})
    frame.write_excel(tmp_path / "input.xlsx")
    with journal_of(tmp_path / "run", tmp_path / "input.xlsx") as made:
        assert list(write_rejects(made, tmp_path)) == ["rejected"]


def test_a_changed_workbook_of_rejects_is_left_as_it_is(tmp_path: Path) -> None:
    pl.DataFrame({"external_user_id": [" "], "a": ["x"]}).write_excel(tmp_path / "input.xlsx")
    with journal_of(tmp_path / "run", tmp_path / "input.xlsx") as made:
        first = write_rejects(made, tmp_path)
        assert write_rejects(made, tmp_path) == first
        before = first["rejected_xlsx"].read_bytes() + b"changed"
        first["rejected_xlsx"].write_bytes(before)
        second = write_rejects(made, tmp_path)
        assert {kind: path.name for kind, path in second.items()} == {
            "rejected": "rejected.csv",
            "rejected_xlsx": "rejected-2.xlsx",
        }
        assert first["rejected_xlsx"].read_bytes() == before


def test_the_cells_that_a_reason_names_have_a_colour(tmp_path: Path) -> None:
    frame = pl.DataFrame({"external_user_id": ["u1", "u2"], "attributes.n:integer": ["many", "1"], "a": ["x", "y"]})
    frame.write_excel(tmp_path / "input.xlsx")
    with journal_of(tmp_path / "run", tmp_path / "input.xlsx") as made:
        path = write_rejects(made, tmp_path)["rejected_xlsx"]
    with zipfile.ZipFile(path) as book:
        page = book.read("xl/worksheets/sheet1.xml").decode()
        styles = book.read("xl/styles.xml").decode()
    looks = dict(re.findall(r'<c r="([A-C]2)" s="(\d+)"', page))
    assert looks["A2"] == looks["C2"] != looks["B2"]
    assert "FFD966" in styles
