"""A run's account as its folder shows it: the counts, and the files that are written from the journal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bulk_sender import journal as journals
from bulk_sender.atomic import write_json
from bulk_sender.errors import BulkSenderError
from bulk_sender.journal.facts import Format
from bulk_sender.journal.store import RunReader, RunRef
from bulk_sender.reporting import rows as frames
from bulk_sender.reporting.files import write_rejects, write_results
from bulk_sender.reporting.report.page import REPORT, write_report
from bulk_sender.reporting.summary import State, Summary


def close_files(journal: RunReader, kind: Format, state: State, reasons: Sequence[str] = ()) -> Summary:
    """Write the files of a run that has ended; one that can't be written makes it ``stopped``, to be resumed."""
    try:
        return write_files(journal, kind, state, "; ".join(reasons) or None)
    except BulkSenderError as error:
        state = "stopped" if state == "finished" else state
        return summarize(journal, state, "; ".join([*reasons, str(error)]), file_names(journal.run.folder, kind))


def refresh_files(journal: RunReader, ended: Summary) -> Summary:
    """Write the files of a finished run again if a crash, or a full disk, came between.

    The summary is written last: when it is what the journal says, and the others are there, they are whole.
    """
    try:
        known = json.loads((journal.run.folder / "summary.json").read_bytes())
    except (OSError, ValueError):
        known = None
    if known == ended.to_dict() and all(Path(path).is_file() for path in ended.files.values()):
        return ended
    kind = journal.facts().format
    refuse_unwritable(journal.run.folder, kind)
    return close_files(journal, kind, ended.state, [ended.reason] if ended.reason else [])


def refuse_unwritable(folder: Path, kind: Format) -> None:
    """Before anything is sent: the files written at the end must have a place. Raises BulkSenderError.

    A symbolic link there is no hindrance: it is replaced, and never followed.
    """
    for path in map(Path, file_names(folder, kind).values()):
        if path.is_dir() and not path.is_symlink():
            raise BulkSenderError(f"{path} is a folder, where a file is to be written", hint="move it away")


def write_files(journal: RunReader, kind: Format, state: State, reason: str | None) -> Summary:
    """Results, rejects, summary and report, made from the journal alone. Raises BulkSenderError."""
    files = file_names(journal.run.folder, kind)
    write_results(journal, Path(files["results"]), kind)
    write_rejects(journal, Path(files["rejected"]))
    summary = summarize(journal, state, reason, files)
    write_report(journal, summary, Path(files["report"]))
    write_json(Path(files["summary"]), summary.to_dict())
    return summary


def file_names(folder: Path, kind: str) -> dict[str, str]:
    """The paths of the files in a run's folder, by what they hold."""
    names = {
        "results": f"results.{kind}",
        "rejected": "rejected.csv",
        "summary": "summary.json",
        "report": REPORT,
    }
    paths = {name: str(folder / file) for name, file in names.items()}
    return paths | {"journal": journals.location(RunRef.at(folder))}


def summarize(journal: RunReader, state: State, reason: str | None, files: dict[str, str]) -> Summary:
    """The account as the journal has it now."""
    totals, counted = journal.totals(), journal.counts()
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
        broadcast=frames.broadcast(journal),
    )
