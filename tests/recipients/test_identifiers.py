"""Identifiers from typed columns, and addresses with characters that people do not see or take for others."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError
from bulk_sender.recipients.encode import encode
from bulk_sender.recipients.mapping import resolve
from tests.kit.inputs import put


def encoded(frame: pl.DataFrame, **config: Any) -> list[tuple[str | None, str | None, str | None]]:
    """Return identifier, error code and error of each row."""
    rows = encode(frame, resolve(frame.schema, Config.parse(config, where="the test")), max_bytes=100_000)
    return rows.select("identifier", "error_code", "error").rows()


@pytest.mark.parametrize("scale", [0, 2, 9])
def test_a_whole_decimal_is_a_whole_number(scale: int) -> None:
    values = [Decimal(1001), Decimal(-5), Decimal(10) ** 20, None]
    frame = pl.DataFrame({"external_user_id": values}, schema={"external_user_id": pl.Decimal(38, scale)})
    assert [row[0] for row in encoded(frame)] == ["1001", "-5", "1" + "0" * 20, None]


def test_a_decimal_with_a_fraction_is_rejected() -> None:
    frame = pl.DataFrame({"external_user_id": [Decimal("1001.50"), Decimal("7.00")]})
    assert encoded(frame) == [
        ("1001.50", "invalid_identifier", "the identifier '1001.50' is not a whole number"),
        ("7", None, None),
    ]


def test_the_parts_of_an_alias_may_be_whole_decimals() -> None:
    names = [Decimal("12.0"), Decimal("1.5")]
    frame = pl.DataFrame({"user_alias.alias_name": names, "user_alias.alias_label": ["crm", "crm"]})
    assert [row[:2] for row in encoded(frame)] == [("crm:12", None), ("crm:1.5", "invalid_identifier")]


@pytest.mark.parametrize(("decimal", "one"), [(".", "1001.000"), (",", "1001,000")])
def test_decimals_come_back_from_rejected_rows_as_the_same_identifiers(decimal: str, one: str, tmp_path: Path) -> None:
    text = f'external_user_id:float;attributes.a\n"{one}";x\n"{one[:-1]}5";y\n'
    report = bs.check(put(tmp_path, "rejected.csv", text), overrides={"input.decimal": decimal})
    assert (report.samples[0]["external_user_id"], report.rejected) == ("1001", 1)


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([1.0]),
        pl.Series([True]),
        pl.Series([dt.date(2026, 2, 28)]),
        pl.Series([dt.datetime(2026, 2, 28)]),
        pl.Series([dt.time(10)]),
        pl.Series([dt.timedelta(1)]),
        pl.Series([b"x"]),
        pl.Series([["x"]]),
    ],
    ids=lambda column: str(column.dtype),
)
def test_a_type_that_is_no_identifier_is_refused_by_name(column: pl.Series) -> None:
    with pytest.raises(ConfigError, match=r"column 'external_user_id' has type .*would change the identifiers"):
        encoded(pl.DataFrame({"external_user_id": column}))


@pytest.mark.parametrize("kind", [pl.Int8, pl.Int64, pl.UInt64, pl.Int128, pl.Categorical])
def test_whole_numbers_and_categories_are_identifiers(kind: type[pl.DataType]) -> None:
    values: list[Any] = ["7"] if kind == pl.Categorical else [7]
    assert encoded(pl.DataFrame({"external_user_id": pl.Series(values, dtype=kind)})) == [("7", None, None)]


@pytest.mark.parametrize("kind", ["integer", "float"])
def test_text_of_a_configured_type_of_number_is_a_whole_number(kind: str) -> None:
    recipient = {"external_user_id": {"column": "id", "type": kind}}
    found = encoded(pl.DataFrame({"id": ["1001.0", "1002,00", "00123", "1002.5"]}), recipient=recipient)
    assert [(name, code) for name, code, _ in found] == [
        ("1001", None),
        ("1002", None),
        ("00123", None),
        ("1002.5", "invalid_identifier"),
    ]
    grouped = encoded(pl.DataFrame({"id": ["1.000"]}), recipient=recipient, input={"thousands": ".", "decimal": ","})
    assert grouped[0][0] == "1.000"


@pytest.mark.parametrize("value", [True, 1.5, ["a"]])
def test_a_constant_identifier_is_text_or_a_whole_number(value: Any) -> None:
    alias = {"alias_name": "id", "alias_label": {"value": value}}
    with pytest.raises(ConfigError, match="alias_label: the value must be text or a whole number"):
        encoded(pl.DataFrame({"id": ["u"]}), recipient={"user_alias": alias})


_INVISIBLE = "is not a valid e-mail address: it has an invisible character"
_LOOKS = "is not a valid e-mail address: it has a character that only looks like the right one"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("\u200bann@example.com", _INVISIBLE),
        ("ann@exam\u00adple.com", _INVISIBLE),
        ("\u202aann@example.com\u202c", _INVISIBLE),
        ("ann@example.com\ufeff", _INVISIBLE),
        ("a\x00nn@example.com", _INVISIBLE),
        ("ann\u200d@example.com", _INVISIBLE),
        ("ann\ufe0f@example.com", _INVISIBLE),
        ("\u0430nn@example.com", _LOOKS),  # a Cyrillic letter
        ("ann@ex\u0430mple.com", _LOOKS),
        ("\u03bfnn@example.com", _LOOKS),  # a Greek one
        ("ann\u2011marie@example.com", _LOOKS),
        ("o\u2019hara@example.com", _LOOKS),
        ("\uff41nn@example.com", _LOOKS),
        ("zoe\u0301@example.com", _LOOKS),
        ("ann\ufffd@example.com", _LOOKS),
        ("\u212aarl@example.com", _LOOKS),  # the sign of kelvin
        ("jo\u017fe@example.com", _LOOKS),  # a long s
        ("o\u00aa@example.com", _LOOKS),
        ("太\uf900@例え.jp", _LOOKS),
    ],
)
def test_an_address_with_a_strange_character_is_rejected(address: str, words: str) -> None:
    [(_, code, reason)] = encoded(pl.DataFrame({"email": [address], "prioritization": ["identified"]}))
    assert code == "invalid_email"
    assert words in str(reason)


@pytest.mark.parametrize(
    "address",
    ["o'hara+a@example.com", "zoé@example.com", "почта@пример.рф", "太郎@例え.jp", "ann@пример.рф", "आ@उदाहरण.भारत"],
)
def test_addresses_of_any_one_script_are_valid(address: str) -> None:
    assert encoded(pl.DataFrame({"email": [address], "prioritization": ["identified"]})) == [(address, None, None)]


# ----- profile fields that Braze takes as text


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pl.Series([4915112345678]), "4915112345678"),
        (pl.Series([4915112345678.0]), "4915112345678"),
        (pl.Series([Decimal("4915112345678.00")]), "4915112345678"),
        (pl.Series([True]), "true"),
        (pl.Series(["+4915112345678"]), "+4915112345678"),
    ],
    ids=lambda value: str(value.dtype) if isinstance(value, pl.Series) else None,
)
@pytest.mark.parametrize("name", ["phone", "first_name", "home_city", "country", "time_zone", "email"])
def test_a_profile_field_of_text_is_sent_as_text(name: str, column: pl.Series, text: str) -> None:
    frame = pl.DataFrame({"external_user_id": ["u1"], f"attributes.{name}": column})
    assert bs.check(frame).samples[0]["attributes"] == {name: text}
    nested = pl.DataFrame({"external_user_id": ["u1"], "attributes": pl.Series([{name: column[0]}])})
    assert bs.check(nested).samples[0]["attributes"] == {name: text}


def test_a_type_in_the_mapping_does_not_change_that(tmp_path: Path) -> None:
    text = "external_user_id,attributes.phone:integer,attributes.home_city:float\nu1,33612345678,5.0\nu2,x,6\n"
    report = bs.check(put(tmp_path, "people.csv", text))
    assert report.samples[0]["attributes"] == {"phone": "33612345678", "home_city": "5"}
    assert report.rejected == 1


def test_a_column_of_telephone_numbers_that_are_numbers_is_warned_of() -> None:
    frame = pl.DataFrame({"external_user_id": ["u1"], "attributes.phone": [33612345678]})
    assert [each for each in bs.check(frame).warnings if "lost their +" in each] == [
        "column 'attributes.phone' has numbers: telephone numbers lost their + and leading zeros; the digits are sent "
        "as text"
    ]
    texts = frame.with_columns(pl.lit("+33612345678").alias("attributes.phone"))
    assert bs.check(texts).warnings == []


def test_no_request_fails_for_the_type_of_a_profile_field(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "external_user_id": ["u1"],
            "attributes.phone": [33612345678],
            "attributes.first_name": [7],
            "attributes.email_open_tracking_disabled": ["yes"],
            "attributes.current_location.longitude": ["2.35"],
            "attributes.current_location.latitude": ["48.85"],
        }
    )
    config = {"braze": {"campaign_id": "c"}}
    summary = bs.send(frame, config=config, sandbox=True, run_id="t", runs_dir=tmp_path)
    assert (summary.accepted, summary.failed) == (1, 0)
    sent = bs.check(frame).samples[0]["attributes"]
    assert sent["email_open_tracking_disabled"] is True
    assert json.dumps(sent["current_location"]) == '{"longitude": 2.35, "latitude": 48.85}'


@pytest.mark.parametrize("value", [["x"], {"a": "x"}], ids=str)
def test_a_nested_column_cannot_be_a_profile_field_of_text(value: Any) -> None:
    frame = pl.DataFrame({"external_user_id": ["u1"], "attributes.phone": [value]})
    with pytest.raises(ConfigError, match="cannot be sent as phone: Braze requires text"):
        bs.check(frame)


def test_a_constant_profile_field_of_text_is_text() -> None:
    config = {"recipient": {"external_user_id": "id", "attributes": {"phone": {"value": 336}}}}
    with pytest.raises(ConfigError, match=r"recipient\.attributes\.phone: Braze requires text"):
        bs.check(pl.DataFrame({"id": ["u1"]}), config=config)
