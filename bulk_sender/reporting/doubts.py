"""What is known of the rows in doubt, for whoever has to decide about them. Pure reading."""

from __future__ import annotations

from dataclasses import dataclass

from bulk_sender.journal.sqlite.store import Journal


@dataclass(frozen=True, slots=True)
class Doubt:
    """Unknown rows with the same evidence. ``since`` and ``until``: when the first and the last of them was sent."""

    rows: int
    batches: int
    message: str
    """What happened, such as "the request was written, but no answer came (ReadTimeout)"."""
    likely: str
    """``accepted``, ``not_accepted`` or empty: a hint, never a verdict."""
    since: str
    until: str


def doubts(journal: Journal) -> tuple[Doubt, ...]:
    """The evidence behind a run's unknown rows, most rows first."""
    found = journal.query(
        "SELECT sum(size) AS rows, count(*) AS batches,"
        " coalesce(message, 'the process ended before an answer was recorded') AS message,"
        " coalesce(likely, '') AS likely, min(sent_at) AS since, max(sent_at) AS until"
        " FROM state WHERE status = 'unknown' GROUP BY 3, 4 ORDER BY rows DESC, message"
    )
    return tuple(Doubt(**row) for row in found)
