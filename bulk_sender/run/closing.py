"""The account of one process when sending has ended: state, reasons and files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bulk_sender import journal as journals
from bulk_sender.delivery.stopping import Stopped
from bulk_sender.errors import BulkSenderError, InternalError, JournalError
from bulk_sender.journal.facts import Format
from bulk_sender.journal.store import Loss, RunWriter
from bulk_sender.reporting.account import NOT_READ, close_files, summarize
from bulk_sender.reporting.lateness import IsLate, never
from bulk_sender.reporting.summary import State, Summary


@dataclass(frozen=True, slots=True)
class Ending:
    """How sending ended in this process."""

    plan_complete: bool
    """Whether the input was read to its end."""
    stopped: Stopped | None
    unrecorded: Sequence[str]
    """Outcomes that could not be written to the journal."""
    bug: InternalError | None
    elapsed_s: float


def _lost(journal: RunWriter, loss: Loss, reasons: list[str]) -> Summary:
    """Return the summary of a process that has lost the run. The folder may be another process's: write no file."""
    files = {"journal": journals.location(journal.run)}
    summary = summarize(journal, "stopped", "; ".join([*reasons, loss.to_do]), files)
    return replace(summary, lost="taken_over" if loss.is_taken_over else "journal")


def leave(journal: RunWriter, ending: Ending) -> Summary | None:
    """Return the summary of a process that ends while others have the run; None when it has to close the run.

    Raises BulkSenderError with exit code 3.
    """
    journal.look()
    if journal.team is None or journal.lost is not None:
        return None
    is_left = ending.stopped is not None or not ending.plan_complete
    reasons = "; ".join(_reasons(ending, journal, is_left=is_left))
    try:
        if not journal.team.leave(reasons, ending.elapsed_s):
            return None
        signal = ending.stopped.signal if ending.stopped is not None else 0
        state: State = "interrupted" if signal else "stopped" if is_left else "running"
        files = {"journal": journals.location(journal.run)}
        return replace(summarize(journal, state, reasons or None, files), signal=signal)
    except BulkSenderError as error:
        if journal.lost is not None:
            return None
        error.exit_code = 3
        raise


def close_account(journal: RunWriter, kind: Format | None, ending: Ending, *, is_late: IsLate = never) -> Summary:
    """Record the end in the journal and write the run's files. Raises BulkSenderError with exit code 3.

    ``kind``: the format of the results; None for a process that leaves the files to others. Once it ``is_late``, the
    files of the rows are left out, and the summary says how to write them.
    """
    try:
        return _close(journal, kind, ending, is_late)
    except BulkSenderError as error:  # even the journal cannot be read any more
        error.exit_code = 3
        if (loss := journal.lost) is not None:
            lines = _reasons(ending, journal, is_left=True)
            lost = JournalError("; ".join(lines), hint=loss.to_do)
            lost.exit_code = 3
            raise lost from error
        raise


def _close(journal: RunWriter, kind: Format | None, ending: Ending, is_late: IsLate) -> Summary:
    journal.look()
    if journal.team is not None and journal.lost is None:
        with suppress(BulkSenderError):  # if the run was lost, its end says so below
            journal.team.settle()
    is_left = journal.has_unsent() or not ending.plan_complete
    even_if_done = ending.stopped is not None and ending.stopped.even_if_done
    signal = ending.stopped.signal if ending.stopped is not None else 0
    state: State = "finished"
    if is_left or even_if_done:
        state = "interrupted" if signal else "stopped"
    reasons = list(_reasons(ending, journal, is_left=is_left or even_if_done))
    try:
        journal.end_epoch(state, "; ".join(reasons), ending.elapsed_s)
    except BulkSenderError as error:
        reasons += [str(error)] if str(error) not in reasons else []
    if (loss := journal.lost) is not None:
        return _lost(journal, loss, reasons)
    if kind is None:
        files = {"journal": journals.location(journal.run)}
        return replace(summarize(journal, state, "; ".join(reasons) or None, files), signal=signal)
    return replace(close_files(journal, kind, state, reasons, is_late=is_late), signal=signal)


def _reasons(ending: Ending, journal: RunWriter, *, is_left: bool) -> Iterator[str]:
    """Why rows are left, and what else the operator has to know."""
    reason = ""
    if is_left:
        reason = ending.stopped.reason if ending.stopped is not None else "the process was stopped immediately"
        yield reason
    if ending.bug is not None and str(ending.bug) != reason:
        yield str(ending.bug)
    if not ending.plan_complete:
        yield NOT_READ
    if journal.lost is not None and journal.lost.what != reason:
        yield journal.lost.what
    label = "not recorded" if journal.lost is None else "in flight"
    yield from (f"{label}: {line}" for line in ending.unrecorded)
