"""History of a run: every start of a process, and the decisions about its rows."""

from __future__ import annotations

from dataclasses import dataclass

from bulk_sender.journal.records import RESEND
from bulk_sender.journal.store import RunReader
from bulk_sender.text.clean import clean
from bulk_sender.text.masking import mask_in
from bulk_sender.text.numbers import duration


@dataclass(frozen=True, slots=True)
class Event:
    """``what`` happened, ``at`` a time (UTC, ISO 8601). ``extent``: its duration, or how many rows it changed."""

    at: str
    what: str
    extent: str
    told: str


def history(journal: RunReader) -> list[Event]:
    """Return the events in the order of time."""
    return sorted([*_epochs(journal), *_decisions(journal), *_canaries(journal)], key=lambda event: event.at)


def _epochs(journal: RunReader) -> list[Event]:
    return [
        Event(
            epoch.at,
            epoch.command,
            "" if epoch.elapsed_s is None else duration(epoch.elapsed_s),
            mask_in(clean(": ".join(filter(None, (epoch.state or "no end recorded", epoch.reason))))),
        )
        for epoch in journal.epochs()
    ]


def _canaries(journal: RunReader) -> list[Event]:
    events = []
    for canary in journal.canaries():
        rows = f"{canary.rows:,} " + ("row" if canary.rows == 1 else "rows")
        if canary.held_at:
            events.append(Event(canary.held_at, "held after the canary", rows, ""))
        for answer in canary.answers:
            what = "decided: send the rest" if answer.granted else "decided: do not send the rest"
            events.append(Event(answer.at, what, "", mask_in(clean(f"by {answer.by}, after {answer.rows:,} rows"))))
    return events


def _decisions(journal: RunReader) -> list[Event]:
    return [
        Event(
            decided.at,
            "decided: send again" if decided.status == RESEND else f"decided: {decided.status}",
            f"{decided.rows:,} " + ("row" if decided.rows == 1 else "rows"),
            mask_in(clean(f"by {decided.user}: {decided.why}")),
        )
        for decided in journal.decided()
    ]
