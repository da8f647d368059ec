"""The batches of a run that are still to be sent, in the order of their rows: planned before, or planned now."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import anyio
import polars as pl

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.delivery.sender import Sender
from bulk_sender.delivery.work import Work
from bulk_sender.eventloop import one_ahead
from bulk_sender.journal.chunks import chunk_record, chunk_rows
from bulk_sender.journal.records import Batch, Chunk, PlanComplete
from bulk_sender.journal.store import RunReader, RunWriter
from bulk_sender.journal.writer import JournalWriter
from bulk_sender.planning.batches import Payload
from bulk_sender.planning.plan import Planned, duplicate_keys
from bulk_sender.planning.prepared import Opened
from bulk_sender.planning.seen import Seen
from bulk_sender.reading.chunk import Position


class Worklist:
    """What one process still has to send of a run, and how far it has come with reading the input.

    ``rows``: of the run, read so far; ``verdicts``: those of the rows that this process planned.
    """

    def __init__(self, journal: RunWriter, *, hold_after: int | None = None) -> None:
        """``hold_after``: how many rows of the run may be sent before it is to be held."""
        self.rows = 0
        self.verdicts: Counter[str] = Counter()
        self.plan_complete = journal.is_plan_complete()
        self._journal = journal
        self._hold_after = hold_after
        self._held = False

    async def batches(
        self, writer: JournalWriter, sender: Sender, target: Endpoint, opened: Opened | None
    ) -> AsyncGenerator[Work | None]:
        """The batches in the order of their rows; None where the run is to be held.

        Without ``opened`` only those that an earlier process planned.
        """
        async with aclosing(self._planned_before(sender)) as planned:
            async for item in planned:
                yield item
        if not self.plan_complete and opened is not None:
            async with aclosing(self._planned_now(writer, sender, target, opened)) as new:
                async for item in new:
                    yield item

    def _is_to_hold(self, rows_before: int) -> bool:
        if self._held or self._hold_after is None or rows_before < self._hold_after:
            return False
        self._held = True
        return True

    async def _planned_before(self, sender: Sender) -> AsyncGenerator[Work | None]:
        """What an earlier process planned and nobody has sent, or what is to be sent again."""
        with self._journal.reader() as reading:
            planned = reading.plan_end()
            self.rows = planned.rows if planned is not None else 0
            for chunk in reading.unsent_chunks():
                if self._is_to_hold(chunk.rows_before):
                    yield None
                if sender.is_stopping:
                    return
                payload = Payload(chunk_rows(reading, chunk.id)["recipient"])
                for unsent in reading.unsent_batches(chunk.id):
                    yield Work(unsent.batch, payload, unsent.body_sha256)

    async def _planned_now(
        self, writer: JournalWriter, sender: Sender, target: Endpoint, opened: Opened
    ) -> AsyncGenerator[Work | None]:
        """Plan the rest of the input. When the run stops, planning goes on: every row belongs into the account."""
        where = await anyio.to_thread.run_sync(resume_point, self._journal, opened)
        pieces = opened.plan(target, cut_after=self._hold_after, **where)
        async with aclosing(one_ahead(_prepared(pieces, self._journal.new_chunk_id))) as prepared:
            async for piece in prepared:
                batches = _number(piece, self._journal.new_batch_id)
                await writer.write(piece.chunk, *batches)
                before, self.rows = self.rows, self.rows + piece.chunk.rows
                self.verdicts.update(piece.verdicts)
                if self._is_to_hold(before):
                    yield None
                if not sender.is_stopping:
                    for batch in batches:
                        yield Work(batch, piece.payload)
        await writer.write(PlanComplete())
        self.plan_complete = True


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A planned piece, with everything about it that can be computed outside the event loop."""

    chunk: Chunk
    verdicts: dict[str, int]
    sizes: list[int]
    payload: Payload


def _prepared(pieces: Iterator[Planned], new_id: Callable[[], int]) -> Iterator[_Prepared]:
    """The pieces as numbered chunks."""
    for piece in pieces:
        verdicts: dict[str, int] = dict(piece.rows["verdict"].value_counts().iter_rows())
        chunk = chunk_record(new_id(), piece, verdicts)
        yield _Prepared(chunk, verdicts, piece.sizes, Payload(piece.rows["recipient"]))


def _number(piece: _Prepared, new_id: Callable[[], int]) -> list[Batch]:
    batches, first = [], 0
    for size in piece.sizes:
        batches.append(Batch(new_id(), piece.chunk.id, first, size))
        first += size
    return batches


def resume_point(journal: RunReader, opened: Opened) -> dict[str, Any]:
    """Where planning continues, with the identifiers met so far; the beginning for a new run."""
    seen = Seen(journal.run.folder)
    with journal.reader() as reading:
        end = reading.plan_end()
        if end is None:
            return {"seen": seen}
        if opened.config.input.duplicates == "first":
            for chunk in reading.chunk_ids():
                seen.remember(_keys_of(reading, chunk))
        return {
            "start": Position(**json.loads(end.resume)),
            "after_row": end.last_row,
            "already": end.rows,
            "seen": seen,
        }


def _keys_of(journal: RunReader, chunk: int) -> pl.Series:
    """The identifiers of a chunk's valid rows: the first of each, as was found when it was planned."""
    rows = chunk_rows(journal, chunk, ("verdict", "identifier_type", "identifier"))
    if (rows["identifier_type"] == "user_alias").any():  # its key is in the recipient, which is the bulk of a row
        rows = chunk_rows(journal, chunk)
    return duplicate_keys(rows.filter(pl.col("verdict") == "valid"))
