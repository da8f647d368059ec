"""Small files of one kind, read with a single call, because a call costs more than their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

import polars as pl

from bulk_sender.reading.chunk import CHUNK_BYTES, Chunk, Position, Reader
from bulk_sender.reading.csv import CsvReader, parse_together
from bulk_sender.reading.ndjson import NdjsonReader
from bulk_sender.reading.polars_errors import ARROW, PARQUET, TROUBLE
from bulk_sender.reading.scan import ScanReader
from bulk_sender.reading.text_bytes import SMALL_BYTES
from bulk_sender.reading.weight import is_heavy

_SMALL_ROWS = 5_000
_PATH = "\x00path"
_SCANS: dict[str, Callable[..., pl.LazyFrame]] = {PARQUET: pl.scan_parquet, ARROW: pl.scan_ipc}


@dataclass(frozen=True, slots=True)
class Small:
    """A small file: its place in the input, its rows, its unpacked bytes, its partition values, and a text itself."""

    file: int
    reader: CsvReader | NdjsonReader | ScanReader
    rows: int
    size: int
    partitions: Mapping[str, str | None]
    body: bytes = b""

    @property
    def name(self) -> str:
        return self.reader.name if isinstance(self.reader, ScanReader) else self.reader.source.name

    def goes_with(self, other: Small) -> bool:
        """Whether both can be read in one call."""
        match self.reader, other.reader:
            case CsvReader(dialect=mine), CsvReader(dialect=its):
                return (mine.delimiter, mine.columns) == (its.delimiter, its.columns)
            case NdjsonReader() as mine, NdjsonReader() as its:
                return mine.goes_with(its)
            case ScanReader(kind=kind) as mine, ScanReader(kind=other_kind) as its:
                return kind == other_kind and mine.schema() == its.schema()
        return False


def small(file: int, reader: Reader, partitions: Mapping[str, str | None]) -> Small | None:
    """Return a file that may be read together with others; None if it must be read alone."""
    if isinstance(reader, CsvReader | NdjsonReader):
        body = reader.small_body()
        return None if body is None else Small(file, reader, body.count(b"\n"), len(body), partitions, body)
    if not _is_scannable(reader) or not 0 < reader.height <= _SMALL_ROWS:
        return None
    try:
        size = reader.path.stat().st_size
    except OSError:
        return None  # read alone, it is named
    if size >= SMALL_BYTES:
        return None
    return Small(file, reader, reader.height, max(size, reader.height * reader.row_bytes), partitions)


@dataclass(slots=True)
class Group:
    """Small files that are read in one call, up to ``most_rows`` rows and the bytes of a chunk."""

    most_rows: int
    files: list[Small] = field(default_factory=list)
    rows: int = 0
    size: int = 0

    def takes(self, file: Small) -> bool:
        """Whether one more file may be read in the same call."""
        fits = self.rows + file.rows <= self.most_rows and self.size + file.size <= CHUNK_BYTES
        return fits and file.goes_with(self.files[0])

    def add(self, file: Small) -> None:
        self.files.append(file)
        self.rows += file.rows
        self.size += file.size


def _is_scannable(reader: Reader) -> TypeGuard[ScanReader]:
    """Whether polars may scan a file as it is, without leaving out or changing columns."""
    return isinstance(reader, ScanReader) and reader.kind in _SCANS and reader.is_as_stored


def count_rows(readers: Sequence[Reader]) -> None:
    """Count the rows of many files with one query for each schema, for their readers to know."""
    alike: dict[tuple[object, ...], list[ScanReader]] = {}
    for reader in readers:
        if _is_scannable(reader):
            alike.setdefault((reader.kind, *reader.schema().items()), []).append(reader)
    for group in alike.values():
        by_path = {str(reader.path): reader for reader in group}
        scan = _scan(group, include_file_paths=_PATH)
        try:
            counts = dict(scan.group_by(_PATH).len().collect().iter_rows())
        except TROUBLE:
            continue  # opened one by one, the damaged one is named
        if set(counts) <= set(by_path):
            for path, reader in by_path.items():
                reader.height = counts.get(path, 0)


def _scan(readers: Sequence[ScanReader], include_file_paths: str | None = None) -> pl.LazyFrame:
    scan = _SCANS[readers[0].kind]
    paths = [reader.path for reader in readers]
    return scan(paths, glob=False, hive_partitioning=False, include_file_paths=include_file_paths)


def read_together(files: list[Small]) -> Chunk | None:
    """Return all rows of files that go together; None when they have to be read one by one."""
    first, last = files[0], files[-1]
    frame = _frame(files)
    if frame is None or len(frame) != sum(each.rows for each in files) or is_heavy(frame):
        return None
    rows = [each.rows for each in files]
    numbers = pl.concat([pl.int_range(1, each.rows + 1, dtype=pl.UInt64, eager=True) for each in files])
    in_each_row = _repeated(rows)
    sources = pl.Series([each.name for each in files]).gather(in_each_row)
    above = pl.Series([_lines_above(each.reader) for each in files], dtype=pl.UInt64).gather(in_each_row)
    partitions = [
        pl.Series(name, [each.partitions[name] for each in files], dtype=pl.String).gather(in_each_row)
        for name in first.partitions
    ]
    return Chunk(
        frame.with_columns(partitions),
        first.name,
        Position(first.file),
        Position(last.file, _end(last), last.rows, len(frame)),
        {},
        numbers + above,
        origin=pl.DataFrame({"source": sources, "source_row": numbers}),
    )


def _frame(files: list[Small]) -> pl.DataFrame | None:
    """Return the rows of the files without their partitions; None when a file has to be looked at alone."""
    match files[0].reader:
        case CsvReader(dialect=dialect):
            return parse_together([each.body for each in files], dialect)
        case NdjsonReader() as reader:
            return reader.read_together([each.body for each in files])
    try:
        return _scan([each.reader for each in files if isinstance(each.reader, ScanReader)]).collect()
    except TROUBLE:
        return None  # read one by one, the damaged one is named


def _repeated(rows: list[int]) -> pl.Series:
    """Return each file's place as often as it has rows."""
    return pl.select(pl.int_range(len(rows)).repeat_by(pl.lit(pl.Series(rows))).explode()).to_series()


def _lines_above(reader: Reader) -> int:
    return reader.dialect.lines if isinstance(reader, CsvReader) else 0


def _end(file: Small) -> int:
    """Return the offset of the end of a file, in its reader's unit."""
    match file.reader:
        case CsvReader(dialect=dialect):
            return dialect.body + len(file.body)
        case NdjsonReader():
            return len(file.body)
    return file.rows
