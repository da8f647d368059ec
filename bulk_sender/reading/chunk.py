"""What a reader hands on: a piece of the input, small enough for memory, with the provenance of each row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import polars as pl

CHUNK_CELLS = 1_000_000
"""A chunk holds about this many cells, so that wide files don't cost more memory than narrow ones."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading goes on: ``file`` (0-based), ``offset`` within it (a reader's own unit), rows read before.

    ``line``: lines of the file read before, where a reader counts them.
    """

    file: int = 0
    offset: int = 0
    source_row: int = 0
    row: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """``frame``: the input's columns; ``faults``: the local index of a malformed row → what is wrong with it.

    Row *i* of the frame is row ``start.row + i + 1`` of the input and ``start.source_row + i + 1`` of ``source``.
    """

    frame: pl.DataFrame
    source: str
    start: Position
    end: Position
    faults: dict[int, str] = field(default_factory=dict)


class Reader(Protocol):
    """Reads one file from any position that an earlier chunk ended at."""

    def schema(self) -> pl.Schema:
        """The file's columns. Raises InputError when there are none."""

    def read(self, start: Position) -> Iterator[Chunk]:
        """The chunks from ``start`` on; InputError when the file is broken beyond its rows."""

    def move_to(self, path: Path) -> None:
        """The file was moved: read it at ``path`` from now on."""

    def guessed_encoding(self) -> str | None:
        """The encoding, where it was told by guessing."""


def chunk_rows(columns: int, *, most: int = 15_000) -> int:
    """Rows in a chunk of a table with ``columns`` columns."""
    return max(50, min(most, CHUNK_CELLS // max(1, columns)))


def chunk_bytes(columns: int, *, most: int) -> int:
    """Bytes of text in a chunk of a table with ``columns`` columns, at 8 bytes a cell and 400 a row."""
    return min(most, chunk_rows(columns) * max(400, 8 * columns))
