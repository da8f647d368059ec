"""The batches of a run that are still to be sent, in row order: planned earlier, or planned now."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import anyio
import polars as pl

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.delivery.stopping import Stopping
from bulk_sender.delivery.work import Work
from bulk_sender.eventloop import one_ahead
from bulk_sender.journal.chunks import chunk_payload, chunk_record, chunk_rows
from bulk_sender.journal.records import Batch, Chunk, PlanComplete
from bulk_sender.journal.store import RunReader, RunWriter
from bulk_sender.journal.writer import JournalWriter
from bulk_sender.planning.batches import Payload, Planned
from bulk_sender.planning.plan import duplicate_keys
from bulk_sender.planning.prepared import PreparedInput
from bulk_sender.planning.seen import Seen
from bulk_sender.reading.chunk import Position


class _CutShort(Exception):
    """A signal ended planning. The rows that were not read stay unread."""


class Worklist:
    """What one process still has to send, and how far it has read the input.

    ``rows``: rows of the run read so far. ``verdicts``: rows that this process planned, by verdict.
    """

    def __init__(self, journal: RunWriter, *, canary: int | None = None, is_held: bool = False) -> None:
        """``canary``: the rows that go first, in batches of their own. ``is_held``: whether to hold after them."""
        planned = journal.plan_end()
        self.rows = planned.rows if planned is not None else 0
        self.verdicts: Counter[str] = Counter()
        self.plan_complete = journal.is_plan_complete()
        self._journal = journal
        self._canary = canary
        self._is_to_be_held = is_held

    async def batches(
        self, writer: JournalWriter, stopping: Stopping, target: Endpoint, opened: PreparedInput | None
    ) -> AsyncGenerator[Work | None]:
        """Yield the batches in row order, and None where the run is to be held.

        Without ``opened`` only those that an earlier process planned.
        """
        async with aclosing(self._planned_before(stopping)) as planned:
            async for item in planned:
                yield item
        if not self.plan_complete and opened is not None:
            async with aclosing(self._planned_now(writer, stopping, target, opened)) as new:
                async for item in new:
                    yield item

    def _is_to_hold(self, rows_before: int) -> bool:
        if not self._is_to_be_held or rows_before < (self._canary or 0):
            return False
        self._is_to_be_held = False
        return True

    async def _planned_before(self, stopping: Stopping) -> AsyncGenerator[Work | None]:
        """Yield what an earlier process planned and did not send, or what is to be sent again."""
        with self._journal.reader() as reading:
            for chunk in reading.unsent_chunks():
                if self._is_to_hold(chunk.rows_before):
                    yield None
                if stopping.is_set:
                    return
                payload = chunk_payload(reading, chunk.id)
                for unsent in reading.unsent_batches(chunk.id):
                    yield Work(unsent.batch, payload, unsent.body_sha256)

    async def _planned_now(
        self, writer: JournalWriter, stopping: Stopping, target: Endpoint, opened: PreparedInput
    ) -> AsyncGenerator[Work | None]:
        """Plan the rest of the input. When the run stops, planning continues, so that every row is accounted for.

        Only a signal ends it: nobody waits for millions of rows then. Rows that were not read are not counted.
        """

        def check() -> None:
            if stopping.is_interrupted:
                raise _CutShort

        was_last = anyio.Event()
        with suppress(_CutShort):
            where = await anyio.to_thread.run_sync(resume_point, self._journal, opened, check)
            pieces = opened.plan(target, canary=self._canary or None, before_each=check, **where)
            made = _prepared(pieces, self._journal.new_chunk_id)
            async with aclosing(one_ahead(made, on_end=was_last.set)) as prepared:
                async for piece in prepared:
                    batches = _number(piece, self._journal.new_batch_id)
                    await writer.write(piece.chunk, *batches)
                    before, self.rows = self.rows, self.rows + piece.chunk.rows
                    self.verdicts.update(piece.verdicts)
                    if self._is_to_hold(before):
                        yield None
                    if not stopping.is_set:
                        for batch in batches:
                            yield Work(batch, piece.payload)
                            if was_last.is_set():  # now, because a cancelled process comes no further
                                await self._complete(writer)
                    if not was_last.is_set():
                        check()
            await self._complete(writer)

    async def _complete(self, writer: JournalWriter) -> None:
        """Record once that every row is in a chunk."""
        if not self.plan_complete:
            await writer.write(PlanComplete())
            self.plan_complete = True


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A planned piece, with everything that can be computed outside the event loop."""

    chunk: Chunk
    verdicts: dict[str, int]
    sizes: list[int]
    payload: Payload


def _prepared(pieces: Iterator[Planned], new_id: Callable[[], int]) -> Iterator[_Prepared]:
    """Number the pieces, and pack them as chunks."""
    for piece in pieces:
        verdicts: dict[str, int] = dict(piece.rows["verdict"].value_counts().iter_rows())
        payload = Payload.of(piece.rows["recipient"])
        chunk = chunk_record(new_id(), piece, payload, verdicts)
        yield _Prepared(chunk, verdicts, piece.sizes, payload)


def _number(piece: _Prepared, new_id: Callable[[], int]) -> list[Batch]:
    batches, first = [], 0
    for size in piece.sizes:
        batches.append(Batch(new_id(), piece.chunk.id, first, size))
        first += size
    return batches


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
