"""Columns of rejected rows as text for ``rejected.csv``, so that fixed rows can be sent from that file. Pure.

A CSV has only text. So the columns of a typed table get their types in their names (``age:integer``), each field of a
struct gets a column (``order.total:float``), and lists become JSON. Invalid values stay visible: NaN is written as
NaN, which is not a valid number, and bytes that are not text as ``b'\\xff'``, which is not accepted as text. So a row
that nobody fixed is rejected again.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from bulk_sender.config.model import InputConfig
from bulk_sender.errors import ConfigError
from bulk_sender.reading.types import NUMBER
from bulk_sender.recipients import dates
from bulk_sender.recipients.columns import untyped
from bulk_sender.recipients.convert import Convention, is_object, json_text, shown_bytes
from bulk_sender.recipients.mapping import GROUPS


def own_columns(schema: pl.Schema, config: InputConfig) -> list[pl.Expr]:
    """Return the input's columns as text expressions, under their names in ``rejected.csv``."""
    if all(dtype == pl.String for dtype in schema.dtypes()):
        return [pl.col(name) for name in schema]
    by = Convention(timezone=config.timezone, decimal=config.decimal, keeps_unsendable=True)
    taken = set(schema)
    return [expr for name, dtype in schema.items() for expr in _texts(name, pl.col(name), dtype, by, taken)]


def _texts(name: str, value: pl.Expr, dtype: pl.DataType, by: Convention, taken: set[str]) -> Iterator[pl.Expr]:
    if isinstance(dtype, pl.Struct) and _has_columns_for(name, dtype, taken):
        taken = taken | {f"{name}.{field.name}" for field in dtype.fields}
        for field in dtype.fields:
            inner = field.dtype if isinstance(field.dtype, pl.DataType) else field.dtype()
            yield from _texts(f"{name}.{field.name}", value.struct.field(field.name), inner, by, taken)
        return
    text, kind = _text(value, dtype, by)
    typed = f"{name}:{kind}"
    yield text.alias(name if not kind or untyped(name)[1] or typed in taken else typed)


def _has_columns_for(name: str, dtype: pl.Struct, taken: set[str]) -> bool:
    """Whether each field of a struct can have a column; otherwise the struct stays one column of JSON.

    False when a name would clash with another column, or when a dot in a field's name would read as nesting. Dots are
    allowed in a recipient's own objects, because JSON cannot fill those.
    """
    dotted = any("." in field.name for field in dtype.fields) and name not in GROUPS
    clashing = any(column.startswith(f"{name}.{field.name}") for field in dtype.fields for column in taken)
    return bool(dtype.fields) and not dotted and not clashing


def _text(value: pl.Expr, dtype: pl.DataType, by: Convention) -> tuple[pl.Expr, str]:
    """Return a column as text, and the type that reads it back (empty for text)."""
    if dtype == pl.Boolean:
        return value.cast(pl.String), "boolean"
    if dtype.is_integer():  # only the type float keeps the digits of more than 64 bits
        return value.cast(pl.String), "float" if dtype in (pl.UInt64, pl.Int128, pl.UInt128) else "integer"
    if dtype.is_float() or dtype.is_decimal() or dtype == NUMBER:
        digits = json_text(value, dtype, by)
        return (digits.str.replace(".", ",", literal=True) if by.decimal == "," else digits), "float"
    if dtype == pl.Date:
        return dates.written(value, dtype, "iso"), "date"
    if isinstance(dtype, pl.Datetime):
        offset = "%:z" if dtype.time_zone else ""
        return dates.written(value, dtype, f"%Y-%m-%dT%H:%M:%S%.f{offset}"), "datetime"
    if dtype in (pl.Time, pl.Duration):
        return value.dt.to_string("iso"), ""
    if dtype == pl.Binary:
        return shown_bytes(value), ""
    if not is_object(dtype):
        return value.cast(pl.String), ""
    try:
        return json_text(value, dtype, by), "json"
    except ConfigError:  # nested binary data cannot be sent, but should be visible
        return value.map_batches(lambda series: pl.Series(map(str, series.to_list())), return_dtype=pl.String), ""
