"""Types of NDJSON: one for each column of a file, for all of its lines.

Missing members are null; a column with text and other scalars becomes text. Numbers that a 64-bit float would change,
such as 9007199254740993 beside 1.5, stay the text of the file (type ``NUMBER``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator

import polars as pl

from bulk_sender.reading.ndjson_lines import MAX_DEPTH, is_suspicious, unsound
from bulk_sender.reading.polars_errors import TROUBLE
from bulk_sender.reading.types import NUMBER, inner_types, type_of

_LONG = re.compile(rb"[:,\[]\s*-?(?:[0-9][0-9.]{15,}|[0-9.]+[eE])")
"""A number whose digits may be more than those of a 64-bit float, or one with an exponent."""
_ALL_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_ENORMOUS = b"0" * 38
"""The digits of a number that polars cannot read, whatever they are."""
_STRING_OR_ENORMOUS = re.compile(rb'("(?:[^"\\]|\\.)*")|-?[0-9]{38,}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?', re.DOTALL)


def inferred(block: bytes, repeats: bool) -> Iterator[pl.Schema]:
    """Yield the schemas of the sound lines of a block: one, or several where lines do not fit together.

    ``repeats``: an object of the block may have one name twice.
    """
    is_enormous = _ENORMOUS in block.translate(_ALL_ZEROS)
    if is_enormous:
        block = _with_enormous_as_floats(block)
    for schema in _inferred_types(block, repeats):
        floats = any(_has_floats(dtype) for dtype in schema.dtypes())
        yield _with_numbers(schema) if floats and (is_enormous or _loses_digits(block, schema)) else schema


def _in_order(fields: Iterable[tuple[str, pl.DataType]], block: bytes) -> Iterable[tuple[str, pl.DataType]]:
    """Return the names of an object in the order of the text: polars has wide ones in another order in each process."""
    ordered = [(name, _with_order(dtype, block)) for name, dtype in fields]
    return sorted(ordered, key=lambda field: (_place(field[0], block), field[0]))


def _place(name: str, block: bytes) -> int:
    """Return where a name comes first, at the end if it is written with other escapes."""
    found = block.find(json.dumps(name, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return found if found >= 0 else len(block)


def _with_order(dtype: pl.DataType, block: bytes) -> pl.DataType:
    if isinstance(dtype, pl.Struct):
        return pl.Struct(dict(_in_order(((field.name, type_of(field.dtype)) for field in dtype.fields), block)))
    if isinstance(dtype, pl.List):
        return pl.List(_with_order(type_of(dtype.inner), block))
    return dtype


def _inferred_types(block: bytes, repeats: bool) -> Iterator[pl.Schema]:
    """Yield the schemas of sound lines. A line with one name twice would give the name a type that no value has."""
    try:
        if repeats or is_suspicious(block):
            raise pl.exceptions.ComputeError
        found = pl.scan_ndjson(block, infer_schema_length=None).collect_schema()
        if all(_depth(dtype) <= MAX_DEPTH for dtype in found.dtypes()):
            yield pl.Schema(_in_order(found.items(), block))
            return
    except TROUBLE:
        pass
    lines = [line for line in block.split(b"\n") if line.strip()]
    yield from _inferred_piecewise([line for line, bad in zip(lines, unsound(lines), strict=True) if not bad])


def _inferred_piecewise(lines: list[bytes]) -> Iterator[pl.Schema]:
    """Yield the schemas of ever smaller halves, until each half contains only compatible lines."""
    if not lines:
        return
    text = b"\n".join(lines)
    try:
        yield pl.Schema(_in_order(pl.scan_ndjson(text, infer_schema_length=None).collect_schema().items(), text))
    except TROUBLE:
        if len(lines) > 1:
            middle = len(lines) // 2
            yield from _inferred_piecewise(lines[:middle])
            yield from _inferred_piecewise(lines[middle:])


def common(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    """Return a type for the values of both, or ``one`` if there is none: the first line decides the file's shape."""
    if one == other or other == pl.Null:
        return one
    if one == pl.Null:
        return other
    if isinstance(one, pl.Struct) and isinstance(other, pl.Struct):
        fields = {field.name: type_of(field.dtype) for field in one.fields}
        for field in other.fields:
            dtype = type_of(field.dtype)
            fields[field.name] = common(fields[field.name], dtype) if field.name in fields else dtype
        return pl.Struct(fields)
    if isinstance(one, pl.List) and isinstance(other, pl.List):
        return pl.List(common(type_of(one.inner), type_of(other.inner)))
    if one.is_nested() or other.is_nested():
        return one
    if one.is_integer() and other.is_integer():
        return pl.Int128()
    if (one.is_numeric() or one == NUMBER) and (other.is_numeric() or other == NUMBER):
        return NUMBER
    return pl.String()


def _is_float(dtype: pl.DataType) -> bool:
    return dtype.is_float()


def _has_floats(dtype: pl.DataType) -> bool:
    return dtype.is_float() or any(map(_has_floats, inner_types(dtype)))


def _with_numbers(schema: pl.Schema) -> pl.Schema:
    return pl.Schema({name: replaced(dtype, _is_float, NUMBER) for name, dtype in schema.items()})


def replaced(dtype: pl.DataType, which: Callable[[pl.DataType], bool], by: pl.DataType) -> pl.DataType:
    """Return a type with another one for each scalar type inside it that meets a condition."""
    if isinstance(dtype, pl.Struct):
        return pl.Struct({field.name: replaced(type_of(field.dtype), which, by) for field in dtype.fields})
    if isinstance(dtype, pl.List):
        return pl.List(replaced(type_of(dtype.inner), which, by))
    return by if which(dtype) else dtype


def _loses_digits(block: bytes, schema: pl.Schema) -> bool:
    """Whether a float would not show a number of the block as it is written: a whole number, or one of many digits."""
    if _LONG.search(block):
        return True
    as_text = pl.Schema({name: replaced(dtype, _is_float, pl.String()) for name, dtype in schema.items()})
    try:
        frame = pl.read_ndjson(block, schema=as_text)
    except TROUBLE:
        return True  # lines that do not fit together, so nothing is known about them
    return any(_has_whole(frame[name], schema[name]) for name in schema)


def _has_whole(column: pl.Series, dtype: pl.DataType) -> bool:
    """Whether the text of a column, which would be of ``dtype``, has a whole number where that type has a float."""
    if isinstance(dtype, pl.Struct):
        return any(_has_whole(column.struct.field(field.name), type_of(field.dtype)) for field in dtype.fields)
    if isinstance(dtype, pl.List):
        return _has_whole(column.explode(empty_as_null=True, keep_nulls=True), type_of(dtype.inner))
    return dtype.is_float() and not column.drop_nulls().str.contains(r"[.eE]").all()


def _with_enormous_as_floats(block: bytes) -> bytes:
    """Return the block with 0.5 for each number of more digits than polars reads."""
    return _STRING_OR_ENORMOUS.sub(lambda found: found[1] or b"0.5", block)


def _depth(dtype: pl.DataType) -> int:
    deepest, level = 0, [dtype]
    while level:
        deepest += 1
        level = [inner for outer in level for inner in inner_types(outer)]
    return deepest
