"""The planned rows of a chunk: packed as Arrow files for the journal, and read back."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import polars as pl

from bulk_sender.journal.records import Chunk
from bulk_sender.journal.store import RunReader
from bulk_sender.planning.batches import Planned
from bulk_sender.planning.plan import ROWS


def chunk_record(number: int, planned: Planned, counted: Mapping[str, int] | None = None) -> Chunk:
    """Return the record of a planned piece. ``counted``: its rows by verdict, if the caller has them."""
    rows = planned.rows["row"]
    counts = dict(planned.rows["verdict"].value_counts().iter_rows()) if counted is None else counted
    return Chunk(
        number,
        int(rows[0]) if len(rows) else 0,
        int(rows[-1]) if len(rows) else 0,
        len(rows),
        counts.get("valid", 0),
        counts.get("rejected", 0),
        counts.get("duplicate", 0),
        json.dumps(asdict(planned.resume)),
        _packed(planned.rows),
        _packed(planned.rejects),
    )


def _packed(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="zstd")
    return buffer.getvalue()


def chunk_rows(journal: RunReader, chunk: int, columns: Sequence[str] = tuple(ROWS)) -> pl.DataFrame:
    """Return the planned rows of a chunk, with the columns of ``ROWS`` or some of them.

    A column that the release which planned the chunk did not have is null.
    """
    data = journal.frame(chunk)
    try:
        return pl.read_ipc(data, columns=list(columns))
    except pl.exceptions.ColumnNotFoundError:
        found = pl.read_ipc(data)
        return found.select(
            pl.col(name) if name in found.columns else pl.lit(None, dtype=ROWS[name]).alias(name) for name in columns
        )


def chunk_rejects(journal: RunReader, chunk: int) -> pl.DataFrame:
    """Return the rejected rows of a chunk with their own columns."""
    return pl.read_ipc(journal.rejects(chunk))
