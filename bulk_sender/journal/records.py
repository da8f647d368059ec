"""The records of a journal, as frozen values.

Records are only ever added. What holds for a batch or a row follows from all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.text.times import now


class Status(StrEnum):
    """The six statuses of a row. A batch has one of the last four."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


SPLIT = "split"
"""The status of an attempt whose batch is replaced by its halves."""
RESEND = "resend"
"""The decision to send a batch again."""
INHERITED = b""
"""The ``body_sha256`` of an inherited attempt: a journal of the first release has no other room for it."""
PROCESS_ENDED = "the process ended before an answer was recorded"
_PROCESS_ENDED = Outcome(Verdict.UNKNOWN, "process_ended", PROCESS_ENDED)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A planned piece of the input: its counts, where planning continues after it, and its rows as Arrow files."""

    id: int
    first_row: int
    last_row: int
    rows: int
    valid: int
    rejected: int
    duplicate: int
    resume: str
    """The position after the piece, as JSON."""
    frame: bytes
    rejects: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """``size`` valid rows of a chunk, from its slot ``first``; ``prior`` counts the attempts made with its parents."""

    id: int
    chunk: int
    first: int
    size: int
    parent: int | None = None
    prior: int = 0

    def halves(self, left: int, right: int, attempts: int) -> tuple[Batch, Batch]:
        """Return the two parts, with ids ``left`` and ``right``, that replace this batch after its own attempts."""
        middle = self.size // 2
        prior = self.prior + attempts
        return (
            Batch(left, self.chunk, self.first, middle, self.id, prior),
            Batch(right, self.chunk, self.first + middle, self.size - middle, self.id, prior),
        )

    def part(self, number: int, first: int, size: int, attempts: int) -> Batch:
        """Return ``size`` rows from this batch's row ``first``: a part that has an outcome for itself.

        Together the parts replace this batch after its own attempts.
        """
        return Batch(number, self.chunk, self.first + first, size, self.id, self.prior + attempts)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The intent to send a batch. It has to be durable before the first byte of its request leaves."""

    id: int
    batch: int
    body_sha256: bytes
    """Empty for an inherited attempt."""
    at: str = field(default_factory=now)

    def inherited(self, number: int, part: int) -> Attempt:
        """Return this attempt as one of batch ``part``, whose rows were in this request.

        It has to be written together with the part and the part's outcome. It is not a request, so it does not count as
        one; otherwise it is an attempt like any other, and decisions can be about it.
        """
        return Attempt(number, part, INHERITED, self.at)

    @property
    def is_inherited(self) -> bool:
        """Whether the batch made no request here: the rows were in the last one of the batch's parent."""
        return self.body_sha256 == INHERITED


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """How an attempt ended: what was judged from its answer, and the status that its batch has from it."""

    attempt: int
    batch: int
    status: str
    """``accepted``, ``failed``, ``unknown``, ``not_sent`` (to be attempted again) or ``split``."""
    judged: Outcome
    elapsed_s: float = 0.0
    at: str = field(default_factory=now)

    @classmethod
    def unrecorded(cls, attempt: int, batch: int) -> Self:
        """Return the record for an attempt whose process ended before it recorded an outcome."""
        return cls(attempt, batch, Status.UNKNOWN.value, _PROCESS_ENDED)


@dataclass(frozen=True, slots=True)
class Decision:
    """A status given to an attempt after its outcome, by an operator or by the program."""

    id: int
    batch: int
    attempt: int
    status: str
    user: str
    why: str
    at: str = field(default_factory=now)

    @classmethod
    def late(cls, number: int, batch: int, attempt: int, dispatch_id: str) -> Self:
        """Return the program's own record of an acceptance that its process learned of after it was given up."""
        why = f"answered after its process was given up{dispatch_id and f' (dispatch_id {dispatch_id})'}"
        return cls(number, batch, attempt, Status.ACCEPTED.value, "bulk-sender", why)

    @classmethod
    def doubt(cls, number: int, batch: int, attempt: int, why: str) -> Self:
        """Return the program's own record that takes an acceptance back: the batch becomes unknown."""
        return cls(number, batch, attempt, Status.UNKNOWN.value, "bulk-sender", why)


@dataclass(frozen=True, slots=True)
class PlanComplete:
    """The input was read to its end: every row is in a chunk."""


@dataclass(frozen=True, slots=True)
class Canary:
    """The run is to be held after its first ``rows``. The epoch that writes it gives the canary its number."""

    rows: int


@dataclass(frozen=True, slots=True)
class Held:
    """The canary has an outcome, and the run waits for an answer. Written before anybody is asked."""

    canary: int
    at: str = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to whether the rest may follow the canary. ``rows``: how many had an outcome when it was given."""

    canary: int
    granted: bool
    by: str
    rows: int
    at: str = field(default_factory=now)


class LeaseState(StrEnum):
    """A change of the right to send a chunk, where several processes send one run."""

    OPEN = "open"
    """A new chunk, for any process to take."""
    HELD_BACK = "held_back"
    """A new chunk behind a canary: nobody may take it yet."""
    DONE = "done"
    """This process has settled every batch of the chunk."""
    GIVEN_BACK = "given_back"
    """This process had the chunk, and leaves the rest of it to others."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A change of who may send a chunk. It says nothing about what was sent, so it is not sealed.

    It is written in order with the records, so that a chunk is given back behind the last outcome in it.
    """

    chunk: int
    state: LeaseState


@dataclass(frozen=True, slots=True)
class CanaryReleased:
    """Every chunk that was held back behind the canary may be taken. Not sealed, like ``Lease``."""


Record = Chunk | Batch | Attempt | AttemptOutcome | Decision | PlanComplete | Canary | Held | Answered
"""What a caller may write. The store adds the epoch."""
LeaseOrder = Lease | CanaryReleased
Entry = Record | LeaseOrder
"""What a writer takes in order: leases only where a store has them."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One start of a process for this run. Written by ``RunWriter.begin_epoch`` only."""

    id: int
    command: str
    at: str
    pid: int
    host: str
    user: str


LEFT = "left"
"""The state in the ending of a process that left while others had the run: it says nothing of the run."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The orderly end of an epoch. Written by ``RunWriter.end_epoch`` only."""

    epoch: int
    at: str
    state: str
    reason: str
    elapsed_s: float
