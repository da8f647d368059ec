"""A run that no process is sending: how it stands, and the operator's decisions about it."""

from __future__ import annotations

from collections.abc import Sequence

from bulk_sender.journal.sqlite.store import Journal
from bulk_sender.reporting import rows as frames
from bulk_sender.reporting.account import file_names, summarize, write_files
from bulk_sender.reporting.summary import State, Summary


def decide(journal: Journal, statuses: Sequence[str], decision: str, why: str) -> int:
    """Append a decision about every batch of ``statuses``. Return the number of rows it concerns."""
    marks = ",".join("?" * len(statuses))
    found = journal.query(
        f"SELECT batch, attempt, size FROM state WHERE attempt IS NOT NULL AND status IN ({marks})",
        tuple(statuses),
    )
    journal.decide([(row["batch"], row["attempt"]) for row in found], decision, why)
    return sum(row["size"] for row in found)


def rewritten(journal: Journal) -> Summary:
    """Write the run's files again after a decision, and return its summary."""
    return write_files(journal, journal.fact("format"), *last_state(journal))


def standing(journal: Journal) -> Summary:
    """Return how a run stands that no process is sending."""
    return summarize(journal, *last_state(journal), files(journal))


def ended(journal: Journal) -> Summary | None:
    """Return the summary as the run last ended; None when it never did."""
    last = journal.query("SELECT epoch, state, reason FROM ending ORDER BY epoch DESC LIMIT 1")
    if not last or last[0]["epoch"] != journal.query("SELECT max(id) AS id FROM epoch")[0]["id"]:
        return None
    if last[0]["state"] == "finished" and frames.has_unsent(journal):
        return None  # a later decision asked for rows to be sent again
    return summarize(journal, last[0]["state"], last[0]["reason"] or None, files(journal))


def last_state(journal: Journal) -> tuple[State, str | None]:
    """Return the state of a run that no process is sending, and its reason."""
    summary = ended(journal)
    if summary is not None:
        return summary.state, summary.reason
    left = frames.has_unsent(journal) or not journal.fact("plan_complete")
    return ("stopped", "the process ended without closing the run") if left else ("finished", None)


def files(journal: Journal) -> dict[str, str]:
    """Return the paths of the files in the run's folder, by what they hold."""
    return file_names(journal.folder, journal.fact("format"))
