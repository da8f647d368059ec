"""NDJSON reader: polars parses blocks of whole lines against one schema for the whole file.

A first pass over all lines infers the schema. A line is a malformed row when it is not a JSON object, when an object
has one name twice, or when a value has a different shape than before (an object instead of a number). Only in a block
with such a line is each line looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.reading.chunk import Chunk, EmptyFileError, Position, chunk_bytes, parts
from bulk_sender.reading.layout import ReadAs, Setting
from bulk_sender.reading.ndjson_lines import fits, is_suspicious, misfit, repeats_names, shown, unsound
from bulk_sender.reading.ndjson_types import common, inferred, replaced
from bulk_sender.reading.polars_errors import TROUBLE
from bulk_sender.reading.text_bytes import ByteSource, Decoded
from bulk_sender.reading.types import JSON, NUMBER, has_numbers, inner_types, type_of

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 32 << 20
_MARK = "\ufeff".encode()
_MARKS = re.compile(rb"^(?:%b)+" % _MARK, re.MULTILINE)
"""Byte-order marks at the beginnings of lines, where files were joined."""

_STRING_OR_NUMBER = r'("(?:[^"\\]|\\.)*")|(-?[0-9][-+.0-9eE]*)'
_JSON_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"


class NdjsonReader:
    """A reader of one NDJSON file. Opening it reads the whole file once to infer its schema."""

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self._schema, self._may_repeat = _gather(source)

    def schema(self) -> pl.Schema:
        return _shown_schema(self._schema)

    def move_to(self, path: Path) -> None:
        self.source.path = path

    def guessed_encoding(self) -> str | None:
        return self.source.encoding if self.source.guessed else None

    def read_as(self) -> ReadAs:
        """Return how the file is read, and what of that is a guess."""
        return ReadAs(format="ndjson", encoding=Setting(self.source.encoding, is_guess=self.source.guessed))

    def small_body(self) -> bytes | None:
        """Return all lines of a small file; None if it is not small, or has blank lines or a byte order mark inside."""
        body = self.source.small(0)
        if body is None or body[:1] in b"\r\n" or any(mark in body for mark in (b"\n\n", b"\n\r", _MARK)):
            return None
        return body

    def goes_with(self, other: NdjsonReader) -> bool:
        """Whether ``read_together`` may read the lines of both."""
        return (self._schema, self._may_repeat) == (other._schema, other._may_repeat)

    def read_together(self, bodies: Sequence[bytes]) -> pl.DataFrame | None:
        """Return the rows of small bodies of files that go with this one; None if a line is malformed."""
        frame, faults, _ = _parse(b"".join(bodies), self._schema, 0, self._may_repeat)
        return None if faults else frame

    def read(self, start: Position) -> Iterator[Chunk]:
        limit = chunk_bytes(len(self._schema), usual=BLOCK_BYTES)
        position = start
        with self.source.open(start.offset) as stream:
            lines = _blocks(stream, limit, self.source.name, start.line)
            for block in chain.from_iterable(parts(each, len(self._schema), _last_line_end) for each in lines):
                bare = _without_marks(block)
                frame, faults, raws = _parse(bare, self._schema, position.line, self._may_repeat)
                end = Position(
                    start.file,
                    position.offset + len(block),
                    position.source_row + len(frame),
                    position.row + len(frame),
                    position.line + block.count(b"\n"),
                )
                if len(frame):
                    numbers = _lines_of(bare, frame, position.line)
                    yield Chunk(frame, self.source.name, position, end, faults, numbers, raws=raws)
                position = end


def _lines_of(block: bytes, frame: pl.DataFrame, before: int) -> pl.Series:
    """Return the line of each row of a block that ``before`` lines precede. A blank line does not count as a row."""
    if block.count(b"\n") + (not block.endswith(b"\n")) == len(frame):
        return pl.int_range(before + 1, before + len(frame) + 1, dtype=pl.UInt64, eager=True)
    found = (number for number, line in enumerate(block.split(b"\n"), before + 1) if line.strip())
    return pl.Series(found, dtype=pl.UInt64)


def _blocks(stream: Decoded, limit: int, name: str, lines_before: int) -> Iterator[bytes]:
    """Yield blocks of whole lines, about ``limit`` bytes each."""
    rest = b""
    while data := stream.read(max(limit, len(rest))):
        block = rest + data
        cut = _last_line_end(block)
        if not cut and len(block) > MAX_LINE_BYTES:
            raise InputError(
                f"{name}: a line after line {lines_before} is longer than {MAX_LINE_BYTES >> 20} MB",
                hint="NDJSON has one JSON object per line",
            )
        if cut:
            lines_before += block.count(b"\n", 0, cut)
            yield block[:cut]
        rest = block[cut:]
    if rest:
        yield rest


def _last_line_end(block: bytes) -> int:
    return block.rfind(b"\n") + 1


def _without_marks(block: bytes) -> bytes:
    return _MARKS.sub(b"", block) if _MARK in block else block


def _gather(source: ByteSource) -> tuple[pl.Schema, bool]:
    """Return the schema of a file, and whether an object in it has one name twice."""
    schema: dict[str, pl.DataType] = {}
    is_blank, may_repeat = True, False
    with source.open(0) as stream:
        for number, block in enumerate(map(_without_marks, _blocks(stream, BLOCK_BYTES, source.name, 0))):
            is_blank = is_blank and not block.strip(b" \t\r\n")
            if number == 0 and block.lstrip().startswith(b"["):
                raise InputError(
                    f"{source.name} contains a JSON array, not one object per line",
                    hint="convert it to NDJSON first, for example: jq -c '.[]' file.json > file.ndjson",
                )
            repeats = repeats_names(block)
            may_repeat |= repeats
            for found in inferred(block, repeats):
                for column, dtype in found.items():
                    schema[column] = common(schema[column], dtype) if column in schema else dtype
    if is_blank:
        raise EmptyFileError(f"{source.name} is empty", hint="send a file with at least one JSON object")
    if not schema and may_repeat:
        raise InputError(f"{source.name}: each object has one name twice", hint="keep one of the two values")
    if not schema:
        raise InputError(
            f"{source.name} contains no JSON object with a member",
            hint="NDJSON has one JSON object per line; to convert it, for example: jq -c . file.json > file.ndjson",
        )
    return pl.Schema(schema), may_repeat


def _parse(
    block: bytes, schema: pl.Schema, lines_before: int, may_repeat: bool
) -> tuple[pl.DataFrame, dict[int, str], dict[int, str]]:
    """Return the rows of a block, the faults in them, and the text of each faulty line."""
    try:
        if not is_suspicious(block):
            frame, swallowed = _read(block, schema)
            if not swallowed and not (may_repeat and repeats_names(block)):
                return frame, {}, {}
    except TROUBLE:
        pass
    numbered = [(number, line) for number, line in enumerate(block.split(b"\n"), lines_before + 1) if line.strip()]
    lines = [line for _, line in numbered]
    faults = {index: why for index, why in enumerate(unsound(lines)) if why}
    frame, misfits = _fitted([b"{}" if index in faults else line for index, line in enumerate(lines)], schema)
    frame = _without(frame, misfits)
    faults |= {index: misfit(lines[index]) for index in misfits}
    return (
        frame,
        {index: f"line {numbered[index][0]} {why}: {shown(lines[index])}" for index, why in sorted(faults.items())},
        {index: lines[index].rstrip(b"\r").decode() for index in faults},
    )


def _read(block: bytes, schema: pl.Schema) -> tuple[pl.DataFrame, list[int]]:
    """Return sound lines as a frame, and the rows in which polars may have read an object or a list as text.

    Raise an error of polars when the lines do not fit the schema.
    """
    if not any(map(has_numbers, schema.dtypes())):
        frame = pl.read_ndjson(block, schema=schema)
        return frame, _swallowed(frame)
    texts = pl.Schema({name: replaced(dtype, _is_number, pl.String()) for name, dtype in schema.items()})
    frame = pl.read_ndjson(_quoted(block), schema=texts)
    swallowed = _swallowed(frame)
    return frame.select(_typed(pl.col(name), dtype).alias(name) for name, dtype in schema.items()), swallowed


def _shown_schema(schema: pl.Schema) -> pl.Schema:
    """Return the schema of the frames: lists with numbers of any length become JSON."""
    return pl.Schema({name: _shown_type(dtype) for name, dtype in schema.items()})


def _shown_type(dtype: pl.DataType) -> pl.DataType:
    if isinstance(dtype, pl.Struct):
        return pl.Struct({field.name: _shown_type(type_of(field.dtype)) for field in dtype.fields})
    return JSON if isinstance(dtype, pl.List) and has_numbers(dtype) else dtype


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype == NUMBER


def _quoted(block: bytes) -> bytes:
    """Return the block with each number as a JSON string, because polars would read it as a 64-bit float."""
    # A control character cannot occur in JSON, so it can mark where quotes have to be.
    marked = pl.Series([block.decode()]).str.replace_all(_STRING_OR_NUMBER, "${1}\x01${2}\x01")
    unmarked = marked.str.replace_all("\x01\x01", "", literal=True)
    return str(unmarked.str.replace_all("\x01", '"', literal=True)[0]).encode()


def _typed(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return text as the numbers that it is. Evaluating it raises an error for any other text."""
    if isinstance(dtype, pl.Struct):
        if not any(_has_number(type_of(field.dtype)) for field in dtype.fields):
            return value
        fields = [
            _typed(value.struct.field(field.name), type_of(field.dtype)).alias(field.name) for field in dtype.fields
        ]
        return pl.when(value.is_not_null()).then(pl.struct(fields))
    if isinstance(dtype, pl.List):
        if has_numbers(dtype):
            return _json(value, dtype).ext.to(JSON)
        return value.list.eval(_typed(pl.element(), type_of(dtype.inner))) if _has_number(dtype) else value
    if not _is_number(dtype):
        return value
    checked = _checked(value)
    return checked.ext.to(NUMBER) if dtype == NUMBER else checked.cast(dtype)


def _checked(value: pl.Expr) -> pl.Expr:
    """Return text that is a finite number. Evaluating it raises an error for any other text."""
    number = pl.when(value.str.contains(_JSON_NUMBER)).then(value.cast(pl.Float64, strict=False))
    wrong = pl.when(value.is_not_null() & ~number.is_finite().fill_null(False)).then(pl.lit("not a number"))
    return pl.when(wrong.cast(pl.Float64).is_null()).then(value)


def _json(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return text, in the shape of ``dtype``, as JSON. Null stays null."""
    if isinstance(dtype, pl.List):
        items = value.list.eval(_json(pl.element(), type_of(dtype.inner)).fill_null("null"))
        return pl.format("[{}]", items.list.join(","))
    if isinstance(dtype, pl.Struct):
        members = [
            pl.concat_str(
                pl.lit(json.dumps(field.name, ensure_ascii=False) + ":"),
                _json(value.struct.field(field.name), type_of(field.dtype)).fill_null("null"),
            )
            for field in dtype.fields
        ]
        body = pl.concat_str(members, separator=",") if members else pl.lit("")
        return pl.when(value.is_not_null()).then(pl.format("{{{}}}", body))
    if _is_number(dtype):
        return _checked(value)
    if dtype == pl.String:
        encoded = pl.struct(value.alias("_")).struct.json_encode().str.head(-1).str.slice(5)
        return pl.when(value.is_not_null()).then(encoded)
    return value.cast(pl.String)


def _has_number(dtype: pl.DataType) -> bool:
    return _is_number(dtype) or any(map(_has_number, inner_types(dtype)))


def _swallowed(frame: pl.DataFrame) -> list[int]:
    """Return the rows with a text that may have been an object or a list, which polars reads as text."""
    opens = [found for name, dtype in frame.schema.items() if (found := _opens(pl.col(name), dtype)) is not None]
    return frame.select(pl.arg_where(pl.any_horizontal(opens))).to_series().to_list() if opens else []


def _opens(value: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    """Whether a text in a value begins like an object or a list; None for a type that has no text."""
    if dtype == pl.String:
        return (value.str.starts_with("{") | value.str.starts_with("[")).fill_null(False)
    if isinstance(dtype, pl.Struct):
        fields = (_opens(value.struct.field(field.name), type_of(field.dtype)) for field in dtype.fields)
        found = [field for field in fields if field is not None]
        return pl.any_horizontal(found) if found else None
    if isinstance(dtype, pl.List):
        inner = _opens(pl.element(), type_of(dtype.inner))
        return None if inner is None else value.list.eval(inner).list.any().fill_null(False)
    return None


def _without(frame: pl.DataFrame, misfits: list[int]) -> pl.DataFrame:
    if not misfits:
        return frame
    kept = ~pl.int_range(pl.len()).is_in(misfits)
    return frame.with_columns(pl.when(kept).then(pl.all()))


def _fitted(lines: list[bytes], schema: pl.Schema) -> tuple[pl.DataFrame, list[int]]:
    """Return the lines as a frame, and the indexes of the lines that do not fit the schema (rows of nulls).

    A look at a line costs little beside a call of polars. So lines are left out by their shape first, and only what
    is left (a number that is too large for its column) is found by reading ever smaller halves.
    """
    misfits = {index for index, line in enumerate(lines) if not fits(line, schema)}
    frame, others = _halved([b"{}" if index in misfits else line for index, line in enumerate(lines)], schema)
    return frame, [*misfits, *others]


def _halved(lines: list[bytes], schema: pl.Schema) -> tuple[pl.DataFrame, list[int]]:
    try:
        if lines:
            return _read(b"\n".join(lines), schema)[0], []
    except TROUBLE:
        if len(lines) > 1:
            middle = len(lines) // 2
            (first, bad), (second, also_bad) = _halved(lines[:middle], schema), _halved(lines[middle:], schema)
            return pl.concat([first, second]), [*bad, *(middle + index for index in also_bad)]
    nothing = pl.DataFrame({name: [None] * len(lines) for name in schema}, schema=_shown_schema(schema))
    return nothing, list(range(len(lines)))
