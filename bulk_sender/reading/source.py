"""An input of one or more files, read as one stream of chunks with row numbers.

It also identifies the input by digests, so that a resumed run can check that nothing changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.reading.chunk import Chunk, Position
from bulk_sender.reading.excel import ExcelReader
from bulk_sender.reading.formats import InputFile, open_reader
from bulk_sender.reading.locate import Given, locate
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.spool import Spool


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What a run records about a file to open it again; a different ``size`` (bytes) or ``sha256`` is another input."""

    name: str
    size: int
    sha256: str
    format: str = ""
    partitions: dict[str, str | None] = field(default_factory=dict)


class Input:
    """All files of one input, in order. ``read`` streams the rows.

    Opening it reads only heads and schemas; of a workbook the whole sheet, because types follow from its cells.
    """

    def __init__(self, files: Sequence[InputFile], settings: ReadSettings) -> None:
        self.files = tuple(files)
        self.settings = settings
        self._stamps = tuple(FileStamp.of(file.path) for file in self.files)
        self._readers = [open_reader(file, settings) for file in self.files]
        self.schema = self._common_schema()
        self.blank_rows = 0
        """Rows without any value that the latest reading skipped. They are no rows of the input."""

    @classmethod
    def open(cls, inputs: Sequence[Given], settings: ReadSettings, spool: Spool) -> Input:
        """Open the inputs. Raise InputError if one is missing, empty, unreadable, or has different columns.

        ``spool`` stores inputs that cannot be read twice, and must live as long as the source.
        """
        return cls(locate(inputs, settings, spool), settings)

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(file.path for file in self.files)

    @property
    def notes(self) -> list[str]:
        """The guesses made about the files, as sentences for the report of ``check``."""
        return [
            f"{file.name} was read as {encoding}, which is a guess: set [input] encoding if letters look wrong"
            for file, reader in zip(self.files, self._readers, strict=True)
            if (encoding := reader.guessed_encoding())
        ] + [note for reader in self._workbooks for note in reader.notes()]

    def cell_notes(self, used: Collection[str]) -> list[str]:
        """Return what is wrong with cells of the columns in ``used``, as sentences."""
        notes = [
            (file.name, reader.cell_notes(used))
            for file, reader in zip(self.files, self._readers, strict=True)
            if isinstance(reader, ExcelReader)
        ]
        one = len(self.files) == 1
        return [note if one else f"{name}: {note}" for name, found in notes for note in found]

    @property
    def other_sheets(self) -> str:
        """The sheets of workbooks that are not read, with their sizes, as a hint; empty when there are none."""
        found = [reader for reader in self._workbooks if reader.other_sheets]
        return "; ".join(
            f"sheet {reader.sheet!r} of {reader.name} was read, not {reader.other_sheets}: choose with --sheet"
            for reader in found[:3]
        )

    @property
    def chosen_sheet(self) -> tuple[str, str] | None:
        """The sheet of the only workbook, and its other sheets in words; None when there was nothing to choose."""
        found = self._workbooks
        if len(found) != 1 or not found[0].other_sheets:
            return None
        return found[0].sheet, found[0].other_sheets

    @property
    def _workbooks(self) -> list[ExcelReader]:
        return [reader for reader in self._readers if isinstance(reader, ExcelReader)]

    @property
    def guessed_encodings(self) -> list[str]:
        """The guessed encodings, in the order of the files."""
        return [name for reader in self._readers if (name := reader.guessed_encoding())]

    def identify(self) -> tuple[FileIdentity, ...]:
        """Return the size and SHA-256 of each file, reading each once (about 1.5 GB per second)."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            return tuple(pool.map(identify, self.files))

    def moved(self, old: Path, new: Path) -> None:
        """Update the paths of files that were moved from the folder ``old`` to ``new``."""
        for index, file in enumerate(self.files):
            if file.path.parent == old:
                self._readers[index].move_to(new / file.path.name)
                self.files = (
                    *self.files[:index],
                    replace(file, path=new / file.path.name),
                    *self.files[index + 1 :],
                )

    def read(self, start: Position | None = None) -> Iterator[Chunk]:
        """Yield the chunks from ``start`` on, with columns in the order of the first file.

        Raise InputError for a file that is damaged, or that changed since it was opened.
        """
        start = start or Position()
        self.blank_rows = 0
        for index in range(start.file, len(self._readers)):
            position = start if index == start.file else Position(file=index, row=start.row)
            same_schema = self._readers[index].schema() == self.schema
            for chunk in self._without_blank_rows(self._readers[index].read(position)):
                yield chunk if same_schema else replace(chunk, frame=self._with_common_schema(chunk.frame, index))
                start = replace(start, row=chunk.end.row)
            if FileStamp.of(self.files[index].path) != self._stamps[index]:
                raise InputError(
                    f"{self.files[index].name} was changed while it was read: some rows may come from the old version",
                    hint="wait until the file is complete, then start again",
                )

    def is_unchanged(self) -> bool:
        """Whether each file is still the one that was opened, judged by its stamp."""
        return self._stamps == tuple(FileStamp.of(file.path) for file in self.files)

    def head(self, rows: int) -> pl.DataFrame:
        """Return the first ``rows`` valid rows, or all of them if there are fewer."""
        found = pl.DataFrame(schema=self.schema)
        chunks = self.read()
        while len(found) < rows and (chunk := next(chunks, None)) is not None:
            valid = chunk.frame.filter(~pl.int_range(pl.len()).is_in(list(chunk.faults)))
            found = pl.concat([found, valid.head(rows - len(found))])
        return found

    def _without_blank_rows(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Leave out rows without any value, such as ``;;;``, and number the others without gaps."""
        skipped = 0
        for chunk in chunks:
            self.blank_rows += chunk.blank_rows
            start = replace(chunk.start, source_row=chunk.start.source_row - skipped, row=chunk.start.row - skipped)
            blank = _blank(chunk)
            frame, faults = chunk.frame, chunk.faults
            lines = _lines(chunk) if skipped or blank is not None else chunk.lines
            if blank is not None:
                skipped += int(blank.sum())
                self.blank_rows += int(blank.sum())
                moved = (blank.cast(pl.Int64).cum_sum()).to_list() if faults else []
                faults = {index - moved[index]: reason for index, reason in faults.items()}
                frame = frame.filter(~blank)
                lines = lines.filter(~blank) if lines is not None else None
            end = replace(chunk.end, source_row=chunk.end.source_row - skipped, row=chunk.end.row - skipped)
            if len(frame):
                yield Chunk(frame, chunk.source, start, end, faults, lines) if skipped else chunk

    def _with_common_schema(self, frame: pl.DataFrame, index: int) -> pl.DataFrame:
        partitions = self.files[index].partitions.items()
        frame = frame.with_columns(pl.lit(value, dtype=pl.String).alias(name) for name, value in partitions)
        return frame.select(pl.col(name).cast(dtype) for name, dtype in self.schema.items())

    def _common_schema(self) -> pl.Schema:
        first = self._schema(0)
        if not first:
            raise InputError(f"{self.files[0].name} has no columns")
        for index in range(1, len(self.files)):
            self._compare(first, index)
        return first

    def _schema(self, index: int) -> pl.Schema:
        schema = dict(self._readers[index].schema())
        return pl.Schema(schema | dict.fromkeys(self.files[index].partitions, pl.String()))

    def _compare(self, first: pl.Schema, index: int) -> None:
        name, other = self.files[index].name, self._schema(index)
        hint = "files sent together need the same columns; send the others in a separate run"
        if missing := [column for column in first if column not in other]:
            raise InputError(f"{name} has no column {missing[0]!r}, which {self.files[0].name} has", hint=hint)
        if extra := [column for column in other if column not in first]:
            raise InputError(f"{name} has a column {extra[0]!r}, which {self.files[0].name} does not have", hint=hint)
        for column, dtype in first.items():
            if other[column] != dtype and other[column] != pl.Null:
                raise InputError(f"{name}: column {column!r} is {other[column]}, but {dtype} in {self.files[0].name}")


def _blank(chunk: Chunk) -> pl.Series | None:
    """Return which rows have no value in any column; None if there is no such row. A malformed row is not blank."""
    first, *others = chunk.frame.get_columns()
    blank = _is_blank(first)
    if not blank.any():  # the usual case: one look at one column
        return None
    for column in others:
        blank &= _is_blank(column)
    if chunk.faults:
        blank &= ~pl.int_range(len(blank), eager=True).is_in(list(chunk.faults))
    return blank if blank.any() else None


def _is_blank(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        return (column.str.strip_chars().str.len_bytes() == 0).fill_null(True)
    return column.is_null()


def _lines(chunk: Chunk) -> pl.Series:
    """Return where a person finds each row of a chunk."""
    first = chunk.start.source_row + 1
    rows = pl.int_range(first, first + len(chunk.frame), dtype=pl.UInt64, eager=True)
    return rows if chunk.lines is None else chunk.lines


def identify(file: InputFile) -> FileIdentity:
    """Return the size and digest of a file. Raise InputError when it cannot be read."""
    try:
        with file.path.open("rb", buffering=0) as raw:
            size = os.fstat(raw.fileno()).st_size
            digest = hashlib.file_digest(raw, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{file.name} cannot be read: {error.strerror}") from None
    return FileIdentity(file.name, size, digest, file.format, file.partitions)


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells cheaply that a file is still the same. Moving it within its file system changes nothing.

    ``size`` in bytes, ``modified_ns`` since the epoch.
    """

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> FileStamp | None:
        """Return the stamp of the file at ``path``; None when it cannot be read."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
