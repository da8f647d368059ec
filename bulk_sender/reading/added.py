"""The columns that ``rejected.csv`` adds to the rejected rows' own. They tell a fixed file from any other. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

ADDED = ("error", "source_line", "run")
"""The columns that ``rejected.csv`` adds, in this order, at the end."""
_PREFIX = "bulk_sender_"


def added_columns(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the three columns that ``rejected.csv`` added to an input; empty for any other input."""
    last = tuple(columns[-len(ADDED) :])
    is_ours = len(last) == len(ADDED) and all(
        re.fullmatch(f"({_PREFIX})*{added}", name) for name, added in zip(last, ADDED, strict=True)
    )
    return last if is_ours else ()


def names_to_add(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the three columns beside an input's own ``columns``, with a prefix where one is taken."""
    return added_columns(columns) or tuple(_free(name, columns) for name in ADDED)


def _free(name: str, columns: Sequence[str]) -> str:
    """Return the name, with a prefix if a column, or the object or the type of one, has it: ``error:integer``."""
    taken = {part for column in columns for part in (column, column.partition(":")[0], column.partition(".")[0])}
    while name in taken:
        name = _PREFIX + name
    return name
