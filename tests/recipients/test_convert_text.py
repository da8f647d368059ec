"""Conversion of text cells to JSON, for every type that a configuration can name."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any, get_args

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.config.model import FieldType
from bulk_sender.recipients.convert import Convention, plain_quote, plain_texts, quote
from tests.recipients.converting import WRONG, Sent, converted

PARIS = Convention(timezone="Europe/Paris")
COMMA = Convention(decimal=",")

CASES: list[tuple[FieldType | None, str | None, Sent]] = [
    # string: the cell unchanged
    ("string", "0042", '"0042"'),
    (None, "0042", '"0042"'),
    ("string", " a ", '" a "'),
    ("string", 'say "hi"\\', '"say \\"hi\\"\\\\"'),
    ("string", "a\nb\tc\x00\x1f", '"a\\nb\\tc\\u0000\\u001f"'),
    ("string", "naïve 😀 \u2028", '"naïve 😀 \u2028"'),
    ("string", "NaN", '"NaN"'),
    ("string", None, None),
    # integer: whole numbers of 64 bits, in JSON syntax
    ("integer", "42", "42"),
    ("integer", "-7", "-7"),
    ("integer", " 5 ", "5"),
    ("integer", "+5", "5"),
    ("integer", "007", "7"),
    ("integer", "5.0", "5"),
    ("integer", "-0", "0"),
    ("integer", "9223372036854775807", "9223372036854775807"),
    ("integer", "-9223372036854775808", "-9223372036854775808"),
    ("integer", "9223372036854775808", WRONG),
    ("integer", "9" * 40, WRONG),
    ("integer", "5.5", WRONG),
    ("integer", "1e3", WRONG),
    ("integer", "1,000", WRONG),
    ("integer", "1_000", WRONG),
    ("integer", "１", WRONG),
    ("integer", "0x10", WRONG),
    ("integer", "five", WRONG),
    ("integer", "", None),
    ("integer", "  ", None),
    # float: finite numbers with exactly the same digits
    ("float", "19.90", "19.90"),
    ("float", "0.1", "0.1"),
    ("float", "-0", "-0"),
    ("float", "100", "100"),
    ("float", " 1.5 ", "1.5"),
    ("float", "+1.5", "1.5"),
    ("float", "007.50", "7.50"),
    ("float", ".5", "0.5"),
    ("float", "-.5e1", "-0.5e1"),
    ("float", "5.", "5"),
    ("float", "5.e3", "5e3"),
    ("float", "1E5", "1E5"),
    ("float", "12345678901234567890.12345678901234567890", "12345678901234567890.12345678901234567890"),
    ("float", "1" + "0" * 308, "1" + "0" * 308),
    ("float", "1" + "0" * 309, WRONG),
    ("float", "1e308", "1e308"),
    ("float", "1e309", WRONG),
    ("float", "NaN", WRONG),
    ("float", "inf", WRONG),
    ("float", "-Infinity", WRONG),
    ("float", "1,5", WRONG),
    ("float", "1.2.3", WRONG),
    ("float", ".", WRONG),
    ("float", "٣", WRONG),
    ("float", "", None),
    # boolean
    ("boolean", "true", "true"),
    ("boolean", "TRUE", "true"),
    ("boolean", " Yes ", "true"),
    ("boolean", "y", "true"),
    ("boolean", "1", "true"),
    ("boolean", "on", "true"),
    ("boolean", "False", "false"),
    ("boolean", "no", "false"),
    ("boolean", "0", "false"),
    ("boolean", "off", "false"),
    ("boolean", "Oui", "true"),
    ("boolean", "NON", "false"),
    ("boolean", "VRAI", "true"),
    ("boolean", "ja", "true"),
    ("boolean", "Nein", "false"),
    ("boolean", "FALSCH", "false"),
    ("boolean", "SÍ", "true"),
    ("boolean", "não", "false"),
    ("boolean", "はい", "true"),
    ("boolean", "2", WRONG),
    ("boolean", "maybe", WRONG),
    ("boolean", "", None),
    # date
    ("date", "2026-02-28", '"2026-02-28"'),
    ("date", " 2026-02-28 ", '"2026-02-28"'),
    ("date", "2026-02-28T00:00:00", '"2026-02-28"'),
    ("date", "2024-02-29", '"2024-02-29"'),
    ("date", "2026-02-29", WRONG),
    ("date", "2026-02-28T10:00:00", WRONG),
    ("date", "28/02/2026", WRONG),
    ("date", "2026-2-8", WRONG),
    ("date", "", None),
    # datetime: ISO 8601 with an offset; a given offset is kept
    ("datetime", "2026-02-28T10:00:00", '"2026-02-28T10:00:00+00:00"'),
    ("datetime", "2026-02-28 10:00", '"2026-02-28T10:00:00+00:00"'),
    ("datetime", "2026-02-28", '"2026-02-28T00:00:00+00:00"'),
    ("datetime", "2026-02-28T10:00:00Z", '"2026-02-28T10:00:00+00:00"'),
    ("datetime", "2026-02-28T10:00:00+02:00", '"2026-02-28T10:00:00+02:00"'),
    ("datetime", "2026-02-28T10:00:00 +01:00", '"2026-02-28T10:00:00+01:00"'),
    ("datetime", "2026-02-28T10:00:00-0530", '"2026-02-28T10:00:00-05:30"'),
    ("datetime", "2026-02-28T10:00+05", '"2026-02-28T10:00:00+05:00"'),
    ("datetime", "2026-02-28T10:00:00.123456789Z", '"2026-02-28T10:00:00.123456789+00:00"'),
    ("datetime", "2026-02-28T10:00:00,5", '"2026-02-28T10:00:00.5+00:00"'),
    ("datetime", "2026-02-30T10:00:00", WRONG),
    ("datetime", "2026-02-28T24:00:00", WRONG),
    ("datetime", "2026-02-28T10:00:60", WRONG),
    ("datetime", "2026-02-28T10:60", WRONG),
    ("datetime", "2026-02-28T10:00:00+24:00", WRONG),
    ("datetime", "2026-02-28T10:00:00+99:99", WRONG),
    ("datetime", "tomorrow at noon", WRONG),
    ("datetime", "1772272800", WRONG),
    ("datetime", "", None),
    # json: the text unchanged, if it is valid JSON
    ("json", '{"a":[1,{"b":null}]}', '{"a":[1,{"b":null}]}'),
    ("json", " [1,\n2] ", "[1,\n2]"),
    ("json", "0.10", "0.10"),
    ("json", "12345678901234567890123456789", "12345678901234567890123456789"),
    ("json", '"x"', '"x"'),
    ("json", "true", "true"),
    ("json", '{"a":NaN}', WRONG),
    ("json", "[Infinity]", WRONG),
    ("json", "[1e999]", WRONG),
    ("json", "[1,]", WRONG),
    ("json", "{'a':1}", WRONG),
    ("json", '{"a":1}x', WRONG),
    ("json", '{"a":1}{"b":2}', WRONG),
    ("json", "01", WRONG),
    ("json", '"\\ud800"', WRONG),
    ("json", '"a\tb"', WRONG),
    ("json", "[" * 10_000 + "]" * 10_000, WRONG),
    ("json", "tru", WRONG),
    ("json", " null ", None),
    ("json", "", None),
    # list: JSON, or values between separators
    ("list", "a|b|c", '["a","b","c"]'),
    ("list", " a | b ", '["a","b"]'),
    ("list", "007", '["007"]'),
    ("list", "a||b", '["a","","b"]'),
    ("list", 'say "hi"|\\', '["say \\"hi\\"","\\\\"]'),
    ("list", '[1, "x"]', '[1, "x"]'),
    ("list", "[]", "[]"),
    ("list", "[1, 2", WRONG),
    ("list", "[a|b]", WRONG),
    ("list", "", None),
]


def test_every_type_is_in_the_table() -> None:
    assert {wanted for wanted, _, _ in CASES if wanted} == set(get_args(FieldType))


@pytest.mark.parametrize(("wanted", "cell", "sent"), CASES)
def test_a_cell_becomes_json(wanted: FieldType | None, cell: str | None, sent: Sent) -> None:
    assert converted([cell], wanted) == [sent]
    if isinstance(sent, str):
        json.loads(sent)


@pytest.mark.parametrize("wanted", get_args(FieldType))
def test_the_result_for_a_cell_does_not_depend_on_its_neighbours(wanted: FieldType) -> None:
    """Columns of a common shape use a fast path, which must give the same result."""
    cells = [cell for kind, cell, _ in CASES if kind == wanted]
    assert converted(cells, wanted) == [sent for kind, _, sent in CASES if kind == wanted]


@pytest.mark.parametrize(
    ("cell", "sent"),
    [
        ("2026-01-15T10:00:00", '"2026-01-15T10:00:00+01:00"'),
        ("2026-07-15 10:00", '"2026-07-15T10:00:00+02:00"'),
        ("2026-07-15", '"2026-07-15T00:00:00+02:00"'),
        ("2026-07-15T10:00:00Z", '"2026-07-15T10:00:00+00:00"'),
        ("2026-03-29T01:59:59", '"2026-03-29T01:59:59+01:00"'),
        ("2026-03-29T02:30:00", WRONG),  # skipped by daylight saving
        ("2026-03-29T02:30", WRONG),
        ("2026-03-29T03:00:00", '"2026-03-29T03:00:00+02:00"'),
        ("2026-10-25T02:30:00", '"2026-10-25T02:30:00+02:00"'),  # occurs twice; the first is used
    ],
)
def test_a_datetime_without_an_offset_is_read_in_the_inputs_timezone(cell: str, sent: Sent) -> None:
    assert converted([cell], "datetime", by=PARIS) == [sent]


@pytest.mark.parametrize(
    ("wanted", "cell", "sent"),
    [
        ("float", "19,90", "19.90"),
        ("float", "-,5", "-0.5"),
        ("float", "1e5", "1e5"),
        ("float", "12", "12"),
        ("float", "1.500", WRONG),  # one thousand five hundred, not 1.5
        ("float", "1.234,56", WRONG),
        ("float", "1,2,3", WRONG),
        ("integer", "5,0", "5"),
        ("integer", "1.000", WRONG),
    ],
)
def test_with_a_decimal_comma_a_point_is_never_a_decimal_mark(wanted: FieldType, cell: str, sent: Sent) -> None:
    assert converted([cell], wanted, by=COMMA) == [sent]
    assert converted([cell, "1e1", None], wanted, by=COMMA)[0] == sent


@pytest.mark.parametrize(
    ("wanted", "form", "cell", "sent"),
    [
        ("date", "%d/%m/%Y", "28/02/2026", '"2026-02-28"'),
        ("date", "%d/%m/%Y", "30/02/2026", WRONG),
        ("date", "%d/%m/%Y", "2026-02-28", WRONG),
        ("datetime", "%d/%m/%Y %H:%M", "28/02/2026 10:05", '"2026-02-28T10:05:00+01:00"'),
        ("datetime", "%d/%m/%Y %H:%M", "29/03/2026 02:30", WRONG),
        ("datetime", "%d/%m/%Y", "28/02/2026", '"2026-02-28T00:00:00+01:00"'),
        ("datetime", "%d/%m/%Y %H:%M %z", "28/02/2026 10:05 +0200", '"2026-02-28T08:05:00+00:00"'),
        ("datetime", "%d/%m/%Y %I:%M %p", "28/02/2026 10:05 PM", '"2026-02-28T22:05:00+01:00"'),
    ],
)
def test_a_format_reads_other_notations(wanted: FieldType, form: str, cell: str, sent: Sent) -> None:
    assert converted([cell], wanted, by=Convention(timezone="Europe/Paris", format=form)) == [sent]


def test_a_separator_splits_lists() -> None:
    assert converted(["a;b|c"], "list", by=Convention(separator=";")) == ['["a","b|c"]']


# ----- properties


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20) | st.none(), max_size=20))
def test_any_text_is_sent_unchanged(cells: list[str | None]) -> None:
    sent = converted(cells, "string")
    assert [json.loads(text) if isinstance(text, str) else text for text in sent] == cells


@given(st.lists(st.integers(), max_size=20))
def test_an_integer_is_sent_exactly_or_refused(numbers: list[int]) -> None:
    expected = [str(number) if -(2**63) <= number < 2**63 else WRONG for number in numbers]
    assert converted([str(number) for number in numbers], "integer") == expected


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False), max_size=20))
def test_a_decimal_is_sent_with_exactly_its_digits(numbers: list[Decimal]) -> None:
    for number, sent in zip(numbers, converted([str(each) for each in numbers], "float"), strict=True):
        if math.isinf(float(number)) or abs(number.adjusted()) > 999:
            assert sent == WRONG or Decimal(str(sent)) == number
        else:
            assert Decimal(str(sent)).as_tuple() == number.as_tuple()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(st.lists(JSON_VALUES, max_size=8), st.booleans())
def test_json_values_are_sent_unchanged(values: list[Any], ascii_only: bool) -> None:
    cells = [json.dumps(value, ensure_ascii=ascii_only) for value in values]
    for value, cell, sent in zip(values, cells, converted(cells, "json"), strict=True):
        assert sent == (None if value is None else cell)
        assert value is None or json.loads(str(sent)) == value


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=12), max_size=8), st.sampled_from(get_args(FieldType)))
def test_the_result_for_any_cell_is_valid_json(cells: list[str], wanted: FieldType) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    for sent in converted(cells, wanted):
        if isinstance(sent, str):
            json.loads(sent, parse_constant=refuse)


_ANY_TEXT = st.none() | st.text() | st.sampled_from(['"', "\\", "\n", "\x00", "\x1f", "\x7f", "{}", "é", "😀"])


@given(st.lists(st.tuples(_ANY_TEXT, _ANY_TEXT, st.none() | st.just("plain")), max_size=8), st.integers(0, 8))
def test_columns_are_quoted_as_json_whatever_they_hold(rows: list[tuple[str | None, ...]], cut: int) -> None:
    frame = pl.DataFrame(rows, schema=dict.fromkeys("abc", pl.String()), orient="row")
    frame = pl.concat([frame.head(cut), frame.slice(cut)], rechunk=False)
    plain = plain_texts(frame)
    found = frame.select((plain_quote if name in plain else quote)(pl.col(name)).alias(name) for name in "abc")
    assert found.equals(frame.select(quote(pl.col(name)).alias(name) for name in "abc"))
    texts = [None if text is None else json.loads(text) for column in found for text in column]
    assert texts == [text for column in frame for text in column]
