"""Inspect runs, also while they are in progress. Changes nothing but, on request, the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from bulk_sender import journal as journals
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.config.model import Config
from bulk_sender.errors import BulkSenderError, InputError, JournalError
from bulk_sender.journal.index import rows_sent_again
from bulk_sender.journal.store import RunRef
from bulk_sender.reporting import rows as frames
from bulk_sender.reporting.account import summarize
from bulk_sender.reporting.advice import Advice, counts, of_broadcast
from bulk_sender.reporting.origin import Origin
from bulk_sender.reporting.report.page import REPORT, write_report
from bulk_sender.reporting.run_facts import RunFacts
from bulk_sender.reporting.summary import RunOverview, Summary
from bulk_sender.run.catalogue import catalogue, entries_of_journals, refreshed
from bulk_sender.run.folder import run_folder
from bulk_sender.run.standing import files, standing


def runs(runs_dir: str | Path = DEFAULT_RUNS_DIR) -> Iterator[RunOverview]:
    """Yield the runs of a folder, oldest first, from its index. A run that is open is asked how it stands."""
    folder = Path(runs_dir).absolute()
    if not journals.is_there(folder):
        return
    again: dict[str, int] = {}
    try:
        with catalogue(folder) as index:
            entries = [refreshed(index, folder, entry) for entry in index.entries()]
            again = {entry.name: rows_sent_again(index, entry.name) for entry in entries}
    except JournalError:  # a folder that can only be read: ask the journals
        entries = entries_of_journals(folder)
    for entry in entries:
        summary = entry.summary | {"sent_again": again.get(entry.name, 0)}
        if entry.state == "running":
            with suppress(BulkSenderError):
                summary = status(entry.name, runs_dir=folder).to_dict()
        yield RunOverview.of(
            entry.name,
            summary,
            inputs=entry.inputs,
            kind=entry.kind,
            target=entry.target,
            endpoint=entry.endpoint,
            rehearsal=bool(entry.sandbox),
            is_gone=not entry.pruned_at and not journals.exists(RunRef.at(folder / entry.name)),
            pruned_at=entry.pruned_at,
            started_at=entry.created_at,
        )


def status(run: str, *, runs_dir: str | Path = DEFAULT_RUNS_DIR) -> Summary:
    """Return the state of a run, also while it is in progress."""
    ref = RunRef.at(run_folder(Path(runs_dir), run))
    with journals.read(ref) as journal:
        held_by = journals.holder(ref)
        if held_by is not None:
            return summarize(journal, "running", held_by, files(journal))
        return standing(journal)


def facts(run: str, *, runs_dir: str | Path = DEFAULT_RUNS_DIR) -> RunFacts:
    """Return how a run was started: what is sent where, from which files, and by whom. Cheaper than ``status``."""
    with journals.read(RunRef.at(run_folder(Path(runs_dir), run))) as journal:
        return RunFacts.of(journal)


def configuration(run: str, *, runs_dir: str | Path = DEFAULT_RUNS_DIR) -> Config:
    """Return the configuration that a run was started with, also if defaults have changed since. It has no API key."""
    with journals.read(RunRef.at(run_folder(Path(runs_dir), run))) as journal:
        return journal.facts().revived()


def report(run: str, *, runs_dir: str | Path = DEFAULT_RUNS_DIR) -> Path:
    """Write ``report.html`` again from the journal, also while the run is in progress. Return its path."""
    summary = status(run, runs_dir=runs_dir)
    with journals.read(RunRef.at(run_folder(Path(runs_dir), run))) as journal:
        path = journal.run.folder / REPORT
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # the journal may be in a database
        write_report(journal, summary, path)
    return path


def advice(summary: Summary) -> tuple[Advice, ...]:
    """Return what to do about a run now, in the words of its report and of the terminal.

    Problems come first, and of the choices about a problem the safest. A run that needs nothing has no advice. A
    journal that cannot be read does not prevent the advice.
    """
    folder = Path(summary.files["journal"]).parent
    elsewhere = "" if folder.parent == Path(DEFAULT_RUNS_DIR).absolute() else str(folder.parent)
    if summary.broadcast is not None:
        return of_broadcast(summary, runs_dir=elsewhere).steps
    found = counts(summary, runs_dir=elsewhere, rejects=summary.rejects_file, origin=Origin.behind(summary))
    return tuple(step for count in found for step in count.steps)


def explain(run: str, row: int, *, runs_dir: str | Path = DEFAULT_RUNS_DIR) -> dict[str, Any]:
    """Return everything known about one row. Raises InputError when the run has no such row."""
    with journals.read(RunRef.at(run_folder(Path(runs_dir), run))) as journal:
        found = frames.explain(journal, row)
        if found is None:
            raise InputError(f"run {journal.run.name!r} has no row {row}")
        return found
