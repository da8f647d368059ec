"""Excel reader (.xlsx, .xlsm) based on fastexcel: one sheet, held in memory, at most 1,048,576 rows.

Excel has only numbers, text, booleans and datetimes. Numbers that are all whole become integers, and datetimes that
are all midnight become dates. Text stays text, so leading zeros in a text cell survive. An error cell (#N/A) is empty.
"""

from __future__ import annotations

import logging
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.reading.chunk import Chunk, Position, chunk_rows
from bulk_sender.reading.compression import DAMAGED, UNSUPPORTED
from bulk_sender.reading.polars_errors import broken, reading

MAX_UNPACKED_BYTES = 2 << 30
MAX_CELLS = 60_000_000
"""Most cells in the rectangle around a sheet's content, which is held in memory at about 32 bytes per cell."""

_STEP = 8 << 20
_CELL_COLUMN = re.compile(rb'\br="([A-Z]{1,3})[0-9]')
_CELL_ROW = re.compile(rb'\br="[A-Z]{0,3}([0-9]{1,9})"')
_TAIL = 64
_UNNAMED = re.compile(r"__UNNAMED__(\d+)")
_RENAMED = re.compile(r"(.+)_\d+", re.DOTALL)


class ExcelReader:
    """A reader of one sheet of a workbook: the one named ``sheet``, or the first."""

    def __init__(self, path: Path, *, name: str, sheet: str | None, header: bool = True) -> None:
        self.path, self.name = path, name
        _guard(path, name)
        self._frame = _load(path, name, sheet, header)
        self._above = int(header)

    def schema(self) -> pl.Schema:
        return self._frame.schema

    def move_to(self, path: Path) -> None:
        self.path = path

    def guessed_encoding(self) -> str | None:
        return None

    def read(self, start: Position) -> Iterator[Chunk]:
        rows = chunk_rows(len(self._frame.columns))
        for offset in range(start.offset, len(self._frame), rows):
            frame = self._frame.slice(offset, rows)
            done = offset - start.offset
            before = Position(start.file, offset, start.source_row + done, start.row + done)
            done += len(frame)
            after = Position(start.file, offset + len(frame), start.source_row + done, start.row + done)
            first = offset + self._above + 1
            lines = pl.int_range(first, first + len(frame), dtype=pl.UInt64, eager=True)
            yield Chunk(frame, self.name, before, after, lines=lines)


def _load(path: Path, name: str, sheet: str | None, header: bool) -> pl.DataFrame:
    fastexcel = _fastexcel()
    with _reading(name, fastexcel):
        book = fastexcel.read_excel(path)
        if sheet is not None and sheet not in book.sheet_names:
            raise InputError(
                f"{name} has no sheet {sheet!r}", hint="its sheets: " + ", ".join(map(repr, book.sheet_names))
            )
        wanted = sheet if sheet is not None else 0
        frame: pl.DataFrame = book.load_sheet(
            wanted, header_row=0 if header else None, schema_sample_rows=None, skip_whitespace_tail_rows=True
        ).to_polars()
        if any(_RENAMED.fullmatch(column) for column in frame.columns) and header:
            heading = book.load_sheet(wanted, header_row=None, n_rows=1, dtypes="string").to_polars()
            _refuse_repeated(heading.row(0), name)
    if not frame.columns:
        raise InputError(f"{name} has no columns", hint="the first row of the sheet names them")
    numbered = {
        column: f"column_{int(match[1]) + 1}" for column in frame.columns if (match := _UNNAMED.fullmatch(column))
    }
    frame = frame.rename(numbered).rename(lambda column: column.strip() or "column_1", strict=True)
    return frame.with_columns(_narrowed(frame))


@contextmanager
def _reading(name: str, fastexcel: Any) -> Iterator[None]:
    with reading(name, "an Excel workbook"):
        try:
            yield
        except (fastexcel.FastExcelError, ValueError) as error:
            raise broken(name, "an Excel workbook", error) from None


def _fastexcel() -> Any:
    import fastexcel

    logging.getLogger("fastexcel").addHandler(logging.NullHandler())  # it warns about every empty column
    return fastexcel


def _refuse_repeated(heading: tuple[Any, ...], source: str) -> None:
    seen: dict[str, int] = {}
    for index, cell in enumerate(heading, 1):
        title = str(cell).strip() if cell is not None else ""
        if title and title in seen:
            raise InputError(
                f"{source}: columns {seen[title]} and {index} are both named {title!r}",
                hint="rename one of them in the header row",
            )
        seen[title] = index


def _narrowed(frame: pl.DataFrame) -> list[pl.Series]:
    """Return whole numbers as integers, midnights as dates, and datetimes on Excel's day zero as times of day."""
    return [_narrowed_column(column) for column in frame.get_columns() if column.null_count() < len(column)]


def _narrowed_column(column: pl.Series) -> pl.Series:
    if column.dtype.is_float():
        whole = (column == column.floor()) & (column.abs() <= 2**53)
        return column.cast(pl.Int64) if whole.all() else column
    if isinstance(column.dtype, pl.Datetime):
        if bool((column.dt.year() < 1900).all()):
            return column.dt.time()
        return column.dt.date() if bool((column.dt.truncate("1d") == column).all()) else column
    return column


def _guard(path: Path, name: str) -> None:
    """Raise InputError for a decompression bomb, or a stray cell that would make the sheet too large for memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise InputError(
                    f"{name} expands to more than {MAX_UNPACKED_BYTES >> 30} GB", hint="save the sheet as CSV"
                )
            for info in archive.infolist():
                # Reading to the end verifies the declared size, because zipfile never returns more.
                _guard_member(archive, info, name)
    except (*DAMAGED, *UNSUPPORTED) as error:
        raise broken(name, "an Excel workbook", error) from None


def _guard_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> None:
    is_sheet = info.filename.startswith("xl/worksheets/")
    columns: set[bytes] = set()
    with archive.open(info) as member:
        tail = b""
        while data := member.read(_STEP):
            if is_sheet:
                columns.update(_CELL_COLUMN.findall(tail + data))
                tail = data[-_TAIL:]
    width = max(map(_column_number, columns), default=1)
    if not is_sheet or width * 1_048_576 <= MAX_CELLS:
        return
    height = 1
    with archive.open(info) as member:
        tail = b""
        while data := member.read(_STEP):
            height = max(height, *map(int, _CELL_ROW.findall(tail + data)), 1)
            tail = data[-_TAIL:]
    if width * height > MAX_CELLS:
        raise InputError(
            f"{name}: the sheet {info.filename} spans {height:,} rows and {width:,} columns, "
            f"more than {MAX_CELLS:,} cells",
            hint="delete stray cells far below or to the right of the table, or save the sheet as CSV",
        )


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number
