"""What comes after an outcome: one pure function, ``next_step``; and the circuit that stops a run in trouble."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.journal.records import SPLIT, Status

_STOPS = {
    "authorization": "Braze refused the key ({message})",
    "target": "Braze does not know the campaign, Canvas or path ({message})",
    "redirect": "the endpoint redirects elsewhere; it is not a Braze REST host",
    "certificate": "the endpoint's certificate can't be trusted",
    "host": "the endpoint's name can't be resolved",
    "repeated": "Braze named one dispatch_id for two batches ({message}); both are unknown",
}


class Action(Enum):
    """What the worker does with the batch now."""

    DONE = "done"
    AGAIN = "again"
    """Once more after a growing pause."""
    AGAIN_AFTER_RESET = "again after reset"
    SPLIT = "split"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Step:
    """``status`` is what the journal records; ``reason`` why the run stops, empty unless it does."""

    status: str
    action: Action
    reason: str = ""


def next_step(outcome: Outcome, *, size: int, attempts: int, most: int, reached: bool = False) -> Step:
    """``size``: recipients in the batch; ``attempts``: made in this process, this one included; ``most`` allowed.

    ``reached``: the host has been connected to before, so that a name which no longer resolves is an outage.
    """
    reason = _STOPS[outcome.stop].format(message=outcome.message) if outcome.stop else ""
    if outcome.stop == "host" and reached:
        reason = ""
    match outcome.verdict:
        case Verdict.ACCEPTED:
            return Step(Status.ACCEPTED, Action.DONE)
        case Verdict.UNKNOWN:
            return Step(Status.UNKNOWN, Action.STOP if reason else Action.DONE, reason)
        case Verdict.THROTTLED:
            return Step(Status.NOT_SENT, Action.AGAIN_AFTER_RESET)
        case Verdict.TOO_LARGE:
            return Step(SPLIT, Action.SPLIT) if size > 1 else Step(Status.FAILED, Action.DONE)
        case Verdict.UNSENT if reason:
            return Step(Status.NOT_SENT, Action.STOP, reason)
        case Verdict.UNSENT if attempts < most:
            return Step(Status.NOT_SENT, Action.AGAIN)
        case Verdict.UNSENT if outcome.http_status is None:
            return Step(Status.NOT_SENT, Action.STOP, f"Braze can't be reached ({outcome.message})")
        case Verdict.REFUSED if reason:
            return Step(Status.NOT_SENT, Action.STOP, reason)
        case Verdict.REFUSED if outcome.http_status in (400, 422) and size > 1:
            return Step(SPLIT, Action.SPLIT)
        case _:
            return Step(Status.FAILED, Action.DONE)
