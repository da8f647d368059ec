"""How many bytes of text the rows of a frame hold, and its division into pieces that are not too heavy.

A dictionary lets a small file repeat a long text in every row, and polars keeps the text once. Whatever is made of the
rows afterwards has it as often as there are rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.reading.chunk import CHUNK_BYTES, chunk_rows

MAX_ROW_BYTES = 32 << 20
"""A longer row is refused, as in CSV and NDJSON. Braze takes requests of 4 MB."""


def pieces(frame: pl.DataFrame, name: str, row: int, *, begin: int = 0) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield a frame in pieces that are chunks by their cells and their bytes, or of one row, each with its place.

    Where it is cut depends on nothing but the frame. ``begin``: rows at its start that are left out. ``row``: rows of
    the file before it. Raise InputError for a row that is too long.
    """
    first = 0
    for end in _cuts(frame, name, row):
        at = max(first, begin)
        if at < end:
            yield at, frame.slice(at, end - at)
        first = end


def is_heavy(frame: pl.DataFrame) -> bool:
    """Whether a frame has to be divided."""
    return text_bytes(frame) > CHUNK_BYTES


def text_bytes(frame: pl.DataFrame) -> int:
    """Return the bytes of text that a frame holds."""
    return sum(_sum(column) for column in frame.iter_columns())


def _cuts(frame: pl.DataFrame, name: str, row: int) -> Iterator[int]:
    """Yield the end of each piece."""
    count, rows = len(frame), chunk_rows(frame.width)
    if not is_heavy(frame):
        yield from range(rows, count, rows)
        yield count
        return
    weights = sum((_each(column) for column in frame.iter_columns()), pl.repeat(0, count, eager=True))
    heaviest = weights.arg_max() or 0
    if weights[heaviest] > MAX_ROW_BYTES:
        raise InputError(
            f"{name}: row {row + heaviest + 1} is longer than {MAX_ROW_BYTES >> 20} MB ({weights[heaviest]:,} bytes)",
            hint="Braze takes at most 4 MB a request; leave that row out, or shorten it",
        )
    ends = weights.cum_sum()
    end, before = 0, 0
    while end < count:
        fits = ends.search_sorted(before + CHUNK_BYTES, side="right")
        end = min(max(end + 1, fits), end + rows, count)
        before = int(ends[end - 1])
        yield end


def _sum(column: pl.Series) -> int:
    """The bytes of text in a column."""
    dtype = column.dtype
    if isinstance(dtype, pl.List | pl.Array):
        return _sum(column.explode())
    if isinstance(dtype, pl.Struct):
        return sum(map(_sum, column.struct))
    return int(_each(column).sum())


def _each(column: pl.Series) -> pl.Series:
    """The bytes of text in each row of a column."""
    dtype = column.dtype
    if isinstance(dtype, pl.List | pl.Array):
        rows = pl.DataFrame({"row": pl.int_range(len(column), eager=True)})
        entries = rows.with_columns(entry=column).explode("entry")
        weighed = entries.select("row", weight=_each(entries["entry"])).group_by("row").sum()
        return rows.join(weighed, on="row", how="left", maintain_order="left")["weight"].fill_null(0)
    if isinstance(dtype, pl.Struct):
        return sum(map(_each, column.struct), pl.repeat(0, len(column), eager=True))
    if dtype == pl.String:
        found = column.str.len_bytes()
    elif dtype == pl.Binary:
        found = column.bin.size()
    elif isinstance(dtype, pl.Categorical | pl.Enum):
        found = column.cat.len_bytes()
    else:
        return pl.repeat(0, len(column), eager=True)
    return found.fill_null(0).cast(pl.Int64)
