"""The next step after an outcome: one pure function, ``next_step``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from bulk_sender.braze.answer import SHORT, Outcome, Verdict
from bulk_sender.journal.records import SPLIT, Status

MIXED_UP = (
    "bytes came on a connection that no request had asked for, from Braze or a proxy on the way, so that answers may "
    "have been taken for those of other requests; all that this connection answered is unknown. With "
    "delivery.keepalive = false each request has its own connection"
)

_STOPS = {
    "mixed_up": MIXED_UP,
    "authorization": (
        "Braze refused the key ({message}): it is wrong, lacks a permission, or belongs to another instance"
    ),
    "target": "Braze does not know the campaign, Canvas or path ({message})",
    "request": "Braze does not accept the form of the request ({message})",
    "not_live": "Braze sends nothing: {message}",
    "redirect": "the endpoint redirects elsewhere; it is not a Braze REST host",
    "certificate": "the endpoint's certificate cannot be trusted",
    "host": "the endpoint's name cannot be resolved",
    "repeated": "Braze returned one dispatch_id for two batches ({message}); both are unknown",
}


class Action(Enum):
    """What the worker does with the batch now."""

    DONE = "done"
    AGAIN = "again"
    """Retry after a growing pause."""
    AGAIN_AFTER_RESET = "again after reset"
    SPLIT = "split"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class NextStep:
    """``status`` is what the journal records; ``reason`` says why the run stops, and is empty if it does not."""

    status: str
    action: Action
    reason: str = ""


def next_step(outcome: Outcome, *, size: int, attempts: int, most: int, reached: bool = False) -> NextStep:
    """Return what to do after ``outcome``.

    ``size``: recipients in the batch. ``attempts``: those made in this process, this one included, of ``most`` allowed.
    ``reached``: the host was connected to before, so a name that no longer resolves is an outage.
    """
    reason = _STOPS[outcome.stop].format(message=outcome.message) if outcome.stop else ""
    if outcome.stop == "host" and reached:
        reason = ""
    match outcome.verdict:
        case Verdict.ACCEPTED:
            return NextStep(Status.ACCEPTED, Action.DONE)
        case Verdict.UNKNOWN:
            return NextStep(Status.UNKNOWN, Action.STOP if reason else Action.DONE, reason)
        case Verdict.THROTTLED:
            return NextStep(Status.NOT_SENT, Action.AGAIN_AFTER_RESET)
        case Verdict.TOO_LARGE:
            return NextStep(SPLIT, Action.SPLIT) if size > 1 else NextStep(Status.FAILED, Action.DONE)
        case Verdict.UNSENT if reason:
            return NextStep(Status.NOT_SENT, Action.STOP, reason)
        case Verdict.UNSENT if attempts < most:
            return NextStep(Status.NOT_SENT, Action.AGAIN)
        case Verdict.UNSENT if outcome.code == SHORT:
            return NextStep(Status.NOT_SENT, Action.STOP, outcome.message)
        case Verdict.UNSENT if outcome.http_status is None:
            return NextStep(Status.NOT_SENT, Action.STOP, f"cannot reach Braze ({outcome.message})")
        case Verdict.REFUSED if outcome.stop == "not_live":
            return NextStep(Status.FAILED, Action.STOP, reason)
        case Verdict.REFUSED if reason:
            return NextStep(Status.NOT_SENT, Action.STOP, reason)
        case Verdict.REFUSED if outcome.http_status in (400, 422) and size > 1:
            return NextStep(SPLIT, Action.SPLIT)
        case _:
            return NextStep(Status.FAILED, Action.DONE)
