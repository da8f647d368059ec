"""The attempts of a run over time, in SQL that every store understands.

A process numbers its attempts in the order in which they left, so that a stretch of time is a stretch of numbers. Its
ends are found by bisection, and SQL sums up what is between them: only the latencies of one stretch are in memory.
Several processes of a run take numbers in blocks, so that their strands alternate.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from bulk_sender.braze.answer import WITH_ERRORS, Verdict
from bulk_sender.http.evidence import Reach
from bulk_sender.journal.answers import AnswerCount, Gap, Sending, Strand, Traffic
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


def strands(rows: Rows) -> Iterator[tuple[int, int, int]]:
    """The epoch, first and last id of what each epoch sent, where one process at a time gives out ids."""
    [(most,)] = rows("SELECT coalesce(max(id), 0) FROM attempt")
    first = 1
    for (epoch,) in rows("SELECT id FROM epoch ORDER BY id"):
        after = first + bisect_right(range(first, most + 1), epoch, key=lambda number: _epoch(rows, number))
        if after > first:
            [(last,)] = rows(
                f"SELECT max(id) FROM attempt WHERE id >= ? AND id < ? AND id NOT IN ({INHERITED})", first, after
            )
            yield epoch, first, last
        first = after


def sendings(rows: Rows, strands: Iterable[tuple[int, int, int]]) -> Iterator[Sending]:
    """What was sent without a break, in the order of time. Epochs that overlap are in one."""
    by_epoch: dict[int, list[Strand]] = {}
    for place, (epoch, first, last) in enumerate(strands):
        by_epoch.setdefault(epoch, []).append(Strand(place, epoch, first, last, _at(rows, first), _at(rows, last)))
    together: list[list[Strand]] = []
    ends: list[datetime] = []
    for own in sorted(by_epoch.values(), key=lambda own: own[0].began):
        ended = _ended(rows, own)
        if ends and own[0].began < ends[-1]:
            together[-1] += own
            ends[-1] = max(ends[-1], ended)
        else:
            together.append(list(own))
            ends.append(ended)
    for alike, ended in zip(together, ends, strict=True):
        alike.sort(key=lambda strand: strand.place)
        where, values = _within("id", [(strand, strand.first, strand.last + 1) for strand in alike])
        [(requests,)] = rows(f"SELECT count(*) FROM attempt WHERE {where} AND id NOT IN ({INHERITED})", *values)
        yield Sending(tuple(alike), requests, min(strand.began for strand in alike), ended)


def _ended(rows: Rows, own: Sequence[Strand]) -> datetime:
    """When an epoch had its last answer: it may have come long after the last request left."""
    ended = max(strand.ended for strand in own)
    for strand in own[-2:]:
        [(answer,)] = rows(
            "SELECT max(at) FROM outcome WHERE attempt BETWEEN ? AND ? AND epoch = ?",
            *(strand.last - _IN_FLIGHT, strand.last, strand.epoch),
        )
        if answer is not None:
            ended = max(ended, datetime.fromisoformat(answer))
    return ended


def traffic(rows: Rows, sending: Sending, since: datetime | None, until: datetime | None) -> Traffic:
    """The requests of a stretch of time."""
    stretches = []
    for strand in sending.strands:
        first = strand.first if since is None else _first_at(rows, strand, since)
        after = strand.last + 1 if until is None else _first_at(rows, strand, until)
        if after > first:
            stretches.append((strand, first, after))
    if not stretches:
        return Traffic(0, (), None, None)
    where, values = _within("attempt", stretches)
    counted = rows(
        "SELECT verdict, http_status, code, count(*), sum(CASE WHEN status = 'accepted' THEN"
        f" (SELECT size FROM batch WHERE batch.id = outcome.batch) - {_DOUBTED} ELSE 0 END)"
        f" FROM outcome WHERE {where} AND attempt NOT IN ({INHERITED})"
        " GROUP BY verdict, http_status, code",
        *values,
    )
    where_id, _ = _within("id", stretches)
    [(requests,)] = rows(f"SELECT count(*) FROM attempt WHERE {where_id} AND id NOT IN ({INHERITED})", *values)
    return Traffic(requests, tuple(AnswerCount(*row) for row in counted), *_latencies(rows, where, values))


def _within(column: str, stretches: Sequence[tuple[Strand, int, int]]) -> tuple[str, list[int]]:
    """Return a condition for ids in ``stretches`` (strand, first id, the id behind the last), and its values.

    Neighbours become one: the strands of several processes alternate, and a long time has most of them whole.
    """
    values: list[int] = []
    follows: int | None = None
    for strand, first, after in stretches:
        if strand.place == follows and first == strand.first:
            values[-1] = after
        else:
            values += [first, after]
        follows = strand.place + 1 if after == strand.last + 1 else None
    return "(" + " OR ".join([f"({column} >= ? AND {column} < ?)"] * (len(values) // 2)) + ")", values


def gaps(rows: Rows, sending: Sending, shortest_s: float) -> Iterator[Gap]:
    """The times between two requests that are at least this long."""
    busy = sorted(span for strand in sending.strands for span in _busy(rows, strand, shortest_s))
    until = sending.began
    for began, ended in busy:
        if (began - until).total_seconds() >= shortest_s:
            yield Gap(until, began, frozenset(_verdicts(rows, sending, until, began)))
        until = max(until, ended)


def _busy(rows: Rows, strand: Strand, shortest_s: float) -> Iterator[tuple[datetime, datetime]]:
    """The times in which a strand's requests left, one shortly after the other."""
    began = strand.began
    first, last = (strand.first, strand.began), (strand.last, strand.ended)
    for before, after in _neighbours(rows, first, last, shortest_s):
        yield began, before
        began = after
    yield began, strand.ended


def _verdicts(rows: Rows, sending: Sending, began: datetime, ended: datetime) -> Iterator[str]:
    """The verdicts of the answers that came in a gap or just before it."""
    latest = {strand.epoch: strand for strand in sending.strands if strand.began <= began}
    for strand in latest.values():
        numbers = range(strand.first, strand.last + 1)
        before = strand.first + bisect_right(numbers, began, key=lambda number: _at(rows, number)) - 1
        verdicts = rows(
            "SELECT DISTINCT verdict FROM outcome WHERE attempt > ? AND attempt <= ? AND at >= ? AND at < ?"
            f" AND attempt NOT IN ({INHERITED})",
            *(before - _JUST_BEFORE, before, iso(began - _SHORTLY), iso(ended)),
        )
        yield from (verdict for (verdict,) in verdicts)


def _latencies(rows: Rows, where: str, values: Sequence[int]) -> tuple[float | None, float | None]:
    found = rows(
        f"SELECT elapsed_s FROM outcome WHERE {where} AND reach = ? AND verdict <> ? AND attempt NOT IN ({INHERITED})",
        *(*values, int(Reach.ANSWERED), Verdict.THROTTLED.value),
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
) -> Iterator[tuple[datetime, datetime]]:
    """The times of neighbours at least ``shortest_s`` apart, by halving: a stretch shorter than that has none."""
    if (other[1] - one[1]).total_seconds() < shortest_s or other[0] <= one[0]:
        return
    if other[0] - one[0] == 1:
        yield one[1], other[1]
        return
    number = (one[0] + other[0]) // 2
    middle = (number, _at(rows, number))
    yield from _neighbours(rows, one, middle, shortest_s)
    yield from _neighbours(rows, middle, other, shortest_s)


def _first_at(rows: Rows, strand: Strand, moment: datetime) -> int:
    """The number of a strand's first attempt that left at ``moment`` or later; the one behind its last without one."""
    if moment <= strand.began:
        return strand.first
    if moment > strand.ended:
        return strand.last + 1
    numbers = range(strand.first, strand.last + 1)
    return strand.first + bisect_left(numbers, moment, key=lambda number: _at(rows, number))


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
