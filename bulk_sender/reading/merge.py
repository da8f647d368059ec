"""One type for a column whose type differs between the files of an input, if every value keeps its digits.

Parts of one export often differ: a part with only nulls has no type, small numbers get a smaller type, and a column
of whole numbers becomes one of floats where a value is missing.
"""

from __future__ import annotations

import polars as pl

from bulk_sender.reading.types import JSON, NUMBER, OWN, has_numbers, inner_types, type_of

_SIGNED: tuple[type[pl.DataType], ...] = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128)
_UNSIGNED: tuple[type[pl.DataType], ...] = (pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.UInt128)
_BITS = {kind: 8 << power for kinds in (_SIGNED, _UNSIGNED) for power, kind in enumerate(kinds)}
_UNITS = ("ms", "us", "ns")
_LABELS = (pl.Categorical, pl.Enum)


def merged(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """Return a type that holds the values of both exactly as they are; None if there is none."""
    if one == other or other == pl.Null:
        return one
    if one == pl.Null:
        return other
    if _is_number(one) and _is_number(other):
        return _merged_numbers(one, other)
    if _is_text(one) and _is_text(other):
        return pl.String()
    if isinstance(one, pl.Datetime) and isinstance(other, pl.Datetime) and one.time_zone == other.time_zone:
        # Nanoseconds do not reach beyond the year 2262, and 9999-12-31 often stands for "never".
        return pl.Datetime(one.time_unit if one.time_unit == other.time_unit else "us", one.time_zone)
    if isinstance(one, pl.Duration) and isinstance(other, pl.Duration):
        return pl.Duration(max(one.time_unit, other.time_unit, key=_UNITS.index))
    return _merged_nested(one, other)


def _merged_numbers(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    if one.is_integer() and other.is_integer():
        return _merged_integers(one, other)
    if isinstance(one, pl.Decimal) and isinstance(other, pl.Decimal) and one.scale == other.scale:
        return max(one, other, key=lambda each: each.precision or 0)
    return NUMBER


def _merged_integers(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    if one.is_signed_integer() == other.is_signed_integer():
        return max(one, other, key=lambda each: _BITS[type(each)])
    signed, unsigned = (one, other) if one.is_signed_integer() else (other, one)
    bits = max(_BITS[type(signed)], 2 * _BITS[type(unsigned)])
    return next((kind() for kind in _SIGNED if _BITS[kind] == bits), NUMBER)


def _merged_nested(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    if isinstance(one, pl.Struct) and isinstance(other, pl.Struct):
        fields = {field.name: type_of(field.dtype) for field in one.fields}
        for field in other.fields:
            dtype = type_of(field.dtype)
            both = merged(fields[field.name], dtype) if field.name in fields else dtype
            if both is None:
                return None
            fields[field.name] = both
        return pl.Struct(fields)
    if isinstance(one, pl.Map) and isinstance(other, pl.Map):
        key, value = merged(type_of(one.key), type_of(other.key)), merged(type_of(one.value), type_of(other.value))
        return None if key is None or value is None or key == NUMBER else pl.Map(key, value)
    if isinstance(one, pl.List | pl.Array) and isinstance(other, pl.List | pl.Array):
        items = merged(type_of(one.inner), type_of(other.inner))
        if items == NUMBER:
            return JSON
        return None if items is None or has_numbers(items) else pl.List(items)
    if JSON in (one, other):
        is_list = all(
            each == JSON or (isinstance(each, pl.List) and _is_number(inner_types(each)[0])) for each in (one, other)
        )
        return JSON if is_list else None
    return None


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype == NUMBER


def _is_text(dtype: pl.DataType) -> bool:
    return dtype == pl.String or isinstance(dtype, _LABELS)


def widened(value: pl.Expr, dtype: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    """Return a column of ``dtype`` as one of ``wanted``, a type that ``merged`` found."""
    if dtype == wanted:
        return value
    if dtype == pl.Null or not dtype.is_nested():
        return _scalar(value, dtype, wanted)
    if isinstance(wanted, pl.Struct) and isinstance(dtype, pl.Struct):
        own = {field.name: type_of(field.dtype) for field in dtype.fields}
        fields = [
            widened(value.struct.field(field.name), own[field.name], type_of(field.dtype)).alias(field.name)
            if field.name in own
            else pl.lit(None, dtype=type_of(field.dtype)).alias(field.name)
            for field in wanted.fields
        ]
        return pl.when(value.is_not_null()).then(pl.struct(fields))
    if isinstance(wanted, pl.Map):
        (key, item), (wanted_key, wanted_item) = inner_types(dtype), inner_types(wanted)
        pair = pl.struct(
            widened(pl.element().struct.field("key"), key, wanted_key).alias("key"),
            widened(pl.element().struct.field("value"), item, wanted_item).alias("value"),
        )
        return value.map.entries().list.eval(pair).list.to_map()
    items = value.arr.to_list() if isinstance(dtype, pl.Array) else value
    if wanted == JSON:
        digits = _digits(pl.element(), inner_types(dtype)[0]).fill_null("null")
        return pl.format("[{}]", items.list.eval(digits).list.join(",")).ext.to(JSON)
    return items.list.eval(widened(pl.element(), inner_types(dtype)[0], inner_types(wanted)[0]))


def _scalar(value: pl.Expr, dtype: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    if wanted not in OWN:
        return value.cast(wanted)
    if dtype == pl.Null:
        return value.cast(pl.String).ext.to(wanted)
    return _digits(value, dtype).ext.to(NUMBER)


def _digits(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return a number as text: a float with the shortest digits that read back as the same number."""
    if dtype == NUMBER:
        return value.ext.storage()
    if not dtype.is_float():
        return value.cast(pl.String)
    encoded = pl.struct(value.alias("_")).struct.json_encode().str.head(-1).str.slice(5)
    digits = pl.when(value.is_finite()).then(encoded).otherwise(value.cast(pl.String))
    return pl.when(value.is_not_null()).then(digits)
