"""A beginning, a moment and an end, made of a few facts."""

from __future__ import annotations

from typing import Any

from bulk_sender.observe.events import Beginning, Progress
from bulk_sender.reporting.summary import Summary

NOTHING = dict.fromkeys(("accepted", "rejected", "duplicate", "failed", "unknown", "not_sent"), 0)


def beginning(**facts: Any) -> Beginning:
    return Beginning(
        **{"run_id": "a", "command": "send", "kind": "campaign", "target": "c", "counts": NOTHING, **facts}
    )


def moment(**facts: Any) -> Progress:
    counts = dict.fromkeys(
        ("rows", "accepted", "failed", "unknown", "requests", "in_flight", "retries", "throttled"), 0
    )
    times = {"rate_asked": 60.0, "rate_now": 60.0, "waiting_s": 0.0, "waiting_for": "", "elapsed_s": 1.0}
    return Progress(**{"run_id": "a", "plan_complete": False, **counts, **times, **facts})


def ending(**facts: Any) -> Summary:
    rest = {
        "run_id": "a",
        "state": "finished",
        "batches": 1,
        "requests": 1,
        "started_at": "2026-02-01T06:00:00.000Z",
        "finished_at": "2026-02-01T06:00:01.000Z",
        "elapsed_s": 1.0,
        "recipients_per_s": 10.0,
        "reason": None,
        "files": {},
    }
    counts = {**NOTHING, **{name: facts.pop(name) for name in NOTHING if name in facts}}
    return Summary(**{**rest, **counts, "rows": sum(counts.values()), **facts})
