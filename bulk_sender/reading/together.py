"""Small files of one kind, read with a single call, because a call costs more than their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

import polars as pl

from bulk_sender.reading.chunk import Chunk, Position, Reader
from bulk_sender.reading.csv import CsvReader, parse_together
from bulk_sender.reading.polars_errors import PARQUET, TROUBLE
from bulk_sender.reading.scan import ScanReader

_SMALL_ROWS = 5_000
_PATH = "\x00path"


@dataclass(frozen=True, slots=True)
class Small:
    """A small file: its place in the input, its rows, and for a CSV their bytes."""

    file: int
    reader: CsvReader | ScanReader
    rows: int
    body: bytes = b""

    @property
    def name(self) -> str:
        return self.reader.source.name if isinstance(self.reader, CsvReader) else self.reader.name

    def goes_with(self, other: Small) -> bool:
        """Whether both can be read in one call."""
        mine, its = self.reader, other.reader
        if isinstance(mine, CsvReader) and isinstance(its, CsvReader):
            return (mine.dialect.delimiter, mine.dialect.columns) == (its.dialect.delimiter, its.dialect.columns)
        is_parquet = isinstance(mine, ScanReader) and isinstance(its, ScanReader) and mine.kind == its.kind == "Parquet"
        return is_parquet and mine.schema() == its.schema()


def small(file: int, reader: Reader) -> Small | None:
    """Return a file that may be read together with others; None if it must be read alone."""
    if isinstance(reader, CsvReader):
        body = reader.small_body()
        return None if body is None else Small(file, reader, body.count(b"\n"), body)
    if _is_plain_parquet(reader) and 0 < reader.height <= _SMALL_ROWS:
        return Small(file, reader, reader.height)
    return None


def _is_plain_parquet(reader: Reader) -> TypeGuard[ScanReader]:
    """Whether polars may read a file as it is, without leaving out or changing columns."""
    return isinstance(reader, ScanReader) and reader.kind == PARQUET and reader.is_as_stored


def count_rows(readers: Sequence[Reader]) -> None:
    """Count the rows of many Parquet files with one query for each schema, for their readers to know."""
    alike: dict[tuple[object, ...], list[ScanReader]] = {}
    for reader in readers:
        if _is_plain_parquet(reader):
            alike.setdefault(tuple(reader.schema().items()), []).append(reader)
    for group in alike.values():
        by_path = {str(reader.path): reader for reader in group}
        scan = pl.scan_parquet(list(by_path), glob=False, hive_partitioning=False, include_file_paths=_PATH)
        try:
            counts = dict(scan.group_by(_PATH).len().collect().iter_rows())
        except TROUBLE:
            continue  # opened one by one, the damaged one is named
        if set(counts) <= set(by_path):
            for path, reader in by_path.items():
                reader.height = counts.get(path, 0)


def read_together(files: list[Small]) -> Chunk | None:
    """Return all rows of files that go together; None when they have to be read one by one."""
    first, last = files[0], files[-1]
    if isinstance(first.reader, CsvReader):
        frame = parse_together([each.body for each in files], first.reader.dialect)
    else:
        frame = _scanned([each.reader.path for each in files if isinstance(each.reader, ScanReader)])
    if frame is None or len(frame) != sum(each.rows for each in files):
        return None
    rows = [each.rows for each in files]
    numbers = pl.concat([pl.int_range(1, each.rows + 1, dtype=pl.UInt64, eager=True) for each in files])
    sources = pl.Series([each.name for each in files]).gather(_repeated(rows))
    above = pl.Series([_lines_above(each.reader) for each in files], dtype=pl.UInt64).gather(_repeated(rows))
    return Chunk(
        frame,
        first.name,
        Position(first.file),
        Position(last.file, _end(last), last.rows, len(frame)),
        {},
        numbers + above,
        origin=pl.DataFrame({"source": sources, "source_row": numbers}),
    )


def _scanned(paths: list[object]) -> pl.DataFrame | None:
    try:
        return pl.scan_parquet(paths, glob=False, hive_partitioning=False).collect()  # type: ignore[arg-type]
    except TROUBLE:
        return None  # read one by one, the damaged one is named


def _repeated(rows: list[int]) -> pl.Series:
    """Return each file's place as often as it has rows."""
    return pl.select(pl.int_range(len(rows)).repeat_by(pl.lit(pl.Series(rows))).explode()).to_series()


def _lines_above(reader: CsvReader | ScanReader) -> int:
    return reader.dialect.lines if isinstance(reader, CsvReader) else 0


def _end(file: Small) -> int:
    """Return the offset of the end of a file, in its reader's unit."""
    return file.reader.dialect.body + len(file.body) if isinstance(file.reader, CsvReader) else file.rows
