"""Real journals, written with times that a test chooses instead of waiting for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from bulk_sender import journal as journals
from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.config.model import Config
from bulk_sender.http.evidence import Reach
from bulk_sender.journal.chunks import chunk_record
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.records import Attempt, AttemptOutcome, Batch, Chunk, PlanComplete, Record
from bulk_sender.journal.store import RunReader, RunRef, RunWriter
from bulk_sender.planning.batches import Planned
from bulk_sender.planning.plan import ROWS
from bulk_sender.reading.chunk import Position
from bulk_sender.reading.identity import FileIdentity
from bulk_sender.text.times import iso

START = datetime(2026, 2, 28, 10, 15, tzinfo=UTC)
_STATUS = {"accepted": "accepted", "unknown": "unknown", "refused": "failed"}


def run_facts(settings: dict[str, Any] | None = None, **changes: Any) -> Facts:
    """The facts of a run with this configuration."""
    config = Config.parse(settings or {"braze": {"campaign_id": "c"}}, where="a test")
    facts = Facts(
        settings=config.frozen_settings(),
        config=config.model_dump_json(exclude_unset=True),
        input=(FileIdentity("people.csv", 1, "00"),),
        paths=(),
        sandbox="",
        format="csv",
        created_at=iso(START),
        tool="bulk-sender",
    )
    return replace(facts, **changes)


def created(folder: Path, facts: Facts | None = None) -> RunWriter:
    """A new run's journal, with its folder."""
    folder.mkdir(mode=0o700, exist_ok=True)
    return journals.create(RunRef.at(folder), facts or run_facts())


def opened(folder: Path) -> RunWriter:
    return journals.open(RunRef.at(folder))


def read(folder: Path) -> RunReader:
    return journals.read(RunRef.at(folder))


@dataclass(frozen=True)
class Sent:
    """A batch that left ``at_s`` seconds after ``START``; with the verdict ``open`` it has no recorded outcome."""

    at_s: float
    verdict: str = "accepted"
    elapsed_s: float = 0.1
    message: str = ""
    size: int = 50


def written(folder: Path, *parts: Sequence[Sent], rate: str = "250000/hour") -> RunWriter:
    """A run of one chunk, sent in ``parts``, each in an epoch."""
    journal = created(folder, run_facts({"braze": {"campaign_id": "c"}, "delivery": {"rate": rate}}))
    sizes = [one.size for part in parts for one in part]
    journal.write([rows_chunk(sum(sizes)), PlanComplete()])
    first = 0
    for number, part in enumerate(parts):
        journal.begin_epoch("resume" if number else "send")
        records: list[Record] = []
        for one in part:
            records += _batch(journal, first, one)
            first += one.size
        journal.write(records)
        journal.end_epoch("stopped", "", max((one.at_s + one.elapsed_s for one in part), default=0.0))
    return journal


def moment(at_s: float) -> str:
    return iso(START + timedelta(seconds=at_s))


def rows_chunk(rows: int) -> Chunk:
    frame = pl.DataFrame(
        {
            "row": range(1, rows + 1),
            "source": ["people.csv"] * rows,
            "source_row": range(1, rows + 1),
            "source_line": range(2, rows + 2),
            "identifier_type": ["external_user_id"] * rows,
            "identifier": [f"customer-{row:06d}" for row in range(1, rows + 1)],
            "verdict": ["valid"] * rows,
            "error_code": [None] * rows,
            "error": [None] * rows,
            "recipient": ["{}"] * rows,
        },
        schema=ROWS,
    )
    return chunk_record(1, Planned(frame, pl.DataFrame({"\x00row": []}), [], Position()))


def _batch(journal: RunWriter, first: int, one: Sent) -> Iterator[Record]:
    batch = Batch(journal.new_batch_id(), 1, first, one.size)
    attempt = Attempt(journal.new_attempt_id(), batch.id, b"\0" * 32, moment(one.at_s))
    yield batch
    yield attempt
    if one.verdict == "open":
        return
    code = {"throttled": "http_429", "refused": "http_400", "unsent": "http_500", "unknown": "no_answer"}
    judged = Outcome(
        Verdict(one.verdict),
        code.get(one.verdict, ""),
        one.message,
        {"accepted": 201, "throttled": 429, "refused": 400, "unsent": 500}.get(one.verdict),
        reach=Reach.BODY_SENT if one.verdict == "unknown" else Reach.ANSWERED,
    )
    status = _STATUS.get(one.verdict, "not_sent")
    yield AttemptOutcome(attempt.id, batch.id, status, judged, one.elapsed_s, moment(one.at_s + one.elapsed_s))
