"""The breaker on refused rows: when Braze refuses too many of the recipients for good, the run stops. Pure.

A batch that is refused goes again in halves until the rows that Braze refuses stand alone, so a file in which every
other row is refused comes by the circuit unseen: each of its batches has something accepted in it. Here it is rows
that count, over the latest batches. What was never answered, or refused for the moment (429, 5XX), does not.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.delivery.policy import Action, Step
from bulk_sender.journal.records import Status

WINDOW = 50
"""Batches looked back upon."""
FEWEST = 20
"""Batches before anything is concluded: some bad rows on top of a file are no reason to stop."""

_FOR_GOOD = (Verdict.REFUSED, Verdict.TOO_LARGE)


@dataclass(slots=True)
class Fate:
    """What Braze said of one batch in the end, in whatever parts: recipients ``accepted`` and ``refused`` for good."""

    accepted: int = 0
    refused: int = 0
    words: list[tuple[str, int]] = field(default_factory=list)
    """Of each refusal: Braze's words, and how many recipients it concerns."""

    def add(self, step: Step, outcome: Outcome, size: int) -> None:
        """A part of ``size`` recipients is settled."""
        if outcome.verdict is Verdict.ACCEPTED:
            self.accepted += size
        elif step.status == Status.FAILED and outcome.verdict in _FOR_GOOD:
            self.refused += size
            self.words.append((outcome.message, size))


class Refusals:
    """``most``: the share of recipients, 0 to 1, that may be refused for good; 1 turns the breaker off."""

    def __init__(self, most: float) -> None:
        self.most = most
        self._recent: deque[Fate] = deque()
        self._accepted = self._refused = 0
        """Recipients of ``_recent``, kept as it changes."""

    def record(self, fate: Fate) -> str:
        """A batch has come to its end. Returns the reason to stop, or an empty string."""
        if not fate.accepted + fate.refused:
            return ""
        self._count(fate, +1)
        self._recent.append(fate)
        if len(self._recent) > WINDOW:
            self._count(self._recent.popleft(), -1)
        refused, answered = self._refused, self._refused + self._accepted
        if len(self._recent) < FEWEST or refused <= self.most * answered:
            return ""
        return (
            f"Braze refused {refused:,} of the {answered:,} recipients of the last {len(self._recent)} batches for good"
            f"{self._mostly()}; that is more than delivery.max_failed_share = {self.most:g} allows. "
            "Read the errors of the failed rows in the results, and mend their cause before the rest is sent"
        )

    def _count(self, fate: Fate, sign: int) -> None:
        self._accepted += sign * fate.accepted
        self._refused += sign * fate.refused

    def _mostly(self) -> str:
        """The words heard most. Said once only, they may quote the row they are about: then they are kept back."""
        recipients: Counter[str] = Counter()
        times: Counter[str] = Counter()
        for words, size in (said for fate in self._recent for said in fate.words):
            recipients[words] += size
            times[words] += 1
        often = [(count, words) for words, count in recipients.items() if times[words] > 1]
        if not often:
            return ""
        count, words = max(often)
        return f", {count:,} of them with the words {words!r}"


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
