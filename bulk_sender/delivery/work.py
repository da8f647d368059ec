"""What the sender receives, and what it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bulk_sender.journal.records import Batch, Status
from bulk_sender.planning.batches import Payload

SETTLED = ("accepted", "failed", "unknown")
"""The statuses of recipients with an outcome."""


@dataclass(frozen=True, slots=True)
class Work:
    """A batch with the recipients of its chunk, and the hash of its body if an earlier attempt recorded one."""

    batch: Batch
    payload: Payload
    body_sha256: bytes | None = None
    ended: Callable[[bool], None] | None = None
    """Called when this process is through with the batch, with whether all of it has a final outcome."""


@dataclass(slots=True)
class Tally:
    """What happened in this process, for progress: requests, and recipients by status."""

    requests: int = 0
    retries: int = 0
    in_flight: int = 0
    throttled: int = 0
    recipients: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Status, 0))

    @property
    def settled(self) -> int:
        """Recipients with an outcome."""
        return sum(self.recipients[status] for status in SETTLED)
