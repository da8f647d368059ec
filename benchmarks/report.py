"""The two tables, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Calm:
    """One subject in calm weather. CPU is user plus system time of the whole process tree."""

    subject: str
    title: str
    rows: int
    cpu_s_per_million: float
    start_cpu_s: float
    cpu_s: float
    wall_s: float
    max_rss_mb: int
    requests: int
    recipients: int
    exit_code: int


@dataclass(frozen=True)
class Lost:
    """One subject against lost answers: its claim, then the server's count, in recipients."""

    subject: str
    title: str
    rows: int
    claimed: int
    failed: int
    unknown: int
    requests: int
    dropped: int
    distinct: int
    doubled: int
    missing: int
    wall_s: float
    exit_code: int


def calm_table(results: Sequence[Calm]) -> str:
    """Cheapest first. ``×`` is the factor over the cheapest."""
    if not results:
        return ""
    floor = min(result.cpu_s_per_million for result in results)
    rows = [
        (
            result.title,
            f"{result.cpu_s_per_million:.1f}",
            f"{result.cpu_s_per_million / floor:.1f}",
            f"{result.start_cpu_s:.2f}",
            f"{result.wall_s:.1f}",
            f"{result.max_rss_mb:,}",
            f"{result.requests:,}",
            "all" if result.recipients == result.rows else f"{result.recipients:,} of {result.rows:,}",
        )
        for result in sorted(results, key=lambda result: result.cpu_s_per_million)
    ]
    sent = results[0].rows
    scaled = "" if sent == 1_000_000 else f", scaled from {sent:,}"
    heads = (
        "subject",
        f"CPU s a million{scaled}",
        "×",
        "of it to start",
        "wall s",
        "memory MB",
        "requests",
        "arrived",
    )
    return f"### Calm weather: {sent:,} recipients\n\n{_table(heads, rows)}"


def lost_table(results: Sequence[Lost]) -> str:
    """In the order given; every figure but the requests counts recipients."""
    if not results:
        return ""
    rows = [
        (
            result.title,
            f"{result.claimed:,}",
            f"{result.failed:,}",
            f"{result.unknown:,}",
            f"{result.requests:,}",
            f"{result.distinct:,}",
            f"{result.doubled:,}",
            f"{result.missing:,}",
        )
        for result in results
    ]
    heads = (
        "subject",
        "says sent",
        "says failed",
        "says unknown",
        "server: requests",
        "server: distinct",
        "server: doubled",
        "server: missing",
    )
    title = f"### Lost answers: {results[0].rows:,} recipients, every 200th batch taken in silence"
    return f"{title}\n\n{_table(heads, rows)}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
