"""The answers to a journal's named queries, as frozen values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bulk_sender.journal.records import PROCESS_ENDED, Batch, Status


@dataclass(frozen=True, slots=True)
class AttemptRef:
    """One attempt of one batch."""

    batch: int
    attempt: int


def accepted_first(outcomes: Iterable[tuple[str, AttemptRef, bool]]) -> dict[str, tuple[AttemptRef, ...]]:
    """Return each dispatch_id with what was accepted first under it: one attempt, or one for each accepted part.

    ``outcomes``: dispatch_id, attempt, and whether it is an inherited attempt of an accepted part, in their order.
    """
    found: dict[str, tuple[AttemptRef, ...]] = {}
    parted: set[str] = set()
    for dispatch_id, ref, is_part in outcomes:
        if dispatch_id not in found or (is_part and dispatch_id not in parted):
            found[dispatch_id] = (ref,)
        elif is_part:
            found[dispatch_id] += (ref,)
        if is_part:
            parted.add(dispatch_id)
    return found


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by status. The six add up to ``rows``."""

    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicate: int = 0
    failed: int = 0
    unknown: int = 0
    not_sent: int = 0

    def of(self, status: str) -> int:
        """Return the rows of one status."""
        return int(getattr(self, Status(status)))


@dataclass(frozen=True, slots=True)
class Totals:
    """Figures over the whole run. ``elapsed_s``: seconds spent in all ended epochs together."""

    batches: int
    requests: int
    started_at: str | None
    finished_at: str | None
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class PlanEnd:
    """How far the input is planned: its last row, the position after it (JSON), and the rows planned so far."""

    last_row: int
    resume: str
    rows: int


@dataclass(frozen=True, slots=True)
class UnsentChunk:
    """A chunk with batches to send. ``rows_before``: rows of the run in earlier chunks."""

    id: int
    rows_before: int


@dataclass(frozen=True, slots=True)
class BatchState:
    """What holds for a batch that was not split: its last attempt, that attempt's outcome, and a decision about it.

    A batch that was to be split but has no halves counts as not sent: the process ended between the two records, and
    the batch will be refused and split again.
    """

    id: int
    chunk: int
    first: int
    size: int
    parent: int | None
    status: str
    attempts: int
    """Made with this batch and its parents."""
    attempt: int | None
    sent_at: str | None
    body_sha256: bytes | None
    verdict: str | None
    http_status: int | None
    dispatch_id: str | None
    code: str | None
    message: str | None
    likely: str | None
    decided: str | None
    decided_why: str | None

    @property
    def batch(self) -> Batch:
        """The batch as it is to be sent next."""
        return Batch(self.id, self.chunk, self.first, self.size, self.parent, self.attempts)

    @property
    def last_attempt(self) -> AttemptRef | None:
        """The attempt that a decision would be about; None for a batch that was never attempted."""
        return None if self.attempt is None else AttemptRef(self.id, self.attempt)


@dataclass(frozen=True, slots=True)
class DoubtfulBatch:
    """An unknown batch. ``since``: when the first attempt left that may have been taken; ``sent_at``: the last one."""

    id: int
    chunk: int
    first: int
    size: int
    attempt: int
    since: str
    sent_at: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """Unknown or failed rows with the same evidence.

    ``since`` and ``until``: when the first and the last of them were sent.
    """

    rows: int
    batches: int
    message: str
    """What happened, such as "the request was written, but no answer came (ReadTimeout)"."""
    likely: str
    """``accepted``, ``not_accepted`` or empty: a hint, never a verdict."""
    since: str
    until: str
    status: str = "unknown"
    """``unknown``, or ``failed`` among rows that are to be sent again."""
    verdict: str = ""
    """What is about to be decided about them; empty when nothing is."""


def evidence_of(states: Iterable[BatchState], verdict: str = "") -> tuple[Doubt, ...]:
    """Return the evidence about unknown or failed batches, most rows first."""
    groups: dict[tuple[str, str, str], list[BatchState]] = {}
    for state in states:
        message = PROCESS_ENDED if state.verdict is None else state.message or ""
        groups.setdefault((state.status, message, state.likely or ""), []).append(state)
    found = [
        Doubt(
            sum(state.size for state in alike),
            len(alike),
            message,
            likely,
            min(state.sent_at or "" for state in alike),
            max(state.sent_at or "" for state in alike),
            status,
            verdict,
        )
        for (status, message, likely), alike in groups.items()
    ]
    return tuple(sorted(found, key=lambda doubt: (-doubt.rows, doubt.message, doubt.likely)))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Failed or unknown batches for the same reason: how many rows and requests, and the first batch as an example."""

    status: str
    http_status: int | None
    code: str
    message: str
    likely: str
    decided: str
    rows: int
    requests: int
    chunk: int
    first: int
    size: int


@dataclass(frozen=True, slots=True)
class Refusals:
    """The most frequent reasons, out of ``reasons`` that concern ``rows`` rows."""

    shown: tuple[Refusal, ...]
    reasons: int
    rows: int


@dataclass(frozen=True, slots=True)
class Remark:
    """What ``errors[]`` said beside success without naming a row: the text, and the accepted rows and requests."""

    message: str
    rows: int
    requests: int


@dataclass(frozen=True, slots=True)
class Remarks:
    """The most frequent remarks, out of those about ``requests`` requests with ``rows`` accepted rows."""

    shown: tuple[Remark, ...] = ()
    rows: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class AttemptStory:
    """One attempt with its outcome; None where no outcome is recorded."""

    id: int
    sent_at: str
    epoch: int
    body_sha256: str
    """In hexadecimal digits; empty for an inherited attempt, which was a part of the parent's last request."""
    status: str | None
    verdict: str | None
    http_status: int | None
    dispatch_id: str | None
    code: str | None
    message: str | None
    reach: int | None
    likely: str | None
    elapsed_s: float | None
    answered_at: str | None


@dataclass(frozen=True, slots=True)
class DecisionStory:
    """One decision about a batch."""

    attempt: int
    status: str
    at: str
    user: str
    why: str


@dataclass(frozen=True, slots=True)
class BatchStory:
    """All that happened with one batch, in order."""

    id: int
    size: int
    parent: int | None
    attempts: tuple[AttemptStory, ...]
    decisions: tuple[DecisionStory, ...]


@dataclass(frozen=True, slots=True)
class CanaryAnswer:
    """An answer to whether the rest may follow a canary. ``epoch``: in which it was given."""

    epoch: int
    granted: bool
    by: str
    rows: int
    at: str


@dataclass(frozen=True, slots=True)
class CanaryStory:
    """A canary of the run: its first ``rows``, when the run was held after them, and the answers in order.

    ``id`` is the epoch in which it was asked for. ``rows`` is 0 for a run of the first release, which did not store
    it. ``held_at`` is None before the run is held, and empty where the time was not stored.
    """

    id: int
    rows: int
    held_at: str | None = None
    answers: tuple[CanaryAnswer, ...] = ()

    @property
    def granted(self) -> CanaryAnswer | None:
        """The answer that lets the rest follow; None while there is none."""
        return next((answer for answer in self.answers if answer.granted), None)


@dataclass(frozen=True, slots=True)
class EpochStory:
    """One start of a process and its end; None where no end is recorded."""

    id: int
    command: str
    at: str
    user: str
    host: str
    state: str | None
    reason: str | None
    elapsed_s: float | None


@dataclass(frozen=True, slots=True)
class Worker:
    """One process of several that send a run. ``epoch``: its number. ``at``: when it began (UTC, ISO 8601)."""

    epoch: int
    command: str
    at: str
    pid: int
    host: str
    state: str
    """``working``, ``silent`` (no sign of life lately), ``given_up`` (others have its work) or ``ended``."""
    requests: int
    last_beat: str
    """Its last sign of life, by the database's clock."""
    chunk: int | None
    """The lowest chunk that it has; None when it has none."""


@dataclass(frozen=True, slots=True)
class WorkLeft:
    """What several processes of a run have left to do. ``open``, ``taken`` and ``held_back`` count chunks."""

    open: int
    taken: int
    held_back: int
    is_planned: bool
    """Whether every row of the input is in a chunk."""
    has_planner: bool
    """Whether the process that started or resumed the run is there."""
    others: int
    """How many other processes have the run."""

    @property
    def is_none(self) -> bool:
        """Whether every chunk is settled that may be sent."""
        return not (self.open or self.taken)


@dataclass(frozen=True, slots=True)
class DecidedRows:
    """Decisions of one kind, made at once: by whom, why, and for how many rows."""

    status: str
    user: str
    why: str
    at: str
    rows: int


@dataclass(frozen=True, slots=True)
class AttemptsOfBatches:
    """``batches`` batches took ``attempts`` requests each."""

    attempts: int
    batches: int


@dataclass(frozen=True, slots=True)
class Strand:
    """Requests of one epoch, numbered as they left: from attempt ``first``, at ``began``, to ``last``, at ``ended``.

    ``place``: its place among all strands of the run, by their ids.
    """

    place: int
    epoch: int
    first: int
    last: int
    began: datetime
    ended: datetime


@dataclass(frozen=True, slots=True)
class Sending:
    """What one epoch sent, or several at the same time: from the first request to the last answer.

    ``attempts``: how many requests. ``strands`` are in the order of their ids, whatever their times.
    """

    strands: tuple[Strand, ...]
    attempts: int
    began: datetime
    ended: datetime

    @property
    def epochs(self) -> tuple[int, ...]:
        return tuple(sorted({strand.epoch for strand in self.strands}))


@dataclass(frozen=True, slots=True)
class AnswerCount:
    """Requests with the same answer, and the rows that they made accepted, whatever was decided later."""

    verdict: str
    http_status: int | None
    code: str
    requests: int
    rows: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """The requests of a stretch of time, by their answers.

    ``p50_s`` and ``p95_s``: from a request's start to the end of its answer, 429s apart; None without an answer.
    """

    requests: int
    answers: tuple[AnswerCount, ...]
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of time in which no request left. ``verdicts``: of the answers that came in it or just before it."""

    began: datetime
    ended: datetime
    verdicts: frozenset[str]
