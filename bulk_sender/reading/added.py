"""The columns that the files of rejected rows add to an input's own. They tell a fixed file from any other. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

ADDED = ("error", "source_line", "run")
"""The columns that ``rejected.csv`` adds, in this order, at the end."""
UNREADABLE = "unreadable"
"""The column before them, in a file with rows that could not be read: the text of such a row, as it was.

While its cell has text, the row is rejected, whatever its other cells are.
"""
_PREFIX = "bulk_sender_"


def added_columns(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the three columns that ``rejected.csv`` added to an input; empty for any other input."""
    last = tuple(columns[-len(ADDED) :])
    is_ours = len(last) == len(ADDED) and all(map(_is_named, last, ADDED))
    return last if is_ours else ()


def unreadable_column(columns: Sequence[str]) -> str | None:
    """Return the column with the text of rows that could not be read, if ``rejected.csv`` has one."""
    before = columns[-len(ADDED) - 1 : -len(ADDED)]
    return before[0] if before and added_columns(columns) and _is_named(before[0], UNREADABLE) else None


def foreign_columns(columns: Sequence[str]) -> tuple[str, ...]:
    """Return all columns that are not the input's own: those of ``added_columns`` and of ``unreadable_column``."""
    name = unreadable_column(columns)
    return (*((name,) if name is not None else ()), *added_columns(columns))


def names_to_add(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the three columns beside an input's own ``columns``, with a prefix where one is taken."""
    return added_columns(columns) or tuple(_free(name, columns) for name in ADDED)


def unreadable_to_add(columns: Sequence[str], *, is_needed: bool) -> str | None:
    """Return the name of the column for rows that could not be read; None where a file can do without.

    A file of rejected rows always has it if the column before it could be taken for it.
    """
    own = [column for column in columns if column not in foreign_columns(columns)]
    is_taken = bool(own) and _is_named(own[-1], UNREADABLE)
    return unreadable_column(columns) or _free(UNREADABLE, own) if is_needed or is_taken else None


def _is_named(column: str, name: str) -> bool:
    return re.fullmatch(f"({_PREFIX})*{name}", column) is not None


def _free(name: str, columns: Sequence[str]) -> str:
    """Return the name, with a prefix if a column, or the object or the type of one, has it: ``error:integer``."""
    taken = {part for column in columns for part in (column, column.partition(":")[0], column.partition(".")[0])}
    while name in taken:
        name = _PREFIX + name
    return name
