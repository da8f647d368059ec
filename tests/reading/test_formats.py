"""Formats, compressions, encodings and line endings: all give the same rows, from any position."""

from __future__ import annotations

import bz2
import gzip
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from bulk_sender.errors import InputError
from bulk_sender.reading import chunk, csv, ndjson
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from tests.kit import zstd
from tests.kit.inputs import CSV, PEOPLE, chunks, put, read


def _bytes(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _zip(data: bytes, name: str = "people.csv") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
        archive.writestr(f"__MACOSX/._{name}", b"what macOS adds")
    return buffer.getvalue()


NDJSON = _bytes(PEOPLE.write_ndjson)
FILES: dict[str, bytes] = {
    "csv.csv": CSV.encode(),
    "tsv.tsv": PEOPLE.write_csv(separator="\t").encode(),
    "semicolons.txt": PEOPLE.write_csv(separator=";").encode(),
    "gzip.csv.gz": gzip.compress(CSV.encode()),
    "bzip2.csv.bz2": bz2.compress(CSV.encode()),
    "zstandard.csv.zst": zstd.compress(CSV.encode()),
    "zip.zip": _zip(CSV.encode()),
    "ndjson.ndjson": NDJSON,
    "ndjson-gzip.jsonl.gz": gzip.compress(NDJSON),
    "ndjson-in-zip.zip": _zip(NDJSON, "people.ndjson"),
    "parquet.parquet": _bytes(PEOPLE.write_parquet),
    "arrow-file.arrow": _bytes(PEOPLE.write_ipc),
    "arrow-stream.arrows": _bytes(PEOPLE.write_ipc_stream),
    "excel.xlsx": _bytes(PEOPLE.write_excel),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_each_format_gives_its_rows(name: str, tmp_path: Path) -> None:
    assert read(put(tmp_path, name, FILES[name])).equals(PEOPLE)


@pytest.mark.parametrize("name", FILES)
def test_the_format_is_detected_whatever_the_name(name: str, tmp_path: Path) -> None:
    if name.startswith("tsv"):
        pytest.skip("tabs are detected from the header")
    assert read(put(tmp_path, "export", FILES[name])).equals(PEOPLE)


@pytest.mark.parametrize("name", FILES)
def test_reading_resumes_at_the_end_of_any_chunk(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk, "CHUNK_CELLS", 200)
    monkeypatch.setattr(csv, "BLOCK_BYTES", 2048)
    monkeypatch.setattr(ndjson, "BLOCK_BYTES", 2048)
    path = put(tmp_path, name, FILES[name])
    whole = chunks([path, path])
    assert len(whole) > 6
    for index in (1, 3, len(whole) // 2, len(whole) - 1):
        rest = chunks([path, path], whole[index - 1].end)
        assert (rest[0].start, rest[-1].end) == (whole[index].start, whole[-1].end)
        later = pl.concat(each.frame for each in whole[index:])
        assert pl.concat(each.frame for each in rest).equals(later)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"]
)
def test_an_encoding_is_detected_from_the_bytes(encoding: str, tmp_path: Path) -> None:
    assert read(put(tmp_path, "people.csv", CSV.encode(encoding))).equals(PEOPLE)


@pytest.mark.parametrize("encoding", ["cp1250", "cp1251", "shift_jis", "euc_jp", "gb18030", "utf-16-le", "mac_roman"])
def test_an_encoding_can_be_configured(encoding: str, tmp_path: Path) -> None:
    name = {"cp1250": "Łukasz", "cp1251": "Мария", "utf-16-le": "Zoé", "mac_roman": "Zoé"}.get(encoding, "東京")
    path = put(tmp_path, "people.csv", f"id,name\n1,{name}\n".encode(encoding))
    assert read(path, encoding=encoding)["name"].to_list() == [name]


def test_shift_jis_is_detected_from_kana_and_kanji(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", "顧客番号,名前\n1,山田 太郎\n2,さくら\n".encode("shift_jis"))
    assert read(path)["名前"].to_list() == ["山田 太郎", "さくら"]


def test_a_guessed_encoding_is_reported(tmp_path: Path) -> None:
    with Spool() as spool:
        guessed = Input.open([put(tmp_path, "a.csv", CSV.encode("cp1252"))], ReadSettings(), spool)
        known = Input.open([put(tmp_path, "b.csv", CSV)], ReadSettings(), spool)
    assert "cp1252" in guessed.notes[0]
    assert not known.notes


def test_an_encoding_that_shows_only_far_into_the_file_is_detected(tmp_path: Path) -> None:
    text = "id,name\n" + "1,Zoe\n" * 400_000 + "2,Zoé\n" * 1000
    assert read(put(tmp_path, "people.csv", text.encode("cp1252")))["name"][-1] == "Zoé"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_ending_ends_a_row(end: str, tmp_path: Path) -> None:
    assert read(put(tmp_path, "people.csv", CSV.replace("\r\n", end))).equals(PEOPLE)


def test_the_columns_of_hive_partitions_keep_their_leading_zeros(tmp_path: Path) -> None:
    for month, rows in (("01", PEOPLE[:400]), ("02", PEOPLE[400:])):
        (tmp_path / "country=FR" / f"month={month}").mkdir(parents=True)
        rows.write_parquet(tmp_path / "country=FR" / f"month={month}" / "part-0.parquet")
    for given in (tmp_path, str(tmp_path / "country=*" / "*" / "*.parquet")):
        found = read(given)
        assert found.select(PEOPLE.columns).equals(PEOPLE)
        assert found["country"].unique().to_list() == ["FR"]
    assert found["month"].unique().sort().to_list() == ["01", "02"]


def test_polars_arrow_and_pandas_tables_are_inputs() -> None:
    for frame in (PEOPLE, PEOPLE.lazy(), PEOPLE.to_arrow(), PEOPLE.to_pandas()):
        assert read(frame).equals(PEOPLE)


def test_a_delta_table_is_read_in_its_latest_version(tmp_path: Path) -> None:
    pytest.importorskip("deltalake")
    PEOPLE[:500].write_delta(str(tmp_path / "people"))
    PEOPLE[500:].write_delta(str(tmp_path / "people"), mode="append")
    assert read(tmp_path / "people").sort("external_user_id").equals(PEOPLE)


def test_an_iceberg_table_is_read_in_its_latest_version(tmp_path: Path) -> None:
    sql = pytest.importorskip("pyiceberg.catalog.sql")
    catalog = sql.SqlCatalog("c", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}/w")
    catalog.create_namespace("n")
    table = catalog.create_table("n.people", schema=PEOPLE.to_arrow().schema)
    for rows in (PEOPLE[:500], PEOPLE[500:]):
        table.append(rows.to_arrow().cast(table.schema().as_arrow()))
    found = read(table.location().removeprefix("file://"))
    assert found.sort("external_user_id").equals(PEOPLE)


@pytest.mark.parametrize(
    ("kind", "package", "table"),
    [("delta", "deltalake", "_delta_log/0.json"), ("iceberg", "pyiceberg", "metadata/1.metadata.json")],
)
def test_a_table_without_the_package_to_read_it_is_refused_with_its_name(
    kind: str, package: str, table: str, tmp_path: Path
) -> None:
    (tmp_path / table).parent.mkdir()
    (tmp_path / table).write_text("{}")
    code = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "found = PathFinder.find_spec\n"
        f"PathFinder.find_spec = lambda name, *rest: None if name.startswith({package!r}) else found(name, *rest)\n"
        "import bulk_sender as bs\n"
        "try:\n    bs.check(sys.argv[1])\n"
        "except bs.InputError as error:\n    print(error, error.hint, sep='\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=300, check=True
    )
    message, hint = done.stdout.splitlines()
    assert str(tmp_path) in message
    assert kind in message.lower()
    assert hint == f"pip install {package}"


@pytest.mark.parametrize("table", ["_delta_log/00000000000000000000.json", "metadata/1.metadata.json"])
def test_a_damaged_table_is_refused(table: str, tmp_path: Path) -> None:
    pytest.importorskip("deltalake")
    pytest.importorskip("pyiceberg")
    (tmp_path / table).parent.mkdir()
    (tmp_path / table).write_text("garbage")
    with pytest.raises(InputError, match=r"be read as an? (table|Delta|Iceberg)"):
        read(tmp_path)


def test_standard_input_is_read_once_in_any_format(monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (CSV.encode(), gzip.compress(CSV.encode()), NDJSON, FILES["parquet.parquet"], FILES["excel.xlsx"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert read("-").equals(PEOPLE)


def test_dates_numbers_and_leading_zeros_are_read_as_excel_shows_them(tmp_path: Path) -> None:
    xlsxwriter = pytest.importorskip("xlsxwriter")
    import datetime as dt

    book = xlsxwriter.Workbook(tmp_path / "people.xlsx")
    book.add_worksheet("Notes").write(0, 0, "nothing")
    sheet = book.add_worksheet("People")
    sheet.write_row(0, 0, ["id", "count", "price", "day", "moment", "clock", "opted in"])
    forms = [book.add_format({"num_format": form}) for form in ("dd/mm/yyyy", "dd/mm/yyyy hh:mm", "hh:mm")]
    for row in (1, 2):
        sheet.write_string(row, 0, f"00{row}")
        sheet.write_row(row, 1, [row, row + 0.5])
        sheet.write_datetime(row, 3, dt.datetime(2026, 2, row), forms[0])
        sheet.write_datetime(row, 4, dt.datetime(2026, 2, row, 10, 30), forms[1])
        sheet.write_datetime(row, 5, dt.time(9, 15), forms[2])
        sheet.write_boolean(row, 6, row == 1)
    book.close()
    found = read(tmp_path / "people.xlsx", sheet="People")
    assert found.rows() == [
        (f"00{row}", row, row + 0.5, dt.date(2026, 2, row), dt.datetime(2026, 2, row, 10, 30), dt.time(9, 15), row == 1)
        for row in (1, 2)
    ]
    with pytest.raises(InputError, match="no sheet 'Peple'") as caught:
        read(tmp_path / "people.xlsx", sheet="Peple")
    assert "'People'" in caught.value.hint


def test_a_file_that_changes_while_it_is_read_is_named_in_the_error(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", CSV)
    with Spool() as spool:
        source = Input.open([path], ReadSettings(), spool)
        rows = source.read()
        next(rows)
        path.write_text(CSV + "99999,late\r\n")
        with pytest.raises(InputError, match=r"people\.csv was changed while it was read"):
            list(rows)


def test_files_sent_together_need_the_same_columns(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"b\.csv has no column 'name'"):
        chunks([put(tmp_path, "a.csv", "id,name\n1,a\n"), put(tmp_path, "b.csv", "id\n2\n")])


def test_positions_stay_valid_when_a_spool_moves(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        source = Input.open([PEOPLE], ReadSettings(), spool)
        first = next(source.read())
        moved = spool.settle(tmp_path / "input")
        assert moved is not None
        source.moved(moved, tmp_path / "input")
        assert [each.start for each in source.read()] == [first.start]
    assert [path.name for path in (tmp_path / "input").iterdir()] == ["0001.arrow"]
    assert (tmp_path / "input").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "input" / "0001.arrow").stat().st_mode & 0o777 == 0o600


def test_a_spool_that_is_not_settled_leaves_no_files(tmp_path: Path) -> None:
    with pytest.raises(InputError), Spool(tmp_path / "runs") as spool:
        Input.open([PEOPLE, tmp_path / "missing.csv"], ReadSettings(), spool)
    assert not (tmp_path / "runs").exists()


def test_the_same_frame_has_the_same_digest() -> None:
    digests = set()
    for _ in range(2):
        with Spool() as spool:
            lazy = PEOPLE.lazy().filter(pl.col("name") == "Zoé")
            [identity] = Input.open([lazy], ReadSettings(), spool).identify()
            digests.add(identity.sha256)
    assert len(digests) == 1
