"""How a file is written: so that another one can be written the same way, and for people who choose. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

_Value = TypeVar("_Value", str, int)


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


@dataclass(frozen=True, slots=True)
class Setting(Generic[_Value]):
    """How a part of an input is read. ``is_guess``: whether it follows from the content alone.

    What the configuration, the file's name, a byte-order mark or a first line ``sep=;`` says is not a guess.
    """

    value: _Value
    is_guess: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAs:
    """How the first file of an input is read. None is what its format does not have."""

    format: str
    encoding: Setting[str] | None = None
    delimiter: Setting[str] | None = None
    header_row: Setting[int] | None = None
    """The line of the header in a CSV, or its row in a sheet, from 1."""
    sheet: str = ""
    """The sheet of a workbook that is read; empty for any other file."""
    sheets: tuple[str, ...] = ()
    """The sheets of a workbook that people see, and the one that is read."""
