"""Real journals, written with times of the test's choosing instead of waiting for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from bulk_sender.config.model import Config
from bulk_sender.journal.chunks import pack
from bulk_sender.journal.sqlite.store import Journal, Statement
from bulk_sender.planning.batches import Planned
from bulk_sender.planning.plan import ROWS
from bulk_sender.reading.chunk import Position

START = datetime(2026, 2, 28, 10, 15, tzinfo=UTC)
_STATUS = {"accepted": "accepted", "unknown": "unknown", "refused": "failed"}


@dataclass(frozen=True)
class Sent:
    """A batch of its own that left ``at_s`` seconds after ``START``; verdict ``open``: nothing was recorded of it."""

    at_s: float
    verdict: str = "accepted"
    elapsed_s: float = 0.1
    message: str = ""
    size: int = 50


def written(folder: Path, *parts: Sequence[Sent], rate: str = "250000/hour") -> Journal:
    """A run of one chunk, sent in ``parts``, each by a process of its own."""
    folder.mkdir(mode=0o700)
    config = Config.parse({"braze": {"campaign_id": "c"}, "delivery": {"rate": rate}}, where="a test")
    facts = {
        "settings": config.frozen_settings(),
        "config": config.model_dump_json(exclude_unset=True),
        "input": [{"name": "people.csv", "size": 1, "sha256": "00"}],
        "sandbox": "",
        "format": "csv",
        "tool": "bulk-sender",
        "plan_complete": True,
    }
    journal = Journal.create(folder, facts)
    sent = [one for part in parts for one in part]
    journal.write([_chunk(sum(one.size for one in sent))])
    number, first = 0, 0
    for epoch, part in enumerate(parts, 1):
        began = part[0].at_s if part else 0.0
        journal.write([("epoch", (epoch, "send" if epoch == 1 else "resume", moment(began), 1, "host", "user"))])
        statements: list[Statement] = []
        for one in part:
            number += 1
            statements += _batch(number, epoch, first, one)
            first += one.size
        ended = max((one.at_s + one.elapsed_s for one in part), default=began)
        journal.write([*statements, ("ending", (epoch, moment(ended), "stopped", "", ended - began))])
    return journal


def moment(at_s: float) -> str:
    text = (START + timedelta(seconds=at_s)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _chunk(rows: int) -> Statement:
    frame = pl.DataFrame(
        {
            "row": range(1, rows + 1),
            "source": ["people.csv"] * rows,
            "source_row": range(1, rows + 1),
            "identifier_type": ["external_user_id"] * rows,
            "identifier": [f"customer-{row:06d}" for row in range(1, rows + 1)],
            "verdict": ["valid"] * rows,
            "error_code": [None] * rows,
            "error": [None] * rows,
            "recipient": ["{}"] * rows,
        },
        schema=ROWS,
    )
    packed = pack(Planned(frame, pl.DataFrame({"\x00row": []}), [], Position()))
    return "chunk", (1, 1, rows, rows, rows, 0, 0, "{}", *packed)


def _batch(number: int, epoch: int, first: int, one: Sent) -> list[Statement]:
    statements: list[Statement] = [
        ("batch", (number, 1, first, one.size, None, 0)),
        ("attempt", (number, number, epoch, b"\0" * 32, moment(one.at_s))),
    ]
    if one.verdict != "open":
        answered = one.verdict != "unknown"
        status = _STATUS.get(one.verdict, "not_sent")
        code = {"throttled": "http_429", "refused": "http_400", "unsent": "http_500", "unknown": "no_answer"}
        http = {"accepted": 201, "throttled": 429, "refused": 400, "unsent": 500}.get(one.verdict)
        outcome = (
            *(number, number, epoch, status, one.verdict, http, "", code.get(one.verdict, ""), one.message),
            *(5 if answered else 3, "", one.elapsed_s, moment(one.at_s + one.elapsed_s)),
        )
        statements.append(("outcome", outcome))
    return statements
