"""Remove what finished runs hold of people."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bulk_sender import journal as journals
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.config.duration import parse_duration
from bulk_sender.errors import BulkSenderError, ConfigError, GuardrailError, JournalError
from bulk_sender.journal.index import IndexEntry
from bulk_sender.journal.store import RunRef
from bulk_sender.reporting.account import SUMMARY
from bulk_sender.run.catalogue import catalogue, refreshed
from bulk_sender.run.folder import remove_inputs_left_over
from bulk_sender.text.times import now


def prune(
    older_than: timedelta | str,
    *,
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
    confirm: Callable[[list[str]], bool] | None = None,
) -> list[str]:
    """Remove the journals, results, reports and rejected rows of finished runs that ended before ``older_than`` ago.

    The index and ``summary.json`` keep their counts, digests and decisions, so a repeat is still noticed and the names
    stay taken. A run with unknown or unsent rows stays as it is. ``confirm`` gets the names before anything is removed;
    GuardrailError if it says no. Returns the names. Stored inputs that killed processes left, before their run began,
    are removed as well, without a question. Raises JournalError when a database does not let this account remove it.
    """
    folder, before = Path(runs_dir).absolute(), datetime.now(UTC) - _length(older_than)
    if not journals.is_there(folder):
        return []
    remove_inputs_left_over(folder)
    with catalogue(folder) as index:
        old = [
            entry for entry in (refreshed(index, folder, each) for each in index.entries()) if _is_over(entry, before)
        ]
        old = [entry for entry in old if journals.exists(RunRef.at(folder / entry.name))]
        if old and confirm is not None and not confirm([entry.name for entry in old]):
            raise GuardrailError("not confirmed: nothing was removed")
        removed = []
        for entry in old:
            run = RunRef.at(folder / entry.name)
            try:
                opened = journals.open(run)
            except BulkSenderError:  # another process holds it, or its journal is damaged: it stays
                continue
            with opened as journal:
                decisions = tuple(asdict(each) for each in journal.decided())
                index.note(replace(entry, pruned_at=now(), decisions=decisions))
                try:
                    _remove(run)
                except JournalError:  # such as an account that may not delete
                    index.note(entry)
                    raise
            removed.append(entry.name)
        return removed


def _length(older_than: timedelta | str) -> timedelta:
    if isinstance(older_than, timedelta):
        return older_than
    try:
        return parse_duration(older_than)
    except ValueError as error:
        raise ConfigError(f"--older-than: {error}") from None


def _is_over(entry: IndexEntry, before: datetime) -> bool:
    is_settled = not entry.summary.get("unknown") and not entry.summary.get("not_sent")
    return entry.state == "finished" and is_settled and datetime.fromisoformat(entry.last_at) < before


def _remove(run: RunRef) -> None:
    """Remove all files of the run but its summary; the journal goes last, so that an interrupted call is repeated."""
    own = set(journals.files(run))
    every = list(run.folder.iterdir()) if run.folder.is_dir() else []
    for path in [path for path in every if path.name != SUMMARY and path not in own]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    journals.remove(run)
