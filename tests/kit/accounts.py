"""Journals of planned files, written with the journal's own means, and what has to be in the results of each row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bulk_sender.braze.answer import Outcome, judge
from bulk_sender.config.model import Config
from bulk_sender.http.evidence import Evidence, Reach
from bulk_sender.journal.answers import AttemptRef
from bulk_sender.journal.chunks import chunk_record
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.records import Attempt, AttemptOutcome, Batch
from bulk_sender.journal.store import RunRef, RunWriter
from bulk_sender.planning.batches import Planned
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from bulk_sender.run.facts import create
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
    folder: Path,
    inputs: Path | Sequence[Path],
    fates: Sequence[Fate] = (),
    settings: dict[str, Any] | None = None,
    pieces: Iterable[Planned] | None = None,
) -> RunWriter:
    """A run of ``inputs`` whose batches met ``fates``, in order; batches without one were never attempted.

    ``pieces``: the plan of the inputs, if it is known.
    """
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
        layout=Input.open(paths, ReadSettings.of(config.input), Spool()).layout,
    )
    journal = create(RunRef.at(folder), facts)
    journal.begin_epoch("send")
    left = list(fates)
    for number, piece in enumerate(pieces or planned(paths, config), 1):
        journal.write([chunk_record(number, piece)])
        first = 0
        for size in piece.sizes:
            batch = Batch(journal.new_batch_id(), number, first, size)
            journal.write([batch])
            _meet(journal, batch, left.pop(0) if left else Fate())
            first += size
    assert not left, "more fates than batches"
    return journal


def _meet(journal: RunWriter, batch: Batch, fate: Fate) -> None:
    attempt = 0
    for status, outcome in fate.attempts:
        attempt = journal.new_attempt_id()
        journal.write([Attempt(attempt, batch.id, b"\0" * 32)])
        if outcome is not None:
            journal.write([AttemptOutcome(attempt, batch.id, status, outcome, 0.1)])
    if fate.decided is not None:
        status, why = fate.decided
        journal.decide({AttemptRef(batch.id, attempt): status}, why, "user")
    if fate.parts is not None:
        halves = batch.halves(journal.new_batch_id(), journal.new_batch_id(), len(fate.attempts))
        journal.write(halves)
        for half, part in zip(halves, fate.parts, strict=True):
            _meet(journal, half, part)
