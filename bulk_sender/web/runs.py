"""What the page shows of runs, by the library's public functions alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import polars as pl

import bulk_sender as bs
from bulk_sender.web.workers import STATUSES, Moment

LONGEST_SEARCH = 512
TROUBLE = STATUSES[:4]
FILES = ("results", "rejected", "rejected_xlsx", "summary")
"""The files of a run that may be downloaded, by their names in ``Summary.files``."""
PAGE_ROWS = 50
_LONGEST_NUMBER = 18
_MOST_REASONS = 20
_REMEMBERED = 64
_THINNEST = 0.8
"""Percent of the bar."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Rows of one status with the same error code, and the first of them as an example."""

    status: str
    code: str
    rows: int
    row: int
    identifier: str
    error: str


@dataclass(frozen=True, slots=True)
class Details:
    """Why rows have a problem, and what to do about it."""

    reasons: tuple[Reason, ...] = ()
    more_reasons: int = 0
    advice: tuple[bs.Advice, ...] = ()


@dataclass(frozen=True, slots=True)
class Groups:
    """The list of all runs, newest first in each group."""

    attention: list[bs.RunOverview]
    running: list[bs.RunOverview]
    ended: list[bs.RunOverview]


def groups(runs_dir: Path) -> Groups:
    """Return the runs of a folder in three groups. A rehearsal that has ended needs nobody; one that is held does."""
    found = Groups([], [], [])
    for run in newest_first(runs_dir):
        needs_people = run.held is not None or run.open_rows or run.state in ("stopped", "interrupted")
        if run.is_gone or run.pruned_at:
            found.ended.append(run)
        elif run.state == "running" and run.held is None:
            found.running.append(run)
        elif needs_people and (run.state == "running" or not run.rehearsal):
            found.attention.append(run)
        else:
            found.ended.append(run)
    return found


def newest_first(runs_dir: Path) -> Iterator[bs.RunOverview]:
    """Yield the runs of a folder, the one that began last first."""
    return reversed(list(bs.runs(runs_dir)))


def overview(runs_dir: Path, run: str) -> bs.RunOverview:
    """Return one run. Raises RunNotFoundError if there is none of that name, or if its folder is gone."""
    found = next((each for each in bs.runs(runs_dir) if each.run_id == run), None)
    if found is None or found.is_gone or found.pruned_at:
        raise bs.RunNotFoundError(f"there is no data of a run named {run!r}")
    return found


def rows(
    runs_dir: Path, run: str, *, status: str | None = None, code: str = "", query: str = "", after: int = 0
) -> bs.RowsPage:
    """Return the next rows after row ``after``: of one status, with one error code, or those that ``query`` names.

    A query is a row's number, or a whole identifier; of an alias its name is enough.
    """
    if not query:
        return bs.rows(run, status=status, error_code=code or None, after=after, limit=PAGE_ROWS, runs_dir=runs_dir)
    meant = list(bs.find(query, run=run, runs_dir=runs_dir).rows)
    if query.isdecimal() and 0 < len(query) <= _LONGEST_NUMBER and int(query):
        meant += [
            row for row in bs.rows(run, after=int(query) - 1, limit=1, runs_dir=runs_dir).rows if row.row == int(query)
        ]
    found = {row.row: row for row in meant if row.row > after and status in (None, row.status)}
    shown = [found[number] for number in sorted(found) if not code or found[number].error_code == code]
    return bs.RowsPage(tuple(shown[:PAGE_ROWS]), shown[PAGE_ROWS - 1].row if len(shown) > PAGE_ROWS else None)


@dataclass(frozen=True, slots=True)
class Part:
    """The part of the bar over all rows that a status takes, in percent of its length."""

    status: str
    left: float
    width: float


def parts(run: bs.Summary | Moment) -> Iterator[Part]:
    """Yield the bar over all rows, accepted first. One unknown row in a million must be visible: none is too thin."""
    return bar({each: int(getattr(run, each)) for each in ("accepted", "duplicate", *reversed(TROUBLE))}, run.rows)


def bar(counts: Mapping[str, int], rows: int) -> Iterator[Part]:
    """Yield the parts of a bar over ``rows``, in the order of ``counts``."""
    widths = {each: max(_THINNEST, 100 * count / rows) for each, count in counts.items() if count}
    scale, left = 100 / sum(widths.values()) if widths else 0.0, 0.0
    for status, width in widths.items():
        yield Part(status, round(left, 3), round(width * scale, 3))
        left += width * scale


class Remembered:
    """Details of runs that are not sending, kept until their counts change: reading a large run takes seconds."""

    def __init__(self, runs_dir: Path) -> None:
        self._runs_dir = runs_dir
        self._found: OrderedDict[tuple[object, ...], Details] = OrderedDict()
        self._lock = Lock()

    def of(self, run: bs.RunOverview) -> Details:
        if run.state == "running":
            return Details(advice=_advice(run))
        key = (run.run_id, run.started_at, run.finished_at, run.sent_again, *(getattr(run, name) for name in STATUSES))
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        reasons = _reasons(self._runs_dir, run)
        details = Details(tuple(reasons[:_MOST_REASONS]), len(reasons[_MOST_REASONS:]), _advice(run))
        with self._lock:
            self._found[key] = details
            while len(self._found) > _REMEMBERED:
                self._found.popitem(last=False)
        return details


def _advice(run: bs.RunOverview) -> tuple[bs.Advice, ...]:
    return bs.advice(run) if "journal" in run.files else ()


def _reasons(runs_dir: Path, run: bs.RunOverview) -> list[Reason]:
    wanted = [status for status in ("unknown", "failed", "rejected") if getattr(run, status)]
    if not wanted:
        return []
    found = (
        bs.results(run.run_id, status=wanted, like="lazy", runs_dir=runs_dir)
        .group_by("status", pl.col("error_code").fill_null("").alias("code"), maintain_order=True)
        .agg(pl.len().alias("rows"), *(pl.col(name).first() for name in ("row", "identifier", "error")))
        .collect(engine="streaming")
        .to_dicts()
    )
    reasons = [
        Reason(**each | {"identifier": each["identifier"] or "", "error": each["error"] or ""}) for each in found
    ]
    return sorted(reasons, key=lambda reason: (STATUSES.index(reason.status), -reason.rows, reason.row))


def explained(runs_dir: Path, run: str, row: int) -> dict[str, Any]:
    """Return everything known about one row. Raises InputError when the run has no such row."""
    with suppress(OverflowError):
        return bs.explain(run, row, runs_dir=runs_dir)
    raise bs.InputError(f"run {run!r} has no row {row}")
