"""The last look before a request leaves: what must hold for every POST, counted anew and apart from all planning.

A guard that says no stops the run. It is better to stop than to go on wrong.
"""

from __future__ import annotations

import json

from bulk_sender.delivery.endpoint import Endpoint
from bulk_sender.delivery.outcome import Outcome, Verdict
from bulk_sender.delivery.records import Batch
from bulk_sender.recipients.plan import BATCH_SIZE

_TAKEN = frozenset({Verdict.ACCEPTED, Verdict.UNKNOWN})


class Guard:
    """Knows how many recipients were handed over to be sent, and which of them Braze has or may have."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._frame = endpoint.body(b"")
        self._is_broadcast: bool | None = None
        self._planned = 0
        self._exposed = 0
        self._closed: set[int] = set()

    def planned(self, batch: Batch) -> None:
        """A batch was handed over to be sent."""
        self._planned += batch.size

    def refuses(self, batch: Batch) -> str:
        """Why this batch must not be POSTed now; empty when it may, and then it counts as under way."""
        if self._broadcasts():
            return "a request without broadcast = false was about to leave"
        if not 1 <= batch.size <= BATCH_SIZE:
            return f"batch {batch.id} has {batch.size} recipients"
        if batch.id in self._closed:
            return f"batch {batch.id} was about to be sent again, though it was or may have been taken"
        if self._exposed + batch.size > self._planned:
            return f"more recipients than the {self._planned} planned were about to be sent"
        self._exposed += batch.size
        self._closed.add(batch.id)
        return ""

    def ended(self, batch: Batch, outcome: Outcome) -> None:
        """The attempt is over: what it proved not taken may go again."""
        if outcome.verdict not in _TAKEN:
            self._exposed -= batch.size
            self._closed.discard(batch.id)

    def _broadcasts(self) -> bool:
        """Whether the JSON around the recipients, read back, says anything but ``broadcast: false``."""
        if self._is_broadcast is None:
            said = json.loads(self._frame)
            self._is_broadcast = said.get("broadcast") is not False or said.get("recipients") != []
        return self._is_broadcast
