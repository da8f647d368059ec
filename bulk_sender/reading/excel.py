"""Excel reader (.xlsx, .xlsm): one sheet, with its cells as people see them, in flat memory.

Opening a workbook reads the sheet once, keeps its cells on disk, and finds the type of each column: whole numbers,
numbers, dates, datetimes, times, true and false, else text. A column of several kinds is text, each cell as it looks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.reading.added import added_columns
from bulk_sender.reading.chunk import Chunk, EmptyFileError, Position, chunk_rows
from bulk_sender.reading.header import SAMPLE_ROWS, header_index, told
from bulk_sender.reading.layout import ReadAs, Setting
from bulk_sender.reading.types import NUMBER
from bulk_sender.reading.weight import pieces
from bulk_sender.reading.workbook_cells import CellReader, CellStore, Found, Tally, values
from bulk_sender.reading.workbook_markup import Block, blocks, column_letters, merged_range, shared_strings
from bulk_sender.reading.workbook_package import Package, Sheet
from bulk_sender.text.numbers import several

MAX_CELLS = 60_000_000
"""Most cells in the rectangle around a sheet's content."""

_MOST_COUNTED = 100_000
"""Rows of other sheets beyond this are not counted."""
_SHOWN_SHEETS = 10


class ExcelReader:
    """A reader of one sheet of a workbook: the one named ``sheet``, or the first visible one with rows.

    ``header_row``: the row of the sheet that names the columns; None: found. A ``rejected.xlsx`` has
    it in its first row.
    ``null_values``: texts that count as empty. ``timezone``: of datetimes that are written as text.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        sheet: str | None,
        header: bool = True,
        header_row: int | None = None,
        null_values: Sequence[str] = (),
        timezone: str = "UTC",
    ) -> None:
        self.path, self.name = path, name
        self._timezone = timezone
        with Package(path, name) as package:
            chosen = _chosen(package, sheet, rows=2 if header else 1)
            others = [other for other in package.sheets if other is not chosen]
            self._sheets = tuple(
                each.name for each in package.sheets if each is chosen or (each.is_visible and each.has_cells)
            )
            self._others = _listed(package, others) if others else ""
            self.visible_sheets = tuple(other.name for other in others if other.is_visible and other.has_cells)
            """The other sheets that people see and that can be read."""
            self._read = _read(package, chosen, header, header_row, null_values)
        self._header_row = header_row
        self.sheet = chosen.name
        found = self._read
        self._columns = list(range(found.first_column, found.last_column + 1))
        names = _names(found.heading, self._columns, name)
        self._schema = pl.Schema(
            {title: found.tally.type_of(column) for title, column in zip(names, self._columns, strict=True)}
        )
        self._hidden_sheet = not chosen.is_visible

    def schema(self) -> pl.Schema:
        return self._schema

    def read_as_text(self, column: str) -> None:
        """Read the cells of a column as they look, because another file has text there."""
        self._schema = pl.Schema(self._schema | {column: pl.String()})

    def move_to(self, path: Path) -> None:
        self.path = path

    def guessed_encoding(self) -> str | None:
        return None

    def has_no_rows(self) -> bool:
        """Whether the sheet has nothing below its header."""
        return not self._read.store.rows

    @property
    def other_sheets(self) -> str:
        """The sheets that are not read, with their sizes, in words; empty when there are none."""
        return self._others

    def notes(self) -> list[str]:
        """Return what people should know about the sheet as a whole."""
        found = self._read
        notes = []
        if self._others:
            rows = several(sum(found.store.rows) + bool(found.heading_row), "row")
            hidden = ", which is hidden," if self._hidden_sheet else ""
            notes.append(
                f"sheet {self.sheet!r}{hidden} was read ({rows}); not read: {self._others}. Choose another with --sheet"
            )
        if found.hidden_rows:
            are = "is" if found.hidden_rows == 1 else "are"
            notes.append(
                f"{several(found.hidden_rows, 'row')} of sheet {self.sheet!r} {are} hidden, by a filter "
                f"or by hand, and {are} sent like the others: delete them, or leave them out with [input] filter"
            )
        return notes + ([self.found_header[1]] if self.found_header else [])

    @property
    def found_header(self) -> tuple[int, str] | None:
        """The sheet's row of the header, and what to say about it, if it had to be found below others."""
        found = self._read
        if not found.above or self._header_row is not None:
            return None
        return found.heading_row, told("row", found.heading_row, found.above, found.title)

    def read_as(self) -> ReadAs:
        """Return how the sheet is read, and what of that is a guess."""
        row = self._read.heading_row
        return ReadAs(
            format="excel",
            header_row=Setting(row, is_guess=self._header_row is None) if row else None,
            sheet=self.sheet,
            sheets=self._sheets,
        )

    def cell_notes(self, used: Collection[str], typed: Collection[str] = ()) -> list[str]:
        """Return what is wrong with cells of the columns in ``used``. ``typed``: those that have a configured type."""
        notes = []
        for title, column in zip(self._schema, self._columns, strict=True):
            if title not in used:
                continue
            where = f"column {title!r}"
            if found := self._read.errors.get(column):
                notes.append(f"{where}: {_counting(found.count, 'cell', 'with an error')} as empty: {found.named()}")
            if found := self._read.uncalculated.get(column):
                notes.append(
                    f"{where}: {_counting(found.count, 'formula', 'without a value')} as empty: {found.named()}. "
                    "Open the workbook in Excel and save it before it is sent"
                )
            elif (found := self._read.zeros.get(column)) and found.count == self._read.formulas[column]:
                notes.append(
                    f"{where}: {several(found.count, 'formula')} with the value 0, in a workbook that was never "
                    f"calculated: {found.named()}. Open it in Excel and save it before it is sent"
                )
            if found := self._read.merged.get(column):
                notes.append(
                    f"{where}: {several(found.count, 'range')} of merged cells: {found.named()}. Only the first cell "
                    "holds the value, and the others count as empty: unmerge them, and fill them in"
                )
            if found := self._read.tally.large.get(column):
                notes.append(
                    f"{where}: {several(found.count, 'number')} of 16 digits or more: {found.named()}. A spreadsheet "
                    "keeps only 15, so the last digits may be wrong: store such numbers as text"
                )
            if title not in typed:
                notes += _mixed(where, self._read.tally, column)
        return notes

    def read(self, start: Position) -> Iterator[Chunk]:
        step = chunk_rows(len(self._columns))
        ends = list(accumulate(self._read.store.rows))
        first = int(np.searchsorted(ends, start.offset, side="right"))
        offset, last_line = start.offset, 0
        for index, cells in enumerate(self._read.store.blocks(first), first):
            begin = ends[index] - self._read.store.rows[index]
            frame, lines = self._wide(cells)
            for at, part in self._parts(frame, offset - begin, step):
                above = int(lines[at - 1]) if at else last_line if begin else self._read.heading_row
                blank = int(lines[at + len(part) - 1]) - above - len(part) if above or not begin else 0
                done = begin + at - start.offset
                before = Position(start.file, begin + at, start.source_row + done, start.row + done)
                done += len(part)
                after = Position(start.file, begin + at + len(part), start.source_row + done, start.row + done)
                seen = lines.slice(at, len(part))
                yield Chunk(part, self.name, before, after, lines=seen, unit="row", blank_rows=blank)
            offset = ends[index]
            last_line = int(lines[-1])

    def _parts(self, frame: pl.DataFrame, begin: int, step: int) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield the chunks of a block from row ``begin`` on, each with its place in the block."""
        for first in range(begin - begin % step, len(frame), step):
            rows = frame.slice(first, step)
            for at, part in pieces(rows, self.name, first, begin=max(0, begin - first)):
                yield first + at, part

    def _wide(self, cells: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Return a block of cells as rows and columns, and the number of each row in the sheet."""
        rows = cells["row"].to_numpy()
        lines, place = np.unique(rows, return_inverse=True)
        columns = cells["column"].to_numpy()
        order = np.argsort(columns, kind="stable")
        edges = np.searchsorted(columns[order], [*self._columns, self._columns[-1] + 1])
        sorted_cells = cells[order]
        place = place[order]
        series = []
        for index, (title, dtype) in enumerate(self._schema.items()):
            first, last = int(edges[index]), int(edges[index + 1])
            if dtype == pl.Null or first == last:
                stored = pl.String() if dtype == NUMBER else dtype
                series.append(pl.Series(title, [None], dtype=stored).new_from_index(0, len(lines)))
                continue
            some = values(
                sorted_cells.slice(first, last - first),
                dtype,
                timezone=self._timezone,
                has_moments=self._read.tally.has_moments(self._columns[index]),
            )
            if last - first == len(lines) and (np.diff(place[first:last]) == 1).all():
                series.append(some.alias(title))
                continue
            slots = np.full(len(lines), -1, dtype=np.int64)
            slots[place[first:last]] = np.arange(last - first)
            indices = pl.Series(slots)
            series.append(some.gather(indices.set(indices < 0, None)).alias(title))
        frame = pl.DataFrame(series).with_columns(
            pl.col(title).ext.to(NUMBER) for title, dtype in self._schema.items() if dtype == NUMBER
        )
        return frame, pl.Series(lines, dtype=pl.UInt64)


@dataclass(slots=True)
class _SheetRead:
    """What the first look at a sheet found. Numbers of columns and rows count from 1."""

    store: CellStore
    tally: Tally
    heading: dict[int, str]
    heading_row: int
    first_column: int
    last_column: int
    hidden_rows: int
    errors: dict[int, Found]
    uncalculated: dict[int, Found]
    zeros: dict[int, Found]
    """Formulas with the value 0, where the workbook was never calculated."""
    formulas: dict[int, int]
    merged: dict[int, Found]
    """Merged cells of several rows below the header."""
    above: int = 0
    """Rows above the header, which are left out."""
    title: str = ""
    """The first cell above the header."""


def _chosen(package: Package, wanted: str | None, *, rows: int) -> Sheet:
    """Return the sheet to read: the one named, or the first visible one with ``rows`` rows. Raise InputError."""
    if wanted is not None:
        exact = [sheet for sheet in package.sheets if sheet.name == wanted]
        close = [sheet for sheet in package.sheets if sheet.name.strip().casefold() == wanted.strip().casefold()]
        for sheet in exact or close:
            if not sheet.has_cells:
                raise InputError(
                    f"{package.name}: sheet {sheet.name!r} is a chart, without rows",
                    hint="its sheets: " + _listed(package, package.sheets),
                )
            return sheet
        raise InputError(
            f"{package.name} has no sheet {wanted!r}", hint="its sheets: " + _listed(package, package.sheets)
        )
    visible = [sheet for sheet in package.sheets if sheet.has_cells and sheet.is_visible]
    if not visible:
        raise InputError(
            f"{package.name} has no visible sheet with cells",
            hint="name one with --sheet: " + _listed(package, package.sheets),
        )
    if len(visible) > 1:
        for sheet in visible:
            if _count_rows(package, sheet, most=rows) >= rows:
                return sheet
    return visible[0]


def _count_rows(package: Package, sheet: Sheet, *, most: int) -> int:
    """Return how many rows have anything, or a number above ``most`` when there are more."""
    count = 0
    for block in blocks(package, sheet):
        count += block.cells.filter(pl.col("value").fill_null("") != "")["row"].n_unique()
        if count > most:
            break
    return count


def _listed(package: Package, sheets: Sequence[Sheet]) -> str:
    """Return the names of sheets with their sizes."""
    shown = [f"{sheet.name!r} ({_size(package, sheet)})" for sheet in sheets[:_SHOWN_SHEETS]]
    more = len(sheets) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _size(package: Package, sheet: Sheet) -> str:
    if not sheet.has_cells:
        return "a chart" if sheet.kind == "chartsheet" else "no table"
    try:
        count = _count_rows(package, sheet, most=_MOST_COUNTED)
    except InputError:
        size = "damaged"
    else:
        size = several(count, "row") if count <= _MOST_COUNTED else f"more than {_MOST_COUNTED:,} rows"
    return size if sheet.is_visible else f"{size}, hidden"


def _read(
    package: Package, sheet: Sheet, header: bool, header_row: int | None, null_values: Sequence[str]
) -> _SheetRead:
    """Read a sheet once: keep its cells, count their kinds by column, and note what looks wrong. Raise InputError."""
    with package.reading():
        shared = shared_strings(package)
        reader = CellReader(shared, package.number_formats(), package.counts_from_1904, null_values)
        found = _SheetRead(CellStore(), Tally(), {}, 0, 0, 0, 0, {}, {}, {}, {}, {})
        titles: pl.DataFrame | None = None
        last_row = 0
        for block in blocks(package, sheet):
            cells = reader.visible(block.cells)
            if len(cells):
                first = int(cells["row"][0])
                if first <= last_row or not block.cells["row"].is_sorted():
                    raise InputError(
                        f"{package.name}: the rows of sheet {sheet.name!r} are not in order",
                        hint="open the workbook in Excel and save it before it is sent",
                    )
                last_row = int(cells["row"][-1])
                header = header or (not found.store.rows and _is_of_rejects(cells))
                if header and titles is None:
                    found.heading_row = _heading_row(cells, header_row)
                    titles = cells.filter(pl.col("row") == found.heading_row)
                    if not len(titles):
                        raise InputError(
                            f"{package.name}: row {header_row} of sheet {sheet.name!r}, where [input] header_row says "
                            "the header is, has no cells",
                            hint="header_row counts the rows of the sheet from 1; without it the header is found",
                        )
                    above = cells.filter(pl.col("row") < found.heading_row)
                    if len(above):
                        found.above, found.title = found.heading_row - 1, _texts_of(above.head(1))[0]
                    found.tally.cover(titles)
            if header:
                block = block.after(found.heading_row)
                cells = cells.filter(pl.col("row") > found.heading_row)
            _note_cells(found, block, package.is_uncalculated)
            _note_merged(found, block)
            if not len(cells):
                continue
            found.tally.add(cells)
            found.hidden_rows += len(set(cells["row"].unique()) & set(block.hidden)) if len(block.hidden) else 0
            found.store.add(cells, cells["row"].n_unique())
            _refuse_large(package.name, sheet, found.tally)
    first, last, _ = found.tally.bounds
    if titles is not None:
        for column, cell in zip(titles["column"], _texts_of(titles), strict=True):
            found.heading[column] = cell
    if not last:
        raise EmptyFileError(
            f"{package.name}: sheet {sheet.name!r} has no columns",
            hint="the first row names them. Its sheets: " + _listed(package, package.sheets),
        )
    found.first_column, found.last_column = first, last
    return found


def _heading_row(cells: pl.DataFrame, header_row: int | None) -> int:
    """Return the sheet's row that names the columns. ``cells``: those of the first rows."""
    first = int(cells["row"][0])
    sample = cells.filter(pl.col("row") < first + SAMPLE_ROWS)
    rows: list[list[str]] = [[] for _ in range(int(sample["row"][-1]) - first + 1)]
    left = int(sample["column"].min())  # type: ignore[arg-type]
    for row, column, text in zip(sample["row"], sample["column"], _texts_of(sample), strict=True):
        cells_of_row = rows[row - first]
        cells_of_row += [""] * (column - left - len(cells_of_row)) + [text]
    if added_columns(rows[0]):
        return first
    if header_row is not None:
        return header_row
    return first + header_index(rows)


def _is_of_rejects(cells: pl.DataFrame) -> bool:
    return bool(added_columns(_texts_of(cells.filter(pl.col("row") == cells["row"][0]))))


def _texts_of(titles: pl.DataFrame) -> list[str]:
    texts = values(titles, pl.String(), timezone="UTC", has_moments=False)
    return [str(text).strip() for text in texts]


def _note_cells(found: _SheetRead, block: Block, is_uncalculated: bool) -> None:
    """Note cells with errors, formulas without a value, and formulas that are 0 because nobody calculated them."""
    cells = block.cells
    is_error = cells["type"] == "e"
    if is_error.any():
        _add(found.errors, cells.filter(is_error), with_value=True)
    formulas = cells.filter(cells["formula"] & ~is_error)
    if not len(formulas):
        return
    is_empty = (formulas["value"].fill_null("") == "") & (formulas["type"] != "str")
    if is_empty.any():
        _add(found.uncalculated, formulas.filter(is_empty))
    if is_uncalculated:
        for column, count in formulas["column"].value_counts().iter_rows():
            found.formulas[column] = found.formulas.get(column, 0) + count
        _add(found.zeros, formulas.filter((formulas["value"] == "0") & (formulas["type"] == "n")))


def _note_merged(found: _SheetRead, block: Block) -> None:
    for text in block.merged:
        if (place := merged_range(text)) and found.heading_row < place[1] < place[2]:
            column, first, last = place
            letters = column_letters(column)
            found.merged.setdefault(column, Found()).note(f"{letters}{first}:{letters}{last}")


def _add(found: dict[int, Found], cells: pl.DataFrame, *, with_value: bool = False) -> None:
    for (column,), some in cells.group_by("column", maintain_order=True):
        assert isinstance(column, int)
        found.setdefault(column, Found()).add(some["row"], column, some["value"] if with_value else None)


def _counting(count: int, noun: str, what: str) -> str:
    return f"{several(count, noun)} {what} {'counts' if count == 1 else 'count'}"


def _mixed(where: str, tally: Tally, column: int) -> list[str]:
    """Return a sentence when a few texts make a column of numbers or dates a column of text."""
    if not isinstance(tally.type_of(column), pl.String):
        return []
    texts, *others = (int(count) for count in tally.counts[column])
    if not texts or texts >= sum(others):
        return []
    return [
        f"{where}: {several(texts, 'text')} among {several(sum(others), 'cell')} of another kind, so all are sent as "
        "text: name words such as N/A in [input] null_values, or give the column a type"
    ]


def _refuse_large(name: str, sheet: Sheet, tally: Tally) -> None:
    first, last, height = tally.bounds
    if (width := last - first + 1) * height > MAX_CELLS:
        raise InputError(
            f"{name}: the sheet {sheet.name!r} spans {height:,} rows and {width:,} columns, "
            f"more than {MAX_CELLS:,} cells",
            hint="delete stray cells far below or to the right of the table, or save the sheet as CSV",
        )


def _names(heading: dict[int, str], columns: Sequence[int], source: str) -> list[str]:
    """Return the columns' names; one without a title gets its number. Raise InputError for a repeated one."""
    seen: dict[str, int] = {}
    names = []
    for index, column in enumerate(columns, 1):
        title = heading.get(column, "")
        if title and title in seen:
            raise InputError(
                f"{source}: columns {seen[title]} and {index} are both named {title!r}",
                hint="rename one of them in the header row",
            )
        seen[title] = index
        names.append(title or f"column_{index}")
    if len(set(names)) < len(names):
        raise InputError(
            f"{source}: a column without a title would be named like another one, column_…",
            hint="name every column in the header row",
        )
    return names
