"""Journals of planned files, written with the journal's own means, and what has to be in the results of each row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bulk_sender.braze.answer import Outcome, judge
from bulk_sender.config.model import Config
from bulk_sender.http.evidence import Evidence, Reach
from bulk_sender.journal.chunks import pack
from bulk_sender.journal.records import Batch
from bulk_sender.journal.sqlite.store import Journal, Statement
from bulk_sender.planning.batches import Planned
from bulk_sender.run.facts import Facts, create
from tests.kit.reading import planned


def answer(status: int, message: str, **more: Any) -> Outcome:
    """What Braze's answer means, by the judge of the delivery."""
    body = json.dumps({"message": message, **more}).encode()
    return judge(Evidence(Reach.ANSWERED, status=status, body=body))


def taken(dispatch_id: str) -> Outcome:
    return answer(201, "success", dispatch_id=dispatch_id)


LOST = judge(Evidence(Reach.STATUS_SEEN, status=201, error="ReadError"))
UNAVAILABLE = answer(503, "Service Unavailable")


@dataclass(frozen=True)
class Fate:
    """What became of a batch: its attempts in order (status, outcome; None: no outcome was recorded), a decision.

    ``parts``: the fates of its two halves, when it was split.
    """

    attempts: tuple[tuple[str, Outcome | None], ...] = ()
    decided: tuple[str, str] | None = None
    parts: tuple[Fate, Fate] | None = None


def journal_of(
    folder: Path, inputs: Path | Sequence[Path], fates: Sequence[Fate] = (), settings: dict[str, Any] | None = None
) -> Journal:
    """A run of ``inputs`` whose batches met ``fates``, in order; batches without one were never attempted."""
    config = Config.parse(settings or {}, where="the test")
    paths = [inputs] if isinstance(inputs, Path) else list(inputs)
    facts = Facts(
        settings=config.frozen_settings(),
        config=config.model_dump_json(exclude_unset=True),
        input=(),
        paths=tuple(map(str, paths)),
        sandbox="",
        format="csv",
        created_at="2026-02-28T10:00:00.000Z",
    )
    journal = create(folder, facts)
    journal.begin_epoch("send")
    left = list(fates)
    for number, piece in enumerate(planned(paths, config), 1):
        journal.write([_chunk(piece, number)])
        first = 0
        for size in piece.sizes:
            batch = Batch(journal.next_id("batch"), number, first, size)
            journal.write([journal.batch_record(batch)])
            _meet(journal, batch, left.pop(0) if left else Fate())
            first += size
    assert not left, "more fates than batches"
    return journal


def _chunk(piece: Planned, number: int) -> Statement:
    verdicts = dict(piece.rows["verdict"].value_counts().iter_rows())
    counts = (verdicts.get(name, 0) for name in ("valid", "rejected", "duplicate"))
    rows = piece.rows["row"]
    return "chunk", (number, rows[0], rows[-1], len(rows), *counts, json.dumps(asdict(piece.resume)), *pack(piece))


def _meet(journal: Journal, batch: Batch, fate: Fate) -> None:
    attempt = 0
    for status, outcome in fate.attempts:
        attempt = journal.next_id("attempt")
        journal.write([journal.attempt_record(attempt, batch.id, b"\0" * 32)])
        if outcome is not None:
            journal.write([journal.outcome_record(attempt, batch.id, status, outcome, 0.1)])
    if fate.decided is not None:
        journal.decide([(batch.id, attempt)], *fate.decided)
    if fate.parts is not None:
        left = journal.next_id("batch")
        halves = batch.halves(left, left + 1, len(fate.attempts))
        journal.write([journal.batch_record(half) for half in halves])
        for half, part in zip(halves, fate.parts, strict=True):
            _meet(journal, half, part)
