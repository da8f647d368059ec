"""NDJSON: blocks of whole lines, parsed by polars against one schema for the whole file.

The schema is gathered first, by a pass over all lines: what a line lacks is null, whole and broken numbers in one
column make it one of floats, and text beside other scalars makes it text. A line that is no JSON object, or whose
values have another shape than those of the lines before it (an object where they have a number), is a malformed
row; only a block that holds one is read line by line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from polars._typing import PolarsDataType

from bulk_sender.errors import InputError
from bulk_sender.reading.chunk import Chunk, Position, chunk_bytes
from bulk_sender.reading.polars_errors import TROUBLE
from bulk_sender.reading.text_bytes import ByteSource, Decoded

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 32 << 20
MAX_DEPTH = 32
"""Objects and lists nested deeper than this make a line malformed: their type would be as deep."""
_SHOWN = 80


class NdjsonReader:
    """One NDJSON file. Opening it reads it once, for its schema."""

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self._schema = _gather(source)

    def schema(self) -> pl.Schema:
        return self._schema

    def move_to(self, path: Path) -> None:
        self.source.path = path

    def guessed_encoding(self) -> str | None:
        return self.source.encoding if self.source.guessed else None

    def read(self, start: Position) -> Iterator[Chunk]:
        limit = chunk_bytes(len(self._schema), most=BLOCK_BYTES)
        position = start
        with self.source.open(start.offset) as stream:
            for block in _blocks(stream, limit, self.source.name, start.line):
                frame, faults = _parse(block, self._schema, position.line)
                end = Position(
                    start.file,
                    position.offset + len(block),
                    position.source_row + len(frame),
                    position.row + len(frame),
                    position.line + block.count(b"\n"),
                )
                if len(frame):
                    yield Chunk(frame, self.source.name, position, end, faults)
                position = end


def _blocks(stream: Decoded, limit: int, name: str, lines_before: int) -> Iterator[bytes]:
    """Cut the stream behind line ends, about ``limit`` bytes each."""
    rest = b""
    while data := stream.read(max(limit, len(rest))):
        block = rest + data
        cut = block.rfind(b"\n") + 1
        if not cut and len(block) > MAX_LINE_BYTES:
            raise InputError(
                f"{name}: a line after line {lines_before} is longer than {MAX_LINE_BYTES >> 20} MB",
                hint="NDJSON has one JSON object a line",
            )
        if cut:
            lines_before += block.count(b"\n", 0, cut)
            yield block[:cut]
        rest = block[cut:]
    if rest:
        yield rest


def _gather(source: ByteSource) -> pl.Schema:
    schema: dict[str, pl.DataType] = {}
    with source.open(0) as stream:
        for number, block in enumerate(_blocks(stream, BLOCK_BYTES, source.name, 0)):
            if number == 0 and block.lstrip().startswith(b"["):
                raise InputError(
                    f"{source.name} holds a JSON array, not one object a line",
                    hint="turn it into NDJSON first, such as with: jq -c '.[]' file.json > file.ndjson",
                )
            for found in _inferred(block):
                for column, dtype in found.items():
                    schema[column] = common(schema[column], dtype) if column in schema else dtype
    if not schema:
        raise InputError(f"{source.name} holds no JSON object with a member", hint="NDJSON has one JSON object a line")
    return pl.Schema(schema)


def _inferred(block: bytes) -> Iterator[pl.Schema]:
    try:
        if _is_suspicious(block):
            raise pl.exceptions.ComputeError
        found = pl.scan_ndjson(block, infer_schema_length=None).collect_schema()
        if all(_depth(dtype) <= MAX_DEPTH for dtype in found.dtypes()):
            yield found
            return
    except TROUBLE:
        pass
    lines = [line for line in block.split(b"\n") if line.strip()]
    yield from _inferred_piecewise([line for line, sound in zip(lines, _sound(lines), strict=True) if sound])


def _inferred_piecewise(lines: list[bytes]) -> Iterator[pl.Schema]:
    """Halve until polars agrees: lines of shapes that don't go together are met one after the other."""
    if not lines:
        return
    try:
        yield pl.scan_ndjson(b"\n".join(lines), infer_schema_length=None).collect_schema()
    except TROUBLE:
        if len(lines) > 1:
            middle = len(lines) // 2
            yield from _inferred_piecewise(lines[:middle])
            yield from _inferred_piecewise(lines[middle:])


def common(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    """The type that holds values of both; where there is none, the first: what came first is the file's shape."""
    if one == other or other == pl.Null:
        return one
    if one == pl.Null:
        return other
    if isinstance(one, pl.Struct) and isinstance(other, pl.Struct):
        fields = {field.name: _dtype(field.dtype) for field in one.fields}
        for field in other.fields:
            dtype = _dtype(field.dtype)
            fields[field.name] = common(fields[field.name], dtype) if field.name in fields else dtype
        return pl.Struct(fields)
    if isinstance(one, pl.List) and isinstance(other, pl.List):
        return pl.List(common(_dtype(one.inner), _dtype(other.inner)))
    if one.is_nested() or other.is_nested():
        return one
    if one.is_integer() and other.is_integer():
        return pl.Int128()
    if one.is_numeric() and other.is_numeric():
        return pl.Float64()
    return pl.String()


def _dtype(dtype: PolarsDataType) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else dtype()


def _depth(dtype: pl.DataType) -> int:
    deepest, level = 0, [dtype]
    while level:
        deepest += 1
        level = [inner for outer in level for inner in _inner(outer)]
    return deepest


def _inner(dtype: pl.DataType) -> list[pl.DataType]:
    if isinstance(dtype, pl.Struct):
        return [_dtype(field.dtype) for field in dtype.fields]
    return [_dtype(dtype.inner)] if isinstance(dtype, pl.List) else []


def _parse(block: bytes, schema: pl.Schema, lines_before: int) -> tuple[pl.DataFrame, dict[int, str]]:
    try:
        if not _is_suspicious(block) and not _swallows_shapes(frame := pl.read_ndjson(block, schema=schema)):
            return frame, {}
    except TROUBLE:
        pass
    numbered = [(number, line) for number, line in enumerate(block.split(b"\n"), lines_before + 1) if line.strip()]
    lines = [line for _, line in numbered]
    sound = _sound(lines)
    frame, misfits = _fitted([line if ok else b"{}" for line, ok in zip(lines, sound, strict=True)], schema)
    misfits += [index for index in _swallowed(frame, lines) if sound[index]]
    frame = _without(frame, misfits)
    faults = dict.fromkeys(misfits, "does not have the shape of the lines before it")
    faults |= {index: "is not a JSON object" for index, ok in enumerate(sound) if not ok}
    return frame, {
        index: f"line {numbered[index][0]} {what}: {_shown(lines[index])}" for index, what in sorted(faults.items())
    }


def _swallows_shapes(frame: pl.DataFrame) -> bool:
    """Whether a cell of text may have been an object or a list: polars takes them for text there."""
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    return bool(texts) and bool(frame.select(pl.any_horizontal(_opens(texts)).any()).item())


def _opens(texts: list[str]) -> list[pl.Expr]:
    return [pl.col(name).str.starts_with("{") | pl.col(name).str.starts_with("[") for name in texts]


def _swallowed(frame: pl.DataFrame, lines: list[bytes]) -> list[int]:
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    if not texts:
        return []
    suspects = frame.select(pl.arg_where(pl.any_horizontal(_opens(texts)))).to_series().to_list()
    return [index for index in suspects if _has_shape(lines[index], texts)]


def _has_shape(line: bytes, texts: list[str]) -> bool:
    found = json.loads(line)  # sound by the strict parser before
    return any(isinstance(found.get(name), dict | list) for name in texts)


def _without(frame: pl.DataFrame, misfits: list[int]) -> pl.DataFrame:
    if not misfits:
        return frame
    kept = ~pl.int_range(pl.len()).is_in(misfits)
    return frame.with_columns(pl.when(kept).then(pl.all()))


def _is_suspicious(block: bytes) -> bool:
    """Whether polars' parser might take what it should refuse: half a surrogate pair becomes a NUL in it."""
    return b"\\ud" in block or b"\\uD" in block or b"\x00" in block


def _sound(lines: list[bytes]) -> list[bool]:
    """Which lines are JSON objects by a strict parser that refuses lone surrogates and what is nested too deep."""
    texts = pl.Series([line.decode("utf-8") for line in lines], dtype=pl.String)
    bare = texts.str.strip_chars(" \t\r")
    strict = bare.str.starts_with("{") & bare.str.json_path_match("$").is_not_null()
    return [
        ok and (text.count("{") + text.count("[") <= MAX_DEPTH or _nesting(text) <= MAX_DEPTH)
        for ok, text in zip(strict, texts, strict=True)
    ]


def _nesting(text: str) -> int:
    deepest = depth = 0
    quoted = escaped = False
    for letter in text:
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = letter == "\\", letter != '"'
        elif letter == '"':
            quoted = True
        elif letter in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "}]":
            depth -= 1
    return deepest


def _fitted(lines: list[bytes], schema: pl.Schema) -> tuple[pl.DataFrame, list[int]]:
    """The lines as a frame; those that don't fit the schema as rows of nulls, with their indexes."""
    try:
        if lines:
            return pl.read_ndjson(b"\n".join(lines), schema=schema), []
    except TROUBLE:
        if len(lines) > 1:
            middle = len(lines) // 2
            (first, bad), (second, also_bad) = _fitted(lines[:middle], schema), _fitted(lines[middle:], schema)
            return pl.concat([first, second]), [*bad, *(middle + index for index in also_bad)]
    nothing = pl.DataFrame({name: [None] * len(lines) for name in schema}, schema=schema)
    return nothing, list(range(len(lines)))


def _shown(line: bytes) -> str:
    text = "".join(
        letter if letter.isprintable() else "\u2423" for letter in line[: 4 * _SHOWN].decode("utf-8", "ignore")
    )
    return repr(text[:_SHOWN] + ("…" if len(text) > _SHOWN else ""))
