"""The summary of a run, and the files that are written from its journal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bulk_sender import journal as journals
from bulk_sender.atomic import write_json
from bulk_sender.errors import BulkSenderError, JournalError
from bulk_sender.journal.facts import Format
from bulk_sender.journal.holds import hold_of
from bulk_sender.journal.index import rows_sent_again
from bulk_sender.journal.store import RunReader, RunRef
from bulk_sender.reporting import rows as frames
from bulk_sender.reporting.files import write_rejects, write_results
from bulk_sender.reporting.lateness import IsLate, OutOfTime, never
from bulk_sender.reporting.rejects_file import has_rejects, rejects_path
from bulk_sender.reporting.report.page import REPORT, write_report
from bulk_sender.reporting.summary import Hold, State, Summary

SUMMARY = "summary.json"
NOT_READ = "the input was not read to its end, later rows are not counted"


def close_files(
    journal: RunReader, kind: Format, state: State, reasons: Sequence[str] = (), *, is_late: IsLate = never
) -> Summary:
    """Write the files of a run that has ended. If one cannot be written, the run counts as stopped, to be resumed.

    Once it ``is_late``, what would take long is left out, and the summary says how to write it.
    """
    try:
        return write_files(journal, kind, state, "; ".join(reasons) or None, is_late=is_late)
    except BulkSenderError as error:
        state = "stopped" if state == "finished" else state
        every = dict.fromkeys([*reasons, str(error)])  # what stopped the run may prevent its files as well
        return summarize(journal, state, "; ".join(every), file_names(journal.run.folder, kind))


def refresh_files(journal: RunReader, ended: Summary) -> Summary:
    """Write the files of a finished run again if a crash or a full disk prevented that.

    The summary is written last. If it agrees with the journal and the other files exist, they are complete.
    """
    try:
        known = json.loads((journal.run.folder / SUMMARY).read_bytes())
    except (OSError, ValueError, RecursionError):
        known = None
    if _lasting(known) == _lasting(ended.to_dict()) and all(Path(path).is_file() for path in ended.files.values()):
        return ended
    kind = journal.facts().format
    refuse_unwritable(journal.run.folder, kind)
    return close_files(journal, kind, ended.state, [ended.reason] if ended.reason else [])


def _lasting(summary: Any) -> Any:
    """Return a summary without what changes behind a run's end: its own process was alive when it was written."""
    return {**summary, "workers": []} if isinstance(summary, dict) else summary


def _held(journal: RunReader) -> Hold | None:
    story = hold_of(journal)
    return None if story is None else Hold(story.rows, story.held_at or "")


def refuse_unwritable(folder: Path, kind: Format) -> None:
    """Refuse to send when a folder has the name of a results file. Raises BulkSenderError.

    A symbolic link of that name is replaced, and never followed.
    """
    for path in map(Path, file_names(folder, kind).values()):
        if path.is_dir() and not path.is_symlink():
            raise BulkSenderError(f"{path} is a folder, but a file has to be written there", hint="move it away")


def write_files(
    journal: RunReader, kind: Format, state: State, reason: str | None, *, is_late: IsLate = never
) -> Summary:
    """Write results, rejects, summary and report from the journal. Raises BulkSenderError."""
    folder, files = journal.run.folder, file_names(journal.run.folder, kind)
    late: dict[str, str] = {}
    try:
        write_results(journal, Path(files["results"]), kind, is_late=is_late)
        files |= {name: str(path) for name, path in write_rejects(journal, folder, is_late=is_late).items()}
    except OutOfTime:
        late = {name: files.pop(name) for name in ("results", "rejected", "rejected_xlsx", "report") if name in files}
        left_out = f"there was no time to write the results of every row: bulk-sender export {journal.run.name}"
        reason = left_out if reason is None else f"{reason}; {left_out}"
    summary = summarize(journal, state, reason, files)
    if not late:
        try:
            write_report(journal, summary, Path(files["report"]), is_late=is_late)
        except OutOfTime:
            late = {"report": files.pop("report")}
            summary = replace(summary, files=files)
    for name in {"results", "report"} & set(late):  # those of an earlier process are not true any more
        with suppress(OSError):
            Path(late[name]).unlink()
    write_json(Path(files["summary"]), summary.to_dict())
    return summary


def file_names(folder: Path, kind: str) -> dict[str, str]:
    """Return the paths of the files of a run, by their content."""
    names = {
        "results": f"results.{kind}",
        "rejected": rejects_path(folder).name,
        **({"rejected_xlsx": rejects_path(folder, ".xlsx").name} if has_rejects(folder, ".xlsx") else {}),
        "summary": SUMMARY,
        "report": REPORT,
    }
    paths = {name: str(folder / file) for name, file in names.items()}
    return paths | {"journal": journals.location(RunRef.at(folder))}


def summarize(journal: RunReader, state: State, reason: str | None, files: dict[str, str]) -> Summary:
    """Return the summary as the journal has it now."""
    totals, counted = journal.totals(), journal.counts()
    workers = journal.workers()
    return Summary(
        run_id=journal.run.name,
        state=state,
        **asdict(counted),
        batches=totals.batches,
        requests=totals.requests,
        started_at=totals.started_at,
        finished_at=totals.finished_at if state != "running" else None,
        elapsed_s=round(totals.elapsed_s, 3),
        recipients_per_s=round(counted.accepted / totals.elapsed_s, 1) if totals.elapsed_s else 0.0,
        reason=reason,
        files=files,
        sent_again=_sent_again(journal.run) if counted.rejected else 0,
        held=_held(journal) if state != "finished" else None,
        accepted_with_errors=journal.remarks(0).rows,
        broadcast=frames.broadcast(journal),
        workers=workers,
        epochs=workers[-1].epoch if workers else 0,
        later_rows_unread=not journal.is_plan_complete(),
    )


def _sent_again(run: RunRef) -> int:
    """Return how many rejected rows of a run another run has sent since; 0 when the index cannot be read."""
    if not journals.has_index(run.folder.parent):
        return 0
    with suppress(JournalError), closing(journals.index(run.folder.parent)) as index:
        return rows_sent_again(index, run.name)
    return 0
