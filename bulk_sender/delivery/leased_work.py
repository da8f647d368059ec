"""The batches of the chunks that this process has leased, where several processes send one run.

The process that started or resumed the run plans, as fast as it can: each chunk may be taken by any process as soon as
it is written. All of them, that one too, take chunk after chunk until every chunk is settled.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import anyio

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.delivery.planned import CutShort, pieces
from bulk_sender.delivery.stopping import Stopping
from bulk_sender.delivery.work import Work
from bulk_sender.errors import BulkSenderError, StoreError
from bulk_sender.journal.answers import WorkLeft
from bulk_sender.journal.chunks import chunk_payload
from bulk_sender.journal.records import CanaryReleased, Lease, LeaseState, PlanComplete
from bulk_sender.journal.store import RunReader, RunWriter, Team
from bulk_sender.journal.writer import JournalWriter
from bulk_sender.planning.prepared import PreparedInput

log = logging.getLogger("bulk_sender")
_WAIT_S = 0.2
"""How long to wait for another chunk when there is none to take."""
_AGAIN_S = 5.0
"""After how long to look again for a chunk whose rows could not be read from their store."""
_PATIENCE_S = 60.0
"""How long to look for them when everything else is done."""


@dataclass(slots=True)
class _Leased:
    """A chunk that this process has. ``left``: batches without an end; ``is_settled``: all others have an outcome."""

    left: int
    is_settled: bool = True


@dataclass(slots=True)
class _Waiting:
    """A chunk that this process has and whose rows could not be read ``since`` then, nor at ``tried``."""

    why: StoreError
    since: float
    tried: float


class LeasedWork:
    """A ``Worklist``. ``plans``: whether this process plans the input, or has joined one that does."""

    def __init__(
        self, journal: RunWriter, team: Team, *, plans: bool, canary: int | None = None, is_held: bool = False
    ) -> None:
        """``canary``: the rows that go first. ``is_held``: whether the rest waits until somebody has agreed."""
        planned = journal.plan_end()
        self.rows = planned.rows if planned is not None else 0
        self.verdicts: Counter[str] = Counter()
        self.plan_complete = journal.is_plan_complete()
        self._journal, self._team = journal, team
        self._plans = plans
        self._canary, self._is_to_be_held = canary, is_held
        self._is_planning = False
        self._has: dict[int, _Leased] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._ending: set[int] = set()
        """Chunks that are done, though the journal does not say so yet."""

    # --- planning -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def planning(
        self, writer: JournalWriter, stopping: Stopping, target: Endpoint, opened: PreparedInput | None
    ) -> AsyncIterator[None]:
        if self._plans:
            await anyio.to_thread.run_sync(self._team.open_leases, self._canary if self._is_to_be_held else None)
        if self.plan_complete or opened is None:
            yield
            return
        self._is_planning = True
        async with anyio.create_task_group() as group:
            group.start_soon(self._plan, writer, stopping, target, opened)
            yield

    async def _plan(self, writer: JournalWriter, stopping: Stopping, target: Endpoint, opened: PreparedInput) -> None:
        """Plan the rest. When the run stops, planning continues, so that every row is accounted for.

        Only a signal ends it: nobody waits for millions of rows then.
        """

        def check() -> None:
            if stopping.is_interrupted:
                raise CutShort

        try:
            with suppress(CutShort):
                planned = pieces(self._journal, opened, target, self._canary, check, lambda: None)
                async with aclosing(planned) as prepared:
                    async for piece in prepared:
                        batches = await anyio.to_thread.run_sync(piece.batches, self._journal.new_batch_id)
                        waits = self._is_to_be_held and self.rows >= (self._canary or 0)
                        state = LeaseState.HELD_BACK if waits else LeaseState.OPEN
                        await writer.write(piece.chunk, *batches, Lease(piece.chunk.id, state))
                        self.rows += piece.chunk.rows
                        self.verdicts.update(piece.verdicts)
                        check()
                await writer.write(PlanComplete())
                self.plan_complete = True
        except BulkSenderError as error:
            stopping.stop(str(error))
        finally:
            self._is_planning = False

    # --- sending ------------------------------------------------------------------------------------------------

    async def batches(
        self, writer: JournalWriter, stopping: Stopping, target: Endpoint, opened: PreparedInput | None
    ) -> AsyncGenerator[Work | None]:
        with self._journal.reader() as reading:
            while not stopping.is_set:
                chunk = self._due() or await anyio.to_thread.run_sync(
                    self._team.take, [*self._has, *self._waiting, *self._ending]
                )
                if chunk is not None:
                    try:
                        found = await anyio.to_thread.run_sync(self._loaded, reading, writer, chunk)
                    except StoreError as error:
                        self._wait(chunk, error)
                        continue
                    self._waiting.pop(chunk, None)
                    for work in found:
                        yield work
                    self._end_if_settled(writer, chunk)
                    continue
                self._refuse_to_wait_longer()
                left = await anyio.to_thread.run_sync(self._team.left)
                stopping.stop(self._team.stopped)  # before anything follows from who has gone
                if self._is_to_be_held and left.held_back and left.is_none:
                    yield None
                    await self._release(writer, stopping)
                elif self._is_over(left, stopping):
                    return
                else:
                    with stopping.cutting_short():
                        await anyio.sleep(_WAIT_S)

    def _due(self) -> int | None:
        """Return a chunk to look for again."""
        before = time.monotonic() - _AGAIN_S
        return next((chunk for chunk, waiting in self._waiting.items() if waiting.tried < before), None)

    def _wait(self, chunk: int, why: StoreError) -> None:
        """Keep a chunk whose rows cannot be read now: others come first."""
        now = time.monotonic()
        if chunk not in self._waiting:
            log.warning("chunk %d waits: %s", chunk, why)
        waiting = self._waiting.setdefault(chunk, _Waiting(why, now, now))
        waiting.why, waiting.tried = why, now

    def _refuse_to_wait_longer(self) -> None:
        """Raise StoreError when there is nothing but chunks whose rows could not be read for long."""
        waiting = min(self._waiting.values(), key=lambda each: each.since, default=None)
        if waiting is not None and not self._has and time.monotonic() - waiting.since > _PATIENCE_S:
            raise waiting.why

    async def _release(self, writer: JournalWriter, stopping: Stopping) -> None:
        """Let everybody take what waits behind the canary, unless the run stopped instead."""
        if not stopping.is_set:
            self._is_to_be_held = False  # before the record: chunks that come to the journal after it are open
            await writer.write(CanaryReleased())

    def _is_over(self, left: WorkLeft, stopping: Stopping) -> bool:
        """Whether nothing will be left to take; stop the run when that is so only because nobody plans any more."""
        if not left.is_none:
            return False
        if self._plans:
            return not self._is_planning
        self.plan_complete = left.is_planned
        if left.is_planned and not left.held_back:
            return True
        if left.has_planner:
            return False
        name = self._journal.run.name
        stopping.stop(
            f"the process that asks whether the rest follows the canary is gone: bulk-sender resume {name} asks again"
            if left.held_back
            else f"the process that planned the input is gone: bulk-sender resume {name} plans and sends the rest"
        )
        return True

    def _loaded(self, reading: RunReader, writer: JournalWriter, chunk: int) -> list[Work]:
        """Return the batches of a chunk that have to be sent. What others knew of it is in the journal by now."""
        reading.prove_chunk(chunk)
        payload = chunk_payload(reading, chunk)
        unsent = reading.unsent_batches(chunk)
        self._has[chunk] = _Leased(len(unsent))
        ended = partial(self._ended, writer, chunk)
        return [Work(each.batch, payload, each.body_sha256, ended) for each in unsent]

    def _ended(self, writer: JournalWriter, chunk: int, is_settled: bool) -> None:
        leased = self._has[chunk]
        leased.left -= 1
        leased.is_settled = leased.is_settled and is_settled
        self._end_if_settled(writer, chunk)

    def _end_if_settled(self, writer: JournalWriter, chunk: int) -> None:
        """Say that a chunk is done, with the commit of its last outcome or behind it."""
        leased = self._has.get(chunk)
        if leased is not None and not leased.left and leased.is_settled:
            del self._has[chunk]
            self._ending.add(chunk)
            ended = partial(self._ending.discard, chunk)
            writer.note(Lease(chunk, LeaseState.DONE), failed=lambda _: None, done=ended, may_wait=True)

    async def close(self, writer: JournalWriter) -> None:
        has = [*self._has, *self._waiting]
        if has and self._journal.lost is None:
            with anyio.CancelScope(shield=True), suppress(BulkSenderError):
                await writer.write(*(Lease(chunk, LeaseState.GIVEN_BACK) for chunk in has))
