"""Chunks of input rows: what every reader yields.

A chunk fits in memory, and knows the file and row number of each of its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.reading.layout import ReadAs

CHUNK_CELLS = 200_000
CHUNK_BYTES = 2 << 20
"""About the most cells and bytes of text in a chunk, so that wide or long rows use no more memory than others."""

_WIDE, _MOST_BLOCKS = 128, 2


@dataclass(frozen=True, slots=True)
class Position:
    """A point to resume reading from: ``file`` (0-based), ``offset`` in it (in the reader's unit), rows read so far.

    ``line``: lines of the file read so far, if the reader counts them, else 0.
    """

    file: int = 0
    offset: int = 0
    source_row: int = 0
    row: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch of the input that can be read alone: from ``start`` up to ``stop``, None for the end of the input.

    Its rows are numbered from 1, because only reading tells how many come before it.
    """

    start: Position
    stop: Position | None

    @property
    def is_within_file(self) -> bool:
        """Whether it ends before the file in which it ends."""
        return self.stop is not None and self.stop.offset > 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of the input. ``faults`` maps a malformed row's index in ``frame`` to the reason.

    Row *i* of the frame is row ``start.row + i + 1`` of the input and ``start.source_row + i + 1`` of ``source``.
    ``lines``: for each row the line of the file, or the row of the sheet, where a person finds it, from 1; None where
    that is its number in ``source``.
    """

    frame: pl.DataFrame
    source: str
    start: Position
    end: Position
    faults: dict[int, str] = field(default_factory=dict)
    lines: pl.Series | None = None
    unit: str = "line"
    """What ``lines`` counts: the lines of a text, or the rows of a sheet."""
    blank_rows: int = 0
    """Rows without any value that the reader itself left out before and among these."""
    raws: dict[int, str] = field(default_factory=dict)
    """The text of malformed rows as it is in the file, by their index in ``frame``."""
    origin: pl.DataFrame | None = None
    """For rows of several files, the columns ``source`` and ``source_row`` of each; None where ``start`` tells them."""

    def place(self, index: int) -> tuple[str, int]:
        """Return the file of a row of the frame, and its number in it."""
        if self.origin is None:
            return self.source, self.start.source_row + index + 1
        source, row = self.origin.row(index)
        return source, row

    def origins(self) -> pl.DataFrame:
        """Return the file of each row, and its number in it."""
        if self.origin is not None:
            return self.origin
        return pl.select(source=pl.repeat(self.source, len(self.frame)), source_row=self._numbers())

    def fault(self, index: int) -> str:
        """Return what is wrong with a malformed row, after its file and where a person finds it there."""
        source, row = self.place(index)
        text = self.faults[index]
        if text.startswith("line "):
            return f"{source}, {text}"
        return (
            f"{source}, row {row}: {text}"
            if self.lines is None
            else f"{source}, {self.unit} {self.lines[index]}: {text}"
        )

    def numbered_lines(self) -> pl.Series:
        """Return where a person finds each row."""
        return self._numbers() if self.lines is None else self.lines

    def _numbers(self) -> pl.Series:
        first = self.start.source_row + 1
        return pl.int_range(first, first + len(self.frame), dtype=pl.UInt64, eager=True)

    @property
    def where(self) -> str:
        """The rows of this chunk, for messages."""
        (first, start), (last, end) = self.place(0), self.place(len(self.frame) - 1)
        return f"rows {start} to {end}" if first == last else f"row {start} to row {end} of {last}"


class EmptyFileError(InputError):
    """A file has no header and no row."""


class Reader(Protocol):
    """Reads one file, starting at the end of any earlier chunk."""

    def schema(self) -> pl.Schema:
        """Return the file's columns. Raise InputError when there are none."""

    def read(self, start: Position) -> Iterator[Chunk]:
        """Yield the chunks from ``start`` on. Raise InputError when the file itself is damaged, not just a row."""

    def move_to(self, path: Path) -> None:
        """Read the file at ``path`` from now on, because it was moved there."""

    def guessed_encoding(self) -> str | None:
        """Return the encoding if it was guessed, else None."""


@runtime_checkable
class Noting(Protocol):
    """A reader that says what it decided about its file."""

    def notes(self) -> list[str]:
        """Return each decision as the end of a sentence that begins with the file's name and a colon."""


@runtime_checkable
class Telling(Protocol):
    """A reader that knows without reading whether its file has rows."""

    def has_no_rows(self) -> bool: ...


@runtime_checkable
class Describing(Protocol):
    """A reader that says how it reads its file."""

    def read_as(self) -> ReadAs: ...


@runtime_checkable
class Headed(Protocol):
    """A reader that looks for the header of its file."""

    @property
    def found_header(self) -> tuple[int, str] | None:
        """The line of the header, and what to say about it, if it is below others."""


def chunk_rows(columns: int, *, most: int = 15_000) -> int:
    """Return the number of rows per chunk for a table with ``columns`` columns."""
    return max(50, min(most, CHUNK_CELLS // max(1, columns)))


def chunk_bytes(columns: int, *, usual: int) -> int:
    """Return the bytes of text per chunk: more for wide rows, because what a chunk costs grows with its columns."""
    return usual * min(_MOST_BLOCKS, 1 + columns // _WIDE)


def parts(text: bytes, columns: int, last_end: Callable[[bytes], int]) -> Iterator[bytes]:
    """Yield a text of whole records in parts of about ``CHUNK_CELLS`` cells, because an empty cell takes no text.

    ``last_end`` returns the offset after the last whole record of a text, 0 if it has none.
    """
    size = len(text) // (1 + text.count(b"\n") * columns // CHUNK_CELLS) + 1
    while len(text) > size:
        cut = last_end(text[:size])
        if not cut:
            size *= 2  # a long record
            continue
        yield text[:cut]
        text = text[cut:]
    yield text
