"""CSV reader: polars parses blocks of whole records, and Python's ``csv`` module parses the blocks it would misread.

Reading in blocks keeps memory flat, numbers every row, and lets a resumed run start in the middle. The fast path is
used only for a provably plain block: every quote opens or closes a field, lines end with LF or CRLF, and every record
has as many fields as the header. The ``csv`` module reads any other block; a ragged record, or one with invalid
quotes, becomes a malformed row. Both paths give the same rows, so it does not matter where the blocks are cut.
A blank line is not a row. An empty cell is null, quoted or not. A byte-order mark at the start of a record, where files
were joined, is dropped.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.reading.added import added_columns
from bulk_sender.reading.chunk import Chunk, EmptyFileError, Position, chunk_bytes, parts
from bulk_sender.reading.header import SAMPLE_ROWS, header_index, told
from bulk_sender.reading.layout import Layout, ReadAs, Setting
from bulk_sender.reading.text_bytes import ByteSource, Decoded

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BLOCK_BYTES = 1 << 20
MAX_RECORD_BYTES = 32 << 20
"""A longer record is assumed to be an unclosed quote, not a row."""

_NEWLINE, _RETURN, _QUOTE = 10, 13, 34
_DELIMITERS = (",", ";", "\t", "|")
_RARE_DELIMITERS = ("~", "^", "\x1f", "\x01")
"""They delimit cells only if the common ones do not, and if the second record has as many cells as the header."""
_HEAD_BYTES = 1 << 20
_EVEN_CHARACTERS = 20_000
_LAYOUT_BYTES = 64 << 10
_OPEN = "a quote is never closed"
_MARK = "\ufeff"
_SEP = re.compile(r"""\ufeff?"?sep=(?P<delimiter>[^"\r\n]|\\t)"?[,;\t|]*(\r\n|\r|\n)""", re.IGNORECASE)
"""The first line that names the delimiter for Excel."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The dialect of a CSV file: its delimiter, its columns, and where the first record begins, in bytes and lines.

    ``title``: the first of the ``above`` lines over the header, which are left out; empty without any.
    """

    delimiter: str
    columns: tuple[str, ...]
    body: int
    lines: int
    title: str = ""
    above: int = 0
    is_bare: bool = False
    """Whether nothing follows the header."""
    header: int = 0
    """The line of the header, from 1; 0 without one."""
    is_guess: bool = False
    """Whether the delimiter follows from the content alone."""
    is_found: bool = False
    """Whether the line of the header follows from the content alone."""


class CsvReader:
    """A reader of one CSV file. With ``delimiter`` None, the header line decides.

    ``header_row``: the line of the header, from 1; None: found. A ``rejected.csv`` has it in its first line, also where
    other files have none.
    """

    def __init__(
        self, source: ByteSource, *, delimiter: str | None = None, header: bool = True, header_row: int | None = None
    ) -> None:
        self.source = source
        self.dialect = _detect(source, delimiter, header, header_row)
        self._header_row = header_row

    def schema(self) -> pl.Schema:
        return pl.Schema(dict.fromkeys(self.dialect.columns, pl.String()))

    def move_to(self, path: Path) -> None:
        self.source.path = path

    def guessed_encoding(self) -> str | None:
        return self.source.encoding if self.source.guessed else None

    def has_no_rows(self) -> bool:
        """Whether the file ends with its header."""
        return self.dialect.is_bare

    def notes(self) -> list[str]:
        return [self.found_header[1]] if self.found_header else []

    @property
    def found_header(self) -> tuple[int, str] | None:
        """The line of the header, and what to say about it, if it had to be found below others."""
        above = self.dialect.above
        if not above or self._header_row is not None:
            return None
        return above + 1, told("line", above + 1, above, self.dialect.title)

    def read_as(self) -> ReadAs:
        """Return how the file is read, and what of that is a guess."""
        dialect = self.dialect
        return ReadAs(
            format="csv",
            encoding=Setting(self.source.encoding, is_guess=self.source.guessed),
            delimiter=Setting(dialect.delimiter, is_guess=dialect.is_guess),
            header_row=Setting(dialect.header, is_guess=dialect.is_found) if dialect.header else None,
        )

    def layout(self) -> Layout:
        """Return how the file is written, judged by its first lines."""
        with self.source.open(0) as stream:
            head = stream.read(_LAYOUT_BYTES)
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
        start = len(head[: self.dialect.body].decode("utf-8", "ignore"))
        records = [found for found in islice(_records(text[start:], self.dialect.delimiter), SAMPLE_ROWS) if found[0]]
        whole = records[:-1] or records if len(head) == _LAYOUT_BYTES else records
        return Layout(
            delimiter=self.dialect.delimiter,
            encoding=self.source.encoding,
            mark=text.startswith(_MARK),
            line_end="\r" if self.source.ends_lines_with_cr else _line_end(text, self.dialect.delimiter),
            quoted=bool(whole) and all(_is_quoted(fields, raw, self.dialect.delimiter) for fields, raw in whole),
            sep=_SEP.match(text) is not None,
        )

    def small_body(self) -> bytes | None:
        """Return all records of a small file, each of them one line; None if it is not small or not that simple."""
        body = self.source.small(self.dialect.body)
        if body is None or body[:1] in b"\r\n" or any(mark in body for mark in (b"\n\n", b"\n\r", codecs.BOM_UTF8)):
            return None
        if any(b"\n" in quoted for quoted in body.split(b'"')[1::2]):
            return None
        return body if _is_plain(body, self.dialect.delimiter, whole=True) else None

    def read(self, start: Position) -> Iterator[Chunk]:
        limit = chunk_bytes(len(self.dialect.columns), usual=BLOCK_BYTES)
        offset = max(start.offset, self.dialect.body)
        position = start if start.offset > self.dialect.body else replace(start, line=self.dialect.lines)
        with self.source.open(offset) as stream:
            blocks = _blocks(stream, limit, self.dialect)
            while (block := self._next(blocks, position)) is not None:
                frame, faults, raws, lines, count = self._parse(block, position)
                offset += len(block.data)
                rows = len(frame)
                end = Position(start.file, offset, position.source_row + rows, position.row + rows, count)
                if rows:
                    yield Chunk(frame, self.source.name, position, end, faults, lines, raws=raws)
                position = end

    def _next(self, blocks: Iterator[_Block], position: Position) -> _Block | None:
        try:
            return next(blocks, None)
        except _EndlessRecordError:
            raise InputError(
                f"{self.source.name}: a record after row {position.source_row} is longer than "
                f"{MAX_RECORD_BYTES >> 20} MB (in line {position.line + 1} or below)",
                hint="look for an unclosed quote, or set the delimiter under [input]",
            ) from None

    def _parse(self, block: _Block, position: Position) -> _Parsed:
        """Return the rows of a block."""
        frame = _parse_plain(block.data, self.dialect) if block.plain and block.data.strip(b"\r\n") else None
        if frame is None:
            return _parse_carefully(block.data, self.dialect, self.source.name, position)
        count = block.data.count(b"\n") + (not block.data.endswith(b"\n"))
        return frame, {}, {}, _lines_of(frame, position.line, count), position.line + count


_Parsed = tuple[pl.DataFrame, dict[int, str], dict[int, str], pl.Series, int]
"""Rows, the faults in them, the text of each faulty one, the line of each row, and the lines up to the last one."""


def _detect(source: ByteSource, delimiter: str | None, header: bool, header_row: int | None) -> Dialect:
    with source.open(0) as stream:
        head = stream.read(_HEAD_BYTES)
    if not head.strip(codecs.BOM_UTF8 + b" \t\r\n\f\v"):
        raise EmptyFileError(f"{source.name} is empty", hint="send a file with a header line and at least one row")
    if head.count(b"\x00") > len(head) // 8:
        raise InputError(
            f"{source.name} is binary, not text: its first {len(head)} bytes contain many NUL bytes",
            hint="set its format or encoding under [input] if bulk-sender supports it",
        )
    # An incremental decoder, because the head may end inside a character.
    text = codecs.getincrementaldecoder("utf-8")().decode(head)
    start = 0
    if told := _SEP.match(text):
        start = told.end()
        delimiter = delimiter or told["delimiter"].replace("\\t", "\t")
    if is_of_rejects := _is_of_rejects(text[start:], delimiter):
        header = True
    elif header_row is not None and header:
        start = _line_start(text, header_row, source.name)
    found = delimiter or _delimiter(text[start:])
    is_found = header and header_row is None and not is_of_rejects
    if is_found:
        skip, other = _header(text[start:], () if delimiter else (*_DELIMITERS, *_RARE_DELIMITERS), found)
        start, found = start + skip, other
    names, line = next(((fields, raw) for fields, raw in _records(text[start:], found) if fields), ([], ""))
    skipped = start + _blank(text[start:])
    size = skipped + len(line) if header else skipped
    if len(text[:size].encode()) >= _HEAD_BYTES:
        raise InputError(
            f"{source.name}: the header line is longer than 1 MB",
            hint="check that this is a CSV file and that its quotes are closed",
        )
    if broken := _broken_quotes(line.lstrip(_MARK), found):
        raise InputError(
            f"{source.name}: the header line cannot be read: {broken}",
            hint="fix its quotes, or set the delimiter under [input]",
        )
    columns = _column_names(names, source.name) if header else tuple(f"column_{n}" for n in range(1, len(names) + 1))
    title = text[:start].strip(_MARK + "\r\n").splitlines() or [""]
    return Dialect(
        found,
        columns,
        len(text[:size].encode()),
        _count_lines(text[:size]),
        title[0],
        _count_lines(text[:skipped]) if title[0] and header else 0,
        not text[size:].strip() and len(head) < _HEAD_BYTES,
        header=_count_lines(text[:skipped]) + 1 if header else 0,
        is_guess=delimiter is None and not is_of_rejects,
        is_found=is_found,
    )


def _line_end(text: str, delimiter: str) -> str:
    """Return what ends the first record with a line end."""
    _, raw = next(_records(text, delimiter), ([], ""))
    return "\r\n" if raw.endswith("\r\n") else "\n"


def _is_quoted(fields: list[str], raw: str, delimiter: str) -> bool:
    """Whether all cells of a record are in quotes."""
    quoted = ('"' + field.replace('"', '""') + '"' for field in fields)
    return raw.lstrip(_MARK).rstrip("\r\n") == delimiter.join(quoted)


def _blank(text: str) -> int:
    """Return the length of the line ends at the start of a text, before any of them a mark."""
    return len(text) - len(text.lstrip("\r\n"))


def _delimiter(text: str) -> str:
    """Return the delimiter of a text that begins with its header."""
    first = {each: _first(text, each) for each in _DELIMITERS}
    found = max(first, key=lambda each: _likelihood(*first[each], each))
    if len(first[found][0]) > 1:
        return found
    for rare in _RARE_DELIMITERS:
        names, *rows = [fields for fields, _ in islice(_records(text, rare), SAMPLE_ROWS) if fields]
        if len(names) > 1 and (not rows or len(rows[0]) == len(names)):
            return rare
    return found


def _first(text: str, delimiter: str) -> tuple[list[str], str]:
    """Return the first record that is not a blank line, with its raw text."""
    return next((found for found in _records(text, delimiter) if found[0]), ([], ""))


def _header(text: str, delimiters: Sequence[str], found: str) -> tuple[int, str]:
    """Return the length of what is above the header, and the delimiter: ``found``, unless the header has another."""
    best, width, usual = (0, found), 0, 0
    if _is_even(text, found):
        return best
    for delimiter in dict.fromkeys((found, *delimiters)):
        records = list(islice(_records(text, delimiter), SAMPLE_ROWS))
        if len(records) < SAMPLE_ROWS and len(text) >= _HEAD_BYTES // 4:
            records = records[:-1] or records  # the text may end inside a record
        rows = [fields for fields, _ in records]
        index = header_index(rows)
        if index == next((place for place, fields in enumerate(rows) if any(fields)), 0):
            if delimiter == found:
                usual = _usual_width(rows[index:])
                if usual and all(len(row) == usual for row in rows[index:] if row):
                    return best  # nearly every file
            continue
        # Where the first line fits the rows below it, another line is the header only if it does not.
        if len(rows[index]) > width and (not usual or len(_first(records[index][1], found)[0]) != usual):
            width = len(rows[index])
            best = sum(len(raw) for _, raw in records[:index]), delimiter
    return best


def _is_even(text: str, delimiter: str) -> bool:
    """Whether all first lines have as many cells, without quotes, and the first line has a text in each."""
    part = text[:_EVEN_CHARACTERS]
    lines = [line for line in part.splitlines() if line]
    counts = {line.count(delimiter) for line in (lines[:-1] if len(text) > len(part) else lines)}
    is_even = len(counts) == 1 and counts != {0} and '"' not in part
    return is_even and not lines[0].startswith("#") and all(map(str.strip, lines[0].split(delimiter)))


def _usual_width(rows: list[list[str]]) -> int:
    """Return the number of fields of the first row if at least half of the others have as many, else 0."""
    counts = [len(row) for row in rows[1:] if row]
    return len(rows[0]) if rows and len(rows[0]) > 1 and 2 * counts.count(len(rows[0])) >= len(counts) else 0


def _line_start(text: str, number: int, name: str) -> int:
    """Return where a line begins. Raise InputError when there is no text in it."""
    lines = list(islice(io.StringIO(text, newline=""), number))
    if len(lines) < number or not lines[-1].strip():
        what = "is blank" if len(lines) == number else f"does not exist: the file has {len(lines)} lines"
        raise InputError(
            f"{name}: line {number}, where [input] header_row says the header is, {what}",
            hint="header_row counts the lines of the file from 1; without it the header is found",
        )
    return sum(map(len, lines[:-1]))


def _is_of_rejects(text: str, delimiter: str | None) -> bool:
    names, _ = _first(text, delimiter or _delimiter(text))
    return bool(added_columns(names))


def _likelihood(fields: list[str], raw: str, delimiter: str) -> tuple[bool, int]:
    """Return a sort key for a candidate delimiter: several fields with valid quotes first, then most fields."""
    return len(fields) > 1 and not _broken_quotes(raw, delimiter), len(fields)


def _column_names(names: list[str], source: str) -> tuple[str, ...]:
    """Return the header cells as column names; empty ones, such as after a trailing delimiter, get a name."""
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


def parse_together(bodies: Sequence[bytes], dialect: Dialect) -> pl.DataFrame | None:
    """Return the rows of several small bodies with one dialect; None when a record is ragged or blank."""
    frame = _parse_plain(b"".join(bodies), dialect)
    return frame if frame is not None and len(frame) == sum(body.count(b"\n") for body in bodies) else None


@dataclass(frozen=True, slots=True)
class _Block:
    """Whole records. ``plain``: polars reads them as RFC 4180 intends."""

    data: bytes
    plain: bool


class _EndlessRecordError(Exception):
    """A record is longer than MAX_RECORD_BYTES."""


def _blocks(stream: Decoded, limit: int, dialect: Dialect) -> Iterator[_Block]:
    """Yield blocks of whole records, about ``limit`` bytes each or less. Raise _EndlessRecordError."""
    rest, delimiter, columns = b"", dialect.delimiter, len(dialect.columns)
    while True:
        # Double the leftover of a long record each time, so that searching for its end stays linear.
        data = stream.read(max(limit, len(rest)))
        block = rest + data
        plain = _is_plain(block, delimiter, whole=not data)
        last_end = _last_record_end if plain else partial(_last_careful_end, delimiter=delimiter)
        cut = last_end(block) if data else len(block)
        if data and cut == 0 and len(block) > MAX_RECORD_BYTES:
            raise _EndlessRecordError
        if cut:
            yield from (_Block(part, plain) for part in parts(block[:cut], columns, last_end))
        if not data:
            return
        rest = block[cut:]


def _last_record_end(block: bytes) -> int:
    """Return the offset after the last line end outside quotes in a plain block, or 0."""
    quotes_before = block.count(b'"')
    end = len(block)
    while (at := block.rfind(b"\n", 0, end)) >= 0:
        quotes_before -= block.count(b'"', at, end)
        if quotes_before % 2 == 0:
            return at + 1
        # Inside quotes: skip back to the opening quote, because no line end in between ends a record.
        opening = block.rfind(b'"', 0, at)
        quotes_before -= block.count(b'"', opening, at)
        end = opening
    return 0


def _last_careful_end(block: bytes, delimiter: str) -> int:
    """Return the offset after the ``csv`` module's second-to-last record, or 0; the last may be incomplete."""
    text = block.decode("utf-8", "surrogateescape")  # the block may end inside a character
    last = before_last = 0
    for _, raw in _records(text, delimiter):
        before_last, last = last, last + len(raw.encode("utf-8", "surrogateescape"))
    return before_last


def _records(text: str, delimiter: str) -> Iterator[tuple[list[str], str]]:
    """Yield each record as the ``csv`` module reads it, with its raw text; a blank line has no fields.

    A byte-order mark before a record is in the raw text only.
    """
    lines: list[str] = []

    def feed() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):  # a line may end with LF, CRLF, or CR alone
            lines.append(line)
            yield line.lstrip(_MARK) if len(lines) == 1 else line

    csv.field_size_limit(2 * MAX_RECORD_BYTES)
    for record in csv.reader(feed(), delimiter=delimiter):
        yield record, "".join(lines)
        lines.clear()


def _broken_quotes(raw: str, delimiter: str) -> str:
    """Return what is wrong with the quotes in a record's raw text, or an empty string.

    The ``csv`` module accepts any text. When a quote is never closed, or closed in the middle of a field, the field
    may contain the rows that follow and must not be sent.
    """
    if '"' not in raw:
        return ""
    lines = list(io.StringIO(raw, newline=""))
    if len(list(csv.reader([*lines, "\n", "next"], delimiter=delimiter))) == 1:
        return _OPEN  # the next line was read as part of this record
    try:
        list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        swallowed = f" ({len(lines)} lines were read as this row)" if len(lines) > 1 else ""
        return f"invalid quotes: text follows a closing quote{swallowed}"
    return ""


def _is_plain(block: bytes, delimiter: str, *, whole: bool) -> bool:
    """Whether each quote opens a field, closes one, or is doubled inside one (RFC 4180), and lines end with LF.

    ``whole``: the block ends with a complete record, so no quote may stay open.
    """
    if block.startswith(codecs.BOM_UTF8) or b"\n" + codecs.BOM_UTF8 in block:
        return False  # a mark at the start of a record is dropped
    lone_returns = 0
    if b"\r" in block:
        lone_returns = block.count(b"\r") - block.count(b"\r\n") - (not whole and block.endswith(b"\r"))
    if b'"' not in block:
        return not lone_returns
    import numpy as np  # here: many files have no quotes

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
    """Whether a CR without LF occurs outside quotes, where the ``csv`` module treats it as a line end."""
    import numpy as np

    returns = np.flatnonzero(data[:-1] == _RETURN)
    lone = returns[data[returns + 1] != _NEWLINE]
    if data[-1] == _RETURN:
        lone = np.append(lone, len(data) - 1)
    return bool((np.searchsorted(quotes, lone) % 2 == 0).any())


def _parse_plain(block: bytes, dialect: Dialect) -> pl.DataFrame | None:
    """Return the block as text columns, or None when a record has more or fewer fields than the header."""
    try:
        frame = pl.read_csv(
            block,
            has_header=False,
            separator=dialect.delimiter,
            schema=dict.fromkeys(dialect.columns, pl.String()),
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None  # a record has more fields than the header
    may_be_blank = all(column.null_count() for column in frame)
    if may_be_blank and frame.select(pl.all_horizontal(pl.all().is_null()).any()).item():
        return None  # only the careful path can tell blank lines from rows of delimiters
    delimiters = block.count(dialect.delimiter.encode())
    has_quotes = b'"' in block
    if has_quotes:
        delimiters -= frame.select(
            pl.sum_horizontal(pl.all().str.count_matches(dialect.delimiter, literal=True)).sum()
        ).item()
    if delimiters != len(frame) * (len(dialect.columns) - 1):
        return None
    return frame.with_columns(pl.all().replace("", None)) if has_quotes else frame


def _lines_of(frame: pl.DataFrame, before: int, count: int) -> pl.Series:
    """Return the line where each row of a plain block of ``count`` lines begins; a quoted cell may have several."""
    if count == len(frame):
        return pl.int_range(before + 1, before + count + 1, dtype=pl.UInt64, eager=True)
    extra = pl.sum_horizontal(pl.all().str.count_matches("\n", literal=True).fill_null(0))
    ends = frame.select(before + (1 + extra).cast(pl.UInt64).cum_sum()).to_series()
    return ends.shift(1, fill_value=before) + 1


def _count_lines(raw: str) -> int:
    return sum(1 for _ in io.StringIO(raw, newline=""))


def _parse_carefully(block: bytes, dialect: Dialect, name: str, position: Position) -> _Parsed:
    """Parse record by record: for blocks with ragged records, blank lines, stray quotes or lone CRs."""
    width = len(dialect.columns)
    columns: list[list[str | None]] = [[] for _ in range(width)]
    faults: dict[int, str] = {}
    raws: dict[int, str] = {}
    index, line = 0, position.line
    lines: list[int] = []
    try:
        for record, raw in _records(block.decode("utf-8"), dialect.delimiter):
            begins, line = line + 1, line + _count_lines(raw)
            if not record:
                continue
            lines.append(begins)
            broken = _broken_quotes(raw.lstrip(_MARK), dialect.delimiter)
            if broken == _OPEN:  # happens only at the end of the file: one cell contains every row after it
                raise InputError(
                    f"{name}: a quote opened in row {position.source_row + index + 1} is never closed (line {begins})",
                    hint="close it, or set the delimiter under [input]; otherwise the rows after it are lost",
                )
            if fault := broken or _raggedness(record, dialect):
                faults[index] = fault
                raws[index] = raw.lstrip(_MARK).rstrip("\r\n")
            for column, cell in zip(columns, record[:width] + [""] * (width - len(record)), strict=True):
                column.append(cell or None)
            index += 1
    except csv.Error as error:
        raise InputError(
            f"{name}, line {line + 1}: {error}",
            hint="look for an unclosed quote, or set the delimiter under [input]",
        ) from None
    schema = dict.fromkeys(dialect.columns, pl.String())
    frame = pl.DataFrame(dict(zip(dialect.columns, columns, strict=True)), schema=schema)
    return frame, faults, raws, pl.Series(lines, dtype=pl.UInt64), line


def _raggedness(record: list[str], dialect: Dialect) -> str:
    """Return why a record does not match the header, or an empty string. Extra empty fields are ignored."""
    width = len(dialect.columns)
    if len(record) > width and any(record[width:]):
        extra = dialect.delimiter.join(record[width:])[:80]
        return f"the row has {len(record)} fields, but the header has {width}; extra: {extra!r}"
    if len(record) >= width:
        return ""
    return f"the row has {len(record)} field{'s' * (len(record) != 1)}, but the header has {width}"
