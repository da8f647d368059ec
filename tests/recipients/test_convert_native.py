"""Conversion of typed columns, as in Parquet and Arrow, to JSON; nested types included."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, get_args
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.config.model import FieldType
from bulk_sender.errors import ConfigError
from bulk_sender.recipients.convert import Convention
from tests.recipients.converting import WRONG, Sent, converted
from tests.recipients.typed import KINDS, Kind, exactly, same

PARIS = Convention(timezone="Europe/Paris")
NAN, INF = float("nan"), float("inf")
GAP = dt.datetime(2026, 3, 29, 2, 30)  # skipped by daylight saving in Paris
PRICES = pl.List(pl.Struct({"sku": pl.String(), "price": pl.Decimal(10, 2)}))


@pytest.mark.parametrize(
    ("dtype", "value", "sent"),
    [
        pytest.param(pl.Boolean(), True, "true", id="boolean"),
        pytest.param(pl.Int64(), 2**63 - 1, "9223372036854775807", id="a huge integer"),
        pytest.param(pl.UInt64(), 2**64 - 1, "18446744073709551615", id="a huge unsigned integer"),
        pytest.param(pl.Int128(), 2**100, "1267650600228229401496703205376", id="a 128-bit integer"),
        pytest.param(pl.Decimal(38, 2), Decimal("1.10"), "1.10", id="a decimal keeps its digits"),
        pytest.param(
            pl.Decimal(38, 20), Decimal("-0.00000000000000000001"), "-0.00000000000000000001", id="a tiny one"
        ),
        pytest.param(pl.Float64(), 0.1, "0.1", id="a float in its shortest digits"),
        pytest.param(pl.Float64(), 1e22, "1e+22", id="a large float"),
        pytest.param(pl.Float64(), 5e-324, "5e-324", id="the smallest float"),
        pytest.param(pl.Float32(), 0.1, "0.1", id="a 32-bit float is not widened"),
        pytest.param(pl.Date(), dt.date(2026, 2, 28), '"2026-02-28"', id="date"),
        pytest.param(pl.Datetime("us"), dt.datetime(2026, 2, 28, 10), '"2026-02-28T10:00:00+01:00"', id="naive"),
        pytest.param(
            pl.Datetime("us", "UTC"),
            dt.datetime(2026, 2, 28, 10, tzinfo=dt.UTC),
            '"2026-02-28T10:00:00+00:00"',
            id="a datetime in UTC stays in UTC",
        ),
        pytest.param(
            pl.Datetime("ns", "Asia/Kathmandu"),
            dt.datetime(2026, 2, 28, 10, 0, 0, 5, tzinfo=ZoneInfo("Asia/Kathmandu")),
            '"2026-02-28T10:00:00.000005+05:45"',
            id="a zoned datetime keeps its offset",
        ),
        pytest.param(
            pl.Datetime("us"),
            dt.datetime(2026, 10, 25, 2, 30),
            '"2026-10-25T02:30:00+02:00"',
            id="an hour that repeats",
        ),
        pytest.param(pl.Datetime("us"), GAP, WRONG, id="a local time skipped by daylight saving"),
        pytest.param(pl.Time(), dt.time(1, 2, 3, 4), '"01:02:03.000004"', id="time"),
        pytest.param(pl.Duration("us"), dt.timedelta(1, 2, 3), '"P1DT2.000003S"', id="duration"),
        pytest.param(pl.Categorical(), 'a"', '"a\\""', id="categorical"),
        pytest.param(pl.Null(), None, None, id="a column of nulls"),
        pytest.param(pl.List(pl.Int64()), [1, None], "[1,null]", id="list"),
        pytest.param(pl.List(pl.String()), [], "[]", id="an empty list is a value"),
        pytest.param(pl.List(pl.String()), None, None, id="no list"),
        pytest.param(pl.Array(pl.Int8(), 2), [1, 2], "[1,2]", id="array"),
        pytest.param(pl.Struct({"a": pl.Int8()}), {"a": None}, '{"a":null}', id="a struct of nulls"),
        pytest.param(pl.Struct({"a": pl.Int8()}), None, None, id="no struct"),
        pytest.param(pl.Struct({'"': pl.Int8()}), {'"': 1}, '{"\\"":1}', id="a name with a quote"),
        pytest.param(
            PRICES,
            [{"sku": "x", "price": Decimal("9.90")}, None, {"sku": None, "price": None}],
            '[{"sku":"x","price":9.90},null,{"sku":null,"price":null}]',
            id="structs in a list",
        ),
        pytest.param(pl.Float64(), NAN, WRONG, id="NaN"),
        pytest.param(pl.Float64(), INF, WRONG, id="infinity"),
        pytest.param(pl.Float64(), -INF, WRONG, id="minus infinity"),
        pytest.param(pl.List(pl.Float64()), [1.0, NAN], WRONG, id="NaN in a list"),
        pytest.param(pl.List(pl.Float64()), [1.0, None], "[1.0,null]", id="null in a list is not NaN"),
        pytest.param(pl.Array(pl.Float64(), 2), [1.0, INF], WRONG, id="infinity in an array"),
        pytest.param(pl.List(pl.List(pl.Float64())), [[1.0], [NAN], None], WRONG, id="NaN in a list of lists"),
        pytest.param(
            pl.Struct({"a": pl.List(pl.Struct({"b": pl.Float64()}))}),
            {"a": [{"b": INF}]},
            WRONG,
            id="infinity deep down",
        ),
        pytest.param(pl.List(pl.Datetime("us")), [GAP], WRONG, id="a skipped hour in a list"),
        pytest.param(pl.Struct({"at": pl.Datetime("us")}), {"at": GAP}, WRONG, id="a skipped hour in a struct"),
    ],
)
def test_a_typed_value_becomes_json(dtype: pl.DataType, value: Any, sent: Sent) -> None:
    assert converted([value], None, dtype, PARIS) == [sent]
    assert converted([None, value, None], None, dtype, PARIS) == [None, sent, None]


@pytest.mark.parametrize(
    ("dtype", "value", "wanted", "sent"),
    [
        (pl.Int64(), 5, "string", '"5"'),
        (pl.Int64(), 5, "float", "5"),
        (pl.Int64(), 5, "boolean", WRONG),
        (pl.Int64(), 1, "boolean", "true"),
        (pl.Float64(), 5.0, "integer", "5"),
        (pl.Float64(), 5.5, "integer", WRONG),
        (pl.Float64(), 5.5, "string", '"5.5"'),
        (pl.Float64(), NAN, "string", WRONG),
        (pl.Float64(), NAN, "list", WRONG),
        (pl.Decimal(10, 2), Decimal("5.00"), "integer", "5"),
        (pl.Decimal(10, 2), Decimal("5.10"), "float", "5.10"),
        (pl.Date(), dt.date(2026, 2, 28), "datetime", '"2026-02-28T00:00:00+01:00"'),
        (pl.Datetime("us"), dt.datetime(2026, 2, 28, 10), "date", '"2026-02-28"'),
        (pl.Datetime("us"), dt.datetime(2026, 2, 28, 10), "string", '"2026-02-28T10:00:00+01:00"'),
        (pl.Datetime("us"), GAP, "string", WRONG),
        (
            pl.Datetime("us", "Asia/Tokyo"),
            dt.datetime(2026, 2, 28, 23, tzinfo=ZoneInfo("Asia/Tokyo")),
            "date",
            '"2026-02-28"',
        ),
        (pl.Boolean(), True, "string", '"true"'),
        (pl.Boolean(), True, "integer", WRONG),
        (pl.List(pl.Int64()), [1], "list", "[1]"),
        (pl.List(pl.Int64()), [1], "json", "[1]"),
        (pl.Struct({"a": pl.Int64()}), {"a": 1}, "json", '{"a":1}'),
        (pl.Map(pl.String(), pl.Int64()), {"a": 1, 'é"': None}, "json", '{"a":1,"é\\"":null}'),
        (pl.Map(pl.Int64(), pl.Date()), {7: dt.date(2026, 2, 28)}, "json", '{"7":"2026-02-28"}'),
        (pl.Map(pl.String(), pl.Float64()), {"a": NAN}, "json", WRONG),
        (pl.Map(pl.String(), pl.Float64()), {}, "json", "{}"),
        (pl.List(pl.Map(pl.String(), pl.Boolean())), [{"a": True}, {}], "json", '[{"a":true},{}]'),
        (pl.Binary(), "é\n".encode(), "string", '"é\\n"'),
        (pl.Binary(), b"\xff", "string", WRONG),
        (pl.Binary(), b'{"n":9007199254740993}', "json", '{"n":9007199254740993}'),
        (pl.Binary(), b"{", "json", WRONG),
        (pl.Binary(), b"\xff", "json", WRONG),
        (pl.Struct({"a": pl.Float64()}), {"a": NAN}, "json", WRONG),
    ],
)
def test_a_typed_value_can_be_sent_as_another_type(
    dtype: pl.DataType, value: Any, wanted: FieldType, sent: Sent
) -> None:
    assert converted([value], wanted, dtype, PARIS) == [sent]


def test_a_decimal_comma_applies_only_to_text_columns() -> None:
    by = Convention(decimal=",")
    assert converted([1.5, 2.0], "float", pl.Float64, by) == ["1.5", "2.0"]
    assert converted([2.0], "integer", pl.Float64, by) == ["2"]
    assert converted([Decimal("2.00")], "integer", pl.Decimal(10, 2), by) == ["2"]


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [
        *((pl.Binary(), wanted) for wanted in (None, *get_args(FieldType)) if wanted not in ("string", "json")),
        (pl.Map(pl.Binary(), pl.Int64()), None),
        *((pl.Map(pl.String(), pl.Int64()), wanted) for wanted in ("string", "integer", "list")),
        *((pl.List(pl.Int64()), wanted) for wanted in ("string", "integer", "float", "boolean", "date", "datetime")),
        *((pl.Struct({"a": pl.Int64()}), wanted) for wanted in ("string", "integer", "list")),
        (pl.List(pl.Binary()), None),
    ],
)
def test_a_column_that_cannot_be_converted_is_refused_before_any_row(
    dtype: pl.DataType, wanted: FieldType | None
) -> None:
    with pytest.raises(ConfigError, match=r"cannot be sent"):
        converted([], wanted, dtype)


@given(st.data(), KINDS)
def test_every_typed_value_is_sent_unchanged(data: st.DataObject, kind: Kind) -> None:
    values = data.draw(st.lists(kind.values | st.none(), max_size=5))
    for value, sent in zip(values, converted(values, None, kind.dtype), strict=True):
        expected = None if value is None else kind.in_json(value)
        assert (sent is None) == (value is None)
        assert sent is None or same(expected, exactly(str(sent)))
