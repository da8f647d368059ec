"""A moment of a run, for whoever watches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a run, for whoever watches.

    ``rows`` are those of the run read so far; the other counts are of this part of the run, since the process began.
    ``rate_asked`` and ``rate_now`` are requests a second; ``waiting_s`` the seconds until requests go on (0 when they
    don't wait) and ``waiting_for`` what they wait for. ``ramping_s`` are the seconds until the pace has grown to
    ``rate_asked`` behind a canary, 0 when it doesn't ramp.
    """

    run_id: str
    rows: int
    plan_complete: bool
    accepted: int
    failed: int
    unknown: int
    requests: int
    in_flight: int
    retries: int
    throttled: int
    rate_asked: float
    rate_now: float
    waiting_s: float
    waiting_for: str
    elapsed_s: float
    rejected: int = 0
    duplicate: int = 0
    ramping_s: float = 0.0
