"""A moment of a run, for whoever watches."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bulk_sender.reporting.summary import Summary

log = logging.getLogger("bulk_sender")


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


@dataclass(frozen=True, slots=True)
class Beginning:
    """A run that begins, or goes on, in this process. ``counts``: rows by status from its earlier parts."""

    run_id: str
    command: str
    kind: str
    """``campaign`` or ``canvas``."""
    target: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST and what came of it. ``status``: what the journal has for its batch now."""

    batch: int
    recipients: int
    verdict: str
    status: str
    code: str
    http_status: int | None
    elapsed_s: float


class Observer:
    """Overrides what it wants to hear. All but ``ended`` are called in the event loop and must return at once."""

    def began(self, beginning: Beginning) -> None: ...

    def moment(self, progress: Progress) -> None: ...

    def attempted(self, attempt: Attempt) -> None: ...

    def ended(self, summary: Summary) -> None:
        """In a thread, with some seconds of time, when the account is closed."""
