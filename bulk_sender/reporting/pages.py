"""Rows of a run for a screen: a page of its results, and the rows of one person.

Each reads what it shows and little more: chunks without such rows are skipped, and columns that decide nothing stay
packed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import polars as pl

from bulk_sender.journal.chunks import chunk_rows
from bulk_sender.journal.records import Status
from bulk_sender.journal.store import RunReader
from bulk_sender.planning.plan import address_key
from bulk_sender.reporting.rows import results_in


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One row of a run's results: its run, and the columns of the results file."""

    run_id: str
    row: int
    source: str
    source_row: int
    identifier_type: str | None
    identifier: str | None
    status: str
    dispatch_id: str | None
    batch: int | None
    attempts: int
    http_status: int | None
    error_code: str | None
    error: str | None
    sent_at: str | None
    source_line: int | None


@dataclass(frozen=True, slots=True)
class RowsPage:
    """Some rows of a run's results, in the order of the input.

    ``next_after``: the ``after`` of the next page; None when no such rows follow.
    """

    rows: tuple[ResultRow, ...]
    next_after: int | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """The rows of one person, run by run, and what could not be searched.

    ``runs``: how many runs were searched. ``unread``: the others by name, each with why, such as a journal that is
    gone, damaged or was removed on purpose.
    """

    rows: tuple[ResultRow, ...]
    runs: int
    unread: dict[str, str]


def page(
    journal: RunReader, *, statuses: Collection[str] = tuple(Status), code: str | None = None, after: int, limit: int
) -> RowsPage:
    """Return the first ``limit`` rows of these statuses, and with this error code, after row ``after``."""
    is_wanted = (pl.col("row") > after) & pl.col("status").is_in(sorted(statuses))
    if code is not None:
        is_wanted &= pl.col("error_code") == code
    found: list[ResultRow] = []
    for chunk in journal.chunks_with(statuses, code=code, after=after):
        if code is None or _has_code(journal, chunk, code):
            found += _rows(journal, results_in(journal, chunk).filter(is_wanted).head(limit + 1 - len(found)))
        if len(found) > limit:
            return RowsPage(tuple(found[:limit]), found[limit - 1].row)
    return RowsPage(tuple(found))


def _has_code(journal: RunReader, chunk: int, code: str) -> bool:
    """Whether a row of a chunk has this error code. To find out costs much less than the results of the chunk."""
    return any(state.code == code for state in journal.batches(chunk)) or bool(
        (chunk_rows(journal, chunk, ["error_code"])["error_code"] == code).any()
    )


def rows_of(journal: RunReader, identifier: str) -> Iterator[ResultRow]:
    """Yield the rows of a person, in the order of the input."""
    plain = identifier.strip()
    address = pl.select(address_key(pl.lit(plain))).item()
    is_same_address = (pl.col("identifier_type") == "email") & (address_key(pl.col("identifier")) == address)
    is_alias = (pl.col("identifier_type") == "user_alias") & pl.col("identifier").str.ends_with(f":{plain}")
    is_meant = pl.col("identifier").is_in([identifier, plain]) | is_same_address | is_alias
    for chunk in journal.chunk_ids():
        meant = chunk_rows(journal, chunk, ["identifier_type", "identifier"]).select(is_meant.fill_null(False))
        if (places := meant.to_series()).any():
            yield from _rows(journal, results_in(journal, chunk).filter(places))


def _rows(journal: RunReader, frame: pl.DataFrame) -> Iterator[ResultRow]:
    for row in frame.iter_rows(named=True):
        yield ResultRow(run_id=journal.run.name, **row)
