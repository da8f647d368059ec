"""A worker: its client, its slot, and what its connection has carried so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from bulk_sender.http.client import Client
from bulk_sender.http.evidence import Evidence, Reach
from bulk_sender.journal.answers import AttemptRef
from bulk_sender.pace.concurrency import SLACK_S
from bulk_sender.pace.slot import Slot

MOST_ANSWERS = 100
"""A connection is replaced after so many, since all of them are in doubt when one turns out to be another's."""
_LONGEST_WAIT_S = 1.0
_LATEST = 100


@dataclass(slots=True)
class Answering:
    """How long answers take lately, on all connections of a run."""

    _latest_s: deque[float] = field(default_factory=lambda: deque(maxlen=_LATEST))

    def answered(self, elapsed_s: float) -> None:
        """Note an answer that took ``elapsed_s``."""
        self._latest_s.append(elapsed_s)

    @property
    def slowest_s(self) -> float:
        """The longest time that one of the latest answers took; 0.0 before the first."""
        return max(self._latest_s, default=0.0)


@dataclass(slots=True)
class Worker:
    """One worker of the pool. It makes one request at a time."""

    client: Client
    slot: Slot
    answering: Answering = field(default_factory=Answering)
    _connection: int = 0
    _answered: list[AttemptRef] = field(default_factory=list)
    """Attempts that this connection answered, and whose answers hold."""
    _answers: int = 0

    def used(self, evidence: Evidence, attempts: Iterable[AttemptRef]) -> None:
        """Note an exchange, and the attempts whose outcome its answer gave."""
        if evidence.connection not in (0, self._connection):
            self._connection, self._answers = evidence.connection, 0
            self._answered.clear()
        if evidence.reach is Reach.ANSWERED:
            self._answers += 1
            self.answering.answered(evidence.elapsed_s)
            self._answered += attempts

    def split(self, batch: int) -> None:
        """Forget the attempt at a batch whose halves have taken its place."""
        self._answered = [ref for ref in self._answered if ref.batch != batch]

    def take_back(self) -> list[AttemptRef]:
        """Return the attempts whose answers may be those of other requests, and forget them."""
        answered, self._answered = self._answered, []
        return answered

    @property
    def wait_s(self) -> float:
        """How long an answer may still be on its way. A connection with one answer has mixed up none.

        The answers of other connections count, too: behind a stray answer, those of this one look quick.
        """
        return min(self.answering.slowest_s + SLACK_S, _LONGEST_WAIT_S) if self._answers > 1 else 0.0

    @property
    def is_worn(self) -> bool:
        """Whether the connection has carried enough."""
        return self._answers >= MOST_ANSWERS
