"""The breakers that stop a run in trouble: an outage, too many refused recipients, too many retries."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.config.model import DeliveryConfig
from bulk_sender.delivery.policy import Action, NextStep
from bulk_sender.delivery.work import Tally
from bulk_sender.http.evidence import Reach
from bulk_sender.journal.records import Batch, Status
from bulk_sender.pace.backoff import Waits

RECENT_BATCHES = 50
"""The share of refused recipients is taken over this many batches."""
FEWEST_BATCHES = 20
"""Conclude nothing from fewer batches: some bad rows at the top of a file are no reason to stop."""
FEWEST_RETRIES = 100
"""The retry budget never stops a run before this many retries."""

_FOR_GOOD = (Verdict.REFUSED, Verdict.TOO_LARGE)


class Breakers:
    """All breakers of one sender. Each method returns the reason to stop, or an empty string."""

    def __init__(self, config: DeliveryConfig, waits: Waits) -> None:
        self.circuit = Circuit(config.breaker)
        self.alike = RefusedAlike()
        self.unreached = Unreached(waits.unreached_s)
        self._refusals = Refusals(config.max_failed_share)
        self._retry_budget = config.retry_budget

    def attempted(self, batch: Batch, step: NextStep, verdict: Verdict, tally: Tally) -> str:
        """Take one attempt into account. A refused part of a split batch counts only with its whole batch."""
        whole = batch.parent is None or verdict is not Verdict.REFUSED
        reason = self.circuit.record(step, verdict) if whole else ""
        if not reason and tally.retries > max(FEWEST_RETRIES, self._retry_budget * tally.requests):
            reason = f"{tally.retries} requests had to be repeated"
        return reason

    def ended(self, fate: Fate, *, lost: bool) -> str:
        """Take a batch that has ended into account. ``lost``: it was split, and nothing of it was accepted."""
        circuit = self.circuit.lost_one() if lost else ""
        refusals = self._refusals.record(fate)
        return circuit or refusals


class Unreached:
    """Ends a run whose very first connection does not work, after ``most_s`` seconds.

    Once a connection has worked, an outage is waited for, within the limit on attempts.
    """

    def __init__(self, most_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_s = most_s
        self._clock = clock
        self._since: float | None = None
        self._reached = False

    def record(self, outcome: Outcome) -> str:
        """Take an attempt into account. Return the reason to stop, or an empty string."""
        self._reached = self._reached or outcome.reach >= Reach.CONNECTED
        if self._reached:
            return ""
        now = self._clock()
        self._since = now if self._since is None else self._since
        if now - self._since < self._most_s:
            return ""
        return (
            f"cannot connect to Braze ({outcome.message}), and no connection has worked for {now - self._since:.0f} s. "
            "Nothing was sent"
        )


class RefusedAlike:
    """Notices early that it is the request that Braze refuses, and not a row of it.

    Until Braze accepts something, only one refused batch is split at a time. When a single row of it is refused with
    the same text as another batch, no row is at fault, and the run stops after a handful of requests.
    """

    def __init__(self) -> None:
        self.is_possible = True
        """Whether Braze has accepted nothing yet, so that the request may be at fault."""
        self._batches: dict[str, set[int]] = {}
        self._single: dict[str, int] = {}

    def record(self, planned: int, size: int, outcome: Outcome) -> str:
        """Take an attempt for the planned batch ``planned`` into account. Return the reason to stop, or nothing."""
        if outcome.verdict is Verdict.ACCEPTED:
            self.is_possible = False
            self._batches.clear()
        if not self.is_possible or outcome.verdict is not Verdict.REFUSED:
            return ""
        text = outcome.message
        self._batches.setdefault(text, set()).add(planned)
        if size == 1:
            self._single.setdefault(text, planned)
        if text in self._single and len(self._batches[text]) > 1:
            return f"Braze refuses every request alike, whatever is in it: {text}"
        return ""


class Circuit:
    """Counts trouble, so that an outage never turns a whole file into ``unknown``.

    After ``PROBE_AFTER`` troubled requests in a row, one request at a time goes out until one succeeds (half open). So
    it does after a single time-out, if nothing that left later was answered either.
    The run stops after ``most`` unknown or failed batches in a row, and also when half of the last ``RECENT`` batches
    were lost, so that an occasional success does not hide an outage.
    """

    PROBE_AFTER = 3
    RECENT = 40

    def __init__(self, most: int) -> None:
        self.most = most
        self.lost = 0
        """Unknown or failed batches in a row."""
        self.unsent = 0
        """Requests in a row that were proved unsent."""
        self.silent = False
        """Whether a request timed out, and nothing that left after it was answered."""
        self._recent: deque[bool] = deque(maxlen=self.RECENT)

    @property
    def half_open(self) -> bool:
        """Whether only one request at a time may go."""
        return self.silent or self.failures >= self.PROBE_AFTER or self.lost >= max(1, self.most - 2)

    @property
    def failures(self) -> int:
        """Troubled requests in a row, of either kind."""
        return self.lost + self.unsent

    def record(self, step: NextStep, verdict: Verdict) -> str:
        """Take one step into account. Return the reason to stop, or an empty string."""
        if verdict is Verdict.ACCEPTED:
            self.lost = self.unsent = 0
            self.silent = False
            self._recent.append(False)
        elif step.status in (Status.UNKNOWN, Status.FAILED):
            return self.lost_one()
        elif step.action is Action.AGAIN:
            self.unsent += 1
        return ""

    def lost_one(self) -> str:
        """Count one more failed or unknown batch. Return the reason to stop, or an empty string."""
        self.lost += 1
        self._recent.append(True)
        if self.lost >= self.most:
            return f"{self.lost} requests in a row failed or got no answer"
        if 2 * sum(self._recent) >= self.RECENT:
            return f"{sum(self._recent)} of the last {len(self._recent)} requests failed or got no answer"
        return ""


@dataclass(slots=True)
class Fate:
    """Braze's final answers about one batch and its parts: recipients ``accepted`` and ``refused`` permanently.

    ``named``: those among the refused that an answer of success names with an error.
    """

    accepted: int = 0
    refused: int = 0
    messages: list[tuple[str, int]] = field(default_factory=list)
    """For each refusal: Braze's message, and how many recipients it concerns."""
    named: int = 0

    def add(self, step: NextStep, outcome: Outcome, size: int, *, named: int = 0) -> None:
        """Add a settled part of ``size`` recipients, ``named`` of them with an error beside success."""
        if named:
            self.accepted += size - named
            self.refused += named
            self.named += named
            self.messages.append((outcome.message, named))
        elif outcome.verdict is Verdict.ACCEPTED:
            self.accepted += size
        elif step.status == Status.FAILED and outcome.verdict in _FOR_GOOD:
            self.refused += size
            self.messages.append((outcome.message, size))


class Refusals:
    """Stops a run when Braze refuses too large a share of the recipients permanently.

    A refused batch is split until the refused rows stand alone. If every other row of a file is refused, the circuit
    never sees it, because each batch has something accepted in it. So this breaker counts rows, over the latest
    batches. Rows that got no answer, or a temporary refusal (429, 5XX), do not count.

    ``most`` is the share allowed, 0 to 1; 1 turns the breaker off.
    """

    def __init__(self, most: float) -> None:
        self.most = most
        self._recent: deque[Fate] = deque()
        self._accepted = self._refused = 0
        """Recipients in ``_recent``, kept up to date."""

    def record(self, fate: Fate) -> str:
        """Take a batch that has ended into account. Return the reason to stop, or an empty string."""
        if not fate.accepted + fate.refused:
            return ""
        self._count(fate, +1)
        self._recent.append(fate)
        if len(self._recent) > RECENT_BATCHES:
            self._count(self._recent.popleft(), -1)
        refused, answered = self._refused, self._refused + self._accepted
        if len(self._recent) < FEWEST_BATCHES or refused <= self.most * answered:
            return ""
        did = "refused, or named with an error," if any(one.named for one in self._recent) else "permanently refused"
        return (
            f"Braze {did} {refused:,} of the {answered:,} recipients in the last {len(self._recent)} "
            f"batches{self._mostly()}; that is more than delivery.max_failed_share = {self.most:g} allows. "
            "Read the errors of the failed rows in the results, and fix the cause before you send the rest"
        )

    def _count(self, fate: Fate, sign: int) -> None:
        self._accepted += sign * fate.accepted
        self._refused += sign * fate.refused

    def _mostly(self) -> str:
        """Quote the most frequent message. One that came only once may quote a row, so it is left out."""
        recipients: Counter[str] = Counter()
        times: Counter[str] = Counter()
        for message, size in (message for fate in self._recent for message in fate.messages):
            recipients[message] += size
            times[message] += 1
        often = [(count, message) for message, count in recipients.items() if times[message] > 1]
        if not often:
            return ""
        count, message = max(often)
        return f", {count:,} of them with the message {message!r}"
