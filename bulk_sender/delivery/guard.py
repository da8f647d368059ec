"""Final invariant checks before each POST, independent of planning. A check that fails stops the run."""

from __future__ import annotations

import json

from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.braze.limits import BATCH_SIZE
from bulk_sender.journal.records import Batch

_TAKEN = frozenset({Verdict.ACCEPTED, Verdict.UNKNOWN})


class Guard:
    """Counts how many recipients were handed over, and which of them Braze has or may have.

    ``broadcast``: whether the journal says that the run is one. Its requests must be of that kind.
    """

    def __init__(self, endpoint: Endpoint, *, broadcast: bool = False) -> None:
        self._frame = endpoint.head + endpoint.tail
        self._broadcast = broadcast
        self._frame_is_sound: bool | None = None
        self._planned = 0
        self._exposed = 0
        self._closed = _Bits()

    def planned(self, batch: Batch) -> None:
        """Record a batch that was handed over to be sent."""
        self._planned += batch.size

    def refuses(self, batch: Batch) -> str:
        """Return why this batch must not be POSTed now. Empty means that it may, and then it counts as in flight."""
        if not self._sound_frame():
            return f"a request without broadcast = {str(self._broadcast).lower()} was about to leave"
        if batch.size != 0 if self._broadcast else not 1 <= batch.size <= BATCH_SIZE:
            return f"batch {batch.id} has {batch.size} recipients"
        if self._closed[batch.id]:
            return f"batch {batch.id} was about to be sent again, although Braze has accepted it or may have"
        if self._exposed + batch.size > self._planned:
            return f"more recipients than the {self._planned} planned were about to be sent"
        self._exposed += batch.size
        self._closed[batch.id] = True
        return ""

    def ended(self, batch: Batch, outcome: Outcome) -> None:
        """Record the end of an attempt: what it proved not accepted may be sent again."""
        if outcome.verdict not in _TAKEN:
            self._exposed -= batch.size
            self._closed[batch.id] = False

    def _sound_frame(self) -> bool:
        """Whether the JSON around the recipients, parsed again, is right for this kind of request."""
        if self._frame_is_sound is None:
            said = json.loads(self._frame)
            if self._broadcast:
                self._frame_is_sound = said.get("broadcast") is True and "recipients" not in said
            else:
                self._frame_is_sound = said.get("broadcast") is False and said.get("recipients") == []
        return self._frame_is_sound


class _Bits:
    """A set of batch ids, one bit each: a run of fifty million rows has a million of them."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __getitem__(self, number: int) -> bool:
        place = number >> 3
        return place < len(self._bytes) and bool(self._bytes[place] & (1 << (number & 7)))

    def __setitem__(self, number: int, is_in: bool) -> None:
        place, bit = number >> 3, 1 << (number & 7)
        if place >= len(self._bytes):
            self._bytes.extend(bytes(place + 1 - len(self._bytes)))
        self._bytes[place] = self._bytes[place] | bit if is_in else self._bytes[place] & ~bit
