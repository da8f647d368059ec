"""Reader for Parquet and Arrow IPC files, in slices of a lazy scan that keep memory flat.

A slice reads only the row groups it touches. Measured on 10 million rows, slices used 100 MB, and batches collected
from one query 1,200 MB. An Arrow stream has no index of its batches, so it is held in memory as a whole.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.reading.arrow_buffers import buffers
from bulk_sender.reading.arrow_stream import ReadableStream
from bulk_sender.reading.chunk import CHUNK_BYTES, Chunk, Position, chunk_rows
from bulk_sender.reading.compression import UNREADABLE, refuse_bomb
from bulk_sender.reading.parquet_pages import pages, row_bytes
from bulk_sender.reading.polars_errors import ARROW, PARQUET, UnknownTypeError, broken, is_panic, reading
from bulk_sender.reading.types import as_plain, needs_care, unreadable
from bulk_sender.reading.weight import pieces

_TOLERANT = ("POLARS_IMPORT_INTERVAL_AS_STRUCT", "POLARS_IGNORE_TIMEZONE_PARSE_ERROR")
"""Settings without which polars panics at the schema of a file, even if nobody needs the column."""

_CONTINUED = b"\xff\xff\xff\xff"
"""What precedes the size of each message of an Arrow stream."""

_NARROW_ROWS, _CHUNKS_AT_ONCE, _SLICE_BYTES = 15_000, 4, 4 * CHUNK_BYTES


class Readable(NamedTuple):
    """The columns of a table that can be read, and the types of the others by name."""

    frame: pl.LazyFrame
    others: dict[str, str]
    is_as_stored: bool = False
    """Whether a scan of the file by polars has just these columns, with these types."""


Scan = Callable[[Path], Readable]


class ScanReader:
    """A reader of one file that ``scan`` reads lazily. ``kind`` names the format in messages."""

    def __init__(self, path: Path, scan: Scan, *, name: str, kind: str) -> None:
        self.name, self.kind = name, kind
        self._scan = scan
        self.move_to(path)
        with reading(name, kind):
            self._schema = self._lazy.collect_schema()

    def schema(self) -> pl.Schema:
        return self._schema

    def move_to(self, path: Path) -> None:
        self.path = path
        try:
            with reading(self.name, self.kind):
                found = self._scan(path)
        except UnknownTypeError:
            found = self._without_unknown_types(path)
        self._lazy, self.unreadable, self.is_as_stored = found

    def _without_unknown_types(self, path: Path) -> Readable:
        """Return the columns of a file whose types polars has, and the types of the others by name.

        pyarrow has to be installed to read such a file. The columns are copied to a private temporary folder.
        """
        arrow = _module("pyarrow", self.name)
        tolerate_types()
        try:
            # Deleted with this reader. After a failure, polars may still write to it for a moment.
            self._folder = tempfile.TemporaryDirectory(prefix="bulk-sender-", ignore_cleanup_errors=True)
            copy = Path(self._folder.name) / "table.arrow"
            with arrow.memory_map(str(path)) as file, reading(self.name, self.kind):
                stream = ReadableStream(_batches(arrow, file, self.kind), self.name)
                found = readable(lambda: pl.scan_arrow_c_stream(stream))
                found.frame.sink_ipc(copy, maintain_order=True)
        except (arrow.ArrowException, OSError) as error:
            raise broken(self.name, self.kind, error) from None
        with reading(self.name, self.kind):
            return Readable(scan_arrow(copy).frame, found.others | stream.unreadable)

    def guessed_encoding(self) -> str | None:
        return None

    def has_no_rows(self) -> bool:
        return not self.height

    @cached_property
    def height(self) -> int:
        """The number of rows."""
        with reading(self.name, self.kind):
            return int(self._lazy.select(pl.len()).collect().item())

    def read(self, start: Position) -> Iterator[Chunk]:
        rows = self._slice_rows()
        first = start.offset - start.offset % rows  # so that the chunks do not depend on where reading begins
        position = start
        while True:
            with reading(self.name, self.kind):
                frame = self._lazy.slice(first, rows).collect()
            for _, piece in pieces(frame, self.name, first, begin=max(0, start.offset - first)):
                end = Position(
                    position.file,
                    position.offset + len(piece),
                    position.source_row + len(piece),
                    position.row + len(piece),
                )
                yield Chunk(piece, self.name, position, end, unit="row")
                position = end
            if len(frame) < rows:  # the end: another slice would only open the file again
                return
            first += rows

    def rows_in(self, size: int) -> int:
        """Return how many rows take about ``size`` bytes of the file, as a number at which chunks begin."""
        rows = self._slice_rows()
        each = max(1, self.path.stat().st_size // max(1, self.height))
        return rows * max(1, size // (rows * each))

    def _slice_rows(self) -> int:
        """Return how many rows to read at once: several chunks of wide rows, because a slice costs by its columns."""
        rows = chunk_rows(len(self._schema))
        rows = max(rows, min(_NARROW_ROWS, _CHUNKS_AT_ONCE * rows))
        return max(1, min(rows, _SLICE_BYTES // max(1, self.row_bytes)))

    @cached_property
    def row_bytes(self) -> int:
        """The bytes that a row unpacks to where rows are longest, if a slice unpacks no more than its rows; else 0."""
        with suppress(*UNREADABLE), self.path.open("rb") as file:
            return row_bytes(file, self.path.stat().st_size) if self.kind == PARQUET else 0
        return 0


def readable(scan: Callable[[], pl.LazyFrame]) -> Readable:
    """Return the columns that can be read, and the types of the others by name.

    polars must not touch the others at all: it panics at some of them.
    """
    try:
        frame = scan()
        schema = frame.collect_schema()
    except BaseException as error:
        if not is_panic(error) or not any(name in str(error) for name in _TOLERANT):
            raise
        tolerate_types()
        frame = scan()
        schema = frame.collect_schema()
    others = {name: kind for name, dtype in schema.items() if (kind := unreadable(dtype))}
    kept = {name: dtype for name, dtype in schema.items() if name not in others}
    if others or any(needs_care(dtype) for dtype in kept.values()):
        frame = frame.select(as_plain(pl.col(name), dtype).alias(name) for name, dtype in kept.items())
        return Readable(frame, others)
    return Readable(frame, others, is_as_stored=True)


def tolerate_types() -> None:
    """Set what polars needs, for the whole process, to name columns at whose types it would panic."""
    if any(os.environ.get(name) != "1" for name in _TOLERANT):
        pl.Config.load(json.dumps({"environment": dict.fromkeys(_TOLERANT, "1")}))


def _module(name: str, of: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise InputError(
            f"{of} has a column of a type that cannot be read: a union, a list view, or one with run-end encoding",
            hint="pip install pyarrow, which is needed to leave it out; or convert it where the file is written",
        ) from None


def _batches(arrow: Any, file: Any, kind: str) -> Any:
    """Return the rows of a file as a stream of pyarrow."""

    def checked(batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            batch.validate(full=True)  # polars trusts a stream, and would crash at damaged values
            yield batch

    if kind == PARQUET:
        table = import_module("pyarrow.parquet").ParquetFile(file)
        return arrow.RecordBatchReader.from_batches(table.schema_arrow, checked(table.iter_batches()))
    is_file = file.read(6) == b"ARROW1"
    file.seek(0)
    if is_file:
        found = arrow.ipc.open_file(file)
        batches: Iterable[Any] = map(found.get_batch, range(found.num_record_batches))
    else:
        batches = found = arrow.ipc.open_stream(file)
    return arrow.RecordBatchReader.from_batches(found.schema, checked(batches))


def scan_parquet(path: Path) -> Readable:
    is_sound = refuse_bomb(path, path.name, pages)
    return _known(is_sound, path, PARQUET, lambda: pl.scan_parquet(path, glob=False, hive_partitioning=False))


def _known(is_sound: bool, path: Path, kind: str, scan: Callable[[], pl.LazyFrame]) -> Readable:
    """Return the columns of a file of whose parts the sizes are known. Raise InputError if they are not.

    polars may read parts that are not where they should be, and reserve all memory for one.
    """
    try:
        found = readable(scan)
    except BaseException as error:
        if is_sound or not is_panic(error):
            raise
    else:
        if is_sound:
            return found
    raise InputError(
        f"{path.name} cannot be read as {kind}: its internal structure is damaged",
        hint="check that the file is complete and that its name matches its format",
    )


def scan_arrow(path: Path) -> Readable:
    """Scan an Arrow IPC file, or a stream, which has no magic bytes at its start."""
    is_sound = refuse_bomb(path, path.name, buffers)
    with path.open("rb") as file:
        if file.read(6) == b"ARROW1":
            return _known(is_sound, path, ARROW, lambda: pl.scan_ipc(path, glob=False, hive_partitioning=False))
    # polars crashes at the values of some columns that cannot be read, so only their types may be looked at.
    known = _known(is_sound, path, ARROW, lambda: pl.read_ipc_stream(_first_message(path)).lazy())
    if not known.others:
        return readable(lambda: pl.read_ipc_stream(path).lazy())._replace(is_as_stored=False)
    if not (columns := known.frame.collect_schema().names()):
        return known
    found = readable(lambda: pl.read_ipc_stream(path, columns=columns).lazy())
    return Readable(found.frame, known.others)


def _first_message(path: Path) -> io.BytesIO:
    """Return the first message of a stream, which has the types of its columns, as a stream without rows."""
    with path.open("rb") as file:
        prefix = file.read(8)
        size = int.from_bytes(prefix[4:], "little")
        message = prefix + file.read(min(size, path.stat().st_size))
    return io.BytesIO(message + _CONTINUED + bytes(4))
