"""A run's account as its folder shows it: the counts, and the files that are written from the journal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bulk_sender.atomic import write_json
from bulk_sender.errors import BulkSenderError
from bulk_sender.journal.sqlite.store import JOURNAL, Journal
from bulk_sender.reporting import rows as frames
from bulk_sender.reporting.files import Format, write_rejects, write_results
from bulk_sender.reporting.report.page import REPORT, write_report
from bulk_sender.reporting.summary import State, Summary


def close_files(journal: Journal, kind: Format, state: State, reasons: Sequence[str] = ()) -> Summary:
    """Write the files of a run that has ended; one that can't be written makes it ``stopped``, to be resumed."""
    try:
        return write_files(journal, kind, state, "; ".join(reasons) or None)
    except BulkSenderError as error:
        state = "stopped" if state == "finished" else state
        return summarize(journal, state, "; ".join([*reasons, str(error)]), file_names(journal.folder, kind))


def refresh_files(journal: Journal, ended: Summary) -> Summary:
    """Write the files of a finished run again if a crash, or a full disk, came between.

    The summary is written last: when it is what the journal says, and the others are there, they are whole.
    """
    try:
        known = json.loads((journal.folder / "summary.json").read_bytes())
    except (OSError, ValueError):
        known = None
    if known == ended.to_dict() and all(Path(path).is_file() for path in ended.files.values()):
        return ended
    refuse_unwritable(journal.folder, journal.fact("format"))
    return close_files(journal, journal.fact("format"), ended.state, [ended.reason] if ended.reason else [])


def refuse_unwritable(folder: Path, kind: Format) -> None:
    """Before anything is sent: the files written at the end must have a place. Raises BulkSenderError.

    A symbolic link there is no hindrance: it is replaced, and never followed.
    """
    for path in map(Path, file_names(folder, kind).values()):
        if path.is_dir() and not path.is_symlink():
            raise BulkSenderError(f"{path} is a folder, where a file is to be written", hint="move it away")


def write_files(journal: Journal, kind: Format, state: State, reason: str | None) -> Summary:
    """Results, rejects, summary and report, made from the journal alone. Raises BulkSenderError."""
    files = file_names(journal.folder, kind)
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
        "journal": JOURNAL,
    }
    return {name: str(folder / file) for name, file in names.items()}


def summarize(journal: Journal, state: State, reason: str | None, files: dict[str, str]) -> Summary:
    """The account as the journal has it now."""
    [sums] = journal.query(
        "SELECT (SELECT count(*) FROM state) AS batches, (SELECT count(*) FROM attempt) AS requests,"
        " (SELECT min(at) FROM epoch) AS started_at, (SELECT max(at) FROM ending) AS finished_at,"
        " (SELECT coalesce(sum(elapsed_s), 0) FROM ending) AS elapsed_s"
    )
    counted = frames.counts(journal)
    elapsed = sums["elapsed_s"]
    return Summary(
        run_id=journal.folder.name,
        state=state,
        **counted,
        batches=sums["batches"],
        requests=sums["requests"],
        started_at=sums["started_at"],
        finished_at=sums["finished_at"] if state != "running" else None,
        elapsed_s=round(elapsed, 3),
        recipients_per_s=round(counted["accepted"] / elapsed, 1) if elapsed else 0.0,
        reason=reason,
        files=files,
        broadcast=frames.broadcast(journal),
    )
