"""The journal: a run's durable record, and the single source of truth about it.

This module opens runs and picks their store: SQLite in the run's folder, or PostgreSQL where that is configured for
the folder of all runs (``journal.place``). Everything else depends on the contract in ``bulk_sender.journal.store``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bulk_sender.errors import ConfigError
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.index import RunIndex
from bulk_sender.journal.place import Place, keep_in, place_of
from bulk_sender.journal.sqlite import runs as _sqlite
from bulk_sender.journal.store import Made, RunReader, RunRef, RunStore, RunWriter
from bulk_sender.pace.shared import SharedRate

__all__ = [
    "Made",
    "Place",
    "RunIndex",
    "RunReader",
    "RunRef",
    "RunWriter",
    "accept_server",
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
    "keep_in",
    "location",
    "make_schema",
    "open",
    "place_of",
    "read",
    "remove",
    "run_names",
    "shared_rate",
]


def _store(runs_dir: Path) -> RunStore:
    """Return the store of the runs in a folder. Raises ConfigError."""
    place = place_of(runs_dir)
    if place is None:
        return _sqlite
    _require_psycopg()
    from bulk_sender.journal.postgres.runs import PostgresRuns

    return PostgresRuns(place)


def _of(run: RunRef) -> RunStore:
    return _store(run.folder.parent)


def _require_psycopg() -> None:
    """Raise ConfigError without psycopg. A default install has no use for it, and starts without looking for it."""
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"a journal in PostgreSQL needs psycopg ({error})", hint="pip install 'psycopg[binary]'"
        ) from None


def announce(run: RunRef) -> None:
    """Mark an existing folder, durably, as that of a run whose journal is about to be created. Raises OSError."""
    _of(run).announce(run)


def create(run: RunRef, facts: Facts) -> RunWriter:
    """Create the journal of a new run, with its frozen facts. Raises RunHeldError, JournalError."""
    return _of(run).create(run, facts)


def open(run: RunRef, *, take_over: bool = False) -> RunWriter:
    """Open a run to continue it, for this process alone; others may join it later.

    ``take_over``: even if a process has it, where a store can shut that out.

    Raises RunNotFoundError, RunHeldError, and JournalError when the journal is damaged.
    """
    return _of(run).open_to_write(run, take_over=take_over)


def join(run: RunRef) -> RunWriter:
    """Open a run for one more process, beside those that have it.

    Raises RunNotFoundError, ConfigError where only one process can have it, and JournalError when it is damaged.
    """
    return _of(run).join(run)


def read(run: RunRef) -> RunReader:
    """Open a run to read it, also while a process sends. Raises RunNotFoundError, JournalError."""
    return _of(run).open_to_read(run)


def holder(run: RunRef) -> str | None:
    """Describe the process that holds the run now; None when none does."""
    return _of(run).holder(run)


def exists(run: RunRef) -> bool:
    """Whether the run has a journal."""
    return _of(run).exists(run)


def is_unfinished(run: RunRef) -> bool:
    """Whether a process ended while it created the run's journal. Such a run has never sent anything."""
    return _of(run).is_unfinished(run)


def remove(run: RunRef) -> None:
    """Remove a run's journal. Raises OSError, JournalError."""
    _of(run).remove(run)


def run_names(runs_dir: Path) -> Iterable[str]:
    """Return the names of the runs of a folder, sorted."""
    return _store(runs_dir).run_names(runs_dir)


def is_there(runs_dir: Path) -> bool:
    """Whether there may be runs: the folder exists, or its journals are in a database."""
    return _store(runs_dir).is_there(runs_dir)


def index(runs_dir: Path) -> RunIndex:
    """Open the index of the runs of a folder; it is created if need be. Raises JournalError."""
    return _store(runs_dir).index(runs_dir)


def has_index(runs_dir: Path) -> bool:
    """Whether the folder has an index."""
    return _store(runs_dir).has_index(runs_dir)


def location(run: RunRef) -> str:
    """Return the file in the run's folder that is its journal, or says where it is."""
    return str(_of(run).location(run))


def files(run: RunRef) -> list[Path]:
    """Return the files in the run's folder that belong to the store: nothing else may replace them."""
    return _of(run).files(run)


def shared_rate(writer: RunWriter, workspace: str, rate_per_s: float) -> SharedRate | None:
    """Return the workspace's rate as the database of a run's journal keeps it; None when the journal is in a folder.

    ``workspace``: as ``workspace_of`` names it. Raises JournalError, ConfigError.
    """
    place = place_of(writer.run.folder.parent)
    if place is None:
        return None
    from bulk_sender.journal.postgres.rate import PostgresRate

    return PostgresRate(place, workspace, rate_per_s, is_over=lambda: writer.lost is not None)


def make_schema(place: Place) -> Made:
    """Make the schema for journals in a database, unless it is there. Raises JournalError, ConfigError."""
    _require_psycopg()
    from bulk_sender.journal.postgres.setup import make_schema

    return make_schema(place)


def accept_server(run: RunRef) -> bool:
    """Take the database as it is now for the one in which the run began: its standby had everything.

    Return False when nothing had to be accepted. Raises RunNotFoundError, JournalError, ConfigError.
    """
    place = place_of(run.folder.parent)
    if place is None:
        raise ConfigError("the journals of these runs are in their folders", hint="this is for journals in PostgreSQL")
    _require_psycopg()
    from bulk_sender.journal.postgres.setup import accept_server

    return accept_server(place, run)
