"""A second store for runs, in memory: what the journal's contract says, without a file.

It allows several live writers of one run, each with its own epoch, and gives ids out in blocks. A writer that is closed
without ending its epoch stands for a process that died.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Self, TypeVar

import numpy as np

from bulk_sender.braze.answer import WITH_ERRORS
from bulk_sender.errors import GuardrailError, JournalError, RunNotFoundError
from bulk_sender.journal.answers import (
    AnswerCount,
    AttemptRef,
    AttemptsOfBatches,
    AttemptStory,
    BatchState,
    BatchStory,
    CanaryAnswer,
    CanaryStory,
    Counts,
    DecidedRows,
    DecisionStory,
    Doubt,
    DoubtfulBatch,
    EpochStory,
    Gap,
    PlanEnd,
    Refusal,
    Refusals,
    Remark,
    Remarks,
    Sending,
    Strand,
    Totals,
    Traffic,
    UnsentChunk,
    Worker,
    accepted_first,
)
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.records import (
    PROCESS_ENDED,
    RESEND,
    SPLIT,
    Answered,
    Attempt,
    AttemptOutcome,
    Batch,
    Canary,
    Chunk,
    Decision,
    Ending,
    Epoch,
    Held,
    PlanComplete,
    Record,
    Status,
)
from bulk_sender.journal.store import Loss, RunReader, RunRef, RunWriter, Team
from bulk_sender.text.times import now

T = TypeVar("T")

BLOCK = 10
"""Ids that a writer takes at once."""


@dataclass
class _Run:
    """All records of one run, and which of its epochs have a live writer."""

    facts: Facts
    plan_complete: bool = False
    canaries: dict[int, CanaryStory] = field(default_factory=dict)
    epochs: dict[int, Epoch] = field(default_factory=dict)
    endings: dict[int, Ending] = field(default_factory=dict)
    chunks: dict[int, Chunk] = field(default_factory=dict)
    batches: dict[int, Batch] = field(default_factory=dict)
    attempts: dict[int, tuple[Attempt, int]] = field(default_factory=dict)
    outcomes: dict[int, tuple[AttemptOutcome, int]] = field(default_factory=dict)
    decisions: dict[int, Decision] = field(default_factory=dict)
    live: set[int] = field(default_factory=set)
    fenced: set[int] = field(default_factory=set)
    given: Counter[str] = field(default_factory=Counter)


class MemoryReader:
    def __init__(self, run: RunRef, records: _Run) -> None:
        self.run = run
        self._all = records

    def prove_chunk(self, chunk: int) -> None:
        pass

    def reader(self) -> RunReader:
        return MemoryReader(self.run, self._all)

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- how the run was started, and how far it is planned -----------------------------------------------------

    def facts(self) -> Facts:
        return self._all.facts

    def is_plan_complete(self) -> bool:
        return self._all.plan_complete

    def canaries(self) -> tuple[CanaryStory, ...]:
        return tuple(story for _, story in sorted(self._all.canaries.items()))

    def plan_end(self) -> PlanEnd | None:
        if not self._all.chunks:
            return None
        last = self._all.chunks[max(self._all.chunks)]
        return PlanEnd(last.last_row, last.resume, sum(chunk.rows for chunk in self._all.chunks.values()))

    def chunk_ids(self) -> list[int]:
        return sorted(self._all.chunks)

    def chunks_with_rejects(self) -> list[int]:
        return [number for number in self.chunk_ids() if self._all.chunks[number].rejected]

    def chunks_with(self, statuses: Collection[str], *, code: str | None = None, after: int = 0) -> list[int]:
        found = {state.chunk for state in self.batches_with(*statuses) if code in (None, state.code)}
        for chunk in self._all.chunks.values():
            if any(getattr(chunk, name) for name in {"rejected", "duplicate"} & set(statuses)):
                found.add(chunk.id)
        return sorted(number for number in found if self._all.chunks[number].last_row > after)

    def chunk_of(self, row: int) -> int | None:
        chunks = self._all.chunks.values()
        return next((chunk.id for chunk in chunks if chunk.first_row <= row <= chunk.last_row), None)

    def frame(self, chunk: int) -> bytes:
        return self._all.chunks[chunk].frame

    def rejects(self, chunk: int) -> bytes:
        return self._all.chunks[chunk].rejects

    def planned_sizes(self, chunk: int) -> list[int]:
        planned = [batch for batch in self._all.batches.values() if batch.chunk == chunk and batch.parent is None]
        return [batch.size for batch in sorted(planned, key=lambda batch: batch.first)]

    # --- what holds now -----------------------------------------------------------------------------------------

    def _attempts_of(self, batch: int) -> list[tuple[Attempt, int]]:
        return [self._all.attempts[number] for number in sorted(self._all.attempts) if self._is_of(number, batch)]

    def _is_of(self, attempt: int, batch: int) -> bool:
        return self._all.attempts[attempt][0].batch == batch

    def _outcome_of(self, attempt: int) -> AttemptOutcome | None:
        found = self._all.outcomes.get(attempt)
        return None if found is None else found[0]

    def _decision_on(self, attempt: int) -> Decision | None:
        found = [number for number, decision in self._all.decisions.items() if decision.attempt == attempt]
        return self._all.decisions[max(found)] if found else None

    def _states(self) -> list[BatchState]:
        parents = {batch.parent for batch in self._all.batches.values()}
        whole = [batch for batch in self._all.batches.values() if batch.id not in parents]
        return [self._state(batch) for batch in sorted(whole, key=lambda batch: (batch.chunk, batch.first))]

    def _state(self, batch: Batch) -> BatchState:
        attempts = self._attempts_of(batch.id)
        last = attempts[-1][0] if attempts else None
        outcome = self._outcome_of(last.id) if last else None
        decision = self._decision_on(last.id) if last else None
        if decision is not None:
            status = "not_sent" if decision.status == RESEND else decision.status
        elif last is None or (outcome is not None and outcome.status == SPLIT):
            status = "not_sent"
        else:
            status = outcome.status if outcome is not None else "unknown"
        return BatchState(
            *(batch.id, batch.chunk, batch.first, batch.size, batch.parent, status),
            attempts=batch.prior + sum(not attempt.is_inherited for attempt, _ in attempts),
            attempt=last.id if last else None,
            sent_at=last.at if last else None,
            body_sha256=last.body_sha256 or None if last else None,
            verdict=outcome.judged.verdict.value if outcome else None,
            http_status=outcome.judged.http_status if outcome else None,
            dispatch_id=outcome.judged.dispatch_id if outcome else None,
            code=outcome.judged.code if outcome else None,
            message=outcome.judged.message if outcome else None,
            likely=outcome.judged.likely if outcome else None,
            decided=decision.status if decision else None,
            decided_why=decision.why if decision else None,
        )

    def counts(self, *, in_flight: str = "unknown") -> Counts:
        chunks = self._all.chunks.values()
        by_status: Counter[str] = Counter()
        for state in self._states():
            is_open = state.status == "unknown" and state.verdict is None and state.decided is None
            by_status[in_flight if is_open else state.status] += state.size
        planned = {name: sum(getattr(chunk, name) for chunk in chunks) for name in ("rows", "rejected", "duplicate")}
        return Counts(**planned, **by_status)

    def totals(self) -> Totals:
        endings = self._all.endings.values()
        return Totals(
            batches=len(self._states()),
            requests=sum(not attempt.is_inherited for attempt, _ in self._all.attempts.values()),
            started_at=min((epoch.at for epoch in self._all.epochs.values()), default=None),
            finished_at=max((ending.at for ending in endings), default=None),
            elapsed_s=sum(ending.elapsed_s for ending in endings),
        )

    def has_unsent(self) -> bool:
        return bool(self.batches_with("not_sent"))

    def unsent_chunks(self) -> list[UnsentChunk]:
        chunks = sorted({state.chunk for state in self.batches_with("not_sent")})
        return [
            UnsentChunk(number, sum(chunk.rows for chunk in self._all.chunks.values() if chunk.id < number))
            for number in chunks
        ]

    def unsent_batches(self, chunk: int) -> list[BatchState]:
        return [state for state in self.batches(chunk) if state.status == "not_sent"]

    def batches(self, chunk: int) -> list[BatchState]:
        return [state for state in self._states() if state.chunk == chunk]

    def batches_with(self, *statuses: str) -> list[BatchState]:
        return [state for state in self._states() if state.status in statuses]

    def doubtful_batches(self) -> list[DoubtfulBatch]:
        return list(self._doubtful())

    def _doubtful(self) -> Iterator[DoubtfulBatch]:
        for state in self.batches_with("unknown"):
            assert state.attempt is not None and state.sent_at is not None
            open_since = [
                attempt.at
                for attempt, _ in self._attempts_of(state.id)
                if (outcome := self._outcome_of(attempt.id)) is None or outcome.status == "unknown"
            ]
            since = min(open_since, default=state.sent_at)
            yield DoubtfulBatch(*(state.id, state.chunk, state.first, state.size, state.attempt, since, state.sent_at))

    def doubts(self) -> tuple[Doubt, ...]:
        groups = _grouped(
            self.batches_with("unknown"), lambda it: (it.message if it.verdict else PROCESS_ENDED, it.likely or "")
        )
        found = [
            Doubt(
                sum(it.size for it in alike),
                len(alike),
                str(message),
                str(likely),
                min(str(it.sent_at) for it in alike),
                max(str(it.sent_at) for it in alike),
            )
            for (message, likely), alike in groups
        ]
        return tuple(sorted(found, key=lambda doubt: (-doubt.rows, doubt.message, doubt.likely)))

    def refusals(self, most: int) -> Refusals:
        refused = [state for state in self.batches_with("failed", "unknown") if state.size]
        groups = _grouped(
            refused,
            lambda it: (
                *(it.status, it.http_status, it.code or "", it.message or "", it.likely or "", it.decided or ""),
            ),
        )
        found: list[tuple[int, int, Refusal]] = []
        for reason, alike in groups:
            first = min(alike, key=lambda it: it.id)
            rows = sum(it.size for it in alike)
            place = (first.chunk, first.first, first.size)
            found.append((-rows, first.id, Refusal(*reason, rows, len(alike), *place)))  # type: ignore[arg-type, call-arg]
        found.sort(key=lambda one: one[:2])
        shown = tuple(refusal for _, _, refusal in found[:most])
        return Refusals(shown, len(found), sum(state.size for state in refused))

    def remarks(self, most: int) -> Remarks:
        found = [state for state in self.batches_with("accepted") if state.code == WITH_ERRORS]
        told = [
            Remark(str(message[0]), sum(it.size for it in alike), self._requests_of(alike))
            for message, alike in _grouped(found, lambda it: (it.message,))
        ]
        told.sort(key=lambda it: (-it.rows, it.message))
        return Remarks(tuple(told[:most]), sum(it.size for it in found), self._requests_of(found))

    def _requests_of(self, states: list[BatchState]) -> int:
        return len({it.parent if it.body_sha256 is None else it.id for it in states})

    # --- what happened ------------------------------------------------------------------------------------------

    def story(self, chunk: int, slot: int) -> tuple[BatchStory, ...]:
        return tuple(
            BatchStory(
                batch.id,
                batch.size,
                batch.parent,
                tuple(self._attempt_story(*attempt) for attempt in self._attempts_of(batch.id)),
                tuple(
                    DecisionStory(it.attempt, it.status, it.at, it.user, it.why)
                    for _, it in sorted(self._all.decisions.items())
                    if it.batch == batch.id
                ),
            )
            for _, batch in sorted(self._all.batches.items())
            if batch.chunk == chunk and batch.first <= slot < batch.first + batch.size
        )

    def _attempt_story(self, attempt: Attempt, epoch: int) -> AttemptStory:
        story = AttemptStory(attempt.id, attempt.at, epoch, attempt.body_sha256.hex(), *[None] * 10)
        it = self._outcome_of(attempt.id)
        if it is None:
            return story
        names = ("verdict", "http_status", "dispatch_id", "code", "message", "reach", "likely")
        judged = {name: getattr(it.judged, name) for name in names}
        return replace(story, status=it.status, elapsed_s=it.elapsed_s, answered_at=it.at, **judged)

    def dispatched(self, most: int) -> dict[str, tuple[AttemptRef, ...]]:
        named = [outcome for _, (outcome, _) in sorted(self._all.outcomes.items()) if outcome.judged.dispatch_id]
        return accepted_first(
            (
                it.judged.dispatch_id,
                AttemptRef(it.batch, it.attempt),
                it.status == "accepted" and self._all.attempts[it.attempt][0].is_inherited,
            )
            for it in named[max(0, len(named) - most) :]
        )

    def has_attempts_since(self, at: str) -> bool:
        return any(attempt.at >= at for attempt, _ in self._all.attempts.values())

    def _requests(self) -> list[Attempt]:
        return [attempt for attempt, _ in self._all.attempts.values() if not attempt.is_inherited]

    def attempts_of_batches(self) -> tuple[AttemptsOfBatches, ...]:
        made = Counter(Counter(attempt.batch for attempt in self._requests()).values())
        return tuple(AttemptsOfBatches(attempts, batches) for attempts, batches in sorted(made.items()))

    def batches_split(self) -> int:
        parts = {attempt.batch for attempt, _ in self._all.attempts.values() if attempt.is_inherited}
        return len({batch.parent for batch in self._all.batches.values() if batch.id not in parts} - {None})

    def epochs(self) -> tuple[EpochStory, ...]:
        return tuple(
            EpochStory(
                *(epoch.id, epoch.command, epoch.at, epoch.user, epoch.host), *_ended(self._all.endings.get(epoch.id))
            )
            for epoch in self._all.epochs.values()
        )

    def workers(self) -> tuple[Worker, ...]:
        return ()

    def decided(self) -> tuple[DecidedRows, ...]:
        groups = _grouped(
            [decision for _, decision in sorted(self._all.decisions.items())],
            lambda it: (it.status, it.user, it.why, it.at),
        )
        found = [
            DecidedRows(it.status, it.user, it.why, it.at, sum(self._all.batches[one.batch].size for one in alike))
            for it, alike in sorted(((alike[0], alike) for _, alike in groups), key=lambda one: (one[0].at, one[0].id))
        ]
        return tuple(found)

    def last_ending(self) -> Ending | None:
        return self._all.endings.get(max(self._all.epochs, default=0))

    # --- the requests over time ---------------------------------------------------------------------------------

    def _sent_in(self, epoch: int) -> list[Attempt]:
        found = sorted(self._all.attempts.items())
        return [attempt for _, (attempt, own) in found if own == epoch and not attempt.is_inherited]

    def sendings(self) -> tuple[Sending, ...]:
        found: list[Sending] = []
        for epoch in self._all.epochs:
            sent = self._sent_in(epoch)
            if not sent:
                continue
            answers = [
                outcome.at
                for attempt in sent
                if (one := self._all.outcomes.get(attempt.id)) is not None and one[1] == epoch
                for outcome in one[:1]
            ]
            strand = Strand(len(found), epoch, sent[0].id, sent[-1].id, _time(sent[0].at), _time(sent[-1].at))
            ended = max([strand.ended, *map(_time, answers)])
            found.append(Sending((strand,), len(sent), strand.began, ended))
        together: list[Sending] = []
        for one in sorted(found, key=lambda one: one.began):
            if together and one.began < together[-1].ended:
                before = together.pop()
                strands = tuple(sorted((*before.strands, *one.strands), key=lambda strand: strand.place))
                one = Sending(strands, before.attempts + one.attempts, before.began, max(before.ended, one.ended))
            together.append(one)
        return tuple(together)

    def traffic(self, sending: Sending, since: datetime | None, until: datetime | None) -> Traffic:
        sent = [
            attempt
            for epoch in sending.epochs
            for attempt in self._sent_in(epoch)
            if (since is None or _time(attempt.at) >= since) and (until is None or _time(attempt.at) < until)
        ]
        answers = [outcome for attempt in sent if (outcome := self._outcome_of(attempt.id)) is not None]
        counted = tuple(
            AnswerCount(
                alike[0].judged.verdict.value,
                alike[0].judged.http_status,
                alike[0].judged.code,
                len(alike),
                sum(self._rows_accepted(it) for it in alike if it.status == "accepted"),
            )
            for _, alike in _grouped(answers, lambda it: (it.judged.verdict, it.judged.http_status, it.judged.code))
        )
        latencies = [it.elapsed_s for it in answers if it.judged.reach == 5 and it.judged.verdict != "throttled"]
        if not latencies:
            return Traffic(len(sent), counted, None, None)
        p50_s, p95_s = np.quantile(np.array(latencies), [0.5, 0.95])
        return Traffic(len(sent), counted, float(p50_s), float(p95_s))

    def _rows_accepted(self, outcome: AttemptOutcome) -> int:
        """The rows that a request made accepted: without those that its answer named with an error."""
        parts = [batch for batch in self._all.batches.values() if batch.parent == outcome.batch]
        return self._all.batches[outcome.batch].size - sum(
            part.size
            for part in parts
            for attempt, _ in self._attempts_of(part.id)
            if attempt.is_inherited and (own := self._outcome_of(attempt.id)) is not None and own.status == "unknown"
        )

    def gaps(self, sending: Sending, shortest_s: float) -> tuple[Gap, ...]:
        return tuple(self._gaps(sending, shortest_s))

    def _gaps(self, sending: Sending, shortest_s: float) -> Iterator[Gap]:
        sent = sorted((one for epoch in sending.epochs for one in self._sent_in(epoch)), key=lambda one: one.at)
        for before, after in pairwise(sent):
            began, ended = _time(before.at), _time(after.at)
            if (ended - began).total_seconds() >= shortest_s:
                shortly = began - timedelta(seconds=1)
                answers = [self._outcome_of(attempt.id) for attempt in sent if attempt.at <= before.at]
                near = [it.judged.verdict for it in answers if it is not None and shortly <= _time(it.at) < ended]
                yield Gap(began, ended, frozenset(verdict.value for verdict in near))


class MemoryWriter(MemoryReader):
    def __init__(self, run: RunRef, records: _Run) -> None:
        super().__init__(run, records)
        self.epoch = 0
        self.team: Team | None = None
        self.is_late: Callable[[], bool] = lambda: False
        self.is_locked_out = False
        self.lost: Loss | None = None
        self._ids: dict[str, Iterator[int]] = {}

    def close(self) -> None:
        self._all.live.discard(self.epoch)

    def new_chunk_id(self) -> int:
        return self._new_id("chunk", 1)

    def new_batch_id(self) -> int:
        return self._new_id("batch", BLOCK)

    def new_attempt_id(self) -> int:
        return self._new_id("attempt", BLOCK)

    def new_decision_id(self) -> int:
        return self._new_id("decision", BLOCK)

    def _new_id(self, kind: str, block: int) -> int:
        following = next(self._ids.get(kind, iter(())), None)
        if following is None:
            first = self._all.given[kind] + 1
            self._all.given[kind] += block
            self._ids[kind] = iter(range(first, first + block))
            following = next(self._ids[kind])
        return following

    def look(self) -> Loss | None:
        return self.lost

    def write(self, records: Iterable[Record]) -> None:
        if self.epoch in self._all.fenced:
            self.lost = Loss("another process has taken over this run since this one started", "leave it alone")
            raise JournalError(self.lost.what)
        before = {name: copy(getattr(self._all, name)) for name in ("plan_complete", "canaries", *_TABLES)}
        try:
            for record in sorted(records, key=lambda record: _ORDER.index(type(record))):
                self._add(record)
        except BaseException:
            for name, value in before.items():
                setattr(self._all, name, value)
            raise

    def _add(self, record: Record) -> None:
        everything = self._all
        if isinstance(record, PlanComplete):
            self._refuse(everything.plan_complete)
            everything.plan_complete = True
        elif isinstance(record, Canary):
            self._refuse(self.epoch in everything.canaries)
            everything.canaries[self.epoch] = CanaryStory(self.epoch, record.rows)
        elif isinstance(record, Held):
            story = everything.canaries[record.canary]
            self._refuse(story.held_at is not None)
            everything.canaries[record.canary] = replace(story, held_at=record.at)
        elif isinstance(record, Answered):
            story = everything.canaries[record.canary]
            answer = CanaryAnswer(self.epoch, record.granted, record.by, record.rows, record.at)
            self._refuse(self.epoch in {it.epoch for it in story.answers})
            everything.canaries[record.canary] = replace(story, answers=(*story.answers, answer))
        elif isinstance(record, Chunk):
            self._refuse(record.id in everything.chunks)
            everything.chunks[record.id] = record
        elif isinstance(record, Batch):
            self._refuse(record.id in everything.batches or record.chunk not in everything.chunks)
            everything.batches[record.id] = record
        elif isinstance(record, Attempt):
            self._refuse(record.id in everything.attempts or record.batch not in everything.batches)
            everything.attempts[record.id] = (record, self.epoch)
        elif isinstance(record, AttemptOutcome):
            self._refuse(record.attempt in everything.outcomes or record.attempt not in everything.attempts)
            everything.outcomes[record.attempt] = (record, self.epoch)
        else:
            self._refuse(record.id in everything.decisions or record.batch not in everything.batches)
            everything.decisions[record.id] = record

    @staticmethod
    def _refuse(is_wrong: bool) -> None:
        if is_wrong:
            raise JournalError("a record is there already, or refers to one that is not")

    def begin_epoch(self, command: str, by: str = "") -> int:
        self._all.live.discard(self.epoch)
        dead = set(self._all.epochs) - self._all.live
        self.epoch = len(self._all.epochs) + 1
        self._all.epochs[self.epoch] = Epoch(self.epoch, command, now(), 1, "host", by or "user")
        self._all.live.add(self.epoch)
        for epoch in dead:
            self.fence(epoch)
        return self.epoch

    def fence(self, epoch: int) -> None:
        if epoch == self.epoch:
            raise ValueError("a writer cannot fence its own epoch")
        self._all.fenced.add(epoch)
        self._all.live.discard(epoch)
        for attempt in self._sent_in(epoch):
            if attempt.id not in self._all.outcomes:
                self.write([AttemptOutcome.unrecorded(attempt.id, attempt.batch)])

    def decide(self, verdicts: Mapping[AttemptRef, str], why: str, by: str) -> int:
        for ref, status in verdicts.items():
            allowed = {Status.FAILED.value} if status == RESEND else set()
            made = [it for it in self._all.decisions.values() if it.attempt == ref.attempt and it.status != "unknown"]
            if made and not allowed.issuperset(it.status for it in made):
                raise GuardrailError(f"attempt {ref.attempt} was decided to be {made[-1].status!r}")
        at = now()
        self.write(
            [
                Decision(self.new_decision_id(), ref.batch, ref.attempt, status, by, why, at)
                for ref, status in verdicts.items()
            ]
        )
        return len(verdicts)

    def end_epoch(self, state: str, reason: str, elapsed_s: float) -> None:
        self._refuse(self.epoch in self._all.endings or self.epoch in self._all.fenced)
        self._all.endings[self.epoch] = Ending(self.epoch, now(), state, reason, round(elapsed_s, 3))


class MemoryStore:
    """Runs in memory, by their names."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}

    def create(self, run: RunRef, facts: Facts) -> RunWriter:
        if run.name in self._runs:
            raise JournalError(f"run {run.name!r} has been started in the meantime")
        self._runs[run.name] = _Run(facts)
        return MemoryWriter(run, self._runs[run.name])

    def open(self, run: RunRef) -> RunWriter:
        return MemoryWriter(run, self._found(run))

    def read(self, run: RunRef) -> RunReader:
        return MemoryReader(run, self._found(run))

    def _found(self, run: RunRef) -> _Run:
        if run.name not in self._runs:
            raise RunNotFoundError(f"there is no run {run.name!r}")
        return self._runs[run.name]


_ORDER = (PlanComplete, Canary, Held, Answered, Chunk, Batch, Attempt, AttemptOutcome, Decision)
_TABLES = ("chunks", "batches", "attempts", "outcomes", "decisions")


def _ended(ending: Ending | None) -> tuple[str | None, str | None, float | None]:
    return (None, None, None) if ending is None else (ending.state, ending.reason, ending.elapsed_s)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _grouped(items: Iterable[T], key: Callable[[T], tuple[object, ...]]) -> list[tuple[tuple[object, ...], list[T]]]:
    """The items by their keys. Items of one key keep their order."""
    groups: dict[tuple[object, ...], list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.items())
