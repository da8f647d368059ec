"""The rest of a run's input, planned into chunks one ahead of the caller, from where an earlier process ended."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import anyio
import polars as pl

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.eventloop import one_ahead
from bulk_sender.journal.chunks import chunk_record, chunk_rows
from bulk_sender.journal.records import Batch, Chunk
from bulk_sender.journal.store import RunReader, RunWriter
from bulk_sender.planning.batches import Payload, Planned
from bulk_sender.planning.plan import duplicate_keys
from bulk_sender.planning.prepared import PreparedInput
from bulk_sender.planning.seen import Seen
from bulk_sender.reading.chunk import Position


class CutShort(Exception):
    """A signal ended planning. The rows that were not read stay unread."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A planned piece, with everything that can be computed outside the event loop."""

    chunk: Chunk
    verdicts: dict[str, int]
    sizes: list[int]
    payload: Payload

    def batches(self, new_id: Callable[[], int]) -> list[Batch]:
        """Return the chunk's batches, numbered now."""
        batches, first = [], 0
        for size in self.sizes:
            batches.append(Batch(new_id(), self.chunk.id, first, size))
            first += size
        return batches


async def pieces(
    journal: RunWriter,
    opened: PreparedInput,
    target: Endpoint,
    canary: int | None,
    check: Callable[[], None],
    on_end: Callable[[], None],
) -> AsyncGenerator[Piece]:
    """Plan the rest of an input. ``check`` is called now and then, also in threads, and may raise.

    ``on_end`` is called as soon as it is known that no piece follows the one that the caller handles.
    """
    where = await anyio.to_thread.run_sync(resume_point, journal, opened, check)
    planned = opened.plan(target, canary=canary or None, before_each=check, **where)
    async with aclosing(one_ahead(_prepared(planned, journal), on_end=on_end)) as prepared:
        async for piece in prepared:
            yield piece


def _prepared(pieces: Iterator[Planned], journal: RunWriter) -> Iterator[Piece]:
    """Number the pieces, and pack them as chunks."""
    for piece in pieces:
        verdicts: dict[str, int] = dict(piece.rows["verdict"].value_counts().iter_rows())
        payload = Payload.of(piece.rows["recipient"])
        chunk = chunk_record(journal.new_chunk_id(), piece, payload, verdicts)
        yield Piece(journal.stored(chunk), verdicts, piece.sizes, payload)


def resume_point(journal: RunReader, opened: PreparedInput, check: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Return where planning resumes, with the identifiers seen so far; the beginning for a new run.

    ``check`` is called now and then and may raise: a large run has many identifiers to read.
    """
    seen = Seen(journal.run.folder)
    with journal.reader() as reading:
        end = reading.plan_end()
        if end is None:
            return {"seen": seen}
        if opened.config.input.duplicates == "first":
            for chunk in reading.chunk_ids():
                check()
                seen.remember(_keys_of(reading, chunk))
        return {
            "start": Position(**json.loads(end.resume)),
            "after_row": end.last_row,
            "already": end.rows,
            "seen": seen,
        }


def _keys_of(journal: RunReader, chunk: int) -> pl.Series:
    """Return the identifiers of a chunk's valid rows, which were the first of their kind when it was planned."""
    rows = chunk_rows(journal, chunk, ("verdict", "identifier_type", "identifier"))
    if (rows["identifier_type"] == "user_alias").any():  # its key is in the recipient, the bulk of a row
        rows = chunk_rows(journal, chunk)
    return duplicate_keys(rows.filter(pl.col("verdict") == "valid"))
