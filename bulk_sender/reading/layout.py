"""How a file is written, so that another one can be written the same way. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a CSV is written, or which sheet of a workbook holds the rows.

    ``mark``: whether it begins with a byte-order mark that its encoding does not write by itself. ``quoted``: whether
    all cells are in quotes. ``sep``: whether the first line names the delimiter for Excel.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    mark: bool = False
    line_end: str = "\n"
    quoted: bool = False
    sep: bool = False
    sheet: str = ""
    """The sheet of a workbook that was read; empty for any other file."""
