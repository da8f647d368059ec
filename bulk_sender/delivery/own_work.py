"""All batches of a run, in row order, for the only process that sends it: planned earlier, or planned now."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

import anyio

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.delivery.planned import CutShort, pieces
from bulk_sender.delivery.stopping import Stopping
from bulk_sender.delivery.work import Work
from bulk_sender.journal.chunks import chunk_payload
from bulk_sender.journal.records import PlanComplete
from bulk_sender.journal.store import RunWriter
from bulk_sender.journal.writer import JournalWriter
from bulk_sender.planning.prepared import PreparedInput


class OwnWork:
    """A ``Worklist``: each piece is planned while the one before is sent."""

    def __init__(self, journal: RunWriter, *, canary: int | None = None, is_held: bool = False) -> None:
        """``canary``: the rows that go first, in batches of their own. ``is_held``: whether to hold after them."""
        planned = journal.plan_end()
        self.rows = planned.rows if planned is not None else 0
        self.verdicts: Counter[str] = Counter()
        self.plan_complete = journal.is_plan_complete()
        self._journal = journal
        self._canary = canary
        self._is_to_be_held = is_held

    @asynccontextmanager
    async def planning(
        self, writer: JournalWriter, stopping: Stopping, target: Endpoint, opened: PreparedInput | None
    ) -> AsyncIterator[None]:
        yield

    async def close(self, writer: JournalWriter) -> None:
        pass

    async def batches(
        self, writer: JournalWriter, stopping: Stopping, target: Endpoint, opened: PreparedInput | None
    ) -> AsyncGenerator[Work | None]:
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
                raise CutShort

        was_last = anyio.Event()
        with suppress(CutShort):
            planned = pieces(self._journal, opened, target, self._canary, check, was_last.set)
            async with aclosing(planned) as prepared:
                async for piece in prepared:
                    batches = piece.batches(self._journal.new_batch_id)
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
