"""Results and rejected rows as a workbook. Identifiers are text, so that a spreadsheet keeps their zeros."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from bulk_sender import failpoints
from bulk_sender.reading.added import added_columns, unreadable_column
from bulk_sender.reporting.rows import RESULTS

MAX_ROWS = 1_048_576
"""Rows of a sheet, with its header."""
MAX_COLUMNS = 16_384
MAX_BYTES = 32_767
"""Bytes of text that surely fit a cell, which holds as many UTF-16 characters."""

_NOT_IN_XML = r"[\x{fffe}\x{ffff}]"
_COLUMN = re.compile(r"\bcolumn '([^']+)'")
_TEXT = "@"
_NEVER = datetime(2000, 1, 1)  # so that the same results give the same bytes
_WHOLE_SHEET = "A1:XFD1048576"


def fits(frames: Iterator[pl.DataFrame], schema: pl.Schema) -> bool:
    """Whether a sheet holds frames of text exactly."""
    rows, cells = 1, [pl.col(name).fill_null("") for name in schema]
    is_misfit = pl.any_horizontal(
        (text.str.len_bytes() > MAX_BYTES).any() | text.str.contains(_NOT_IN_XML).any() for text in cells
    )
    for frame in frames:
        rows += len(frame)
        if rows > MAX_ROWS or frame.select(is_misfit).item():
            return False
    return len(schema) <= MAX_COLUMNS


def write_rejected(frames: Iterator[pl.DataFrame], schema: pl.Schema, path: Path, sheet: str) -> None:
    """Write frames of text to one sheet. The cells that the reasons are about have a colour."""
    names = list(schema)
    error = names.index(added_columns(names)[0])
    unreadable = unreadable_column(names)
    with _workbook(path) as book:
        text, wrong = (
            book.add_format({"num_format": _TEXT}),
            book.add_format({"num_format": _TEXT, "bg_color": "#FFD966"}),
        )
        page = _sheet(book, sheet, names, text)
        row = 0
        for frame in frames:
            failpoints.reach("mid_results")
            for cells in frame.iter_rows():
                row += 1
                marked = _columns_in(cells[error] or "", names)
                if unreadable is not None and cells[place := names.index(unreadable)] is not None:
                    marked.add(place)
                for column, cell in enumerate(cells):
                    look = wrong if column in marked else text
                    if cell is not None:
                        page.write_string(row, column, cell, look)
                    elif column in marked:
                        page.write_blank(row, column, None, look)


def _columns_in(error: str, names: Sequence[str]) -> set[int]:
    """Return the places of the columns that a reason names, with or without the type in a name."""
    named = set(_COLUMN.findall(error))
    return {place for place, name in enumerate(names) if name in named or name.rpartition(":")[0] in named - {""}}


def write_results(frames: Iterator[pl.DataFrame], path: Path) -> None:
    """Write frames of results; what does not fit into one sheet continues in the next."""
    names = list(RESULTS)
    with _workbook(path) as book:
        text = book.add_format({"num_format": _TEXT})
        page, row, sheets = _sheet(book, "Results", names, text), 0, 1
        for frame in frames:
            failpoints.reach("mid_results")
            shown = frame.with_columns(pl.col(pl.String).str.replace_all(_NOT_IN_XML, "\ufffd"))
            for cells in shown.iter_rows():
                if row + 1 == MAX_ROWS:
                    sheets += 1
                    page, row = _sheet(book, f"Results {sheets}", names, text), 0
                row += 1
                for column, cell in enumerate(cells):
                    if isinstance(cell, str):
                        page.write_string(row, column, cell, text)
                    elif cell is not None:
                        page.write_number(row, column, cell)


@contextmanager
def _workbook(path: Path) -> Iterator[Any]:
    """Write a workbook to a file that exists, row by row; waiting rows are in a private folder beside it."""
    import xlsxwriter  # type: ignore[import-untyped]  # here: most runs write no workbook
    from xlsxwriter.exceptions import FileCreateError  # type: ignore[import-untyped]

    with TemporaryDirectory(dir=path.parent, prefix=".workbook-") as waiting:
        options = {"constant_memory": True, "tmpdir": waiting, "strings_to_formulas": False, "strings_to_urls": False}
        book = xlsxwriter.Workbook(str(path), options)
        book.set_properties({"created": _NEVER})
        try:
            yield book
        finally:
            try:
                book.close()
            except FileCreateError as error:
                raise OSError(str(error)) from error


def _sheet(book: Any, name: str, columns: Sequence[str], text: Any) -> Any:
    from xlsxwriter.exceptions import XlsxWriterException

    try:
        page = book.add_worksheet(name)
    except XlsxWriterException:  # another program allows more names than Excel does
        page = book.add_worksheet()
    page.set_column(0, len(columns) - 1, 18, text)
    page.freeze_panes(1, 0)
    page.ignore_errors({"number_stored_as_text": _WHOLE_SHEET})
    heading = book.add_format({"bold": True, "num_format": _TEXT})
    for place, column in enumerate(columns):
        page.write_string(0, place, column, heading)
    return page
