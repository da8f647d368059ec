"""The columns that ``rejected.csv`` adds to the rejected rows' own. They tell a fixed file from any other. Pure."""

from __future__ import annotations

from collections.abc import Sequence

ADDED = ("error", "source_line", "run")
"""The columns that ``rejected.csv`` adds, in this order, at the end."""
_PREFIX = "bulk_sender_"


def added_columns(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the three columns that ``rejected.csv`` added to an input; empty for any other input."""
    last = tuple(columns[-len(ADDED) :])
    is_ours = len(last) == len(ADDED) and all(
        name in (added, _PREFIX + added) for name, added in zip(last, ADDED, strict=True)
    )
    return last if is_ours else ()


def names_to_add(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the three columns beside an input's own ``columns``, with a prefix where one is taken."""
    if added := added_columns(columns):
        return added
    return tuple(_PREFIX + name if name in columns else name for name in ADDED)
