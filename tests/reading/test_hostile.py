"""Damaged and malicious files, which end in a readable InputError or in malformed rows."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bulk_sender.errors import BulkSenderError, ConfigError, InputError
from bulk_sender.operations.check import check
from bulk_sender.reading import compression, workbook_package
from tests.kit import zstd
from tests.kit.inputs import CSV, PEOPLE, put, read

DATA = Path(__file__).parent / "data"


# location_coordinates is skipped: its JSON and its CSV have different telephone numbers and degree signs.
@pytest.mark.parametrize("path", sorted((DATA / "csv-spectrum" / "csvs").glob("[!l]*.csv")), ids=lambda path: path.stem)
def test_csv_spectrum_files_match_their_expected_json(path: Path) -> None:
    wanted: list[dict[str, Any]] = json.loads((DATA / "csv-spectrum" / "json" / f"{path.stem}.json").read_text())
    found = [{name: cell or "" for name, cell in row.items()} for row in read(path).rows(named=True)]
    assert (
        found == [{name: cell.replace("\r\n", "\n") for name, cell in row.items()} for row in wanted] or found == wanted
    )


def test_naughty_strings_are_sent_unchanged(tmp_path: Path) -> None:
    strings = json.loads((DATA / "naughty-strings" / "blns.json").read_text(encoding="utf-8"))
    frame = pl.DataFrame({"external_user_id": [f"u{n}" for n in range(len(strings))], "trigger_properties.s": strings})
    for name, data in {"s.csv": frame.write_csv().encode(), "s.ndjson": frame.write_ndjson().encode()}.items():
        report = check(put(tmp_path, name, data))
        assert report.valid == report.rows == len(strings)
        assert read(tmp_path / name)["trigger_properties.s"].fill_null("").to_list() == strings


@pytest.mark.parametrize(
    ("name", "data"),
    {
        "image.csv": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 50,
        "zeros.csv": bytes(100_000),
        "cut.parquet": b"PAR1" + bytes(100),
        "no.parquet": b"id,name\n1,2\n",
        "cut.arrow": b"ARROW1\x00\x00" + bytes(100),
        "no.xlsx": b"id,name\n",
        "old.xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512),
        "cut.csv.gz": gzip.compress(CSV.encode())[:-20],
        "cut.csv.bz2": bz2.compress(CSV.encode())[:-20],
        "cut.csv.zst": zstd.compress(CSV.encode())[:-20],
        "cut.zip": b"PK\x03\x04" + bytes(50),
        "empty.csv": b"",
        "blank.csv": b"\n\n \n",
        "empty.ndjson": b"",
        "page.ndjson": b"<html>\n<body>\n",
        "quote.csv": b'external_user_id,name\n1,"open\n' + b"2,x\n" * 1000,
        "surrogate.csv": ("external_user_id\n" + "é\n" * 50).encode() + b"\xed\xa0\x80\n",
        "packed.parquet.gz": gzip.compress(b"PAR1" + bytes(100)),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_file_raises_an_error_that_names_it(name: str, data: bytes, tmp_path: Path) -> None:
    with pytest.raises((InputError, ConfigError)) as caught:
        check(put(tmp_path, name, data))
    assert name in str(caught.value) or isinstance(caught.value, ConfigError)
    assert caught.value.exit_code == 2


def test_a_zip_with_several_files_or_none_is_refused(tmp_path: Path) -> None:
    for count in (0, 2):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for number in range(count):
                archive.writestr(f"{number}.csv", CSV)
        with pytest.raises(InputError, match=f"contains {count} files|cannot be unpacked"):
            read(put(tmp_path, f"{count}.zip", buffer.getvalue()))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, zstd.compress])
def test_a_decompression_bomb_is_refused(pack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "FREE_BYTES", 1 << 20)
    monkeypatch.setattr(compression, "MAX_RATIO", 100)
    packed = pack(b"external_user_id\n" + b"1\n" * (3 << 20))
    with pytest.raises(InputError, match="decompression bomb"):
        check(put(tmp_path, "bomb.csv", packed))


def test_the_absolute_size_limit_applies_below_the_ratio_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "MAX_BYTES", 10_000)
    with pytest.raises(InputError, match="decompression bomb"):
        read(put(tmp_path, "people.csv.gz", gzip.compress(CSV.encode())))


def _workbook(tmp_path: Path, sheet: str) -> Path:
    PEOPLE[:3].write_excel(tmp_path / "sound.xlsx")
    with zipfile.ZipFile(tmp_path / "sound.xlsx") as sound, zipfile.ZipFile(tmp_path / "people.xlsx", "w") as made:
        for info in sound.infolist():
            data = sheet.encode() if info.filename == "xl/worksheets/sheet1.xml" else sound.read(info)
            made.writestr(info.filename, data, zipfile.ZIP_DEFLATED)
    return tmp_path / "people.xlsx"


def test_a_workbook_with_a_cell_in_the_last_row_and_column_is_refused(tmp_path: Path) -> None:
    cells = "".join(f'<row r="{r}"><c r="{c}{r}"><v>1</v></c></row>' for c, r in (("A", 1), ("XFD", 1_048_576)))
    path = _workbook(
        tmp_path,
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f"<sheetData>{cells}</sheetData></worksheet>",
    )
    with pytest.raises(InputError, match="spans 1,048,576 rows and 16,384 columns"):
        read(path)


def test_a_workbook_that_is_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook_package, "MAX_UNPACKED_BYTES", 1 << 20)
    with pytest.raises(InputError, match="expands to more than"):
        read(_workbook(tmp_path, " " * (2 << 20)))


def test_5000_columns_are_read(tmp_path: Path) -> None:
    names = ["external_user_id", *(f"attributes.a{n}" for n in range(4999))]
    rows = "".join(f"{n}" + ",x" * 4999 + "\n" for n in range(60))
    report = check(put(tmp_path, "wide.csv", ",".join(names) + "\n" + rows))
    assert report.valid == 60


def test_a_field_of_10_mb_gives_one_rejected_row(tmp_path: Path) -> None:
    data = 'external_user_id,trigger_properties.a\n1,x\n2,"' + "y\n" * (5 << 20) + '"\n3,z\n'
    report = check(put(tmp_path, "long.csv", data))
    assert (report.rows, report.valid, list(report.reasons)) == (3, 2, ["too_large"])


def test_ragged_rows_and_nuls_are_counted_as_rows(tmp_path: Path) -> None:
    data = "external_user_id,trigger_properties.a\n1,x\n2\n3,x,y\n4,\x00\n5,x\n"
    report = check(put(tmp_path, "ragged.csv", data))
    assert (report.rows, report.valid, report.reasons["malformed_row"]["count"]) == (5, 3, 2)


@pytest.mark.parametrize("header", ["external_user_id,name,name", "name,external_user_id, name "])
def test_a_repeated_column_name_is_refused(header: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are both named 'name'"):
        check(put(tmp_path, "people.csv", f"{header}\n1,2,3\n"))


def test_a_number_of_5000_digits_gives_a_rejected_row(tmp_path: Path) -> None:
    data = "external_user_id,attributes.n:integer\n1,1\n2," + "9" * 5000 + "\n"
    assert check(put(tmp_path, "people.csv", data)).reasons["invalid_value"]["count"] == 1


def test_a_parquet_file_with_a_damaged_page_raises_an_error(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    PEOPLE.write_parquet(buffer, compression="uncompressed", statistics=False)
    data = bytearray(buffer.getvalue())
    for at in range(20, len(data) - 2000, 37):
        data[at] ^= 0xFF
    path = put(tmp_path, "people.parquet", bytes(data))
    try:
        report = check(path, config={"recipient": {"external_user_id": "external_user_id"}})
    except BulkSenderError as error:
        assert "people.parquet" in str(error)
    else:
        assert report.rows == report.valid + report.rejected + report.duplicate


def test_the_cost_of_a_property_nested_40_deep_grows_only_with_its_columns(tmp_path: Path) -> None:
    name = "attributes." + ".".join("abcdefghij" * 4)
    report = check(put(tmp_path, "deep.csv", f"external_user_id,{name}\n1,x\n2,\n"))
    assert json.dumps(report.samples[0]).count("{") == 41
    assert report.samples[1] == {"external_user_id": "2"}
