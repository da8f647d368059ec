"""Records as rows of a store's tables.

The order of the values is that of the columns in every store, and what each record's seal is made over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from bulk_sender.journal.records import (
    Answered,
    Attempt,
    AttemptOutcome,
    Batch,
    Canary,
    Chunk,
    Decision,
    Ending,
    Epoch,
    Held,
    PlanComplete,
    Record,
)
from bulk_sender.journal.sql.seal import Value

Row = tuple[str, tuple[Value, ...]]
"""A table's name and the values of one record, without its seal."""

TABLES = ("run", "epoch", "ending", "chunk", "batch", "attempt", "outcome", "decision")
"""The tables, each before those that refer to it. ``run`` has the facts."""

PLAN_COMPLETE = "plan_complete"


CANARY_FACTS = re.compile(r"canary (\d+)(?: (held)| answered in (\d+))?|held in epoch (\d+)")
"""The names of a canary's facts. The last form is the first release's, written when an epoch ended held."""


def fact(name: str, value: Any) -> Row:
    """Return the row of a fact."""
    return "run", (name, json.dumps(value))


def row_of(record: Record | Epoch | Ending, epoch: int) -> Row:
    """Return the row of a record that is written in ``epoch``."""
    return _ROWS[type(record)](record, epoch)


def _chunk(it: Chunk, _: int) -> Row:
    counts = (it.rows, it.valid, it.rejected, it.duplicate)
    return "chunk", (it.id, it.first_row, it.last_row, *counts, it.resume, it.frame, it.rejects)


def _outcome(it: AttemptOutcome, epoch: int) -> Row:
    judged = it.judged
    return "outcome", (
        it.attempt,
        it.batch,
        epoch,
        it.status,
        judged.verdict.value,
        judged.http_status,
        judged.dispatch_id,
        judged.code,
        judged.message,
        int(judged.reach),
        judged.likely,
        round(it.elapsed_s, 4),
        it.at,
    )


_ROWS: dict[type, Callable[[Any, int], Row]] = {
    Attempt: lambda it, epoch: ("attempt", (it.id, it.batch, epoch, it.body_sha256, it.at)),
    AttemptOutcome: _outcome,
    Batch: lambda it, _: ("batch", (it.id, it.chunk, it.first, it.size, it.parent, it.prior)),
    Chunk: _chunk,
    Decision: lambda it, _: ("decision", (it.id, it.batch, it.attempt, it.status, it.at, it.user, it.why)),
    PlanComplete: lambda _, __: fact(PLAN_COMPLETE, True),
    Canary: lambda it, epoch: fact(f"canary {epoch}", {"rows": it.rows}),
    Held: lambda it, _: fact(f"canary {it.canary} held", {"at": it.at}),
    Answered: lambda it, epoch: fact(
        f"canary {it.canary} answered in {epoch}", {"granted": it.granted, "by": it.by, "rows": it.rows, "at": it.at}
    ),
    Epoch: lambda it, _: ("epoch", (it.id, it.command, it.at, it.pid, it.host, it.user)),
    Ending: lambda it, _: ("ending", (it.epoch, it.at, it.state, it.reason, it.elapsed_s)),
}
