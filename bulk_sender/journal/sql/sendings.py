"""The attempts of a run over time, in SQL that every store understands.

Attempts are numbered in the order in which they left, so a stretch of time is a stretch of their numbers. Its ends are
found by bisection, and SQL sums up what is between them: nothing is held in memory but one stretch's latencies.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from bulk_sender.braze.answer import WITH_ERRORS, Verdict
from bulk_sender.http.evidence import Reach
from bulk_sender.journal.answers import AnswerCount, Gap, Sending, Traffic
from bulk_sender.journal.sql.state import INHERITED
from bulk_sender.text.times import iso

Rows = Callable[..., list[tuple[Any, ...]]]
"""Runs a statement with its values."""

_IN_FLIGHT = 1000
"""More attempts than can wait for their answers at once: behind the last one, older answers are not looked for."""
_JUST_BEFORE = 600
"""Attempts before a gap whose answers may tell its cause."""
_SHORTLY = timedelta(seconds=1)
_DOUBTED = f"""
CASE WHEN code <> '{WITH_ERRORS}' THEN 0 ELSE (
  SELECT coalesce(sum(part.size), 0) FROM batch AS part JOIN attempt AS own ON own.batch = part.id
  JOIN outcome AS other ON other.attempt = own.id
  WHERE part.parent = outcome.batch AND length(own.body_sha256) = 0 AND other.status = 'unknown') END
"""
"""The rows of an accepted request that its answer named with an error."""


def sendings(rows: Rows) -> Iterator[Sending]:
    """What each epoch sent, in order."""
    [(most,)] = rows("SELECT coalesce(max(id), 0) FROM attempt")
    first = 1
    for (epoch,) in rows("SELECT id FROM epoch ORDER BY id"):
        after = first + bisect_right(range(first, most + 1), epoch, key=lambda number: _epoch(rows, number))
        if after == first:
            continue
        [(last, requests)] = rows(
            f"SELECT max(id), count(*) FROM attempt WHERE id >= ? AND id < ? AND id NOT IN ({INHERITED})", first, after
        )
        began, ended = _at(rows, first), _at(rows, last)
        # The answers to the last requests may have come long after these left.
        [(answer,)] = rows(
            "SELECT max(at) FROM outcome WHERE attempt BETWEEN ? AND ? AND epoch = ?", last - _IN_FLIGHT, last, epoch
        )
        if answer is not None:
            ended = max(ended, datetime.fromisoformat(answer))
        yield Sending(epoch, first, last, requests, began, ended)
        first = after


def traffic(rows: Rows, sending: Sending, since: datetime | None, until: datetime | None) -> Traffic:
    """The requests of a stretch of time."""
    first = sending.first if since is None else _first_at(rows, sending, since)
    after = sending.last + 1 if until is None else _first_at(rows, sending, until)
    counted = rows(
        "SELECT verdict, http_status, code, count(*), sum(CASE WHEN status = 'accepted' THEN"
        f" (SELECT size FROM batch WHERE batch.id = outcome.batch) - {_DOUBTED} ELSE 0 END)"
        f" FROM outcome WHERE attempt >= ? AND attempt < ? AND attempt NOT IN ({INHERITED})"
        " GROUP BY verdict, http_status, code",
        first,
        after,
    )
    [(requests,)] = rows(
        f"SELECT count(*) FROM attempt WHERE id >= ? AND id < ? AND id NOT IN ({INHERITED})", first, after
    )
    return Traffic(requests, tuple(AnswerCount(*row) for row in counted), *_latencies(rows, first, after))


def gaps(rows: Rows, sending: Sending, shortest_s: float) -> Iterator[Gap]:
    """The times between two requests that are at least this long."""
    first, last = (sending.first, _at(rows, sending.first)), (sending.last, _at(rows, sending.last))
    for before, began, ended in _neighbours(rows, first, last, shortest_s):
        verdicts = rows(
            "SELECT DISTINCT verdict FROM outcome WHERE attempt > ? AND attempt <= ? AND at >= ? AND at < ?"
            f" AND attempt NOT IN ({INHERITED})",
            *(before - _JUST_BEFORE, before, iso(began - _SHORTLY), iso(ended)),
        )
        yield Gap(began, ended, frozenset(verdict for (verdict,) in verdicts))


def _latencies(rows: Rows, first: int, after: int) -> tuple[float | None, float | None]:
    found = rows(
        "SELECT elapsed_s FROM outcome WHERE attempt >= ? AND attempt < ? AND reach = ? AND verdict <> ?"
        f" AND attempt NOT IN ({INHERITED})",
        *(first, after, int(Reach.ANSWERED), Verdict.THROTTLED.value),
    )
    if not found:
        return None, None
    elapsed_s = sorted(elapsed for (elapsed,) in found)
    return _quantile(elapsed_s, 0.5), _quantile(elapsed_s, 0.95)


def _quantile(ascending: Sequence[float], share: float) -> float:
    """Return the quantile by linear interpolation, to the last digit that of numpy, which takes long to load."""
    place = (len(ascending) - 1) * share
    low, between = int(place), place % 1
    below, above = ascending[low], ascending[min(low + 1, len(ascending) - 1)]
    step = above - below
    return below + step * between if between < 0.5 else above - step * (1 - between)


def _neighbours(
    rows: Rows, one: tuple[int, datetime], other: tuple[int, datetime], shortest_s: float
) -> Iterator[tuple[int, datetime, datetime]]:
    """Neighbours at least ``shortest_s`` apart, by halving: a stretch shorter than that has none."""
    if (other[1] - one[1]).total_seconds() < shortest_s or other[0] <= one[0]:
        return
    if other[0] - one[0] == 1:
        yield one[0], one[1], other[1]
        return
    number = (one[0] + other[0]) // 2
    middle = (number, _at(rows, number))
    yield from _neighbours(rows, one, middle, shortest_s)
    yield from _neighbours(rows, middle, other, shortest_s)


def _first_at(rows: Rows, sending: Sending, moment: datetime) -> int:
    """The number of the first attempt that left at ``moment`` or later."""
    numbers = range(sending.first, sending.last + 1)
    return sending.first + bisect_left(numbers, moment, key=lambda number: _at(rows, number))


def _at(rows: Rows, attempt: int) -> datetime:
    [(at,)] = rows(
        # An inherited attempt has its request's time, so it stands out of order.
        "SELECT at FROM attempt WHERE id >= ? AND length(body_sha256) > 0 ORDER BY id LIMIT 1",
        attempt,
    )
    return datetime.fromisoformat(at)


def _epoch(rows: Rows, attempt: int) -> int:
    """An attempt's epoch; a number that was given out but never written counts as the next one, here as above."""
    [(epoch,)] = rows("SELECT epoch FROM attempt WHERE id >= ? ORDER BY id LIMIT 1", attempt)
    return int(epoch)
