"""Why rows were rejected, failed or stayed unknown: the reasons, how many rows each concerns, and a few examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from bulk_sender.delivery.journal import Journal
from bulk_sender.delivery.outcome import clean
from bulk_sender.results.frames import chunk_rows
from bulk_sender.results.masking import mask_in, masked

EXAMPLES = 3
MOST_REASONS = 20

_TROUBLED = """
SELECT batch FROM outcome WHERE status IN ('failed', 'unknown')
UNION SELECT batch FROM decision
UNION SELECT a.batch FROM attempt a LEFT JOIN outcome o ON o.attempt = a.id WHERE o.attempt IS NULL
"""
"""The batches that may have ended badly: to ask ``state`` about all batches of a large run would take seconds."""

_REFUSED = f"""
SELECT status, http_status, coalesce(code, '') AS code, coalesce(message, '') AS message,
       coalesce(likely, '') AS likely, coalesce(decided, '') AS decided, batch, chunk, first, size
FROM state WHERE batch IN ({_TROUBLED}) AND status IN ('failed', 'unknown')
"""
_REASON = "status, http_status, code, message, likely, decided"

_COLUMN = r"""^(column (?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))"""
"""How a reason about one cell begins, with the column's name as ``repr`` writes it."""


@dataclass(frozen=True, slots=True)
class Example:
    """Where a reason was met. ``identifier`` is masked, and empty when there are several rows."""

    row: int
    rows: str
    source: str
    identifier: str
    error: str


@dataclass(frozen=True, slots=True)
class Reason:
    """``code``: as in the results' ``error_code``; ``what``: in words; ``rows``, ``requests``: how many it concerns."""

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
        """``shown``, out of ``count`` reasons that concern ``rows`` rows."""
        return cls(tuple(shown), count - len(shown), rows - sum(reason.rows for reason in shown))


@dataclass(slots=True)
class _Tally:
    rows: int = 0
    examples: list[Example] = field(default_factory=list)


def rejections(journal: Journal) -> Reasons:
    """Why rows were never sent, by code and column. Holds one chunk at a time in memory, without its recipients."""
    found: dict[tuple[str, str], _Tally] = {}
    for chunk in journal.column("SELECT id FROM chunk WHERE rejected > 0 ORDER BY id"):
        rows = chunk_rows(journal, chunk, ["row", "source", "identifier", "verdict", "error_code", "error"])
        rejected = rows.filter(verdict="rejected").with_columns(where=pl.col("error").str.extract(_COLUMN))
        for (code, where), alike in rejected.group_by("error_code", "where", maintain_order=True):
            tally = found.setdefault((str(code), str(where or "")), _Tally())
            tally.rows += len(alike)
            room = EXAMPLES - len(tally.examples)
            tally.examples.extend(_rejected(row) for row in alike.head(room).iter_rows(named=True))
    reasons = [
        Reason("rejected", code, clean(where), tally.rows, examples=tuple(tally.examples))
        for (code, where), tally in found.items()
    ]
    reasons.sort(key=lambda reason: -reason.rows)
    return Reasons.most_of(reasons[:MOST_REASONS], len(reasons), sum(reason.rows for reason in reasons))


def _rejected(row: dict[str, Any]) -> Example:
    identifier = row["identifier"] or ""
    return Example(
        row["row"], f"{row['row']:,}", row["source"], masked(identifier), mask_in(clean(row["error"]), [identifier])
    )


def refusals(journal: Journal) -> Reasons:
    """Why rows failed or are unknown, in the words of Braze or of what broke, and which batches they were in."""
    [sums] = journal.query(
        "SELECT count(*) AS count, coalesce(sum(rows), 0) AS rows"
        f" FROM (SELECT sum(size) AS rows FROM ({_REFUSED}) GROUP BY {_REASON})"
    )
    # With min(), SQLite takes the other columns from the row that has the minimum: the first batch of each reason.
    most = journal.query(
        f"SELECT {_REASON}, sum(size) AS rows, count(*) AS requests, min(batch) AS batch, chunk, first, size"
        f" FROM ({_REFUSED}) GROUP BY {_REASON} ORDER BY rows DESC, batch LIMIT ?",
        (MOST_REASONS,),
    )
    return Reasons.most_of([_refusal(journal, found) for found in most], sums["count"], sums["rows"])


def _refusal(journal: Journal, found: dict[str, Any]) -> Reason:
    rows = chunk_rows(journal, found["chunk"], ["row", "source", "identifier", "verdict"])
    rows = rows.filter(verdict="valid").slice(found["first"], found["size"])
    identifiers = rows["identifier"].to_list()
    example = Example(
        rows["row"][0],
        _range(rows["row"].to_list()),
        rows["source"][0],
        masked(identifiers[0]) if len(rows) == 1 else "",
        "",
    )
    likely = f"; likely {found['likely'].replace('_', ' ')}" if found["likely"] else ""
    decided = f"; decided: {found['decided']}" if found["decided"] else ""
    what = mask_in(f"{found['message'] or 'no answer was recorded'}{likely}{decided}", identifiers)
    return Reason(
        found["status"],
        found["code"],
        clean(what),
        found["rows"],
        found["requests"],
        found["http_status"],
        (example,),
    )


def _range(rows: list[int]) -> str:
    """Rows in words: ``1,201``, ``1,201 to 1,250``, or how many of a range when other rows lie between."""
    first, last = rows[0], rows[-1]
    if len(rows) == 1:
        return f"{first:,}"
    text = f"{first:,} to {last:,}"
    return text if last - first + 1 == len(rows) else f"{len(rows)} of {text}"
