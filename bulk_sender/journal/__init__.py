"""The journal: a run's durable record, and the single source of truth about it.

This module opens runs and picks their store, SQLite in the run's folder. Everything else depends on the contract in
``bulk_sender.journal.store`` only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bulk_sender.journal.facts import Facts
from bulk_sender.journal.index import RunIndex
from bulk_sender.journal.sqlite import index as _index
from bulk_sender.journal.sqlite import store as _store
from bulk_sender.journal.store import RunReader, RunRef, RunWriter

__all__ = [
    "RunIndex",
    "RunReader",
    "RunRef",
    "RunWriter",
    "announce",
    "create",
    "exists",
    "files",
    "has_index",
    "holder",
    "index",
    "is_unfinished",
    "location",
    "open",
    "read",
    "run_names",
]


def announce(run: RunRef) -> None:
    """Mark an existing folder, durably, as that of a run whose journal is about to be created. Raises OSError."""
    _store.announce(run)


def create(run: RunRef, facts: Facts) -> RunWriter:
    """Create the journal of a new run, with its frozen facts. Raises RunHeldError, JournalError."""
    return _store.create(run, facts)


def open(run: RunRef) -> RunWriter:
    """Open a run to continue it, for this process alone.

    Raises RunNotFoundError, RunHeldError, and JournalError when the journal is damaged.
    """
    return _store.open_to_write(run)


def read(run: RunRef) -> RunReader:
    """Open a run to read it, also while a process sends. Raises RunNotFoundError, JournalError."""
    return _store.open_to_read(run)


def holder(run: RunRef) -> str | None:
    """Describe the process that holds the run now; None when none does."""
    return _store.holder(run)


def exists(run: RunRef) -> bool:
    """Whether the run has a journal."""
    return _store.exists(run)


def is_unfinished(run: RunRef) -> bool:
    """Whether a process ended while it created the run's journal. Such a run has never sent anything."""
    return _store.is_unfinished(run)


def run_names(runs_dir: Path) -> Iterator[str]:
    """Yield the names of the runs in a folder, sorted."""
    if runs_dir.is_dir():
        for folder in sorted(runs_dir.iterdir()):
            if exists(RunRef.at(folder)):
                yield folder.name


def index(runs_dir: Path) -> RunIndex:
    """Open the index of the runs in a folder that exists; it is created if need be. Raises JournalError."""
    return _index.open_index(runs_dir)


def has_index(runs_dir: Path) -> bool:
    """Whether the folder has an index."""
    return _index.exists(runs_dir)


def location(run: RunRef) -> str:
    """Return where the run's journal is, to be shown to people."""
    return str(_store.location(run))


def files(run: RunRef) -> list[Path]:
    """Return the files in the run's folder that belong to the store: nothing else may replace them."""
    return [run.folder / name for name in _store.FILES]
