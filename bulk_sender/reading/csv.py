"""CSV: blocks of whole records, parsed by polars; a block that polars could misread is read record by record.

Reading in blocks keeps memory flat, gives every row its number, and lets a resumed run start in the middle. The
fast way is taken only when the block is provably plain: every quote opens or closes a field, lines end with LF or
CRLF, and no record has more or fewer fields than the header. Otherwise Python's ``csv`` module reads that block, a
ragged record or one with broken quotes becomes a malformed row, and the next block is read the fast way again.
Both ways give the same rows, so that it does not matter where the blocks are cut. A blank line is no row; an empty
cell is null, quoted or not.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.reading.chunk import Chunk, Position, chunk_bytes
from bulk_sender.reading.text_bytes import ByteSource, Decoded

BLOCK_BYTES = 1 << 20
MAX_RECORD_BYTES = 32 << 20
"""A record longer than this means an unclosed quote, not a row."""

_NEWLINE, _RETURN, _QUOTE = 10, 13, 34
_DELIMITERS = (",", ";", "\t", "|")
_HEAD_BYTES = 1 << 20
_OPEN = "a quote is never closed"


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

    def guessed_encoding(self) -> str | None:
        return self.source.encoding if self.source.guessed else None

    def read(self, start: Position) -> Iterator[Chunk]:
        limit = chunk_bytes(len(self.dialect.columns), most=BLOCK_BYTES)
        position = start
        offset = max(start.offset, self.dialect.body)
        with self.source.open(offset) as stream:
            blocks = _blocks(stream, limit, self.dialect.delimiter)
            while (block := self._next(blocks, position)) is not None:
                frame, faults = self._parse(block, position)
                offset += len(block.data)
                end = Position(start.file, offset, position.source_row + len(frame), position.row + len(frame))
                if len(frame):
                    yield Chunk(frame, self.source.name, position, end, faults)
                position = end

    def _next(self, blocks: Iterator[_Block], position: Position) -> _Block | None:
        try:
            return next(blocks, None)
        except _EndlessRecordError:
            raise InputError(
                f"{self.source.name}: a record after row {position.source_row} runs on for more than "
                f"{MAX_RECORD_BYTES >> 20} MB",
                hint="look for a quote that is never closed, or give the right delimiter under [input]",
            ) from None

    def _parse(self, block: _Block, position: Position) -> tuple[pl.DataFrame, dict[int, str]]:
        if not block.data.strip(b"\r\n"):
            return pl.DataFrame(schema=self.schema()), {}
        frame = _parse_plain(block.data, self.dialect) if block.plain else None
        if frame is None:
            return _parse_carefully(block.data, self.dialect, self.source.name, position)
        return frame, {}


def _detect(source: ByteSource, delimiter: str | None, header: bool) -> Dialect:
    with source.open(0) as stream:
        head = stream.read(_HEAD_BYTES)
    if not head.strip():
        raise InputError(f"{source.name} is empty", hint="give a file with a header line and at least one row")
    if head.count(b"\x00") > len(head) // 8:
        raise InputError(
            f"{source.name} is binary, not text: its first {len(head)} bytes are full of NULs",
            hint="give its format or encoding under [input] if it is one that bulk-sender reads",
        )
    skipped = len(head) - len(head.lstrip(b"\r\n"))
    # The head may end inside a character.
    text = codecs.getincrementaldecoder("utf-8")().decode(head[skipped:])
    first = {each: next(_records(text, each)) for each in ((delimiter,) if delimiter else _DELIMITERS)}
    found = max(first, key=lambda each: _likelihood(*first[each], each))
    names, line = first[found]
    size = len(line.encode())
    if skipped + size >= _HEAD_BYTES:
        raise InputError(
            f"{source.name}: the header line does not end within a megabyte",
            hint="is this a CSV file, with closed quotes?",
        )
    if broken := _broken_quotes(line, found):
        raise InputError(
            f"{source.name}: the header line can't be read: {broken}",
            hint="mend its quotes, or give the right delimiter under [input]",
        )
    if not header:
        return Dialect(found, tuple(f"column_{n}" for n in range(1, len(names) + 1)), skipped)
    return Dialect(found, _column_names(names, source.name), skipped + size)


def _likelihood(fields: list[str], raw: str, delimiter: str) -> tuple[bool, int]:
    """How likely a header read with this delimiter is meant so: several fields in sound quotes, and many."""
    return len(fields) > 1 and not _broken_quotes(raw, delimiter), len(fields)


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


class _EndlessRecordError(Exception):
    """A record is longer than any row."""


def _blocks(stream: Decoded, limit: int, delimiter: str) -> Iterator[_Block]:
    """Cut the stream after whole records, about ``limit`` bytes each. Raises _EndlessRecordError."""
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
            raise _EndlessRecordError
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
    text = block.decode("utf-8", "surrogateescape")  # the block may end inside a character
    last = before_last = 0
    for _, raw in _records(text, delimiter):
        before_last, last = last, last + len(raw.encode("utf-8", "surrogateescape"))
    return before_last


def _records(text: str, delimiter: str) -> Iterator[tuple[list[str], str]]:
    """Each record, as the ``csv`` module reads it, with its own text; a blank line is a record without fields."""
    lines: list[str] = []

    def feed() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):  # a line may end with LF, CRLF, or CR alone
            lines.append(line)
            yield line

    csv.field_size_limit(2 * MAX_RECORD_BYTES)
    for record in csv.reader(feed(), delimiter=delimiter):
        yield record, "".join(lines)
        lines.clear()


def _broken_quotes(raw: str, delimiter: str) -> str:
    """What is wrong with the quotes of a record's text, empty when nothing is.

    The ``csv`` module makes something of every text. Where a quote is never closed, or closed in the middle of a
    field, that something may hold the rows that follow: no value to be sent.
    """
    if '"' not in raw:
        return ""
    lines = list(io.StringIO(raw, newline=""))
    if len(list(csv.reader([*lines, "\n", "next"], delimiter=delimiter))) == 1:
        return _OPEN  # whatever comes next would be a part of it
    try:
        list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        read = f" ({len(lines)} lines were read as this row)" if len(lines) > 1 else ""
        return f"its quotes are broken: text follows a closing quote{read}"
    return ""


def _is_plain(block: bytes, delimiter: str, *, whole: bool) -> bool:
    """Whether each quote opens a field, closes one, or is doubled inside one (RFC 4180), and lines end with LF.

    ``whole``: the block ends with its last record, so that no quote may stay open.
    """
    if block.startswith(codecs.BOM_UTF8):
        return False  # polars would take a block's first character for a byte-order mark
    lone_returns = 0
    if b"\r" in block:
        lone_returns = block.count(b"\r") - block.count(b"\r\n") - (not whole and block.endswith(b"\r"))
    if b'"' not in block:
        return not lone_returns
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
    if not (opens.all() and closes.all()):
        return False
    return not lone_returns or not _ends_lines_with_returns(data, at)


def _ends_lines_with_returns(data: npt.NDArray[np.uint8], quotes: npt.NDArray[np.intp]) -> bool:
    """Whether a CR without its LF stands outside quotes, where the ``csv`` module takes it for a line's end."""
    returns = np.flatnonzero(data[:-1] == _RETURN)
    lone = returns[data[returns + 1] != _NEWLINE]
    if data[-1] == _RETURN:
        lone = np.append(lone, len(data) - 1)
    return bool((np.searchsorted(quotes, lone) % 2 == 0).any())


def _parse_plain(block: bytes, dialect: Dialect) -> pl.DataFrame | None:
    """The block as columns of text, or None when a record has more or fewer fields than the header."""
    try:
        frame = pl.read_csv(
            block,
            has_header=False,
            separator=dialect.delimiter,
            schema=dict.fromkeys(dialect.columns, pl.String()),
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None  # a record has more fields than the header
    if frame.select(pl.all_horizontal(pl.all().is_null()).any()).item():
        return None  # blank lines and rows of delimiters alone: the careful way tells them apart
    delimiters = block.count(dialect.delimiter.encode())
    has_quotes = b'"' in block
    if has_quotes:
        delimiters -= frame.select(
            pl.sum_horizontal(pl.all().str.count_matches(dialect.delimiter, literal=True)).sum()
        ).item()
    if delimiters != len(frame) * (len(dialect.columns) - 1):
        return None
    return frame.with_columns(pl.all().replace("", None)) if has_quotes else frame


def _parse_carefully(
    block: bytes, dialect: Dialect, name: str, position: Position
) -> tuple[pl.DataFrame, dict[int, str]]:
    """Record by record, for blocks with ragged records, blank lines, stray quotes or lone CRs."""
    width = len(dialect.columns)
    columns: list[list[str | None]] = [[] for _ in range(width)]
    faults: dict[int, str] = {}
    index = 0
    try:
        for record, raw in _records(block.decode("utf-8"), dialect.delimiter):
            if not record:
                continue
            broken = _broken_quotes(raw, dialect.delimiter)
            if broken == _OPEN:  # only at the file's end: one cell has swallowed every row behind it
                raise InputError(
                    f"{name}: a quote opened in row {position.source_row + index + 1} is never closed",
                    hint="close it, or give the right delimiter under [input]; the rows behind it would be lost",
                )
            if fault := broken or _raggedness(record, dialect):
                faults[index] = fault
            for column, cell in zip(columns, record[:width] + [""] * (width - len(record)), strict=True):
                column.append(cell or None)
            index += 1
    except csv.Error as error:
        raise InputError(
            f"{name}, row {position.source_row + index + 1}: {error}",
            hint="look for a quote that is never closed, or give the right delimiter under [input]",
        ) from None
    schema = dict.fromkeys(dialect.columns, pl.String())
    return pl.DataFrame(dict(zip(dialect.columns, columns, strict=True)), schema=schema), faults


def _raggedness(record: list[str], dialect: Dialect) -> str:
    """Why a record has not the header's fields, empty when it has; empty fields beyond the last are none."""
    width = len(dialect.columns)
    if len(record) > width and any(record[width:]):
        extra = dialect.delimiter.join(record[width:])[:80]
        return f"the row has {len(record)} fields, the header {width}; beyond the last: {extra!r}"
    return f"the row has {len(record)} fields, the header {width}" if len(record) < width else ""
