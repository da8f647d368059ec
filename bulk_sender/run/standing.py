"""A run that no process is sending: how it stands, and the operator's decisions about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from bulk_sender.journal.store import RunReader, RunWriter
from bulk_sender.reporting.account import file_names, summarize, write_files
from bulk_sender.reporting.summary import State, Summary


def decide(journal: RunWriter, statuses: Sequence[str], decision: str, why: str) -> int:
    """Append a decision about every batch of ``statuses``. Return the number of rows it concerns."""
    attempted = [(batch, batch.last_attempt) for batch in journal.batches_with(*statuses) if batch.last_attempt]
    journal.decide([attempt for _, attempt in attempted], decision, why)
    return sum(batch.size for batch, _ in attempted)


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
    left = journal.has_unsent() or not journal.is_plan_complete()
    return ("stopped", "the process ended without closing the run") if left else ("finished", None)


def files(journal: RunReader) -> dict[str, str]:
    """Return the paths of the files in the run's folder, by what they hold."""
    return file_names(journal.run.folder, journal.facts().format)
