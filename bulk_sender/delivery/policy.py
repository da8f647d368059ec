"""What comes after an outcome: one pure function, ``next_step``; and the circuit that stops a run in trouble."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from bulk_sender.delivery.outcome import Outcome, Verdict
from bulk_sender.delivery.records import SPLIT, Status

_STOPS = {
    "authorization": "Braze refused the key ({message})",
    "target": "Braze does not know the campaign, Canvas or path ({message})",
    "redirect": "the endpoint redirects elsewhere; it is not a Braze REST host",
    "certificate": "the endpoint's certificate can't be trusted",
    "host": "the endpoint's name can't be resolved",
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


def next_step(outcome: Outcome, *, size: int, attempts: int, most: int) -> Step:
    """``size``: recipients in the batch; ``attempts``: made in this process, this one included; ``most`` allowed."""
    reason = _STOPS[outcome.stop].format(message=outcome.message) if outcome.stop else ""
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


class Circuit:
    """Counts trouble in a row, so that an outage never turns a whole file into ``unknown``.

    After ``PROBE_AFTER`` troubled requests in a row, one request at a time goes out until one succeeds
    (half open). After ``most`` unknown or failed batches in a row the run stops.
    """

    PROBE_AFTER = 3

    def __init__(self, most: int) -> None:
        self.most = most
        self.lost = 0
        """Unknown or failed batches in a row."""
        self.unsent = 0
        """Proved-unsent requests in a row."""

    @property
    def half_open(self) -> bool:
        return self.lost + self.unsent >= self.PROBE_AFTER or self.lost >= max(1, self.most - 2)

    @property
    def failures(self) -> int:
        return self.lost + self.unsent

    def record(self, step: Step, verdict: Verdict) -> str:
        """Take one step into account. Returns the reason to stop, or an empty string."""
        if verdict is Verdict.ACCEPTED:
            self.lost = self.unsent = 0
        elif step.status in (Status.UNKNOWN, Status.FAILED):
            return self.lost_one()
        elif step.action is Action.AGAIN:
            self.unsent += 1
        return ""

    def lost_one(self) -> str:
        """One more batch failed or stayed unknown. Returns the reason to stop, or an empty string."""
        self.lost += 1
        return f"{self.lost} requests in a row failed or stayed without an answer" if self.lost >= self.most else ""
