"""What was done with a run, by whom: its parts (each start of a process) and the decisions over its rows."""

from __future__ import annotations

from dataclasses import dataclass

from bulk_sender.journal.sqlite.store import Journal
from bulk_sender.text.clean import clean
from bulk_sender.text.masking import mask_in
from bulk_sender.text.numbers import duration


@dataclass(frozen=True, slots=True)
class Event:
    """``at`` (UTC, ISO 8601); ``what`` was done; ``extent``: how long it took, or how many rows it concerned."""

    at: str
    what: str
    extent: str
    told: str


def history(journal: Journal) -> list[Event]:
    """In the order of time."""
    return sorted([*_parts(journal), *_decisions(journal)], key=lambda event: event.at)


def _parts(journal: Journal) -> list[Event]:
    found = journal.query(
        "SELECT command, epoch.at, state, reason, elapsed_s FROM epoch LEFT JOIN ending ON ending.epoch = epoch.id"
    )
    return [
        Event(
            part["at"],
            part["command"],
            duration(part["elapsed_s"]) if part["state"] else "",
            mask_in(clean(": ".join(filter(None, (part["state"] or "no end recorded", part["reason"]))))),
        )
        for part in found
    ]


def _decisions(journal: Journal) -> list[Event]:
    found = journal.query(
        "SELECT status, user, why, min(at) AS at, sum(size) AS rows FROM decision JOIN batch ON batch.id = batch"
        " GROUP BY status, user, why, at"
    )
    return [
        Event(
            decision["at"],
            "decided: send again" if decision["status"] == "resend" else f"decided: {decision['status']}",
            f"{decision['rows']:,} " + ("row" if decision["rows"] == 1 else "rows"),
            mask_in(clean(f"by {decision['user']}: {decision['why']}")),
        )
        for decision in found
    ]
