"""The worker pool: take a batch, make the intent durable, POST once, judge, make the outcome durable, go on.

Nothing here retries what may have been taken: whether a batch may go again is decided by ``judge`` and
``next_step`` alone, and asserted again before each attempt.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from bulk_sender.braze.answer import Outcome, Verdict, judge, repeated
from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.config.model import DeliveryConfig
from bulk_sender.delivery.breakers import Circuit, Fate, Refusals
from bulk_sender.delivery.guard import Guard
from bulk_sender.delivery.policy import Action, Step, next_step
from bulk_sender.delivery.work import Stopped, Tally, Work
from bulk_sender.errors import InternalError, JournalError
from bulk_sender.http.client import Client
from bulk_sender.http.evidence import Evidence, Reach
from bulk_sender.journal.answers import AttemptRef
from bulk_sender.journal.records import Attempt, AttemptOutcome, Batch, Decision, Record, Status
from bulk_sender.journal.writer import JournalWriter
from bulk_sender.pace.backoff import backoff
from bulk_sender.pace.concurrency import AdaptiveLimit
from bulk_sender.pace.limiter import Pace
from bulk_sender.pace.slot import Slot
from bulk_sender.planning.batches import Payload

_MOST_REFUSALS = 15
"""Refusals of one batch's parts, all alike and none accepted, after which it is the request that is refused."""

_FEWEST_RETRIES = 100
_MOST_REMEMBERED = 16_384
"""dispatch_ids at hand to notice a repetition: an answer that belongs to another request comes soon after it."""


@dataclass(frozen=True, slots=True)
class _Worker:
    client: Client
    slot: Slot


class Sender:
    """Sends the batches of one run. ``stop`` may be called at any time, from the same event loop."""

    def __init__(
        self,
        writer: JournalWriter,
        endpoint: Endpoint,
        new_client: Callable[[], Client],
        pace: Pace,
        config: DeliveryConfig,
        *,
        rng: random.Random | None = None,
        on_outcome: Callable[[Batch, Step, Outcome, Evidence], None] = lambda *_: None,
    ) -> None:
        self.writer = writer
        self.endpoint = endpoint
        self.pace = pace
        self.config = config
        self.tally = Tally()
        self.stopped: Stopped | None = None
        self.unrecorded: list[str] = []
        """Outcomes that could not be written: the disk is full, or failed."""
        self._new_client = new_client
        self._on_outcome = on_outcome
        self._circuit = Circuit(config.breaker)
        self._row_refusals = Refusals(config.max_failed_share)
        self._limit = AdaptiveLimit(most=config.concurrency)
        self._slots = anyio.CapacityLimiter(self._limit.limit)
        self._under_way = 0
        """Attempts from their turn to their answer; whoever waits for the pace has a slot, but is not under way."""
        self._probe = anyio.Lock()
        self._waits: set[anyio.CancelScope] = set()
        self._rng = rng or random.Random()
        # Read once, now: from here on the journal belongs to the writer's thread.
        self._dispatched = writer.journal.dispatched(_MOST_REMEMBERED)
        self._guard = Guard(endpoint, broadcast=writer.journal.facts().broadcast)
        self._reached = False

    def stop(self, reason: str, signal: int = 0) -> None:
        """Take no further batch; what is in flight is given time to end. The first reason stands."""
        if self.stopped is None:
            self.stopped = Stopped(reason, signal)
            for scope in tuple(self._waits):
                scope.cancel()

    @property
    def is_stopping(self) -> bool:
        return self.stopped is not None

    async def run(self, work: MemoryObjectReceiveStream[Work]) -> None:
        """Deliver until the stream ends or the run stops."""
        async with AsyncExitStack() as stack, anyio.create_task_group() as workers:
            for _ in range(self.config.concurrency):
                client = self._new_client()
                stack.push_async_callback(client.aclose)
                workers.start_soon(self._work, client, work.clone())
            work.close()

    async def _work(self, client: Client, work: MemoryObjectReceiveStream[Work]) -> None:
        async with work:
            with suppress(anyio.EndOfStream), Slot(self._slots) as slot:
                worker = _Worker(client, slot)
                while not self.is_stopping:
                    item = await self._next(slot, work)
                    if item is not None and not self.is_stopping:
                        await self._deliver(worker, item)

    async def _next(self, slot: Slot, work: MemoryObjectReceiveStream[Work]) -> Work | None:
        """The next batch; None when the run stopped before there was one. Raises EndOfStream behind the last."""
        with suppress(anyio.WouldBlock):
            return work.receive_nowait()
        slot.release()
        with self._until_stopped():
            return await work.receive()
        return None

    async def _deliver(self, worker: _Worker, item: Work) -> None:
        """One batch to its end, or in parts when Braze refuses one of its rows: halves, in the order of the rows."""
        self._guard.planned(item.batch)
        parts = deque([(item.batch, item.body_sha256)])
        refusals: list[str] = []
        accepted = split = False
        fate = Fate()
        while parts and not self.is_stopping:
            batch, body_sha256 = parts.popleft()
            settled = await self._settle(worker, batch, item.payload, body_sha256)
            if settled is None:
                return
            step, outcome, attempts = settled
            accepted = accepted or outcome.verdict is Verdict.ACCEPTED
            fate.add(step, outcome, batch.size)
            if step.action is Action.SPLIT:
                if outcome.verdict is Verdict.REFUSED:  # a batch that is too large only has to become small enough
                    refusals.append(outcome.message)
                split = True
                new_id = self.writer.journal.new_batch_id
                halves = batch.halves(new_id(), new_id(), attempts)
                if not await self._write(*halves):
                    return
                parts.extendleft((half, None) for half in reversed(halves))
                if not accepted and len(refusals) >= _MOST_REFUSALS and len(set(refusals)) == 1:
                    self.stop(f"Braze refuses every part of batch {item.batch.id} alike: {refusals[0]}")
        if split and not accepted:
            self._stop_for(self._circuit.lost_one())
        self._stop_for(self._row_refusals.record(fate))

    async def _settle(
        self, worker: _Worker, batch: Batch, payload: Payload, body_sha256: bytes | None
    ) -> tuple[Step, Outcome, int] | None:
        """POST one batch until it is settled or to be split. Gives the attempts made too; None when the run stopped."""
        body = self.endpoint.body(payload.recipients(batch.first, batch.size))
        digest = hashlib.sha256(body).digest()
        if body_sha256 is not None and body_sha256 != digest:
            self.stop(f"batch {batch.id} would not be the same request as before")
        made = counted = 0
        while True:
            async with self._turn(worker.slot):
                if self.is_stopping:
                    return None
                made, counted = made + 1, counted + 1
                found = await self._attempt(worker.client, batch, body, digest, counted)
            if found is None:
                return None
            step, outcome = found
            if step.action is Action.AGAIN_AFTER_RESET:
                counted -= 1  # a 429 is no failure of the batch
            elif step.action is Action.AGAIN:
                self.tally.retries += 1
                worker.slot.release()
                with self._until_stopped():
                    await anyio.sleep(backoff(counted, self._rng))
            else:
                return step, outcome, made

    async def _attempt(
        self, client: Client, batch: Batch, body: bytes, digest: bytes, counted: int
    ) -> tuple[Step, Outcome] | None:
        """Exactly one POST behind a durable intent; None when that can't be written.

        Its outcome is noted, not waited for: the journal keeps the order, so it is durable before the worker's next
        request leaves, and no worker has more than one batch in doubt.
        """
        if refusal := self._guard.refuses(batch):
            self.stop(f"stopped by a guard: {refusal}")
            return None
        attempt = self.writer.journal.new_attempt_id()
        self._under_way += 1
        if not await self._write(Attempt(attempt, batch.id, digest)):
            self._under_way -= 1
            return None
        self.tally.requests += 1
        self.tally.in_flight += 1
        evidence = Evidence(Reach.NOTHING, error="Cancelled")
        outcome = Outcome(Verdict.UNKNOWN, "no_answer", "the process was told to leave before an answer came")
        step = Step(Status.UNKNOWN, Action.DONE)
        earlier: AttemptRef | None = None
        try:
            await self.pace.leave()
            evidence = await client.post(body)
            outcome = judge(evidence, server_errors=self.config.server_errors)
            earlier = self._named_before(outcome, batch, attempt)
            if earlier is not None:
                outcome = repeated(outcome, earlier.batch)
            step = next_step(
                outcome, size=batch.size, attempts=counted, most=self.config.attempts, reached=self._reached
            )
        finally:
            # Also when cancelled, or on an exception nobody foresaw: what may have been taken is written down.
            self.tally.in_flight -= 1
            busy, self._under_way = self._under_way, self._under_way - 1
            self._guard.ended(batch, outcome)
            self._record(attempt, batch, step, outcome, evidence, earlier)
        self._reached = self._reached or evidence.reach >= Reach.CONNECTED
        self._learn(evidence, outcome, busy)
        self._react(batch, step, outcome, evidence)
        return step, outcome

    def _named_before(self, outcome: Outcome, batch: Batch, attempt: int) -> AttemptRef | None:
        """The (batch, attempt) that was accepted under the same dispatch_id; None when it is new, or none."""
        if outcome.verdict is not Verdict.ACCEPTED or not outcome.dispatch_id:
            return None
        first = self._dispatched.setdefault(outcome.dispatch_id, AttemptRef(batch.id, attempt))
        if len(self._dispatched) > _MOST_REMEMBERED:
            self._dispatched.pop(next(iter(self._dispatched)))
        return None if first.attempt == attempt else first

    def _record(
        self,
        attempt: int,
        batch: Batch,
        step: Step,
        outcome: Outcome,
        evidence: Evidence,
        earlier: AttemptRef | None,
    ) -> None:
        records: list[Record] = [AttemptOutcome.of(attempt, batch.id, step.status, outcome, evidence.elapsed_s)]
        if earlier is not None:
            # What was accepted before under the same dispatch_id is taken back, by a record of its own.
            why = f"its dispatch_id was given to batch {batch.id} too"
            decision = self.writer.journal.new_decision_id()
            records.append(Decision.doubt(decision, earlier.batch, earlier.attempt, why))
        self.writer.note(*records, failed=partial(self._unrecorded, batch, outcome))
        self._on_outcome(batch, step, outcome, evidence)

    def _unrecorded(self, batch: Batch, outcome: Outcome, error: BaseException) -> None:
        """On the disk the batch stays in doubt; whoever reads the terminal knows better."""
        self.unrecorded.append(f"batch {batch.id}: {outcome.verdict} {outcome.dispatch_id or outcome.code}".strip())
        self.stop(str(error if isinstance(error, JournalError) else InternalError.of(error)))

    async def _write(self, *records: Record) -> bool:
        try:
            await self.writer.write(*records)
        except JournalError as error:
            self.stop(f"{error}")
            return False
        return True

    def _learn(self, evidence: Evidence, outcome: Outcome, busy: int) -> None:
        """Let the number of requests under way follow the answers; ``busy`` were so when this one came."""
        now = time.monotonic()
        if evidence.reach is Reach.ANSWERED and outcome.verdict in (Verdict.ACCEPTED, Verdict.REFUSED):
            self._limit.answered(evidence.elapsed_s, busy, now)
        else:
            self._limit.overloaded(now)
        if self._slots.total_tokens != self._limit.limit:
            self._slots.total_tokens = self._limit.limit

    def _react(self, batch: Batch, step: Step, outcome: Outcome, evidence: Evidence) -> None:
        if step.action in (Action.DONE, Action.STOP):
            self.tally.recipients[step.status] += batch.size
        if outcome.verdict is Verdict.THROTTLED:
            self.tally.throttled += 1
            self.pace.throttled(evidence.headers)
        elif evidence.reach is Reach.ANSWERED:
            self.pace.observe(evidence.headers)
        whole = batch.parent is None or outcome.verdict is not Verdict.REFUSED
        self._stop_for(step.reason or (self._circuit.record(step, outcome.verdict) if whole else ""))
        if self.tally.retries > max(_FEWEST_RETRIES, self.config.retry_budget * self.tally.requests):
            self.stop(f"{self.tally.retries} requests had to be repeated")

    def _stop_for(self, reason: str) -> None:
        if reason:
            self.stop(reason)

    @contextmanager
    def _until_stopped(self) -> Iterator[None]:
        """What waits inside is cut short when the run stops. Never put a request in here."""
        with anyio.CancelScope() as scope:
            self._waits.add(scope)
            if self.is_stopping:
                scope.cancel()
            try:
                yield
            finally:
                self._waits.discard(scope)

    @asynccontextmanager
    async def _turn(self, slot: Slot) -> AsyncIterator[None]:
        """A turn to send: by the pace, or one request at a time and after a pause while the circuit is half open."""
        is_calm = not self.is_stopping and not self._circuit.half_open
        if is_calm and slot.take_at_once() and await self.pace.turn_at_once():
            yield  # nothing to wait for, hence nothing that a stop would have to cut short
        else:
            async with AsyncExitStack() as probing:
                with self._until_stopped():
                    await slot.take()
                    if self._circuit.half_open:
                        await probing.enter_async_context(self._probe)
                        if self._circuit.half_open:
                            await anyio.sleep(backoff(self._circuit.failures, self._rng))
                    await self.pace.turn()
                yield
        slot.release_if_too_many()
