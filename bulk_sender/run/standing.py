"""A run that no process is sending: how it stands, and the operator's decisions about it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

from bulk_sender.delivery.staleness import STALE_S
from bulk_sender.errors import GuardrailError
from bulk_sender.journal.answers import AttemptRef, BatchState
from bulk_sender.journal.store import RunReader, RunWriter
from bulk_sender.reporting.account import NOT_READ, file_names, summarize, write_files
from bulk_sender.reporting.summary import State, Summary

_KILLED = "the process ended without closing the run"


def decide(journal: RunWriter, batches: Mapping[str, Sequence[BatchState]], why: str, by: str) -> int:
    """Append a decision about each of the ``batches`` (by verdict). Return the number of rows that they concern.

    Raises GuardrailError while a request of one of them may still be on its way.
    """
    attempted = [
        (batch, attempt, verdict)
        for verdict, alike in batches.items()
        for batch in alike
        if (attempt := batch.last_attempt) is not None
    ]
    _refuse_on_the_way(journal, [attempt for _, attempt, _ in attempted])
    journal.decide({attempt: verdict for _, attempt, verdict in attempted}, why, by)
    return sum(batch.size for batch, _, _ in attempted)


def _refuse_on_the_way(journal: RunWriter, attempts: Sequence[AttemptRef]) -> None:
    """A process that was given up may be alive, and send until its requests are too old."""
    if journal.team is None:
        return
    longest_s = journal.facts().revived().delivery.timeout + STALE_S
    wait_s = journal.team.on_the_way_s(attempts, longest_s)
    if wait_s:
        raise GuardrailError(
            "a process of the run was given up while it had some of these rows in flight, and its requests may still "
            "be on their way to Braze: nothing was decided",
            hint=f"try again in {math.ceil(wait_s)} s",
        )


def rewritten(journal: RunReader) -> Summary:
    """Write the run's files again after a decision, and return its summary."""
    return write_files(journal, journal.facts().format, *last_state(journal))


def standing(journal: RunReader) -> Summary:
    """Return how a run stands that no process is sending."""
    return summarize(journal, *last_state(journal), files(journal))


def ended(journal: RunReader) -> Summary | None:
    """Return the summary as the run last ended; None when it never did."""
    last = journal.last_ending()
    if last is None or (last.state == "finished" and journal.has_unsent()):
        return None  # a later decision asked for rows to be sent again
    return summarize(journal, cast(State, last.state), last.reason or None, files(journal))


def last_state(journal: RunReader) -> tuple[State, str | None]:
    """Return the state of a run that no process is sending, and its reason."""
    summary = ended(journal)
    if summary is not None:
        return summary.state, summary.reason
    if not journal.is_plan_complete():
        return "stopped", f"{_KILLED}; {NOT_READ}"
    return ("stopped", _KILLED) if journal.has_unsent() else ("finished", None)


def files(journal: RunReader) -> dict[str, str]:
    """Return the paths of the files in the run's folder, by what they hold."""
    return file_names(journal.run.folder, journal.facts().format)
