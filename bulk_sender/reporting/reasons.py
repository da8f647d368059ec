"""Reasons why rows were rejected, failed or are unknown, with the number of rows and a few examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from bulk_sender.braze.answer import WITH_ERRORS
from bulk_sender.journal.answers import Refusal
from bulk_sender.journal.chunks import chunk_rows
from bulk_sender.journal.records import Status
from bulk_sender.journal.store import RunReader
from bulk_sender.text.clean import clean
from bulk_sender.text.masking import mask_in, masked

EXAMPLES = 3
MOST_REASONS = 20

_COLUMN = r"""^(column (?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))"""
"""The beginning of a reason about one cell, with the column's name as ``repr`` writes it."""


@dataclass(frozen=True, slots=True)
class Example:
    """An example of a reason: the ``rows`` in words, their file, and for one row its masked identifier."""

    rows: str
    of: str = ""
    identifier: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason with its ``error_code``, its text, and the number of rows and requests that it concerns."""

    status: str
    code: str
    what: str
    rows: int
    requests: int = 0
    http_status: int | None = None
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Reasons:
    """The most frequent reasons; ``others`` more of them concern ``other_rows`` rows."""

    shown: tuple[Reason, ...]
    others: int = 0
    other_rows: int = 0

    @classmethod
    def most_of(cls, shown: Sequence[Reason], count: int, rows: int) -> Reasons:
        """Return ``shown``, out of ``count`` reasons that concern ``rows`` rows."""
        return cls(tuple(shown), count - len(shown), rows - sum(reason.rows for reason in shown))


@dataclass(slots=True)
class _Tally:
    """Rows of one reason. ``examples``: its first errors, each with its first rows and their identifiers."""

    rows: int = 0
    examples: dict[str, list[tuple[int, str]]] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        """Whether there are enough examples."""
        return sum(map(len, self.examples.values())) >= EXAMPLES

    def add(self, error: str, row: int, identifier: str) -> None:
        self.examples.setdefault(error, []).append((row, identifier))


def rejections(journal: RunReader) -> Reasons:
    """Return why rows were not sent, by code and column. One chunk is in memory; a million rows take about 0.1 s."""
    found: dict[tuple[str, str], _Tally] = {}
    for chunk in journal.chunks_with_rejects():
        # Unpacking takes the time: read two columns of nine, and others only while more examples are needed.
        rejected = (
            chunk_rows(journal, chunk, ["error_code", "error"])
            .with_row_index("place")
            .filter(pl.col("error_code").is_not_null() & (pl.col("error_code") != "duplicate"))
            .with_columns(pl.col("error").fill_null(""), where=pl.col("error").str.extract(_COLUMN).fill_null(""))
        )
        rows: pl.DataFrame | None = None
        for (code, where), alike in rejected.group_by("error_code", "where", maintain_order=True):
            tally = found.setdefault((str(code), str(where)), _Tally())
            tally.rows += len(alike)
            if tally.is_full:
                continue
            rows = chunk_rows(journal, chunk, ["row", "identifier"]) if rows is None else rows
            for place, error in alike.select("place", "error").head(EXAMPLES).iter_rows():
                if not tally.is_full:
                    tally.add(error, rows["row"][place], rows["identifier"][place] or "")
    reasons = [
        Reason(
            "rejected",
            code,
            clean(where),
            tally.rows,
            examples=tuple(_rejected(error, rows) for error, rows in tally.examples.items()),
        )
        for (code, where), tally in found.items()
    ]
    reasons.sort(key=lambda reason: -reason.rows)
    return Reasons.most_of(reasons[:MOST_REASONS], len(reasons), sum(reason.rows for reason in reasons))


def _rejected(error: str, found: list[tuple[int, str]]) -> Example:
    rows, identifiers = zip(*found, strict=True)
    return Example(
        ("row " if len(rows) == 1 else "rows ") + ", ".join(f"{row:,}" for row in rows),
        identifier=masked(identifiers[0]) if len(rows) == 1 else "",
        error=mask_in(clean(error), identifiers),
    )


def refusals(journal: RunReader) -> Reasons:
    """Return why rows failed or are unknown, with the message of Braze or of the error, and their first batch."""
    found = journal.refusals(MOST_REASONS)
    return Reasons.most_of([_refusal(journal, one) for one in found.shown], found.reasons, found.rows)


def _refusal(journal: RunReader, found: Refusal) -> Reason:
    rows = chunk_rows(journal, found.chunk, ["row", "source", "identifier", "verdict"])
    rows = rows.filter(verdict="valid").slice(found.first, found.size)
    identifiers = rows["identifier"].to_list()
    example = Example(
        _range(rows["row"].to_list()),
        of=rows["source"][0],
        identifier=masked(identifiers[0]) if len(rows) == 1 else "",
    )
    likely = f"; likely {found.likely.replace('_', ' ')}" if found.likely else ""
    decided = f"; decided: {found.decided}" if found.decided else ""
    what = mask_in(f"{found.message or 'no answer was recorded'}{likely}{decided}", identifiers)
    return Reason(
        found.status,
        found.code,
        clean(what),
        found.rows,
        found.requests,
        found.http_status,
        (example,),
    )


def remarks(journal: RunReader) -> Reasons:
    """Return what Braze said beside accepting, without naming a row."""
    found = journal.remarks(MOST_REASONS)
    shown = [
        Reason(Status.ACCEPTED.value, WITH_ERRORS, mask_in(clean(one.message)), one.rows, one.requests)
        for one in found.shown
    ]
    others = found.requests - sum(one.requests for one in found.shown)
    return Reasons(tuple(shown), others, found.rows - sum(one.rows for one in found.shown))


def _range(rows: list[int]) -> str:
    """Return a batch's rows in words. Rejected rows and duplicates may be between them."""
    first, last = rows[0], rows[-1]
    if len(rows) == 1:
        return f"row {first:,}"
    if last - first + 1 == len(rows):
        return f"rows {first:,} to {last:,}"
    return f"{len(rows)} rows from {first:,} to {last:,}"
