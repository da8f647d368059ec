"""Changes to a stream of chunks: rows left out, repeated headers rejected, small chunks of many files joined."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import polars as pl

from bulk_sender.reading.added import added_columns, foreign_columns, unreadable_column
from bulk_sender.reading.chunk import CHUNK_BYTES, Chunk, chunk_rows
from bulk_sender.reading.weight import text_bytes

REPEATED = "the row repeats the header: the file may be several exports in one"


def without_last(chunks: Iterator[Chunk], count: int, on_rows: Callable[[int], None]) -> Iterator[Chunk]:
    """Leave out the last ``count`` rows of a file, and tell ``on_rows`` how many there were.

    A chunk is held back until enough rows follow it.
    """
    held: list[Chunk] = []
    for chunk in chunks:
        held.append(chunk)
        while sum(len(other.frame) for other in held[1:]) >= count:
            yield held.pop(0)
    on_rows(min(count, sum(len(chunk.frame) for chunk in held)))
    for chunk in held:
        kept = max(0, sum(len(other.frame) for other in held) - count)
        held = held[1:]
        if kept >= len(chunk.frame):
            yield chunk
        elif kept:
            yield _head(chunk, kept)


def _head(chunk: Chunk, rows: int) -> Chunk:
    """Return the first rows of a chunk, which ends where it ended, so that nothing of it is read again."""
    less = len(chunk.frame) - rows
    return replace(
        chunk,
        frame=chunk.frame.head(rows),
        end=replace(chunk.end, source_row=chunk.end.source_row - less, row=chunk.end.row - less),
        faults={index: fault for index, fault in chunk.faults.items() if index < rows},
        lines=None if chunk.lines is None else chunk.lines.head(rows),
        raws={index: raw for index, raw in chunk.raws.items() if index < rows},
    )


def with_repeated_headers(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Mark the rows that hold nothing but the names of their columns as malformed.

    The columns that ``rejected.csv`` adds are not compared, so that a row nobody fixed is rejected again.
    """
    for chunk in chunks:
        found = repeated_headers(chunk.frame)
        yield replace(chunk, faults=chunk.faults | dict.fromkeys(found, REPEATED)) if found else chunk


NOT_FIXED = "the row could not be read"
HOW_TO_FIX = "; put its cells right, then empty its cell in the column"


def with_unreadable(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Mark the rows of a ``rejected.csv`` as malformed that could not be read and that nobody has fixed since.

    Such a row has the text that could not be read in a separate column, and why in another one.
    """
    for chunk in chunks:
        name = unreadable_column(chunk.frame.columns)
        found = _unreadable(chunk.frame, name) if name is not None else {}
        if not found:
            yield chunk
            continue
        error = added_columns(chunk.frame.columns)[0]
        reasons = chunk.frame[error].cast(pl.String)
        faults = {index: why_unreadable(reasons[index]) for index in found if index not in chunk.faults}
        yield replace(chunk, faults=chunk.faults | faults, raws=chunk.raws | found)


def _unreadable(frame: pl.DataFrame, name: str) -> dict[int, str]:
    texts = frame[name].cast(pl.String)
    return {int(at): str(texts[int(at)]) for at in (texts.str.strip_chars() != "").fill_null(False).arg_true()}


def why_unreadable(error: str | None) -> str:
    """Return why a row could not be read, from its cell in the column ``error``: without the place, and what to do."""
    told = re.sub(r"^.*?, (?:line|row) [0-9]+: ", "", error or "", count=1, flags=re.DOTALL)
    return told.split(HOW_TO_FIX)[0].strip() or NOT_FIXED


def repeated_headers(frame: pl.DataFrame) -> list[int]:
    """Return the rows that hold nothing but the names of their columns, in any case."""
    columns = frame.columns
    added = foreign_columns(columns)
    own = [name for name in columns if name not in added]
    schema = frame.schema  # polars makes it again for each look
    texts = [name for name in own if schema[name] == pl.String]
    if not texts:
        return []
    named = next((name for name in texts if not _is_numbered(name)), texts[0])
    alike = frame[named].str.strip_chars().str.to_lowercase() == _bare(named)
    if not alike.any():  # the usual case: one look at one column
        return []
    named_texts = {name for name in texts if not _is_numbered(name)}
    checks = [
        pl.col(name).str.strip_chars().str.to_lowercase() == name.strip().lower()
        if name in named_texts
        else pl.col(name).is_null()
        for name in own
    ]
    return frame.select(pl.arg_where(pl.all_horizontal(checks).fill_null(False))).to_series().to_list()


def _bare(name: str) -> str:
    return name.strip().lower()


def _is_numbered(name: str) -> bool:
    """Whether a column has no name in its header."""
    return name.startswith("column_") and name.removeprefix("column_").isdecimal()


def numbered(chunks: Iterator[Chunk], before: int) -> Iterator[Chunk]:
    """Number the rows of the input without gaps, after the ``before`` rows that precede them."""
    for chunk in chunks:
        end = before + len(chunk.frame)
        if (chunk.start.row, chunk.end.row) != (before, end):
            chunk = replace(chunk, start=replace(chunk.start, row=before), end=replace(chunk.end, row=end))
        yield chunk
        before = end


def joined(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Join small chunks of different files, so that many small files take no longer than one large one."""
    waiting: list[Chunk] = []
    rows = size = 0
    for chunk in chunks:
        is_next_file = bool(waiting) and waiting[-1].end.file != chunk.start.file
        rows, size = rows + len(chunk.frame), size + text_bytes(chunk.frame)
        if waiting and not (is_next_file and rows <= chunk_rows(chunk.frame.width) and size <= CHUNK_BYTES):
            yield _one(waiting)
            waiting, rows, size = [], len(chunk.frame), text_bytes(chunk.frame)
        waiting.append(chunk)
    if waiting:
        yield _one(waiting)


def _one(chunks: list[Chunk]) -> Chunk:
    """Return the rows of several chunks as one."""
    if len(chunks) == 1:
        return chunks[0]
    faults: dict[int, str] = {}
    raws: dict[int, str] = {}
    before = 0
    for chunk in chunks:
        faults |= {before + index: fault for index, fault in chunk.faults.items()}
        raws |= {before + index: raw for index, raw in chunk.raws.items()}
        before += len(chunk.frame)
    origins = [chunk.origins() for chunk in chunks]
    return Chunk(
        pl.concat([chunk.frame for chunk in chunks]),
        chunks[0].source,
        chunks[0].start,
        chunks[-1].end,
        faults,
        pl.concat([chunk.numbered_lines() for chunk in chunks]),
        chunks[0].unit,
        sum(chunk.blank_rows for chunk in chunks),
        raws,
        pl.concat(origins),
    )
