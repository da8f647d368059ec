"""Reading inputs in tests: files written with plain means, and all of a reader's chunks as plain Python."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from bulk_sender.config.model import Config
from bulk_sender.planning.batches import Planned
from bulk_sender.planning.plan import plan
from bulk_sender.reading.chunk import Chunk, Position
from bulk_sender.reading.csv import CsvReader
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from bulk_sender.reading.text_bytes import ByteSource
from bulk_sender.recipients.mapping import resolve

Cells = tuple[str | None, ...]


@dataclass(frozen=True)
class Read:
    """What a reader made of a file: its columns, the rows in order, and the faults by row from 1."""

    columns: list[str]
    rows: list[Cells]
    faults: dict[int, str]
    chunks: list[Chunk]


def reader(path: Path, content: bytes | str, **options: Any) -> CsvReader:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return CsvReader(ByteSource(path, name=path.name), **options)


def read(csv_reader: CsvReader, start: Position | None = None) -> Read:
    """All chunks from ``start`` on; asserts that they follow each other without a gap."""
    start = start or Position()
    found = Read(csv_reader.schema().names(), [], {}, [])
    before = start
    for chunk in csv_reader.read(start):
        assert (chunk.start.row, chunk.start.source_row) == (before.row, before.source_row)
        assert chunk.end.row == chunk.start.row + len(chunk.frame)
        assert chunk.end.source_row == chunk.start.source_row + len(chunk.frame)
        found.faults.update({chunk.start.row + index + 1: text for index, text in chunk.faults.items()})
        found.rows.extend(chunk.frame.rows())
        found.chunks.append(chunk)
        before = chunk.end
    return found


def by_the_csv_module(text: str, delimiter: str = ",") -> tuple[list[str], list[Cells]]:
    """The header and the rows as Python's csv module reads them; empty cells as None, blank lines left out."""
    header, *rows = [record for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if record]
    return header, [tuple(cell or None for cell in row) for row in rows]


def written(rows: Sequence[Sequence[str]], **dialect: Any) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, **dialect).writerows(rows)
    return buffer.getvalue()


def planned(
    paths: Path | Sequence[Path], config: Config | None = None, *, head_bytes: int = 100, **where: Any
) -> Iterator[Planned]:
    """The plan of files, as a run makes it."""
    config = config or Config()
    source = Input.open([paths] if isinstance(paths, Path) else list(paths), ReadSettings.of(config.input), Spool())
    return plan(source, resolve(source.schema, config), config, head_bytes=head_bytes, **where)


def rows_of(pieces: Iterator[Planned] | list[Planned]) -> pl.DataFrame:
    """The rows of a plan as one frame."""
    return pl.concat([piece.rows for piece in pieces])
