"""Chunks of input rows: what every reader yields.

A chunk fits in memory, and knows the file and row number of each of its rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import polars as pl

CHUNK_CELLS = 1_000_000
"""Approximate cells per chunk, so that wide files use no more memory than narrow ones."""


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
    blank_rows: int = 0
    """Rows without any value that the reader itself left out before and among these."""


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


def chunk_rows(columns: int, *, most: int = 15_000) -> int:
    """Return the number of rows per chunk for a table with ``columns`` columns."""
    return max(50, min(most, CHUNK_CELLS // max(1, columns)))


def chunk_bytes(columns: int, *, most: int) -> int:
    """Return the bytes of text per chunk for ``columns`` columns, at 8 bytes per cell and 400 per row."""
    return min(most, chunk_rows(columns) * max(400, 8 * columns))
