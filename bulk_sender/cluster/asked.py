"""What every engine needs before a run: its package, a number of workers, and a journal that several can write."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bulk_sender import journal as journals
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.errors import ConfigError
from bulk_sender.journal.store import RunRef
from bulk_sender.run.beside import IN_POSTGRES
from bulk_sender.run.folder import new_run_id, run_folder, settle_journals
from bulk_sender.run.options import RunName, named
from bulk_sender.run.settings import ConfigLike, config_of


def refuse_without(package: str) -> None:
    """Raise ConfigError without the package of an engine."""
    if find_spec(package) is None:
        raise ConfigError(f"{package} is not installed", hint=f"pip install {package} pyarrow 'psycopg[binary]'")


def refuse_few(workers: int) -> None:
    """Raise ConfigError for no worker at all."""
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, not {workers}")


def run_to_send(config: ConfigLike, run: RunName, plain: Mapping[str, Any]) -> RunRef:
    """Return the run of a send, whose journal is in PostgreSQL. Raises ConfigError for any other."""
    if plain.get("sandbox"):
        raise ConfigError(
            "a rehearsal has its sandbox inside one process, so no other process can send for it",
            hint="serve a sandbox for all: bulk-sender sandbox",
        )
    run = named(run, plain)
    folder = run_folder(Path(run.folder), run.id or new_run_id())
    settle_journals(folder.parent, config_of(config, plain))
    return shared(RunRef.at(folder))


def run_to_resume(name: str, plain: Mapping[str, Any]) -> RunRef:
    """Return a run whose journal is in PostgreSQL. Raises ConfigError for any other."""
    return shared(RunRef.at(run_folder(Path(plain.get("runs_dir") or DEFAULT_RUNS_DIR), name)))


def shared(run: RunRef) -> RunRef:
    """Return the run. Raises ConfigError when its journal is not in PostgreSQL."""
    if journals.place_of(run.folder.parent) is None:
        raise ConfigError("workers of an engine need a journal that several processes can write", hint=IN_POSTGRES)
    return run
