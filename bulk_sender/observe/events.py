"""What observers of a run receive: progress, attempts, beginning and end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bulk_sender.journal.answers import Counts

if TYPE_CHECKING:
    from bulk_sender.reporting.summary import Summary

log = logging.getLogger("bulk_sender")

_NO_ROWS = Counts()

WAITS_ON = ("rate_limit", "hours", "connection", "errors")
"""What a run may wait for: Braze's rate limit, the hours of sending, a connection, or the end of Braze's errors."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A progress snapshot.

    ``rows`` are those of the run read so far. The other counts begin with this process; ``so_far`` has the rows of the
    whole run by status, with those of earlier processes and of others beside this one. ``to_send`` recipients have no
    outcome yet: None while the input is being read, unless it was counted before. At the speed of the last ten seconds
    they take ``seconds_left``, None while that is unknown. ``rate_asked`` and ``rate_now`` are requests per second.
    ``waiting_s`` is how long all requests still wait (0 if they do not),
    ``waiting_for`` what for, in words, and ``waiting_on`` one of ``WAITS_ON``, or empty. ``ramping_s`` is the time
    until the pace reaches ``rate_asked`` after a canary (0 if it does not ramp). ``at_once`` requests of
    ``at_once_asked`` may be in flight. ``slowed_by`` says in words why it is slower than asked; empty if it is not.
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
    held_after: int | None = None
    """The rows of the canary after which the run is held and waits for an answer; None while it is not held."""
    waiting_on: str = ""
    at_once: int = 0
    at_once_asked: int = 0
    slowed_by: str = ""
    so_far: Counts = _NO_ROWS
    to_send: int | None = None
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class Beginning:
    """A run that begins or resumes in this process. ``counts``: rows by status from earlier processes."""

    run_id: str
    command: str
    kind: str
    """``campaign`` or ``canvas``."""
    target: str
    counts: Mapping[str, int]
    inputs: tuple[str, ...] = ()
    """The names of the input's files."""
    host: str = ""
    """Where requests go."""
    rehearsal: bool = False
    """Whether that is the built-in sandbox."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A command that was refused before anything was sent. ``message`` names no recipient."""

    command: str
    run_id: str
    """Empty when the run was not named."""
    kind: str
    target: str
    message: str
    exit_code: int
    rehearsal: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST and its outcome. ``status``: that of its batch in the journal now.

    ``named``: recipients of an accepted batch that Braze's answer names with an error; they are unknown.
    """

    batch: int
    recipients: int
    verdict: str
    status: str
    code: str
    http_status: int | None
    elapsed_s: float
    named: int = 0


class Observer:
    """Override what you need. All but ``ended`` are called in the event loop and must return at once."""

    def began(self, beginning: Beginning) -> None:
        """The run begins to send."""

    def moment(self, progress: Progress) -> None:
        """Called four times a second, and at the end."""

    def attempted(self, attempt: Attempt) -> None:
        """One request has an outcome."""

    def refused(self, refusal: Refusal) -> None:
        """The run is refused before anything is sent. Called in a thread. It may take some seconds."""

    def ended(self, summary: Summary) -> None:
        """Called in a thread when the account is closed. It may take some seconds."""
