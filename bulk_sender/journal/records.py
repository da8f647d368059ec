"""The journal's records and their seals. Pure.

Each record carries a seal over all its values: SQLite's own integrity check doesn't notice a flipped byte inside
a value. Records are only ever added; what holds for a batch follows from all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from bulk_sender.journal.sqlite.schema import Value


class Status(StrEnum):
    """The six statuses of a row. A batch has one of the last four; ``split`` marks one that its parts replaced."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


SPLIT = "split"
RESEND = "resend"


@dataclass(frozen=True, slots=True)
class Batch:
    """``size`` recipients of ``chunk`` from its slot ``first`` on; ``prior`` attempts were made with its parents."""

    id: int
    chunk: int
    first: int
    size: int
    parent: int | None = None
    prior: int = 0

    def halves(self, left: int, right: int, attempts: int) -> tuple[Batch, Batch]:
        """The two parts, numbered ``left`` and ``right``, that replace this batch after ``attempts`` of its own."""
        middle = self.size // 2
        prior = self.prior + attempts
        return (
            Batch(left, self.chunk, self.first, middle, self.id, prior),
            Batch(right, self.chunk, self.first + middle, self.size - middle, self.id, prior),
        )


Statement = tuple[str, tuple[Value, ...]]
"""A table's name and the values of one record, seal excluded."""


def now() -> str:
    """The time as the journal writes it: UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
