"""Planned chunks as Arrow bytes, packed for the journal and read back."""

from __future__ import annotations

import io
from collections.abc import Sequence

import polars as pl

from bulk_sender.journal.sqlite.store import Journal
from bulk_sender.planning.batches import Planned
from bulk_sender.planning.plan import ROWS


def pack(planned: Planned) -> tuple[bytes, bytes]:
    """A planned chunk as two compressed Arrow files: its rows, and its rejected rows' own columns."""
    return _ipc(planned.rows), _ipc(planned.rejects)


def _ipc(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="zstd")
    return buffer.getvalue()


def chunk_ids(journal: Journal) -> list[int]:
    return [row["id"] for row in journal.query("SELECT id FROM chunk ORDER BY id")]


def chunk_rows(journal: Journal, chunk: int, columns: Sequence[str] = tuple(ROWS)) -> pl.DataFrame:
    """The planned rows of a chunk, with the columns of ``ROWS`` or those of them that are asked for."""
    [found] = journal.query("SELECT frame FROM chunk WHERE id = ?", (chunk,))
    return pl.read_ipc(found["frame"], columns=list(columns))


def chunk_rejects(journal: Journal, chunk: int) -> pl.DataFrame:
    [found] = journal.query("SELECT rejects FROM chunk WHERE id = ?", (chunk,))
    return pl.read_ipc(found["rejects"])
