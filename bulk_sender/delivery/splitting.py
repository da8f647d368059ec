"""One batch to its end: repeated while that is safe, and in halves when Braze refuses one of its rows."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import NamedTuple

import anyio

from bulk_sender.braze.answer import HELD_UP, SHORT, Outcome, Verdict
from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.delivery.attempt import Attempted, Attempts, Tries
from bulk_sender.delivery.breakers import Breakers, Fate
from bulk_sender.delivery.guard import Guard
from bulk_sender.delivery.policy import Action, NextStep
from bulk_sender.delivery.stopping import Stopping
from bulk_sender.delivery.turns import Turns
from bulk_sender.delivery.work import Tally, Work
from bulk_sender.delivery.worker import Worker
from bulk_sender.errors import JournalError
from bulk_sender.journal.records import Batch, Status
from bulk_sender.journal.writer import JournalWriter
from bulk_sender.planning.batches import Payload

_EVEN_IF_DONE = ("not_live", "mixed_up")
"""What has to be heard of a run even when no row is left."""
_SENDS_AGAIN = (Action.AGAIN, Action.AGAIN_AFTER_RESET, Action.SPLIT)
_PIECE = 2047
"""Bytes that are hashed without giving up Python's lock (hashlib). With other threads at work, getting it back takes
longer than to hash a body."""
_MOST_REFUSALS = 15
"""After this many refusals of one batch's parts, all alike and none accepted, the request itself is at fault."""


class Settled(NamedTuple):
    """A batch that needs no further attempt; ``attempts`` were made in this process.

    ``named``: recipients that an answer of success names with an error.
    """

    step: NextStep
    outcome: Outcome
    attempts: int
    named: int


class Batches:
    """Delivers batches, each to its end."""

    def __init__(
        self,
        writer: JournalWriter,
        endpoint: Endpoint,
        attempts: Attempts,
        turns: Turns,
        breakers: Breakers,
        guard: Guard,
        stopping: Stopping,
        tally: Tally,
    ) -> None:
        self._writer = writer
        self._endpoint = endpoint
        self._attempts = attempts
        self._turns = turns
        self._breakers = breakers
        self._guard = guard
        self._stopping = stopping
        self._tally = tally
        self._splitting = anyio.Lock()
        self._splitter: Worker | None = None
        """Who holds the lock, to the end of a batch."""

    async def deliver(self, worker: Worker, item: Work) -> bool:
        """Deliver one batch, in halves and in the order of the rows when Braze refuses one of them.

        Return whether all of it has a final outcome.
        """
        self._guard.planned(item.batch)
        try:
            return await self._deliver(worker, item)
        finally:
            self._end_splitting(worker)

    async def _deliver(self, worker: Worker, item: Work) -> bool:
        parts = deque([(item.batch, item.body_sha256)])
        refusals: list[str] = []
        accepted = split = False
        is_final = True
        fate = Fate()
        while parts and not self._stopping.is_set:
            batch, body_sha256 = parts.popleft()
            settled = await self._settle(worker, item.batch, batch, item.payload, body_sha256)
            if settled is None:
                return False
            accepted = accepted or settled.outcome.verdict is Verdict.ACCEPTED
            fate.add(settled.step, settled.outcome, batch.size, named=settled.named)
            if settled.step.action is not Action.SPLIT:
                is_final = is_final and settled.step.status != Status.NOT_SENT
                continue
            split = True
            halves = await self._halve(batch, settled.attempts)
            if halves is None:
                return False
            worker.split(batch.id)
            parts.extendleft((half, None) for half in reversed(halves))
            if settled.outcome.verdict is Verdict.REFUSED:  # a batch that is too large only has to become smaller
                refusals.append(settled.outcome.message)
                await self._split_alone(worker)
            if not accepted and len(refusals) >= _MOST_REFUSALS and len(set(refusals)) == 1:
                self._stopping.stop(f"Braze refuses every part of batch {item.batch.id} alike: {refusals[0]}")
        self._stopping.stop(self._breakers.ended(fate, lost=split and not accepted))
        return is_final and not parts

    async def _split_alone(self, worker: Worker) -> None:
        """Wait until no other batch is being split, while it may be the request that Braze refuses."""
        if self._splitter is not worker and self._breakers.alike.is_possible:
            worker.slot.release()
            with self._stopping.cutting_short():
                await self._splitting.acquire()
                self._splitter = worker
        if not self._breakers.alike.is_possible:
            self._end_splitting(worker)

    def _end_splitting(self, worker: Worker) -> None:
        if self._splitter is worker:
            self._splitter = None
            self._splitting.release()

    async def _halve(self, batch: Batch, attempts: int) -> tuple[Batch, Batch] | None:
        """Replace a batch by its halves in the journal. Return None when that cannot be written."""
        new_id = self._writer.journal.new_batch_id
        halves = batch.halves(new_id(), new_id(), attempts)
        try:
            await self._writer.write(*halves)
        except JournalError as error:
            self._stopping.stop(str(error))
            return None
        return halves

    async def _settle(
        self, worker: Worker, planned: Batch, batch: Batch, payload: Payload, body_sha256: bytes | None
    ) -> Settled | None:
        """POST one batch until it is settled or must be split. Return None when the run stopped first."""
        body = self._endpoint.body(payload.recipients(batch.first, batch.size))
        digest = _sha256(body)
        if body_sha256 is not None and body_sha256 != digest:
            self._stopping.stop(f"batch {batch.id} would not be the same request as before")
        made = counted = 0
        while True:
            await self._turns.begin(worker.slot)
            try:
                if self._stopping.is_set:
                    return None
                made, counted = made + 1, counted + 1
                ended = await self._attempts.make(worker, batch, body, digest, Tries(made, counted))
                if ended is None:
                    return None
                self._react(worker, planned, ended)  # before the next probe may go
            finally:
                self._turns.end(worker.slot)
            if ended.step.action in _SENDS_AGAIN:
                if worker.wait_s:
                    worker.slot.release()
                if not await self._attempts.is_silent(worker):
                    return None
            if ended.step.action is Action.AGAIN_AFTER_RESET:
                counted -= 1  # a 429 is not a failure of the batch
            elif ended.step.action is Action.AGAIN:
                self._tally.retries += 1
                worker.slot.release()
                await self._turns.pause(counted, attempt=counted + 1)
            else:
                return Settled(ended.step, ended.outcome, made, ended.named)

    def _react(self, worker: Worker, planned: Batch, ended: Attempted) -> None:
        self._turns.adjust(ended, worker.slot)
        if ended.step.action in (Action.DONE, Action.STOP):
            for status, recipients in ended.by_status.items():
                self._tally.recipients[status] += recipients
        self._tally.throttled += ended.outcome.verdict is Verdict.THROTTLED
        verdict = ended.outcome.verdict
        self._stopping.stop(ended.step.reason, even_if_done=ended.outcome.stop in _EVEN_IF_DONE)
        if ended.outcome.code in (SHORT, HELD_UP):
            return  # it says nothing about Braze
        self._stopping.stop(self._breakers.alike.record(planned.id, ended.batch.size, ended.outcome))
        self._stopping.stop(
            self._breakers.attempted(ended.batch, ended.step, verdict, self._tally)
            or self._breakers.unreached.record(ended.outcome)
        )
        self._turns.close_circuit()


def _sha256(body: bytes) -> bytes:
    hashed, view = hashlib.sha256(), memoryview(body)
    for start in range(0, len(body), _PIECE):
        hashed.update(view[start : start + _PIECE])
    return hashed.digest()
