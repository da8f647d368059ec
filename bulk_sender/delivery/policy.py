"""What comes after an outcome: one pure function, ``next_step``; and the circuit that stops a run in trouble."""

from __future__ import annotations

from collections import deque
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


class Circuit:
    """Counts trouble, so that an outage never turns a whole file into ``unknown``.

    After ``PROBE_AFTER`` troubled requests in a row, one request at a time goes out until one succeeds
    (half open). After ``most`` unknown or failed batches in a row the run stops, and also when half of the last
    ``WINDOW`` batches were lost: trouble with a success now and then is trouble all the same.
    """

    PROBE_AFTER = 3
    WINDOW = 40

    def __init__(self, most: int) -> None:
        self.most = most
        self.lost = 0
        """Unknown or failed batches in a row."""
        self.unsent = 0
        """Proved-unsent requests in a row."""
        self._recent: deque[bool] = deque(maxlen=self.WINDOW)

    @property
    def half_open(self) -> bool:
        return self.failures >= self.PROBE_AFTER or self.lost >= max(1, self.most - 2)

    @property
    def failures(self) -> int:
        return self.lost + self.unsent

    def record(self, step: Step, verdict: Verdict) -> str:
        """Take one step into account. Returns the reason to stop, or an empty string."""
        if verdict is Verdict.ACCEPTED:
            self.lost = self.unsent = 0
            self._recent.append(False)
        elif step.status in (Status.UNKNOWN, Status.FAILED):
            return self.lost_one()
        elif step.action is Action.AGAIN:
            self.unsent += 1
        return ""

    def lost_one(self) -> str:
        """One more batch failed or stayed unknown. Returns the reason to stop, or an empty string."""
        self.lost += 1
        self._recent.append(True)
        if self.lost >= self.most:
            return f"{self.lost} requests in a row failed or stayed without an answer"
        if 2 * sum(self._recent) >= self.WINDOW:
            return f"{sum(self._recent)} of the last {len(self._recent)} requests failed or stayed without an answer"
        return ""
