"""All runs whose journals are in SQLite files in their folders: found, listed and removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bulk_sender.journal.sqlite.database import JOURNAL
from bulk_sender.journal.sqlite.index import SqliteIndex, open_index
from bulk_sender.journal.sqlite.index import exists as has_index
from bulk_sender.journal.sqlite.store import (
    FILES,
    announce,
    create,
    exists,
    holder,
    is_unfinished,
    join,
    location,
    open_to_read,
    open_to_write,
)
from bulk_sender.journal.store import RunRef

__all__ = [
    "announce",
    "create",
    "exists",
    "files",
    "has_index",
    "holder",
    "index",
    "is_there",
    "is_unfinished",
    "join",
    "location",
    "open_to_read",
    "open_to_write",
    "remove",
    "run_names",
]


def files(run: RunRef) -> list[Path]:
    """Return the files in the run's folder that belong to its journal."""
    return [run.folder / name for name in FILES]


def remove(run: RunRef) -> None:
    """Remove the journal's files. The journal itself goes last, so that an interrupted call is repeated."""
    for path in sorted(files(run), key=lambda path: path.name == JOURNAL):
        path.unlink(missing_ok=True)


def run_names(runs_dir: Path) -> Iterator[str]:
    """Yield the names of the runs in a folder, sorted."""
    if runs_dir.is_dir():
        for folder in sorted(runs_dir.iterdir()):
            if exists(RunRef.at(folder)):
                yield folder.name


def index(runs_dir: Path) -> SqliteIndex:
    """Open the index of the runs in a folder that exists; it is created if need be. Raises JournalError."""
    return open_index(runs_dir)


def is_there(runs_dir: Path) -> bool:
    """Whether there is a folder that may have runs."""
    return runs_dir.is_dir()
