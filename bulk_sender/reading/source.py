"""An input of one or more files, read as one stream of chunks with row numbers.

It also identifies the input by digests, so that a resumed run can check that nothing changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, cast

import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.reading.added import added_columns, unreadable_column
from bulk_sender.reading.chunk import (
    CHUNK_BYTES,
    Chunk,
    Describing,
    EmptyFileError,
    Headed,
    Noting,
    Position,
    Reader,
    Telling,
    Unit,
    chunk_rows,
)
from bulk_sender.reading.csv import CsvReader
from bulk_sender.reading.formats import InputFile, open_reader
from bulk_sender.reading.identity import FileIdentity, FileStamp, identify
from bulk_sender.reading.layout import Layout, ReadAs
from bulk_sender.reading.locate import Given, locate
from bulk_sender.reading.merge import merged, widened
from bulk_sender.reading.passed_over import NO_ROWS, PassedOver, told
from bulk_sender.reading.polars_errors import reading
from bulk_sender.reading.scan import ScanReader
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.spool import Spool
from bulk_sender.reading.streams import (
    joined,
    numbered,
    repeated_headers,
    with_repeated_headers,
    with_unreadable,
    without_last,
)
from bulk_sender.reading.together import Group, Small, count_rows, read_together, small
from bulk_sender.reading.weight import text_bytes
from bulk_sender.text.numbers import several

if TYPE_CHECKING:
    from bulk_sender.reading.excel import ExcelReader

_MOST_STAMPS = 64
_COLUMNS_AT_ONCE = 64
_CHUNKS_OF_A_HEAD = 8
_APART = (
    "send the others in a separate run: people who are in both get the message twice, unless --exclude names the first"
)


class Input:
    """All files of one input, in order. ``read`` streams the rows.

    Opening it reads only heads and schemas; of a workbook the whole sheet, because types follow from its cells.
    """

    def __init__(
        self,
        files: Sequence[InputFile],
        settings: ReadSettings,
        passed_over: Sequence[PassedOver] = (),
        stamps: Mapping[Path, FileStamp | None] | None = None,
    ) -> None:
        """``stamps``: those of the files when somebody proved what they hold; None to take them now."""
        self.settings = settings
        # Before the first byte is read, so that no part of what is known of a file is older than its stamp.
        stamps = {file.path: FileStamp.calm(file.path) for file in files} if stamps is None else stamps
        self.passed_over = list(passed_over)
        """Files of a folder or a pattern that are not read."""
        readers = [(file, reader) for file in files if (reader := self._opened(file)) is not None]
        if len(readers) > 1:
            count_rows([reader for _, reader in readers])
        opened = [(file, reader) for file, reader in readers if not self._is_passed_over(file, reader)]
        if not opened:
            raise InputError("no file of the input has rows", hint="; ".join(told(self.passed_over)))
        self.files = tuple(file for file, _ in opened)
        self._readers = [reader for _, reader in opened]
        self._stamps = tuple(stamps[file.path] for file in self.files)
        self._read_lately: deque[Sequence[int]] = deque(maxlen=2)
        """The files of the latest chunks."""
        self.unreadable: dict[str, str] = {}
        """Columns whose type cannot be read → that type. They are not in ``schema``, and nothing may use them."""
        for file, reader in opened:
            self.unreadable |= file.unreadable | (reader.unreadable if isinstance(reader, ScanReader) else {})
        columns = (unreadable_column(reader.schema().names()) for reader in self._readers)
        self._rejected_column = next(filter(None, columns), None)
        """The column of unreadable rows if one of the files has it. Other files of rejected rows may lack it."""
        self._looked_at = 0
        self.schema = self._common_schema()
        self.blank_rows = 0
        """Rows without any value that the latest reading skipped. They are no rows of the input."""
        self.last_rows = 0
        """Rows at the ends of the files that the latest reading left out, as ``[input] skip_last`` says."""

    @classmethod
    def open(cls, inputs: Sequence[Given], settings: ReadSettings, spool: Spool) -> Input:
        """Open the inputs. Raise InputError if one is missing, empty, unreadable, or has different columns.

        ``spool`` stores inputs that cannot be read twice, and must live as long as the source.
        """
        files, passed_over = locate(inputs, settings, spool)
        return cls(files, settings, passed_over)

    def _opened(self, file: InputFile) -> Reader | None:
        """Return the reader of a file; None for one without rows that was found in a folder or by a pattern."""
        try:
            return open_reader(file, self.settings)
        except EmptyFileError:
            if not file.is_found:
                raise
        self.passed_over.append(PassedOver(file.name, NO_ROWS))
        return None

    def _is_passed_over(self, file: InputFile, reader: Reader) -> bool:
        is_empty = file.is_found and isinstance(reader, Telling) and reader.has_no_rows()
        if is_empty:
            self.passed_over.append(PassedOver(file.name, NO_ROWS))
        return is_empty

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(file.path for file in self.files)

    @property
    def notes(self) -> list[str]:
        """What was decided about the files without being asked, as sentences for the report of ``check``."""
        found: dict[str, list[str]] = {}
        for file, reader in zip(self.files, self._readers, strict=True):
            if encoding := reader.guessed_encoding():
                text = f" was read as {encoding}, which is a guess: set [input] encoding if letters look wrong"
                found.setdefault(text, []).append(file.name)
            if isinstance(reader, Noting):
                for note in reader.notes():
                    found.setdefault(f": {note}", []).append(file.name)
        notes = [
            f"{names[0]}{text}" + (f" (and so on for {several(len(names) - 1, 'more file')})" if names[1:] else "")
            for text, names in found.items()
        ]
        if self.settings.sheet is not None and not self._workbooks and not added_columns(self.schema.names()):
            notes.append(f"sheet {self.settings.sheet!r} was chosen, but no input is a workbook, so it has no effect")
        return [*notes, *told(self.passed_over)]

    def cell_notes(self, used: Collection[str], typed: Collection[str] = ()) -> list[str]:
        """Return what is wrong with cells of the columns in ``used``, as sentences.

        ``typed``: the columns that have a configured type, whose other cells are rejected.
        """
        notes = [(reader.name, reader.cell_notes(used, typed)) for reader in self._workbooks]
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
    def layout(self) -> Layout | None:
        """How the first file is written; None when it is neither a CSV nor a workbook."""
        first = self._readers[0]
        if self.files[0].format == "excel":
            return Layout(sheet=self._workbooks[0].sheet)
        return first.layout() if isinstance(first, CsvReader) else None

    @property
    def read_as(self) -> ReadAs:
        """How the first file is read, and what of that is a guess."""
        first = self._readers[0]
        return first.read_as() if isinstance(first, Describing) else ReadAs(format=self.files[0].format)

    @property
    def visible_sheets(self) -> tuple[str, ...]:
        """The visible sheets of the only workbook that are not read; none if the input cannot be opened again."""
        found = self._workbooks
        if len(self.files) != 1 or len(found) != 1:
            return ()
        return found[0].visible_sheets

    @property
    def is_typed(self) -> bool:
        """Whether a file is Parquet or Arrow, whose values polars trusts, so that it may panic at damaged ones."""
        return any(isinstance(reader, ScanReader) for reader in self._readers)

    @property
    def _workbooks(self) -> list[ExcelReader]:
        """The readers of workbooks. Their class is known without loading it, because few inputs are workbooks."""
        pairs = zip(self.files, self._readers, strict=True)
        return [cast("ExcelReader", reader) for file, reader in pairs if file.format == "excel"]

    @property
    def guessed_encodings(self) -> list[str]:
        """The guessed encodings, in the order of the files."""
        return [name for reader in self._readers if (name := reader.guessed_encoding())]

    @property
    def found_header(self) -> tuple[int, str] | None:
        """The line of the header, and what to say about it, if all files have it in one line below others."""
        found = {reader.found_header if isinstance(reader, Headed) else None for reader in self._readers}
        return found.pop() if len(found) == 1 else None

    def identify(self, on_bytes: Callable[[int], object] = lambda _: None) -> tuple[FileIdentity, ...]:
        """Return the size and SHA-256 of each file, reading each once (about 1.5 GB per second).

        ``on_bytes`` is called in other threads with the size of each part that was read, and may raise. Raise
        InputError when a file has changed since it was opened: the digest has to be that of the rows.
        """
        with ThreadPoolExecutor(max_workers=2) as pool:
            found = tuple(pool.map(partial(identify, on_bytes=on_bytes), self.files))
        for index in range(len(self.files)):
            self._refuse_changed(index)
        return found

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

    @property
    def stamps(self) -> dict[Path, FileStamp | None]:
        """The stamps of the files when they were opened."""
        return {file.path: stamp for file, stamp in zip(self.files, self._stamps, strict=True)}

    def units(self, size: int, *, most: int = 1000) -> list[Unit]:
        """Divide the input into units of about ``size`` bytes, or larger ones if there were more than ``most``.

        A unit has whole files, or a range of a table's rows.
        """
        sizes = [stamp.size if stamp is not None else 0 for stamp in self._stamps]
        size = max(size, sum(sizes) // most)
        starts, gathered = [Position()], 0
        for index, (reader, found) in enumerate(zip(self._readers, sizes, strict=True)):
            if gathered and gathered + found > size:
                starts.append(Position(index))
                gathered = 0
            gathered += found
            if found > size and isinstance(reader, ScanReader) and not self.settings.skip_last:
                rows = reader.rows_in(size)
                starts += [Position(index, row, row) for row in range(rows, reader.height, rows)]
        return [Unit(start, stop) for start, stop in zip(starts, [*starts[1:], None], strict=True)]

    def read(self, start: Position | None = None, stop: Position | None = None) -> Iterator[Chunk]:
        """Yield the chunks from ``start`` on, up to the end or the start of another unit, ``stop``.

        Columns are in the order of the first file. Raise InputError for a file that is damaged, or that changed since
        it was opened.
        """
        self.blank_rows = self.last_rows = 0
        start = start or Position()
        chunks = self._read(start, stop)
        return numbered(chunks if len(self.files) == 1 else joined(chunks), start.row)

    def _read(self, start: Position, stop: Position | None) -> Iterator[Chunk]:
        """Yield the chunks of all files; their rows are numbered within each file only."""
        waiting = Group(chunk_rows(len(self.schema)))
        for index in range(start.file, len(self._readers) if stop is None else stop.file):
            position = start if index == start.file else Position(file=index)
            partitions = self.files[index].partitions
            file = small(index, self._readers[index], partitions) if self._may_be_joined(index, position) else None
            if waiting.files and not (file and waiting.takes(file)):
                yield from self._together(waiting.files)
                waiting = Group(waiting.most_rows)
            if file is not None:
                waiting.add(file)
            else:
                yield from self._alone(index, position)
        if waiting.files:
            yield from self._together(waiting.files)
        if stop is not None and stop.offset:
            position = start if stop.file == start.file else Position(file=stop.file)
            yield from takewhile(lambda chunk: chunk.start.offset < stop.offset, self._alone(stop.file, position))

    def _may_be_joined(self, index: int, position: Position) -> bool:
        """Whether a file may be read together with others, if it is small."""
        is_plain = not self.settings.skip_last and unreadable_column(self.schema.names()) is None
        is_plain = is_plain and self._schema(index) == self.schema
        return len(self.files) > 1 and position.offset == 0 and is_plain

    def _together(self, files: list[Small]) -> Iterator[Chunk]:
        """Yield the rows of small files, in one chunk if there is nothing to leave out or to reject."""
        chunk = read_together(files) if len(files) > 1 else None
        if chunk is None or _blank(chunk) is not None or repeated_headers(chunk.frame):
            for each in files:
                yield from self._alone(each.file, Position(each.file))
            return
        self._read_lately.append([each.file for each in files])
        for each in files:
            self._refuse_changed(each.file)
        yield chunk

    def _count_last(self, rows: int) -> None:
        self.last_rows += rows

    def _alone(self, index: int, position: Position) -> Iterator[Chunk]:
        for chunk in self._checked(self._readers[index].read(position), index):
            self._read_lately.append([index])
            self._refuse_changed(index)
            yield chunk
        self._refuse_changed(index)

    def _refuse_changed(self, index: int) -> None:
        if FileStamp.of(self.files[index].path) != self._stamps[index]:
            raise InputError(
                f"{self.files[index].name} was changed while it was read: some rows may come from the old version",
                hint="wait until nothing writes to it any more. If rows were sent already, put the old version back, "
                "then resume the run",
            )

    def _checked(self, chunks: Iterator[Chunk], index: int) -> Iterator[Chunk]:
        """Yield the chunks of one file without blank rows and the last rows, with the columns of the first file."""
        chunks = with_unreadable(with_repeated_headers(self._without_blank_rows(chunks)))
        if self.settings.skip_last and not added_columns(self.schema.names()):  # all fixed rows are sent
            chunks = without_last(chunks, self.settings.skip_last, self._count_last)
        same_schema = self._readers[index].schema() == self.schema
        for chunk in chunks:
            yield chunk if same_schema else replace(chunk, frame=self._with_common_schema(chunk.frame, index))

    def is_unchanged(self) -> bool:
        """Whether the files are still those that were opened, judged by their stamps.

        It looks at the files of the latest chunks, whose cells may still be in the file, mapped to memory. Of many
        others it looks at some more with each call; ``read`` looks at each file whenever it has read a part of it.
        """
        count = len(self.files)
        some = range(self._looked_at, self._looked_at + min(count, _MOST_STAMPS))
        self._looked_at = some.stop % count
        looked_at = {at % count for at in some}.union(*self._read_lately)
        return all(FileStamp.of(self.files[at].path) == self._stamps[at] for at in looked_at)

    def refuse_changed(self) -> None:
        """Raise InputError unless ``is_unchanged``."""
        if not self.is_unchanged():
            raise InputError(
                "the input was changed while it was read", hint="put it back as it was, then resume the run"
            )

    def head(self, rows: int) -> pl.DataFrame:
        """Return the first ``rows`` valid rows, fewer of them if they are wide or long, or all if there are fewer."""
        found = pl.DataFrame(schema=self.schema)
        rows = min(rows, _CHUNKS_OF_A_HEAD * chunk_rows(len(self.schema)))
        chunks = self.read()
        while (
            len(found) < rows
            and text_bytes(found) < _CHUNKS_OF_A_HEAD * CHUNK_BYTES
            and (chunk := next(chunks, None)) is not None
        ):
            valid = chunk.frame.filter(~pl.int_range(pl.len()).is_in(list(chunk.faults)))
            found = pl.concat([found, valid.head(rows - len(found))])
        return found

    def _without_blank_rows(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Leave out rows without any value, such as ``;;;``, and number the others without gaps."""
        skipped = 0
        for chunk in chunks:
            self.blank_rows += chunk.blank_rows
            start = replace(chunk.start, source_row=chunk.start.source_row - skipped, row=chunk.start.row - skipped)
            blank = None if self.unreadable else _blank(chunk)  # the value may be in a column that cannot be read
            frame, faults, raws = chunk.frame, chunk.faults, chunk.raws
            lines = chunk.numbered_lines() if skipped or blank is not None else chunk.lines
            if blank is not None:
                skipped += int(blank.sum())
                self.blank_rows += int(blank.sum())
                moved = (blank.cast(pl.Int64).cum_sum()).to_list() if faults else []
                faults = {index - moved[index]: reason for index, reason in faults.items()}
                raws = {index - moved[index]: raw for index, raw in raws.items()}
                frame = frame.filter(~blank)
                lines = lines.filter(~blank) if lines is not None else None
            end = replace(chunk.end, source_row=chunk.end.source_row - skipped, row=chunk.end.row - skipped)
            if len(frame):
                changed = replace(chunk, frame=frame, start=start, end=end, faults=faults, lines=lines, raws=raws)
                yield changed if skipped else chunk

    def _with_common_schema(self, frame: pl.DataFrame, index: int) -> pl.DataFrame:
        partitions = self.files[index].partitions.items()
        frame = frame.with_columns(pl.lit(value, dtype=pl.String).alias(name) for name, value in partitions)
        if (name := self._rejected_column) is not None and name in self.schema and name not in frame.columns:
            frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(name))
        with reading(self.files[index].name, "a part of this input"):
            return frame.select(
                widened(pl.col(name), frame.schema[name], dtype).alias(name) for name, dtype in self.schema.items()
            )

    def _common_schema(self) -> pl.Schema:
        first = self._schema(0)
        if not first:
            raise InputError(f"{self.files[0].name} has no columns")
        common = dict(first)
        origin = dict.fromkeys(first, self.files[0].name)
        for index in range(1, len(self.files)):
            self._merge(common, origin, index)
        return pl.Schema(common)

    def _schema(self, index: int) -> pl.Schema:
        schema = dict(self._readers[index].schema()) | dict.fromkeys(self.files[index].partitions, pl.String())
        names, wanted = list(schema), self._rejected_column
        if wanted is not None and wanted not in schema and (added := added_columns(names)):
            names[-len(added) :] = [wanted, *added]
            schema[wanted] = pl.String()
        return pl.Schema({name: schema[name] for name in names if name not in self.unreadable})

    def _merge(self, common: dict[str, pl.DataType], origin: dict[str, str], index: int) -> None:
        """Widen the types in ``common`` for one more file. ``origin``: the file that gave each column its type."""
        name, other = self.files[index].name, self._schema(index)
        hint = f"files sent together need the same columns; {_APART}"
        if missing := [column for column in common if column not in other]:
            raise InputError(f"{name} has no column {missing[0]!r}, which {self.files[0].name} has", hint=hint)
        if extra := [column for column in other if column not in common]:
            raise InputError(f"{name} has a column {extra[0]!r}, which {self.files[0].name} does not have", hint=hint)
        for column, dtype in common.items():
            both = merged(dtype, other[column]) or self._text(column, index)
            if both is None:
                raise InputError(
                    f"{name}: column {column!r} is {other[column]}, but {dtype} in {origin[column]}",
                    hint=f"store it with one type in all files, or {_APART}",
                )
            if both != dtype:
                common[column], origin[column] = both, name

    def _text(self, column: str, index: int) -> pl.DataType | None:
        """Read a column of the files up to ``index`` as text, as a workbook's cells look; None if it has other types.

        It is what a reader of one workbook does with a column of several kinds.
        """
        formats = [file.format for file in self.files[: index + 1]]
        workbooks = self._workbooks[: formats.count("excel")]
        others = {self._schema(at)[column] for at, format_ in enumerate(formats) if format_ != "excel"}
        if not workbooks or not others <= {pl.String()}:
            return None
        for reader in workbooks:
            reader.read_as_text(column)
        return pl.String()


def _blank(chunk: Chunk) -> pl.Series | None:
    """Return which rows have no value in any column; None if there is no such row. A malformed row is not blank."""
    first, *others = chunk.frame.schema.items()
    found = chunk.frame.select(_is_blank(*first)).to_series().arg_true()
    while len(found) and others:  # usually no row has a blank first column
        looked_at = pl.all_horizontal(_is_blank(name, dtype) for name, dtype in others[:_COLUMNS_AT_ONCE])
        found = found.filter(chunk.frame[found].select(looked_at).to_series())
        others = others[_COLUMNS_AT_ONCE:]
    if found.is_empty():
        return None
    blank = pl.int_range(len(chunk.frame), eager=True).is_in(found.to_list())
    if chunk.faults:
        blank &= ~pl.int_range(len(blank), eager=True).is_in(list(chunk.faults))
    return blank if blank.any() else None


def _is_blank(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype == pl.String:
        return (column.str.strip_chars().str.len_bytes() == 0).fill_null(True)
    return column.is_null()
