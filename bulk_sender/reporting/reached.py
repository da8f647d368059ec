"""Who a run reached, or may have reached: the keys by which another run leaves them out."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from bulk_sender.journal.chunks import chunk_rows
from bulk_sender.journal.records import Status
from bulk_sender.journal.store import RunReader
from bulk_sender.planning.plan import duplicate_keys
from bulk_sender.reporting.rows import results_of

REACHED = (Status.ACCEPTED.value, Status.UNKNOWN.value)


def reached(journal: RunReader) -> Iterator[pl.Series]:
    """Yield the keys of the recipients that were accepted or are in doubt, one chunk at a time."""
    for chunk in journal.chunk_ids():
        rows = chunk_rows(journal, chunk)
        yield duplicate_keys(rows.filter(results_of(journal, chunk, rows)["status"].is_in(REACHED)))
