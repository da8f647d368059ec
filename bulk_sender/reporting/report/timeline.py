"""A run over time: how many requests a second, how fast the answers came, and when nothing was sent.

Attempts are numbered in the order in which they left, so a stretch of time is a stretch of their numbers: its ends
are found by bisection, and SQL sums up what lies between. Nothing is held in memory but one stretch's latencies.

Time is counted in seconds of sending: what lies between two parts of a run (it was stopped at noon, and resumed the
next day) takes no room.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from bulk_sender.braze.answer import Verdict
from bulk_sender.config.model import DeliveryConfig
from bulk_sender.http.evidence import Reach
from bulk_sender.journal.sqlite.store import Journal

MOST_BUCKETS = 120
_ATTEMPTS_IN_A_BUCKET = 4
"""Fewer than this on average, and a rate says more about chance than about the run."""

_NICE_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_SHORTEST_PAUSE_S = 2.0
_LONGEST_PAUSES = 10

GROUPS = {
    "accepted": "accepted",
    "throttled": "429",
    "refused": "refused or unsent",
    "unknown": "unknown",
}
"""What became of a request, as the charts tell it apart, from the bottom of a stack to its top, with words for it."""

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
    """What a request came to, in the journal's words; verdict ``open`` while nothing is recorded."""

    verdict: str
    http_status: int | None
    code: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """``width_s`` seconds of a part, from ``start_s`` of the timeline on, which was ``at`` by the clock (UTC).

    ``answers``: the requests that left in it, by what they came to; ``recipients``: those whom these answers accepted,
    whatever was decided later. ``p50_s`` and ``p95_s``: seconds from a request's start to the end of its answer, 429s
    apart; None where no answer came.
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
        """How many of them fall in one of ``GROUPS``."""
        return sum(count for answer, count in self.answers.items() if _GROUP[answer.verdict] == group)

    def per_second(self, count: float) -> float:
        return count / self.width_s


@dataclass(frozen=True, slots=True)
class Part:
    """What one process sent: ``attempts`` requests in ``span_s`` seconds, from ``start_s`` of the timeline on."""

    epoch: int
    first: int
    last: int
    start_s: float
    span_s: float
    at: datetime

    @property
    def attempts(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Pause:
    """``seconds`` in which nothing left, from ``start_s`` of the timeline on; ``why`` as far as the journal tells."""

    start_s: float
    seconds: float
    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """All attempts of a run, in buckets of ``width_s`` seconds; none when nothing was sent."""

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
        """All requests of the run by what they came to."""
        return sum((bucket.answers for bucket in self.buckets), Counter())

    @property
    def paused_s(self) -> float:
        return sum(pause.seconds for pause in self.pauses)

    @property
    def longest_pauses(self) -> list[Pause]:
        """The longest few, longest first."""
        return sorted(self.pauses, key=lambda pause: -pause.seconds)[:_LONGEST_PAUSES]


def timeline(journal: Journal, delivery: DeliveryConfig) -> Timeline:
    """Sum a run up. About a second for a million attempts."""
    parts = tuple(_parts(journal))
    span_s = sum(part.span_s for part in parts)
    attempts = sum(part.attempts for part in parts)
    width_s = bucket_width(span_s, attempts)
    # A slow rate makes gaps of its own; only what is well beyond it is a pause.
    shortest_s = max(_SHORTEST_PAUSE_S, 4 / delivery.pace.per_second)
    return Timeline(
        parts,
        tuple(bucket for part in parts for bucket in _buckets(journal, part, width_s)),
        tuple(pause for part in parts for pause in _pauses(journal, part, shortest_s)),
        width_s,
        shortest_s,
    )


def bucket_width(span_s: float, attempts: int) -> float:
    """Seconds: round ones, so that ``span_s`` makes at most ``MOST_BUCKETS``, and these aren't nearly empty."""
    most = max(1, min(MOST_BUCKETS, attempts // _ATTEMPTS_IN_A_BUCKET))
    least_s = span_s / most
    days = math.ceil(least_s / _NICE_S[-1])
    return next((width for width in _NICE_S if width >= least_s), days * _NICE_S[-1])


def edges(span_s: float, width_s: float) -> list[float]:
    """Where the buckets of a span meet, both ends included; a short rest belongs to the bucket before it.

    A rest alone would make a rate out of hardly any time.
    """
    whole = max(1, math.floor(span_s / width_s + 0.5))
    return [index * width_s for index in range(whole)] + [max(span_s, 0.001)]


def _parts(journal: Journal) -> Iterator[Part]:
    start_s = 0.0
    [most] = journal.column("SELECT coalesce(max(id), 0) FROM attempt")
    first = 1
    for epoch in journal.column("SELECT id FROM epoch ORDER BY id"):
        numbers = range(first, most + 1)
        after = first + bisect_right(numbers, epoch, key=lambda number: _nearest(journal, "epoch", number))
        if after == first:
            continue
        last = after - 1
        began, ended = _at(journal, first), _at(journal, last)
        # The answers to the last requests may still have been under way for long.
        [answer] = journal.column(
            "SELECT max(at) FROM outcome WHERE attempt BETWEEN ? AND ? AND epoch = ?", (last - 1000, last, epoch)
        )
        if answer is not None:
            ended = max(ended, _time(answer))
        span_s = max(0.001, (ended - began).total_seconds())
        yield Part(epoch, first, last, start_s, span_s, began)
        start_s += span_s
        first = after


def _buckets(journal: Journal, part: Part, width_s: float) -> Iterator[Bucket]:
    borders = edges(part.span_s, width_s)
    first = part.first
    for start_s, end_s in itertools.pairwise(borders):
        rest = range(first, part.last + 1)
        until = part.at + timedelta(seconds=end_s)
        after = first + bisect_left(rest, until, key=lambda number: _at(journal, number))
        if end_s == borders[-1]:
            after = part.last + 1
        counted = journal.query(
            "SELECT verdict, http_status, code, count(*) AS requests, sum(CASE WHEN status = 'accepted' THEN"
            " (SELECT size FROM batch WHERE batch.id = outcome.batch) ELSE 0 END) AS recipients"
            " FROM outcome WHERE attempt >= ? AND attempt < ? GROUP BY verdict, http_status, code",
            (first, after),
        )
        answers = Counter({Answer(row["verdict"], row["http_status"], row["code"]): row["requests"] for row in counted})
        [sent] = journal.column("SELECT count(*) FROM attempt WHERE id >= ? AND id < ?", (first, after))
        if sent > answers.total():
            answers[Answer("open", None, "")] = sent - answers.total()
        p50_s, p95_s = _latencies(journal, first, after)
        yield Bucket(
            part.start_s + start_s,
            end_s - start_s,
            part.at + timedelta(seconds=start_s),
            answers,
            sum(row["recipients"] for row in counted),
            p50_s,
            p95_s,
        )
        first = after


def _latencies(journal: Journal, first: int, after: int) -> tuple[float | None, float | None]:
    found = journal.column(
        "SELECT elapsed_s FROM outcome WHERE attempt >= ? AND attempt < ? AND reach = ? AND verdict <> ?",
        (first, after, int(Reach.ANSWERED), Verdict.THROTTLED.value),
    )
    if not found:
        return None, None
    p50_s, p95_s = np.quantile(np.array(found), [0.5, 0.95])
    return float(p50_s), float(p95_s)


def _pauses(journal: Journal, part: Part, shortest_s: float) -> Iterator[Pause]:
    for before, began, ended in _gaps(journal, (part.first, part.at), (part.last, _at(journal, part.last)), shortest_s):
        yield Pause(
            part.start_s + (began - part.at).total_seconds(),
            (ended - began).total_seconds(),
            began,
            _why(journal, before, began, ended),
        )


def _gaps(
    journal: Journal, one: tuple[int, datetime], other: tuple[int, datetime], shortest_s: float
) -> Iterator[tuple[int, datetime, datetime]]:
    """Neighbours at least ``shortest_s`` apart, by halving: a stretch shorter than that holds none."""
    if (other[1] - one[1]).total_seconds() < shortest_s or other[0] <= one[0]:
        return
    if other[0] - one[0] == 1:
        yield one[0], one[1], other[1]
        return
    number = (one[0] + other[0]) // 2
    middle = (number, _at(journal, number))
    yield from _gaps(journal, one, middle, shortest_s)
    yield from _gaps(journal, middle, other, shortest_s)


def _why(journal: Journal, before: int, began: datetime, ended: datetime) -> str:
    """The journal has no record of a wait; what the answers just before it said tells its reason."""
    verdicts = set(
        journal.column(
            "SELECT verdict FROM outcome WHERE attempt > ? AND attempt <= ? AND at >= ? AND at < ?",
            (before - 600, before, _text(began - timedelta(seconds=1)), _text(ended)),
        )
    )
    if Verdict.THROTTLED in verdicts:
        return "after a 429: Braze's rate limit was spent"
    if Verdict.UNSENT in verdicts:
        return "after requests that Braze did not take"
    if Verdict.UNKNOWN in verdicts:
        return "after requests without an answer"
    return "no trouble recorded: the limit was nearly spent, or the input was slow"


def _at(journal: Journal, attempt: int) -> datetime:
    return _time(_nearest(journal, "at", attempt))


def _nearest(journal: Journal, name: str, attempt: int) -> Any:
    """A column of an attempt; a number that was given out but never written down stands for the next one."""
    [found] = journal.column(f"SELECT {name} FROM attempt WHERE id >= ? ORDER BY id LIMIT 1", (attempt,))
    return found


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
