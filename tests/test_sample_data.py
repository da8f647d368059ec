"""The committed samples, and the examples in config/ beside them, are what sample_data/README.md says."""

from __future__ import annotations

import io
import json
import math
import re
import unicodedata
import zipfile
from datetime import datetime

import polars as pl
import pytest

from tests.kit.samples import (
    CONFIGURED,
    EXPORTS,
    FILES,
    README,
    ROOT,
    SAMPLES,
    TEXT_FILES,
    claimed_invalid,
    claimed_repeats,
    configuration,
    invalid_rows,
    read,
    readme_table,
    repeated,
    run,
    types_in_names,
)

# ----- the samples, against what the README claims


def test_the_readme_counts_what_it_lists() -> None:
    table = readme_table("| file | rows | invalid |")
    assert sorted(row[0] for row in table) == sorted(FILES)
    for file, rows, invalid, repeats, _ in table:
        frame = (SAMPLES / file) if file.endswith(".csv") else None
        length = len(read(frame)) if frame else pl.read_parquet(SAMPLES / file).height
        assert int(rows) == length
        assert int(invalid) == len(claimed_invalid(file))
        assert int(repeats) == len(claimed_repeats(file))


def test_the_readme_lists_the_flaws_that_the_generator_puts_in() -> None:
    script = (
        "import json, recipients, tables\n"
        "flaws = {'recipients.csv': recipients.CSV_FLAWS, 'recipients.parquet': recipients.PARQUET_FLAWS}\n"
        "flaws |= {table.name: table.flaws for table in tables.TABLES}\n"
        "print(json.dumps({name: [\n"
        "    [[fault.offset + 1, fault.column, fault.reason] for fault in one.faults],\n"
        "    [[row + 1, earlier + 1] for row, earlier in one.repeats.items()],\n"
        "] for name, one in flaws.items()}))\n"
    )
    done = run("-c", script)
    assert done.returncode == 0, done.stderr
    constants = json.loads(done.stdout)
    assert sorted(constants) == sorted(FILES)
    for file, (faults, repeats) in constants.items():
        assert [tuple(fault) for fault in faults] == claimed_invalid(file)
        assert [tuple(pair) for pair in repeats] == claimed_repeats(file)


def test_recipients_csv_has_the_invalid_and_duplicate_rows_of_the_readme_and_no_others() -> None:
    rows = read(SAMPLES / "recipients.csv")
    assert invalid_rows(rows, "external_user_id", types_in_names(rows)) == claimed_invalid("recipients.csv")
    assert repeated([row["external_user_id"] for row in rows]) == claimed_repeats("recipients.csv")


@pytest.mark.parametrize(("file", "config"), CONFIGURED.items())
def test_each_configured_sample_has_the_invalid_and_duplicate_rows_of_the_readme(file: str, config: str) -> None:
    rows = read(SAMPLES / file)
    mapped = configuration(config)
    assert set(mapped.types) <= set(rows[0]), "the configuration names columns that the sample has"
    assert invalid_rows(rows, mapped.identifier, mapped.types) == claimed_invalid(file)
    assert repeated([row[mapped.identifier] for row in rows]) == claimed_repeats(file)


def test_the_filter_of_the_configuration_keeps_every_flawed_row() -> None:
    mapped = configuration("campaign-external-ids.toml")
    assert mapped.filter
    rows = pl.DataFrame(read(SAMPLES / "customers.csv"), infer_schema_length=None).with_row_index("row", 1)
    kept = rows.filter(pl.sql_expr(mapped.filter))["row"].to_list()
    assert f"lets {len(kept)} of the {rows.height} rows through" in README
    named = {row for row, _, _ in claimed_invalid("customers.csv")}
    named |= {row for pair in claimed_repeats("customers.csv") for row in pair}
    assert named <= set(kept)
    assert 0 < len(kept) < rows.height


def test_recipients_parquet_has_the_schema_of_the_readme() -> None:
    address = pl.Struct({"postcode": pl.String, "city": pl.String})
    item = pl.Struct({"sku": pl.String, "quantity": pl.Int64, "price": pl.Decimal(8, 2)})
    assert pl.read_parquet_schema(SAMPLES / "recipients.parquet") == {
        "external_user_id": pl.String,
        "trigger_properties": pl.Struct(
            {
                "first_name": pl.String,
                "city": pl.String,
                "message": pl.String,
                "total": pl.Decimal(12, 2),
                "renewal_date": pl.Date,
                "next_visit": pl.Datetime("us", "Europe/Paris"),
                "interests": pl.List(pl.String),
                "items": pl.List(item),
                "store": pl.Struct({"name": pl.String, "address": address}),
            }
        ),
        "attributes": pl.Struct(
            {
                "points": pl.Int64,
                "opted_in": pl.Boolean,
                "score": pl.Float64,
                "favourite_tiers": pl.List(pl.String),
            }
        ),
    }


def test_recipients_parquet_has_the_flaws_and_the_gaps_of_the_readme() -> None:
    frame = pl.read_parquet(SAMPLES / "recipients.parquet")
    scores = frame["attributes"].struct.field("score").to_list()
    assert [number for number, score in enumerate(scores, 1) if score is not None and math.isnan(score)] == [334]
    assert claimed_invalid("recipients.parquet") == [(334, "attributes.score", "NaN")]
    identifiers = frame["external_user_id"].to_list()
    assert all(identifiers)
    assert repeated(identifiers) == claimed_repeats("recipients.parquet")
    for struct in ("trigger_properties", "attributes"):
        for field in frame[struct].struct.unnest():
            whole_lists = field.name in ("items", "favourite_tiers")
            assert (field.null_count() == 0) == whole_lists, field.name
            if whole_lists:
                assert 0 in field.list.len()


# ----- what the samples promise about life


def test_the_text_files_are_utf8_with_lf_and_quoted_line_breaks() -> None:
    for file in TEXT_FILES:
        content = (SAMPLES / file).read_bytes()
        assert b"\r" not in content
        assert not content.startswith(b"\xef\xbb\xbf")
        assert content.endswith(b"\n")
    rows = read(SAMPLES / "recipients.csv")
    messages = [row["trigger_properties.message"] for row in rows]
    for mark in ("\n", ",", '"', "{{", "\t", "\\"):
        assert any(mark in message for message in messages), mark
    assert (SAMPLES / "recipients.csv").read_bytes().count(b"\n") > len(rows) + 1


def test_the_identifiers_include_twins_that_only_leading_zeros_tell_apart() -> None:
    identifiers = [row["external_user_id"] for row in read(SAMPLES / "recipients.csv")]
    bare = {one for one in identifiers if one.isdigit() and not one.startswith("0")}
    assert len(bare) == 1
    assert {one.lstrip("0") for one in identifiers if one.startswith("0")} >= bare
    assert any("-" in one for one in identifiers)


@pytest.mark.parametrize(
    "script",
    [
        "GREEK",
        "CYRILLIC",
        "ARABIC",
        "HEBREW",
        "HIRAGANA",
        "CJK UNIFIED",
        "HANGUL",
        "DEVANAGARI",
        "COMBINING ACUTE",
    ],
)
def test_first_names_come_in_many_scripts(script: str) -> None:
    names = {row["trigger_properties.first_name"] for row in read(SAMPLES / "recipients.csv")}
    assert any(script in unicodedata.name(letter, "") for name in names for letter in name)


def test_every_column_but_the_identifier_has_empty_cells_and_is_mostly_filled() -> None:
    rows = read(SAMPLES / "recipients.csv")
    for column in list(rows[0])[1:]:
        empty = sum(not row[column] for row in rows)
        assert 0 < empty < len(rows) / 2, column


def test_datetimes_come_with_and_without_an_offset() -> None:
    cells = [row["trigger_properties.next_visit:datetime"] for row in read(SAMPLES / "recipients.csv")]
    moments = [datetime.fromisoformat(cell) for cell in cells if cell and cell[0].isdigit()]
    offsets = {moment.utcoffset() for moment in moments}
    assert None in offsets
    assert len(offsets) >= 4


def test_no_address_leads_outside_example_domains() -> None:
    for path in [*(SAMPLES / file for file in TEXT_FILES), *(ROOT / "config").glob("*.toml")]:
        text = path.read_text(encoding="utf-8")
        for host in re.findall(r"(?:\w@|//)([\w.-]+\.\w+)", text):
            braze = host.startswith("rest.") and host.endswith((".braze.com", ".braze.eu"))
            assert host in ("example.com", "example.org", "shop.example.com") or braze, (path.name, host)


def test_no_address_of_the_exports_leads_outside_example_domains() -> None:
    for file in EXPORTS:
        content = (SAMPLES / file).read_bytes()
        if file.endswith(".xlsx"):
            with zipfile.ZipFile(io.BytesIO(content)) as book:
                content = book.read("xl/sharedStrings.xml")
        hosts = set(re.findall(rb"\w@([\w.-]+)", content))
        assert hosts == {b"example.com"}, file


def test_the_readme_counts_the_people_of_each_export_who_agreed() -> None:
    agreed = {row[0]: int(row[2]) for row in readme_table("| export | what")}
    assert sorted(agreed) == sorted(EXPORTS)
    for file, count in agreed.items():
        if file.endswith(".csv"):
            lines = (SAMPLES / file).read_text(encoding="cp1252").splitlines()
            assert sum(line.rpartition(";")[2].lower() in ("oui", "ja") for line in lines) == count
            assert agreed[file.replace("csv", "xlsx")] == count


def test_the_committed_samples_stay_small() -> None:
    assert sum((SAMPLES / file).stat().st_size for file in (*FILES, *EXPORTS)) < 1_500_000


# ----- the example configurations


@pytest.mark.parametrize("config", CONFIGURED.values())
def test_the_example_configurations_hold_placeholders_and_no_key(config: str) -> None:
    raw = configuration(config).raw
    target = raw["braze"].get("campaign_id") or raw["braze"]["canvas_id"]
    assert target == "00000000-0000-0000-0000-000000000000"
    assert not [key for table in raw.values() for key in table if "key" in key.lower()]
    text = (ROOT / "config" / config).read_text(encoding="utf-8")
    assert text.count("REPLACE") == 2, "the endpoint and the id are marked"


@pytest.mark.parametrize(("file", "config"), CONFIGURED.items())
def test_the_example_configurations_say_how_to_try_them(file: str, config: str) -> None:
    text = (ROOT / "config" / config).read_text(encoding="utf-8")
    assert f"bulk-sender check sample_data/{file} --config config/{config}\n" in text
    assert f"bulk-sender send  sample_data/{file} --config config/{config} --sandbox\n" in text
