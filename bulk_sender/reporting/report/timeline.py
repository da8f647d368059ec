"""A run over time: requests a second, response times, and pauses.

Time is counted in seconds of sending. The time between two epochs takes no room, for example when a run was stopped at
noon and resumed the next day.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from bulk_sender.braze.answer import Verdict
from bulk_sender.config.model import DeliveryConfig
from bulk_sender.journal.answers import Sending
from bulk_sender.journal.store import RunReader
from bulk_sender.reporting.lateness import IsLate, in_time, never

MOST_BUCKETS = 120
_ATTEMPTS_IN_A_BUCKET = 4
"""With fewer than this on average, a rate shows chance rather than the run."""

_NICE_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_SHORTEST_PAUSE_S = 2.0
_LONGEST_PAUSES = 10

GROUPS = {
    "accepted": "accepted",
    "throttled": "429",
    "refused": "refused or unsent",
    "unknown": "unknown",
}
"""The groups of answers in the charts, from the bottom of a stack to its top, with their labels."""

_GROUP: dict[str, str] = {
    Verdict.ACCEPTED: "accepted",
    Verdict.THROTTLED: "throttled",
    Verdict.REFUSED: "refused",
    Verdict.TOO_LARGE: "refused",
    Verdict.UNSENT: "refused",
    Verdict.UNKNOWN: "unknown",
    "open": "unknown",
}


class Answer(NamedTuple):
    """The outcome of a request, as in the journal; the verdict is ``open`` while nothing is recorded."""

    verdict: str
    http_status: int | None
    code: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """``width_s`` seconds of a part, from ``start_s`` of the timeline, which was ``at`` by the clock (UTC).

    ``answers``: the requests that left in it, by outcome. ``recipients``: those that these requests made accepted,
    whatever was decided later. ``p50_s`` and ``p95_s``: seconds from a request's start to the end of its answer,
    without 429s; None where no answer arrived.
    """

    start_s: float
    width_s: float
    at: datetime
    answers: Counter[Answer]
    recipients: int
    p50_s: float | None
    p95_s: float | None

    @property
    def end_s(self) -> float:
        return self.start_s + self.width_s

    @property
    def sent(self) -> int:
        """Requests that left in this bucket."""
        return self.answers.total()

    def requests(self, group: str) -> int:
        """Return how many of them are in one of ``GROUPS``."""
        return sum(count for answer, count in self.answers.items() if _GROUP[answer.verdict] == group)

    def per_second(self, count: float) -> float:
        return count / self.width_s


@dataclass(frozen=True, slots=True)
class Part:
    """What one epoch sent, or several at the same time, in ``span_s`` seconds from ``start_s`` of the timeline."""

    sending: Sending
    start_s: float
    span_s: float

    @property
    def epochs(self) -> tuple[int, ...]:
        return self.sending.epochs

    @property
    def at(self) -> datetime:
        """When its first request left."""
        return self.sending.began


@dataclass(frozen=True, slots=True)
class Pause:
    """``seconds`` in which no request left, from ``start_s`` of the timeline; ``why`` as far as the journal shows."""

    start_s: float
    seconds: float
    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """All attempts of a run, in buckets of ``width_s`` seconds. Without a request there are no buckets."""

    parts: tuple[Part, ...]
    buckets: tuple[Bucket, ...]
    pauses: tuple[Pause, ...]
    """In the order of time."""
    width_s: float
    shortest_pause_s: float

    @property
    def span_s(self) -> float:
        return sum(part.span_s for part in self.parts)

    @property
    def answers(self) -> Counter[Answer]:
        """All requests of the run by outcome."""
        return sum((bucket.answers for bucket in self.buckets), Counter())

    @property
    def paused_s(self) -> float:
        return sum(pause.seconds for pause in self.pauses)

    @property
    def longest_pauses(self) -> list[Pause]:
        """The longest few, longest first."""
        return sorted(self.pauses, key=lambda pause: -pause.seconds)[:_LONGEST_PAUSES]


def timeline(journal: RunReader, delivery: DeliveryConfig, *, is_late: IsLate = never) -> Timeline:
    """Summarize a run over time. A million attempts take about a second. Raises OutOfTime once it ``is_late``."""
    parts = tuple(_parts(journal))
    span_s = sum(part.span_s for part in parts)
    attempts = sum(part.sending.attempts for part in parts)
    width_s = bucket_width(span_s, attempts)
    # At a slow rate there are gaps between requests: only a much longer one is a pause.
    shortest_s = max(_SHORTEST_PAUSE_S, 4 / delivery.pace.per_second)
    return Timeline(
        parts,
        tuple(bucket for part in parts for bucket in in_time(_buckets(journal, part, width_s), is_late)),
        tuple(pause for part in parts for pause in _pauses(journal, part, shortest_s)),
        width_s,
        shortest_s,
    )


def bucket_width(span_s: float, attempts: int) -> float:
    """Return a round number of seconds that gives at most ``MOST_BUCKETS``, none of them nearly empty."""
    most = max(1, min(MOST_BUCKETS, attempts // _ATTEMPTS_IN_A_BUCKET))
    least_s = span_s / most
    days = math.ceil(least_s / _NICE_S[-1])
    return next((width for width in _NICE_S if width >= least_s), days * _NICE_S[-1])


def edges(span_s: float, width_s: float) -> list[float]:
    """Return the borders of the buckets in a span, both ends included. A short rest belongs to the bucket before it.

    Alone, it would show the rate of hardly any time.
    """
    whole = max(1, math.floor(span_s / width_s + 0.5))
    return [index * width_s for index in range(whole)] + [max(span_s, 0.001)]


def _parts(journal: RunReader) -> Iterator[Part]:
    start_s = 0.0
    for sending in journal.sendings():
        span_s = max(0.001, (sending.ended - sending.began).total_seconds())
        yield Part(sending, start_s, span_s)
        start_s += span_s


def _buckets(journal: RunReader, part: Part, width_s: float) -> Iterator[Bucket]:
    borders = edges(part.span_s, width_s)
    for start_s, end_s in itertools.pairwise(borders):
        since = None if start_s == borders[0] else part.at + timedelta(seconds=start_s)
        until = None if end_s == borders[-1] else part.at + timedelta(seconds=end_s)
        traffic = journal.traffic(part.sending, since, until)
        answers = Counter({Answer(it.verdict, it.http_status, it.code): it.requests for it in traffic.answers})
        if traffic.requests > answers.total():
            answers[Answer("open", None, "")] = traffic.requests - answers.total()
        yield Bucket(
            part.start_s + start_s,
            end_s - start_s,
            part.at + timedelta(seconds=start_s),
            answers,
            sum(it.rows for it in traffic.answers),
            traffic.p50_s,
            traffic.p95_s,
        )


def _pauses(journal: RunReader, part: Part, shortest_s: float) -> Iterator[Pause]:
    for gap in journal.gaps(part.sending, shortest_s):
        yield Pause(
            part.start_s + (gap.began - part.at).total_seconds(),
            (gap.ended - gap.began).total_seconds(),
            gap.began,
            _why(gap.verdicts),
        )


def _why(verdicts: Collection[str]) -> str:
    """The cause of a pause. The journal has no record of a wait, but the answers just before it tell."""
    if Verdict.THROTTLED in verdicts:
        return "after a 429: Braze's rate limit was used up"
    if Verdict.UNSENT in verdicts:
        return "after requests that Braze did not accept"
    if Verdict.UNKNOWN in verdicts:
        return "after requests without an answer"
    return "no problem recorded: the rate limit was nearly used up, or the input was slow"
