"""A run that nobody is sending: how it stands, and what its operator decides about it."""

from __future__ import annotations

from typing import cast

from bulk_sender.journal.store import RunReader
from bulk_sender.reporting.account import file_names, summarize, write_files
from bulk_sender.reporting.summary import State, Summary


def rewritten(journal: RunReader) -> Summary:
    """The run's files written again, after a decision."""
    return write_files(journal, journal.facts().format, *last_state(journal))


def standing(journal: RunReader) -> Summary:
    """What came of a run that nobody is sending."""
    return summarize(journal, *last_state(journal), files(journal))


def ended(journal: RunReader) -> Summary | None:
    """The summary as the run last ended, or None when it never did."""
    last = journal.last_ending()
    if last is None or (last.state == "finished" and journal.has_unsent()):
        return None  # a later decision asked for rows to be sent again
    return summarize(journal, cast(State, last.state), last.reason or None, files(journal))


def last_state(journal: RunReader) -> tuple[State, str | None]:
    """How the run stands when nobody is sending it."""
    summary = ended(journal)
    if summary is not None:
        return summary.state, summary.reason
    left = journal.has_unsent() or not journal.is_plan_complete()
    return ("stopped", "the process ended without closing the run") if left else ("finished", None)


def files(journal: RunReader) -> dict[str, str]:
    """The paths of the files in the run's folder, by what they hold."""
    return file_names(journal.run.folder, journal.facts().format)
