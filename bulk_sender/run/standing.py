"""A run that nobody is sending: how it stands, and what its operator decides about it."""

from __future__ import annotations

from bulk_sender.journal.sqlite.store import Journal
from bulk_sender.reporting import rows as frames
from bulk_sender.reporting.account import file_names, summarize, write_files
from bulk_sender.reporting.summary import State, Summary


def rewritten(journal: Journal) -> Summary:
    """The run's files written again, after a decision."""
    return write_files(journal, journal.fact("format"), *last_state(journal))


def standing(journal: Journal) -> Summary:
    """What came of a run that nobody is sending."""
    return summarize(journal, *last_state(journal), files(journal))


def ended(journal: Journal) -> Summary | None:
    """The summary as the run last ended, or None when it never did."""
    last = journal.query("SELECT epoch, state, reason FROM ending ORDER BY epoch DESC LIMIT 1")
    if not last or last[0]["epoch"] != journal.query("SELECT max(id) AS id FROM epoch")[0]["id"]:
        return None
    if last[0]["state"] == "finished" and frames.has_unsent(journal):
        return None  # a later decision asked for rows to be sent again
    return summarize(journal, last[0]["state"], last[0]["reason"] or None, files(journal))


def last_state(journal: Journal) -> tuple[State, str | None]:
    """How the run stands when nobody is sending it."""
    summary = ended(journal)
    if summary is not None:
        return summary.state, summary.reason
    left = frames.has_unsent(journal) or not journal.fact("plan_complete")
    return ("stopped", "the process ended without closing the run") if left else ("finished", None)


def files(journal: Journal) -> dict[str, str]:
    """The paths of the files in the run's folder, by what they hold."""
    return file_names(journal.folder, journal.fact("format"))
