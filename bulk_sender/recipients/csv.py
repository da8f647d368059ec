"""CSV: blocks of whole records, parsed by polars; a block that polars could misread is read record by record.

Reading in blocks keeps memory flat, gives every row its number, and lets a resumed run start in the middle. The
fast way is taken only when the block is provably plain: every quote opens or closes a field, and no record has
more or fewer fields than the header. Otherwise Python's ``csv`` module reads that block, a ragged record becomes a
malformed row, and the next block is read the fast way again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.recipients.bytes_in import ByteSource, Decoded
from bulk_sender.recipients.chunk import Chunk, Position, chunk_rows

BLOCK_BYTES = 2 << 20
MAX_RECORD_BYTES = 32 << 20
"""A record longer than this means an unclosed quote, not a row."""

_EXTRA = "\x00extra"
_END = "\x00end"
_NEWLINE, _RETURN, _QUOTE = 10, 13, 34
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written: its delimiter, its columns, and where the first record begins (in bytes)."""

    delimiter: str
    columns: tuple[str, ...]
    body: int


class CsvReader:
    """One CSV file. ``delimiter`` None: detected from the header line."""

    def __init__(self, source: ByteSource, *, delimiter: str | None = None, header: bool = True) -> None:
        self.source = source
        self.dialect = _detect(source, delimiter, header)

    def schema(self) -> pl.Schema:
        return pl.Schema(dict.fromkeys(self.dialect.columns, pl.String()))

    def move_to(self, path: Path) -> None:
        self.source.path = path

    def notes(self) -> list[str]:
        return self.source.notes()

    def read(self, start: Position) -> Iterator[Chunk]:
        limit = min(BLOCK_BYTES, chunk_rows(len(self.dialect.columns)) * 400)
        position = start
        with self.source.open(max(start.offset, self.dialect.body)) as stream:
            offset = max(start.offset, self.dialect.body)
            for block in _blocks(stream, limit, self.dialect.delimiter, self.source.name, start.source_row):
                frame, faults = self._parse(block, position)
                offset += len(block.data)
                end = Position(start.file, offset, position.source_row + len(frame), position.row + len(frame))
                if len(frame):
                    yield Chunk(frame, self.source.name, position, end, faults)
                position = end

    def _parse(self, block: _Block, position: Position) -> tuple[pl.DataFrame, dict[int, str]]:
        if block.data.isspace():
            return pl.DataFrame(schema=self.schema()), {}
        frame = _parse_plain(block.data, self.dialect) if block.plain else None
        if frame is None:
            return _parse_carefully(block.data, self.dialect, self.source.name, position)
        return frame, {}


def _detect(source: ByteSource, delimiter: str | None, header: bool) -> Dialect:
    with source.open(0) as stream:
        head = stream.read(1 << 20)
    if not head.strip():
        raise InputError(f"{source.name} is empty", hint="give a file with a header line and at least one row")
    if head.count(b"\x00") > len(head) // 8:
        raise InputError(
            f"{source.name} is binary, not text: its first {len(head)} bytes are full of NULs",
            hint="give its format or encoding under [input] if it is one that bulk-sender reads",
        )
    skipped = len(head) - len(head.lstrip(b"\r\n"))
    line = _first_record(head[skipped:], source.name)
    text = line.decode("utf-8")
    found = delimiter or _likeliest_delimiter(text)
    names = next(csv.reader(io.StringIO(text, newline=""), delimiter=found))
    if not header:
        return Dialect(found, tuple(f"column_{n}" for n in range(1, len(names) + 1)), skipped)
    return Dialect(found, _column_names(names, source.name), skipped + len(line))


def _first_record(head: bytes, name: str) -> bytes:
    """The header's bytes, its line end included; line breaks inside quotes belong to it."""
    at = -1
    while (at := head.find(b"\n", at + 1)) >= 0:
        if head.count(b'"', 0, at) % 2 == 0:
            return head[: at + 1]
    if len(head) >= 1 << 20:
        raise InputError(
            f"{name}: the header line does not end within a megabyte",
            hint="is this a CSV file, with closed quotes?",
        )
    return head


def _likeliest_delimiter(line: str) -> str:
    bare = re.sub(r'"[^"]*"', "", line)
    return max(_DELIMITERS, key=bare.count)


def _column_names(names: list[str], source: str) -> tuple[str, ...]:
    """Header cells as column names. An empty last one (a trailing delimiter) and empty inner ones get a name."""
    stripped = [name.strip() or f"column_{index}" for index, name in enumerate(names, 1)]
    seen: dict[str, int] = {}
    for index, name in enumerate(stripped, 1):
        if name in seen:
            raise InputError(
                f"{source}: columns {seen[name]} and {index} are both named {name!r}",
                hint="rename one of them in the header line",
            )
        seen[name] = index
    return tuple(stripped)


@dataclass(frozen=True, slots=True)
class _Block:
    """Whole records; ``plain`` when polars reads them as RFC 4180 means them."""

    data: bytes
    plain: bool


def _blocks(stream: Decoded, limit: int, delimiter: str, name: str, rows_before: int) -> Iterator[_Block]:
    """Cut the stream after whole records, about ``limit`` bytes each."""
    rest = b""
    while True:
        # What is left over from a long record grows twofold, so that looking for its end stays linear.
        data = stream.read(max(limit, len(rest)))
        block = rest + data
        plain = _is_plain(block, delimiter, whole=not data)
        if not data:
            if block:
                yield _Block(block, plain)
            return
        cut = _last_record_end(block) if plain else _last_careful_end(block, delimiter)
        if cut == 0 and len(block) > MAX_RECORD_BYTES:
            raise InputError(
                f"{name}: a record after row {rows_before} runs on for more than {MAX_RECORD_BYTES >> 20} MB",
                hint="look for a quote that is never closed, or give the right delimiter under [input]",
            )
        if cut:
            yield _Block(block[:cut], plain)
        rest = block[cut:]


def _last_record_end(block: bytes) -> int:
    """Just behind the last line end that is not inside quotes, or 0. For plain blocks."""
    quotes_before = block.count(b'"')
    end = len(block)
    while (at := block.rfind(b"\n", 0, end)) >= 0:
        quotes_before -= block.count(b'"', at, end)
        if quotes_before % 2 == 0:
            return at + 1
        # Inside quotes: no line end up to the opening quote can be a record's.
        opening = block.rfind(b'"', 0, at)
        quotes_before -= block.count(b'"', opening, at)
        end = opening
    return 0


def _last_careful_end(block: bytes, delimiter: str) -> int:
    """Just behind the last record but one as the ``csv`` module sees it, or 0: the last may go on."""
    consumed = 0

    def lines() -> Iterator[str]:
        nonlocal consumed
        for line in io.BytesIO(block):
            consumed += len(line)
            yield line.decode("utf-8", "replace")

    csv.field_size_limit(2 * MAX_RECORD_BYTES)
    last = before_last = 0
    for _ in csv.reader(lines(), delimiter=delimiter):
        before_last, last = last, consumed
    return before_last


def _is_plain(block: bytes, delimiter: str, *, whole: bool) -> bool:
    """Whether each quote opens a field, closes one, or is doubled inside one (RFC 4180).

    ``whole``: the block ends with its last record, so that no quote may stay open.
    """
    if b'"' not in block:
        return True
    data = np.frombuffer(block, dtype=np.uint8)
    at = np.flatnonzero(data == _QUOTE)
    if whole and len(at) % 2:
        return False
    comma = ord(delimiter)
    opening, closing = at[0::2], at[1::2]
    before = data[opening[opening > 0] - 1]
    after = data[closing[closing < len(data) - 1] + 1]
    opens = (before == comma) | (before == _NEWLINE) | (before == _QUOTE)
    closes = (after == comma) | (after == _NEWLINE) | (after == _QUOTE) | (after == _RETURN)
    return bool(opens.all() and closes.all())


def _parse_plain(block: bytes, dialect: Dialect) -> pl.DataFrame | None:
    """The block as columns of text, or None when a record has more or fewer fields than the header."""
    schema: dict[str, pl.DataType] = dict.fromkeys((*dialect.columns, _EXTRA), pl.String())
    try:
        frame = pl.read_csv(
            block,
            has_header=False,
            separator=dialect.delimiter,
            schema=schema,
            missing_columns="insert",
            extra_columns="ignore",
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    if frame[_EXTRA].null_count() != len(frame):
        return None
    frame = frame.drop(_EXTRA)
    blank = frame.select(pl.all_horizontal(pl.all().is_null())).to_series() if len(dialect.columns) > 1 else None
    if blank is not None and blank.any():
        return None  # blank lines and rows of delimiters alone: the careful way tells them apart
    delimiters = block.count(dialect.delimiter.encode())
    if b'"' in block:
        delimiters -= frame.select(
            pl.sum_horizontal(pl.all().str.count_matches(dialect.delimiter, literal=True)).sum()
        ).item()
    return frame if delimiters == len(frame) * (len(dialect.columns) - 1) else None


def _parse_carefully(
    block: bytes, dialect: Dialect, name: str, position: Position
) -> tuple[pl.DataFrame, dict[int, str]]:
    """Record by record, for blocks with ragged records, blank lines or stray quotes."""
    width = len(dialect.columns)
    columns: list[list[str | None]] = [[] for _ in range(width)]
    faults: dict[int, str] = {}
    csv.field_size_limit(2 * MAX_RECORD_BYTES)
    reader = csv.reader(io.StringIO(block.decode("utf-8") + "\n" + _END, newline=""), delimiter=dialect.delimiter)
    index = 0
    ended = False
    try:
        for record in reader:
            if not record:
                continue
            if record == [_END]:
                ended = True
                break
            if len(record) > width and any(record[width:]):
                extra = dialect.delimiter.join(record[width:])[:80]
                faults[index] = f"the row has {len(record)} fields, the header {width}; beyond the last: {extra!r}"
            elif len(record) < width:
                faults[index] = f"the row has {len(record)} fields, the header {width}"
            for column, cell in zip(columns, record[:width] + [""] * (width - len(record)), strict=True):
                column.append(cell or None)
            index += 1
    except csv.Error as error:
        raise InputError(
            f"{name}, row {position.source_row + index + 1}: {error}",
            hint="look for a quote that is never closed, or give the right delimiter under [input]",
        ) from None
    if not ended:  # the file's end is inside quotes: one cell has swallowed every row behind them
        raise InputError(
            f"{name}: a quote opened in row {position.source_row + index} is never closed",
            hint="close it, or give the right delimiter under [input]; the rows behind it would be lost",
        )
    schema = dict.fromkeys(dialect.columns, pl.String())
    return pl.DataFrame(dict(zip(dialect.columns, columns, strict=True)), schema=schema), faults
