"""A worker: its client, its slot, and what its connection has carried so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bulk_sender.http.client import Client
from bulk_sender.http.evidence import Evidence, Reach
from bulk_sender.journal.answers import AttemptRef
from bulk_sender.pace.slot import Slot

MOST_ANSWERS = 100
"""A connection is replaced after so many, since all of them are in doubt when one turns out to be another's."""
_LONGEST_WAIT_S = 1.0


@dataclass(slots=True)
class Worker:
    """One worker of the pool. It makes one request at a time."""

    client: Client
    slot: Slot
    _connection: int = 0
    _answered: list[AttemptRef] = field(default_factory=list)
    """Attempts that this connection answered, and whose answers hold."""
    _answers: int = 0
    _slowest_s: float = 0.0

    def used(self, evidence: Evidence, attempts: Iterable[AttemptRef]) -> None:
        """Note an exchange, and the attempts whose outcome its answer gave."""
        if evidence.connection not in (0, self._connection):
            self._connection, self._answers, self._slowest_s = evidence.connection, 0, 0.0
            self._answered.clear()
        if evidence.reach is Reach.ANSWERED:
            self._answers += 1
            self._slowest_s = max(self._slowest_s, evidence.elapsed_s)
            self._answered += attempts

    def take_back(self) -> list[AttemptRef]:
        """Return the attempts whose answers may be those of other requests, and forget them."""
        answered, self._answered = self._answered, []
        return answered

    @property
    def wait_s(self) -> float:
        """How long an answer may still be on its way. A connection with one answer has mixed up none."""
        return min(self._slowest_s, _LONGEST_WAIT_S) if self._answers > 1 else 0.0

    @property
    def is_worn(self) -> bool:
        """Whether the connection has carried enough."""
        return self._answers >= MOST_ANSWERS
