"""One attempt: a POST behind a durable intent, judged, and its outcome recorded.

Nothing here retries. ``judge`` and ``next_step`` alone decide whether a batch may be sent again, and the guard checks
it once more before each attempt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from bulk_sender.braze.answer import STALE, Outcome, Verdict, judge, repeated
from bulk_sender.braze.row_errors import CODE as RECIPIENT_ERROR
from bulk_sender.braze.row_errors import Part, parts
from bulk_sender.config.model import DeliveryConfig
from bulk_sender.delivery.guard import Guard
from bulk_sender.delivery.policy import MIXED_UP, Action, NextStep, next_step
from bulk_sender.delivery.staleness import STALE_S
from bulk_sender.delivery.stopping import Stopping
from bulk_sender.delivery.work import Tally
from bulk_sender.delivery.worker import Worker
from bulk_sender.errors import InternalError, JournalError
from bulk_sender.http.client import Client
from bulk_sender.http.clock import since_boot
from bulk_sender.http.evidence import JOURNAL_LOST, Evidence, Reach
from bulk_sender.journal.answers import AttemptRef
from bulk_sender.journal.records import Attempt, AttemptOutcome, Batch, Decision, Record, Status
from bulk_sender.journal.writer import JournalWriter
from bulk_sender.pace.limiter import Pace
from bulk_sender.text.numbers import several

_MOST_REMEMBERED = 16_384
"""Remember this many dispatch_ids to notice a repetition: an answer to another request arrives soon after it."""

_CANCELLED = (
    Evidence(Reach.NOTHING, error="Cancelled"),
    Outcome(Verdict.UNKNOWN, "no_answer", "the process was stopped before an answer came"),
    NextStep(Status.UNKNOWN, Action.DONE),
)
"""What holds for an attempt until it has ended."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """An attempt that has ended. ``in_flight``: requests in flight when its answer came, itself included.

    ``parts``: several when its rows have different outcomes, else at most one.
    """

    batch: Batch
    step: NextStep
    outcome: Outcome
    evidence: Evidence
    in_flight: int
    parts: tuple[Part, ...]

    @property
    def named(self) -> int:
        """Recipients that an answer of success names with an error."""
        return sum(part.size for part in self.parts if part.outcome.code == RECIPIENT_ERROR)

    @property
    def by_status(self) -> Counter[str]:
        """Recipients by status."""
        if len(self.parts) < 2:
            return Counter({self.step.status: self.batch.size})
        found: Counter[str] = Counter()
        for part in self.parts:
            found[status_of(part)] += part.size
        return found


def status_of(part: Part) -> str:
    """Return the status of a part's rows."""
    return Status.ACCEPTED if part.outcome.verdict is Verdict.ACCEPTED else Status.UNKNOWN


@dataclass(frozen=True, slots=True)
class Tries:
    """Attempts at a batch in this process, the one to be made included; ``counted`` for the limit on attempts."""

    made: int
    counted: int


class Attempts:
    """Makes the attempts of one run in this process."""

    def __init__(
        self,
        writer: JournalWriter,
        guard: Guard,
        pace: Pace,
        stopping: Stopping,
        tally: Tally,
        config: DeliveryConfig,
        on_attempt: Callable[[Attempted], None] | None,
    ) -> None:
        self.unrecorded: list[str] = []
        """Outcomes that could not be written because the disk was full or failed."""
        self._writer = writer
        self._guard = guard
        self._pace = pace
        self._stopping = stopping
        self._tally = tally
        self._config = config
        self._on_attempt = on_attempt
        self._in_flight = 0
        """Requests actually in flight; workers waiting for the rate limit are not counted."""
        self._reached = False
        # Read once, now: from here on the journal belongs to the writer's thread.
        self._dispatched = writer.journal.dispatched(_MOST_REMEMBERED)

    async def make(self, worker: Worker, batch: Batch, body: bytes, digest: bytes, tries: Tries) -> Attempted | None:
        """Make exactly one POST behind a durable intent. Return None when the intent cannot be written.

        ``digest`` is the body's SHA-256.

        The outcome is queued, not awaited. The journal keeps the order, so the outcome is durable before the worker's
        next request leaves, and no worker ever has more than one batch in doubt.
        """
        if await worker.client.unasked() or (worker.is_worn and not await self._replaced(worker)):
            self._mixed_up(worker)
            return None
        if refusal := self._guard.refuses(batch):
            self._stopping.stop(f"stopped by a guard: {refusal}")
            return None
        attempt = Attempt(self._writer.journal.new_attempt_id(), batch.id, digest)
        began = since_boot()
        self._in_flight += 1
        try:
            await self._writer.write(attempt)
        except JournalError as error:
            self._in_flight -= 1
            self._stopping.stop(str(error))
            if self._writer.journal.lost is not None:
                # The intent may be in the journal nevertheless. Record that nothing left: the batch is not in doubt.
                unsent = judge(Evidence(Reach.NOTHING, error=JOURNAL_LOST))
                outcome = AttemptOutcome(attempt.id, batch.id, Status.NOT_SENT, unsent, 0.0)
                self._writer.note(outcome, failed=lambda _: None)
            return None
        return await self._post(worker, batch, body, attempt, began, tries)

    async def _post(
        self, worker: Worker, batch: Batch, body: bytes, attempt: Attempt, began: float, tries: Tries
    ) -> Attempted:
        self._tally.requests += 1
        self._tally.in_flight += 1
        evidence, outcome, step = _CANCELLED
        found: tuple[Part, ...] = ()
        earlier: tuple[AttemptRef, ...] = ()
        try:
            await self._pace.leave()
            evidence = await self._exchange(worker.client, body, began)
            outcome = judge(evidence, server_errors=self._config.server_errors)
            earlier = self._dispatched_before(outcome, attempt)
            if earlier:
                outcome = repeated(outcome, earlier[0].batch)
            found = parts(outcome, batch.size)
            if len(found) == 1:
                outcome = found[0].outcome
            step = next_step(
                outcome, size=batch.size, attempts=tries.counted, most=self._config.attempts, reached=self._reached
            )
        finally:
            # Also when cancelled, or on an unforeseen exception: record what may have been accepted.
            self._tally.in_flight -= 1
            busy, self._in_flight = self._in_flight, self._in_flight - 1
            self._guard.ended(batch, outcome)
            attempted = Attempted(batch, step, outcome, evidence, busy, found)
            self._record(worker, attempt, attempted, earlier, tries.made)
        self._reached = self._reached or evidence.reach >= Reach.CONNECTED
        return attempted

    async def _exchange(self, client: Client, body: bytes, began: float) -> Evidence:
        """POST, unless the journal was lost since the intent was written at ``began``, or that is too long ago."""
        if self._writer.journal.lost is not None:
            return Evidence(Reach.NOTHING, error=JOURNAL_LOST)
        # Between the two, a slow pace may wait for one turn.
        if since_boot() - began > STALE_S + 1.0 / self._pace.asked:
            return Evidence(Reach.NOTHING, error=STALE)
        return await client.post(body)

    def _dispatched_before(self, outcome: Outcome, attempt: Attempt) -> tuple[AttemptRef, ...]:
        """Return what was accepted earlier under the same dispatch_id; nothing when it is new."""
        if outcome.verdict is not Verdict.ACCEPTED or not outcome.dispatch_id:
            return ()
        own = (AttemptRef(attempt.batch, attempt.id),)
        first = self._dispatched.setdefault(outcome.dispatch_id, own)
        if len(self._dispatched) > _MOST_REMEMBERED:
            self._dispatched.pop(next(iter(self._dispatched)))
        return () if first is own else first

    async def is_silent(self, worker: Worker) -> bool:
        """Whether nothing came on the worker's connection that no request had asked for; else stop the run.

        An answer that comes late, after another was taken for it, arrives while no request is open. So a refusal is
        acted on, and a connection given up, only after the time that an answer takes.
        """
        if not await worker.client.unasked(worker.wait_s):
            return True
        self._mixed_up(worker)
        return False

    async def _replaced(self, worker: Worker) -> bool:
        """Use a new connection from now on, if the old one is silent."""
        if await worker.client.unasked(worker.wait_s):
            return False
        await worker.client.renew()
        return True

    def _mixed_up(self, worker: Worker) -> None:
        """Put in doubt what the worker's connection has answered, and stop the run."""
        doubts = self._doubts(worker)
        if doubts:
            self._writer.note(*doubts, failed=self._doubt_unrecorded)
        self._stopping.stop(MIXED_UP, even_if_done=True)

    def _doubts(self, worker: Worker) -> list[Record]:
        return [
            Decision.doubt(self._writer.journal.new_decision_id(), ref.batch, ref.attempt, MIXED_UP)
            for ref in worker.take_back()
        ]

    def _record(
        self, worker: Worker, attempt: Attempt, ended: Attempted, earlier: tuple[AttemptRef, ...], made: int
    ) -> None:
        batch = ended.batch
        records: list[Record] = [
            AttemptOutcome(attempt.id, batch.id, ended.step.status, ended.outcome, ended.evidence.elapsed_s)
        ]
        holds = [] if ended.step.status == Status.UNKNOWN else [AttemptRef(batch.id, attempt.id)]
        if len(ended.parts) > 1:
            parted = list(self._parted(attempt, ended, made))
            holds = [AttemptRef(one.batch, one.id) for one in parted if isinstance(one, Attempt)]
            records += parted
        if ended.evidence.unasked:
            records += self._doubts(worker)
        else:
            worker.used(ended.evidence, holds)
        for ref in earlier:
            # Take back what was accepted earlier under the same dispatch_id, by a separate record.
            why = f"its dispatch_id was given to batch {batch.id} too"
            records.append(Decision.doubt(self._writer.journal.new_decision_id(), ref.batch, ref.attempt, why))
        # A doubt about an earlier answer has to be durable soon; an outcome, before this worker's next request.
        may_wait = not any(isinstance(record, Decision) for record in records)
        self._writer.note(*records, failed=partial(self._unrecorded, batch, ended.outcome), may_wait=may_wait)
        if self._on_attempt is not None:
            self._on_attempt(ended)

    def _parted(self, attempt: Attempt, ended: Attempted, made: int) -> Iterator[Record]:
        """The parts of a batch whose rows have different outcomes, each with this request as its attempt."""
        journal, accepted = self._writer.journal, []
        for part in ended.parts:
            batch = ended.batch.part(journal.new_batch_id(), part.first, part.size, made)
            inherited = attempt.inherited(journal.new_attempt_id(), batch.id)
            yield batch
            yield inherited
            yield AttemptOutcome(inherited.id, batch.id, status_of(part), part.outcome)
            if part.outcome.verdict is Verdict.ACCEPTED:
                accepted.append(AttemptRef(batch.id, inherited.id))
        if accepted and ended.outcome.dispatch_id in self._dispatched:
            self._dispatched[ended.outcome.dispatch_id] = tuple(accepted)

    def _doubt_unrecorded(self, error: BaseException) -> None:
        self.unrecorded.append(f"a doubt: {MIXED_UP}")
        self._stopping.stop(str(error if isinstance(error, JournalError) else InternalError.of(error)))

    def _unrecorded(self, batch: Batch, outcome: Outcome, error: BaseException) -> None:
        """Keep the outcome for the summary's reason: the journal still says "unknown"."""
        what = f"{outcome.verdict} {outcome.dispatch_id or outcome.code}".strip()
        self.unrecorded.append(f"batch {batch.id} ({several(batch.size, 'row')}): {what}")
        self._stopping.stop(str(error if isinstance(error, JournalError) else InternalError.of(error)))
