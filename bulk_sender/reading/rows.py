"""Rows of Python values, from a database cursor or an iterable of dicts, spooled as one typed table.

The types are known only after the last row: a column may be empty for a long time, and SQLite mixes types within a
column. So each batch is stored with its own types first, and all batches with the types of the whole at the end.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import numbers
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import polars as pl
from polars.io.plugins import register_io_source

from bulk_sender.errors import InputError
from bulk_sender.reading.chunk import CHUNK_BYTES, chunk_rows
from bulk_sender.reading.formats import InputFile
from bulk_sender.reading.merge import merged, widened
from bulk_sender.reading.query import reason
from bulk_sender.reading.spool import STORED_ROWS, Spool, unwritable
from bulk_sender.reading.types import JSON, NUMBER, has_numbers

_LARGEST = 2**127 - 1
_DIGITS = 38
_FIRST_ROWS = 1_000


@runtime_checkable
class Cursor(Protocol):
    """A cursor of Python's database interface (DB-API 2.0) with the result of a query."""

    @property
    def description(self) -> Any: ...

    def fetchmany(self, size: int = ..., /) -> Any: ...


@runtime_checkable
class Result(Protocol):
    """A result of SQLAlchemy."""

    def keys(self) -> Any: ...

    def fetchmany(self, size: int | None = ...) -> Any: ...


def spool_cursor(cursor: Cursor | Result, name: str, spool: Spool) -> InputFile:
    """Write the rows of a query to an Arrow IPC file. Raise InputError."""
    if isinstance(cursor, Cursor):
        described = cursor.description
        if not described:
            raise InputError("the cursor has no result", hint="execute a query that returns rows first")
        names = [str(column[0]) for column in described]
    else:
        names = [str(column) for column in cursor.keys()]  # noqa: SIM118 - it is not a dict
    twice = next((column for index, column in enumerate(names) if column in names[:index]), None)
    if twice is not None:
        raise InputError(f"{name} has two columns {twice!r}", hint="name one of them otherwise, with AS")

    step = _Step()

    def batches() -> Iterator[dict[str, Sequence[Any]]]:
        while rows := _fetched(cursor, step.rows(len(names)), name):
            if isinstance(rows[0], Mapping):
                yield {column: [row[column] for row in rows] for column in names}
            else:
                yield dict(zip(names, zip(*rows, strict=True), strict=True))

    return _spool(batches(), names, name, spool, step)


def spool_dicts(rows: Iterable[Any], name: str, spool: Spool) -> InputFile:
    """Write rows that are dicts to an Arrow IPC file. A member that a row does not have is null. Raise InputError."""
    step = _Step()

    def batches() -> Iterator[dict[str, Sequence[Any]]]:
        source = iter(rows)
        names: dict[Any, None] = {}
        done = 0
        while batch := list(islice(source, step.rows(len(names)))):
            for number, row in enumerate(batch, done + 1):
                if not isinstance(row, Mapping):
                    raise InputError(
                        f"row {number} is a {type(row).__name__}, not a dict",
                        hint="pass dicts of a column's name to its cell",
                    )
                names.update(dict.fromkeys(row))
            done += len(batch)
            if wrong := next((column for column in names if not isinstance(column, str)), None):
                raise InputError(f"{name}: the column name {wrong!r} is not text")
            yield {column: [row.get(column) for row in batch] for column in names}

    return _spool(batches(), [], name, spool, step)


@dataclass(slots=True)
class _Step:
    """How many rows to take at once: few at first, more while they are short. ``row_bytes``: those of a row lately."""

    row_bytes: float = CHUNK_BYTES / _FIRST_ROWS

    def rows(self, columns: int) -> int:
        return max(1, min(chunk_rows(columns), int(CHUNK_BYTES / self.row_bytes)))

    def took(self, frame: pl.DataFrame) -> None:
        self.row_bytes = max(1, frame.estimated_size()) / max(1, len(frame))


def _fetched(cursor: Cursor | Result, size: int, name: str) -> list[Any]:
    try:
        return list(cursor.fetchmany(size))
    except Exception as error:  # drivers have no common exception
        raise InputError(f"{name} cannot be read to its end: {reason(error)}") from None


def _spool(
    batches: Iterator[dict[str, Sequence[Any]]], names: list[str], name: str, spool: Spool, step: _Step
) -> InputFile:
    schema: dict[str, pl.DataType] = dict.fromkeys(names, pl.Null())
    unreadable: dict[str, str] = {}
    stored: list[Path] = []
    for batch in batches:
        columns: list[pl.Series] = []
        for column, values in batch.items():
            if column in unreadable:
                continue
            try:
                found = column_of(column, values)
                schema[column] = _both(schema.get(column, pl.Null()), found.dtype)
                columns.append(found)
            except _MixedError as error:
                unreadable[column] = str(error)
        path = spool.place(".part")
        frame = pl.DataFrame(columns)
        step.took(frame)
        try:
            frame.write_ipc(path)
        except OSError as error:
            raise unwritable(error) from None
        stored.append(path)
    schema = {column: dtype for column, dtype in schema.items() if column not in unreadable}
    if not schema and not unreadable:
        raise InputError("no row was given")
    path = spool.place(".arrow")
    try:
        register_io_source(_reread(stored, schema), schema=schema).sink_ipc(
            path, maintain_order=True, record_batch_size=STORED_ROWS
        )
    except OSError as error:
        raise unwritable(error) from None
    for part in stored:
        part.unlink()
    return InputFile(name, path, "arrow", unreadable=unreadable)


def _reread(parts: list[Path], schema: dict[str, pl.DataType]) -> Callable[..., Iterator[pl.DataFrame]]:
    def generate(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        for part in parts:
            frame = pl.read_ipc(part)
            yield frame.select(
                (
                    _as(pl.col(column), frame.schema[column], dtype) if column in frame.schema else pl.lit(None, dtype)
                ).alias(column)
                for column, dtype in schema.items()
            )

    return generate


class _MixedError(Exception):
    """Values of a column have no common type. The message names their types."""


def _both(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    both = merged(one, other)
    if both is None and _has_text(one) and _has_text(other):
        return pl.String()
    if both is None:
        raise _MixedError(f"{_in_words(one)} and {_in_words(other)}")
    return both


def _has_text(dtype: pl.DataType) -> bool:
    return dtype in (pl.String, pl.Boolean, NUMBER) or dtype.is_numeric()


def _as(value: pl.Expr, dtype: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    if wanted == pl.String and dtype != pl.String and dtype != pl.Null:
        return widened(value, dtype, NUMBER).ext.storage() if dtype != pl.Boolean else value.cast(pl.String)
    return widened(value, dtype, wanted)


def _in_words(dtype: pl.DataType) -> str:
    return "number" if dtype == NUMBER else str(dtype)


def column_of(name: str, values: Sequence[Any]) -> pl.Series:
    """Return values of Python as a column. Raise _MixedError when they have no common type."""
    kinds = {_KINDS.get(each) or _kind(each) for each in set(map(type, values))} - {"null"}
    if not kinds:
        return pl.Series(name, [None] * len(values), dtype=pl.Null())
    if len(kinds) == 1:
        return _COLUMNS[kinds.pop()](name, values)
    if kinds <= {"integer", "float", "decimal"}:
        return _numbers(name, values)
    if ("text" in kinds and kinds <= {"text", "integer", "float", "decimal", "boolean"}) or kinds <= {"text", "uuid"}:
        return pl.Series(name, [_text(value) for value in values], dtype=pl.String())
    if kinds <= {"boolean", "integer", "float", "decimal"}:
        return pl.Series(name, [_text(value) for value in values], dtype=pl.String())
    raise _MixedError(" and ".join(sorted(kinds)))


def mixture(values: Iterable[Any]) -> str:
    """Return the types of values in words, for an error about a column that has no type."""
    return " and ".join(sorted({type(value).__name__ for value in values if value is not None and value == value}))


def _kind(cls: type) -> str:
    """Return the kind of a type that is not one of the usual ones."""
    for kind, bases in _BASES:
        if issubclass(cls, bases):
            return kind
    raise _MixedError(f"Python's {cls.__name__}")


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else _digits(value) if isinstance(value, numbers.Number) else str(value)


def _digits(value: Any) -> str:
    """Return the digits of a number, without an exponent where it has none in the database."""
    return format(value, "f") if isinstance(value, decimal.Decimal) else str(value)


def _integers(name: str, values: Sequence[Any]) -> pl.Series:
    plain = [None if value is None else int(value) for value in values]
    most = max((abs(value) for value in plain if value is not None), default=0)
    if most > _LARGEST:
        return _numbers(name, values)
    return pl.Series(name, plain, dtype=pl.Int64() if most < 2**63 else pl.Int128())


def _decimals(name: str, values: Sequence[Any]) -> pl.Series:
    """Return decimals with one scale as such, whole ones as whole numbers, and others as they are written."""
    found = [value for value in values if value is not None]
    if not all(value.is_finite() for value in found):
        return _numbers(name, values)
    scales = {max(0, -int(value.as_tuple().exponent)) for value in found}
    if scales == {0}:
        return _integers(name, values)
    if len(scales) == 1 and all(len(value.as_tuple().digits) <= _DIGITS for value in found):
        [scale] = scales
        return pl.Series(name, values, dtype=pl.Decimal(_DIGITS, scale))
    return _numbers(name, values)


def _numbers(name: str, values: Sequence[Any]) -> pl.Series:
    texts = pl.Series(name, [None if value is None else _digits(value) for value in values], dtype=pl.String())
    return texts.ext.to(NUMBER)


def _datetimes(name: str, values: Sequence[Any]) -> pl.Series:
    zones = {value.tzinfo is None or value.utcoffset() is None for value in values if value is not None}
    if len(zones) > 1:
        raise _MixedError("datetimes with and without a time zone")
    if True in zones:
        return pl.Series(name, values, dtype=pl.Datetime("us"))
    moved = [None if value is None else value.astimezone(dt.UTC).replace(tzinfo=None) for value in values]
    return pl.Series(name, moved, dtype=pl.Datetime("us")).dt.replace_time_zone("UTC")


def _binary(name: str, values: Sequence[Any]) -> pl.Series:
    return pl.Series(name, [None if value is None else bytes(value) for value in values], dtype=pl.Binary())


def _strings(name: str, values: Sequence[Any]) -> pl.Series:
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String())


def _booleans(name: str, values: Sequence[Any]) -> pl.Series:
    return pl.Series(name, [None if value is None else bool(value) for value in values], dtype=pl.Boolean())


def _floats(name: str, values: Sequence[Any]) -> pl.Series:
    return pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64())


def _objects(name: str, values: Sequence[Any]) -> pl.Series:
    """Return dicts as structs, member by member, so that each member gets the type of that member's values."""
    names = dict.fromkeys(member for value in values if value is not None for member in value)
    if not all(isinstance(member, str) for member in names):
        raise _MixedError("an object whose names are not text")
    if not names:
        return pl.Series(name, [None if value is None else {} for value in values], dtype=pl.Struct({}))
    members = [
        column_of(member, [None if value is None else value.get(member) for value in values]) for member in names
    ]
    present = pl.Series([value is not None for value in values])
    frame = pl.DataFrame(members).select(pl.when(present).then(pl.struct(pl.all())).alias(name))
    return frame.to_series()


def _lists(name: str, values: Sequence[Any]) -> pl.Series:
    items = column_of("item", [item for value in values if value is not None for item in value])
    if items.dtype == JSON or has_numbers(items.dtype):
        texts = [None if value is None else _json(value) for value in values]
        return pl.Series(name, texts, dtype=pl.String()).ext.to(JSON)
    lengths = [0 if value is None else len(value) for value in values]
    rows = pl.Series("row", [row for row, length in enumerate(lengths) for _ in range(length)], dtype=pl.Int64())
    grouped = pl.DataFrame([rows, items]).group_by("row", maintain_order=True).agg(pl.col("item"))
    every = pl.DataFrame({"row": range(len(values)), "is_null": [value is None for value in values]})
    empty = pl.lit(items.clear().implode())
    found = every.join(grouped, on="row", how="left", maintain_order="left")
    listed = pl.when(~pl.col("is_null")).then(pl.coalesce(pl.col("item"), empty)).alias(name)
    return found.select(listed).to_series()


def _json(value: Any) -> str:
    """Return a value as JSON, numbers with all their digits."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_json(str(name))}:{_json(member)}" for name, member in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_json, value)) + "]"
    if isinstance(value, bool | None | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, numbers.Number):
        return _digits(value)
    return json.dumps(value.isoformat() if isinstance(value, dt.date | dt.time) else str(value), ensure_ascii=False)


_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "float",
    decimal.Decimal: "decimal",
    str: "text",
    bytes: "binary",
    bytearray: "binary",
    memoryview: "binary",
    dt.datetime: "datetime",
    dt.date: "date",
    dt.time: "time",
    dt.timedelta: "duration",
    uuid.UUID: "uuid",
    dict: "object",
    list: "list",
    tuple: "list",
}
_BASES: tuple[tuple[str, Any], ...] = (
    ("text", str),
    ("binary", bytes),
    ("datetime", dt.datetime),
    ("date", dt.date),
    ("time", dt.time),
    ("duration", dt.timedelta),
    ("decimal", decimal.Decimal),
    ("integer", numbers.Integral),
    ("float", numbers.Real),
    ("uuid", uuid.UUID),
    ("object", Mapping),
    ("list", (list, tuple)),
)
_COLUMNS: dict[str, Callable[[str, Sequence[Any]], pl.Series]] = {
    "boolean": _booleans,
    "integer": _integers,
    "float": _floats,
    "decimal": _decimals,
    "text": _strings,
    "binary": _binary,
    "datetime": _datetimes,
    "date": lambda name, values: pl.Series(name, values, dtype=pl.Date()),
    "time": lambda name, values: pl.Series(name, values, dtype=pl.Time()),
    "duration": lambda name, values: pl.Series(name, values, dtype=pl.Duration("us")),
    "uuid": _strings,
    "object": _objects,
    "list": _lists,
}
