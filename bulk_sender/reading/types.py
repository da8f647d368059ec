"""Column types that need care: numbers kept as text, extension types, and types that polars cannot read.

Readers yield only types that the rest of the program can convert. A column of any other type is left out, and an
error names it when a configuration asks for it.
"""

from __future__ import annotations

import zoneinfo

import polars as pl
from polars._typing import PolarsDataType

NUMBER = pl.Extension("bulk_sender.number", pl.String())
"""A JSON number as text, with the digits that its file has."""
JSON = pl.Extension("bulk_sender.json", pl.String())
"""A list with such numbers, as JSON: polars fails at some operations on lists of extension types."""
OWN = (NUMBER, JSON)

_INTERVAL = pl.Struct({"months": pl.Int32(), "days": pl.Int32(), "nanoseconds": pl.Duration("ns")})
_DECIMAL_DIGITS = 38


def type_of(dtype: PolarsDataType) -> pl.DataType:
    """Return a type as an instance: polars also has classes where a type needs no parameters."""
    return dtype if isinstance(dtype, pl.DataType) else dtype()


def inner_types(dtype: pl.DataType) -> list[pl.DataType]:
    """Return the types inside a nested type."""
    if isinstance(dtype, pl.Struct):
        return [type_of(field.dtype) for field in dtype.fields]
    if isinstance(dtype, pl.Map):
        return [type_of(dtype.key), type_of(dtype.value)]
    return [type_of(dtype.inner)] if isinstance(dtype, pl.List | pl.Array) else []


def has_numbers(dtype: pl.DataType) -> bool:
    """Whether ``NUMBER`` is inside a type."""
    return dtype == NUMBER or any(map(has_numbers, inner_types(dtype)))


def unreadable(dtype: pl.DataType) -> str | None:
    """Return the name of a type that has no values for JSON or cannot be read at all; None for every other type."""
    if dtype == _INTERVAL:
        return "INTERVAL"
    if dtype == pl.Object:
        return "Python objects"
    if isinstance(dtype, pl.Decimal) and dtype.precision is not None and dtype.precision > _DECIMAL_DIGITS:
        return f"DECIMAL({dtype.precision}, {dtype.scale})"
    if isinstance(dtype, pl.BaseExtension):
        return None if dtype in OWN else unreadable(type_of(dtype.ext_storage()))
    if isinstance(dtype, pl.Map) and (zone := _unknown_zone(dtype)):
        return f"map with times in the zone {zone}"
    inside = next((name for each in inner_types(dtype) if (name := unreadable(each))), None)
    if inside is None:
        return None
    kind = {pl.List: "list", pl.Array: "array", pl.Struct: "struct", pl.Map: "map"}[type(dtype)]
    return f"{kind} with {inside}"


def plain(dtype: pl.DataType) -> pl.DataType:
    """Return the type for a column without extension types, and without time zones that polars does not know."""
    if isinstance(dtype, pl.BaseExtension):
        return dtype if dtype in OWN else plain(type_of(dtype.ext_storage()))
    if isinstance(dtype, pl.Datetime) and not _is_known(dtype):
        return pl.Datetime(dtype.time_unit, "UTC")
    if isinstance(dtype, pl.Struct):
        return pl.Struct({field.name: plain(type_of(field.dtype)) for field in dtype.fields})
    if isinstance(dtype, pl.Map):
        return pl.Map(plain(type_of(dtype.key)), plain(type_of(dtype.value)))
    if isinstance(dtype, pl.List):
        return pl.List(plain(type_of(dtype.inner)))
    if isinstance(dtype, pl.Array):
        return pl.Array(plain(type_of(dtype.inner)), dtype.size)
    return dtype


def _is_known(dtype: pl.Datetime) -> bool:
    """Whether a time zone is one of the time zone database, unlike ``+05:30``."""
    if dtype.time_zone in (None, "UTC"):
        return True
    try:
        return bool(zoneinfo.ZoneInfo(str(dtype.time_zone)))
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False


def _unknown_zone(dtype: pl.DataType) -> str | None:
    if isinstance(dtype, pl.Datetime):
        return None if _is_known(dtype) else dtype.time_zone
    return next((zone for each in inner_types(dtype) if (zone := _unknown_zone(each))), None)


def as_plain(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return a column of ``dtype`` as one of ``plain(dtype)``: the same values, and the same moments in time."""
    if not needs_care(dtype):
        return value
    if isinstance(dtype, pl.BaseExtension):
        return as_plain(value.ext.storage(), type_of(dtype.ext_storage()))
    if isinstance(dtype, pl.Struct):
        fields = [
            as_plain(value.struct.field(field.name), type_of(field.dtype)).alias(field.name) for field in dtype.fields
        ]
        return pl.when(value.is_not_null()).then(pl.struct(fields))
    if isinstance(dtype, pl.Map):
        return _plain_entries(value.map.entries(), dtype).list.to_map()
    if isinstance(dtype, pl.Array):
        return value.arr.to_list().list.eval(as_plain(pl.element(), type_of(dtype.inner))).list.to_array(dtype.size)
    if isinstance(dtype, pl.List):
        return value.list.eval(as_plain(pl.element(), type_of(dtype.inner)))
    return value.cast(plain(dtype))


def _plain_entries(entries: pl.Expr, dtype: pl.Map) -> pl.Expr:
    key = as_plain(pl.element().struct.field("key"), type_of(dtype.key))
    value = as_plain(pl.element().struct.field("value"), type_of(dtype.value))
    return entries.list.eval(pl.struct(key.alias("key"), value.alias("value")))


def needs_care(dtype: pl.DataType) -> bool:
    """Whether ``plain(dtype)`` is another type."""
    if isinstance(dtype, pl.BaseExtension):
        return dtype not in OWN
    return any(map(needs_care, inner_types(dtype))) or (isinstance(dtype, pl.Datetime) and not _is_known(dtype))
