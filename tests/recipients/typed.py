"""Random typed columns, nested ones included, and the JSON of their values, computed one by one in Python."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import strategies as st

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
MOMENTS = st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2090, 1, 1))


@dataclass(frozen=True)
class Kind:
    """A type, its possible values (never None), and the JSON of each (see ``same``)."""

    dtype: pl.DataType
    values: st.SearchStrategy[Any]
    in_json: Callable[[Any], Any]


def exactly(text: str) -> Any:
    """Parse JSON and keep numbers as digits, so that nothing is rounded before the comparison."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=refuse)


def _float(value: float) -> Any:
    return Decimal(repr(value))


def _in_utc(value: dt.datetime) -> dt.datetime:
    return value.replace(tzinfo=dt.UTC)


def _decimals(scale: int) -> st.SearchStrategy[Decimal]:
    return st.integers(-(10**20), 10**20).map(lambda digits: Decimal(digits).scaleb(-scale))


SCALARS: list[Kind] = [
    Kind(pl.String(), TEXT, str),
    Kind(pl.Boolean(), st.booleans(), bool),
    Kind(pl.Int8(), st.integers(-128, 127), Decimal),
    Kind(pl.Int64(), st.integers(-(2**63), 2**63 - 1), Decimal),
    Kind(pl.UInt64(), st.integers(0, 2**64 - 1), Decimal),
    Kind(pl.Int128(), st.integers(-(2**100), 2**100), Decimal),
    Kind(pl.Float64(), st.floats(allow_nan=False, allow_infinity=False), _float),
    Kind(pl.Decimal(38, 2), _decimals(2), Decimal),
    Kind(pl.Decimal(38, 0), _decimals(0), Decimal),
    Kind(pl.Date(), st.dates(dt.date(1000, 1, 1)), lambda day: day.isoformat()),
    Kind(pl.Datetime("us"), MOMENTS, _in_utc),
    Kind(pl.Datetime("ms"), MOMENTS.map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)), _in_utc),
    Kind(
        pl.Datetime("us", "Europe/Paris"),
        MOMENTS.map(lambda at: at.replace(tzinfo=dt.UTC).astimezone(ZoneInfo("Europe/Paris"))),
        lambda at: at,
    ),
    Kind(pl.Time(), st.times(), lambda time: time),
    Kind(pl.Categorical(), TEXT, str),
]
ENUM = Kind(pl.Enum(["a", 'b"', "c\n"]), st.sampled_from(["a", 'b"', "c\n"]), str)


def _optional(inner: Kind) -> Callable[[Any], Any]:
    return lambda value: None if value is None else inner.in_json(value)


def lists_of(inner: Kind) -> Kind:
    each = _optional(inner)
    values = st.lists(inner.values | st.none(), max_size=3)
    return Kind(pl.List(inner.dtype), values, lambda items: [each(item) for item in items])


def arrays_of(inner: Kind) -> Kind:
    each = _optional(inner)
    values = st.lists(inner.values | st.none(), min_size=2, max_size=2)
    return Kind(pl.Array(inner.dtype, 2), values, lambda items: [each(item) for item in items])


def structs_of(inner: dict[str, Kind]) -> Kind:
    values = st.fixed_dictionaries({name: kind.values | st.none() for name, kind in inner.items()})
    dtype = pl.Struct({name: kind.dtype for name, kind in inner.items()})
    return Kind(dtype, values, lambda row: {name: _optional(kind)(row[name]) for name, kind in inner.items()})


# polars cannot build arrays of arrays of an Enum, so Enum is never nested.
KINDS: st.SearchStrategy[Kind] = st.just(ENUM) | st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.one_of(
        inner.map(lists_of),
        inner.map(arrays_of),
        st.dictionaries(st.sampled_from(["a", "b.c", 'd"', "é", "NULL"]), inner, min_size=1, max_size=3).map(
            structs_of
        ),
    ),
    max_leaves=4,
)


@dataclass(frozen=True)
class Table:
    """Typed columns by name, and their rows."""

    kinds: dict[str, Kind]
    rows: list[dict[str, Any]]


# 128-bit integers are left out, because Parquet has no type for them.
STORABLE = st.sampled_from([kind for kind in SCALARS if kind.dtype != pl.Int128()])


def nested_in(names: st.SearchStrategy[str]) -> st.SearchStrategy[Kind]:
    """Return types with structs whose members have these names."""
    return st.recursive(
        STORABLE,
        lambda inner: inner.map(lists_of) | st.dictionaries(names, inner, min_size=1, max_size=3).map(structs_of),
        max_leaves=4,
    )


NAMES = st.sampled_from(["a", "b", 'say "hi"', "é", "x.y"])
NESTED = nested_in(NAMES)
ATTRIBUTES = nested_in(st.sampled_from(["a", '"', "é"]))  # Braze allows no spaces or dots in them


@st.composite
def typed_frames(draw: st.DrawFn) -> Table:
    properties = draw(st.dictionaries(NAMES, NESTED, min_size=1, max_size=3).map(structs_of))
    kinds = {
        "trigger_properties": properties,
        "attributes.flat": draw(STORABLE),
        "attributes.deep.er": draw(ATTRIBUTES),
    }
    rows = draw(
        st.lists(st.fixed_dictionaries({name: kind.values | st.none() for name, kind in kinds.items()}), max_size=6)
    )
    return Table(kinds, [{"external_user_id": f"u{number}"} | row for number, row in enumerate(rows)])


def same(expected: Any, sent: Any) -> bool:
    """Whether two values are equal; 1 differs from True, and trailing zeros of a time do not matter."""
    if isinstance(expected, dict) and isinstance(sent, dict):
        return list(expected) == list(sent) and all(same(expected[name], sent[name]) for name in expected)
    if isinstance(expected, list) and isinstance(sent, list):
        return len(expected) == len(sent) and all(map(same, expected, sent))
    if isinstance(expected, dt.datetime) and isinstance(sent, str):
        read = dt.datetime.fromisoformat(sent)
        return read == expected and read.utcoffset() == expected.utcoffset()
    if isinstance(expected, dt.time) and isinstance(sent, str):
        return dt.time.fromisoformat(sent) == expected
    return type(expected) is type(sent) and bool(expected == sent)
