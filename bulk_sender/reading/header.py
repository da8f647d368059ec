"""Choice of the row that names the columns, from the first rows of a text file or a sheet. Pure.

People export tables with titles, filters or comments above the header. An ordinary header in the first row always
stays the header. Another row is chosen only when the first one cannot be it, and the other clearly is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from bulk_sender.config.model import RecipientConfig
from bulk_sender.text.clean import clean

SAMPLE_ROWS = 200
"""Rows to look at."""
_MOST_ABOVE = 40
_LONGEST_NAME = 200

_FIELDS = frozenset(RecipientConfig.model_fields) | {"canvas_entry_properties", "context"}
_VALUE = re.compile(
    r"""
      [-+−(]?\s*[$€£¥]?\s*[0-9][0-9\s.,'’_%€$£¥:/)+-]*      # a number, an amount, a date, a time, a telephone
    | [0-9]{4}-[0-9]{2}-[0-9]{2}.*
    | [^@\s]+@[^@\s]+                                         # an address
    | [a-z]+://\S+
    """,
    re.VERBOSE | re.IGNORECASE,
)
_YEAR = re.compile(r"(19|20)[0-9]{2}")
_CODE = re.compile(r"[0-9@]")

Row = Sequence[str | None]


def header_index(rows: Sequence[Row]) -> int:
    """Return the index in ``rows`` of the header: that of the first row with a value, unless another clearly is it.

    Rows are as long as they are written; cells without a value are empty or None, and a blank line has no cells. The
    header has at least as many distinct names as the rows below have values, and looks unlike them.
    """
    texts = [[(cell or "").strip() for cell in row] for row in rows]
    first = next((index for index, row in enumerate(texts) if any(row)), 0)
    below = [row for row in texts[first + 1 :] if any(row)]
    if not texts or _is_ordinary(texts[first], below):
        return first
    for index in range(first + 1, min(len(texts), first + _MOST_ABOVE)):
        if _is_header(texts[index], texts[first:index], [row for row in texts[index + 1 :] if any(row)]):
            return index
    return first


def told(kind: Literal["line", "row"], place: int, above: int, title: str) -> str:
    """Return what to say about a header that was found in line or row ``place``, ``above`` others and their title."""
    were = f"1 {kind} above it was" if above == 1 else f"{above} {kind}s above it were"
    names_delimiter = "sep=" in title[:6].lower()
    shown = clean(title if names_delimiter else title.strip(" \t,;|"), 60)
    return f"the header is {kind} {place}; {were} left out" + (f": {shown!r}" if shown else "")


def _is_ordinary(row: list[str], below: list[list[str]]) -> bool:
    """Whether the first row with a value can name the columns of the rows below it."""
    if any(map(_is_field, row)) or not below:
        return True
    width = _width(row)
    is_above_a_field = width == 1 and sum(_is_lone_field(other) for other in below[:_MOST_ABOVE]) == 1
    if _is_comment(row) or is_above_a_field or 4 * _filled(row) < 3 * width:
        return False
    return _are_names(row) and 2 * sum(_width(other) <= width for other in below) >= len(below)


def _is_header(row: list[str], above: list[list[str]], below: list[list[str]]) -> bool:
    """Whether a row names the columns of the rows below, after rows that do not."""
    width, title = _width(row), above[0]
    if not _are_names(row) or 4 * _filled(row) < 3 * width:
        return False
    if width == 1:
        return _is_lone_field(row) or (title[0].startswith("# ") and _differs(row, below))
    are_comments = all(_is_comment(other) for other in above if any(other))
    is_wider = width > _width(title) or (width == _width(title) and _filled(row) >= 2 * _filled(title))
    if not (is_wider or are_comments) or not set(row).isdisjoint(filter(None, title)):  # a second export, joined
        return False
    fits = sum(len(other) == len(row) or _width(other) == width for other in below)
    full = sum(_width(other) <= width and 5 * _width(other) >= 3 * width for other in below)
    if (2 * fits < len(below) and not are_comments) or 2 * full < len(below):
        return False
    is_apart = bool(below) and not any(above[-1]) and _filled(title) == 1 and " " in "".join(title)
    return any(map(_is_field, row)) or are_comments or is_apart or _differs(row, below)


def _differs(row: list[str], below: list[list[str]]) -> bool:
    """Whether a column has a name without digits above values that nearly all have some, or are addresses."""
    for place, name in enumerate(row):
        cells = [other[place] for other in below if place < len(other) and other[place]]
        if name and cells and not _CODE.search(name) and 5 * sum(map(bool, map(_CODE.search, cells))) >= 4 * len(cells):
            return True
    return False


def _are_names(row: list[str]) -> bool:
    """Whether the values of a row are distinct, and none looks like a number, a date or an address."""
    names = [cell for cell in row if cell]
    return len({name.casefold() for name in names}) == len(names) and all(map(_is_name, names))


def _is_field(name: str) -> bool:
    """Whether a column's name alone says which field it is: ``email``, ``attributes.age:integer``."""
    return name.partition(".")[0].partition(":")[0] in _FIELDS


def _is_lone_field(row: list[str]) -> bool:
    return _width(row) == 1 and _is_field(row[0])


def _is_name(text: str) -> bool:
    is_value = _VALUE.fullmatch(text) is not None and not _YEAR.fullmatch(text)
    return len(text) <= _LONGEST_NAME and not is_value


def _is_comment(row: list[str]) -> bool:
    return bool(row) and row[0].startswith("#") and (_width(row) == 1 or row[0].startswith("# "))


def _filled(row: list[str]) -> int:
    return sum(map(bool, row))


def _width(row: list[str]) -> int:
    """Return the place of the last value, from 1."""
    return next((place for place in range(len(row), 0, -1) if row[place - 1]), 0)
