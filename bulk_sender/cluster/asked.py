"""What every engine needs before a run: its package, a number of workers, and a journal that several can write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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


def refuse_without(package: str, workers: int) -> None:
    """Raise ConfigError without the package of an engine, and for no worker at all."""
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, not {workers}")
    if find_spec(package) is None:
        raise ConfigError(f"{package} is not installed", hint=f"pip install {package} pyarrow 'psycopg[binary]'")


def run_to_send(config: ConfigLike, run: RunName, plain: Mapping[str, Any]) -> tuple[RunRef, RunName, dict[str, Any]]:
    """Return the run of a send, whose journal is in PostgreSQL. Raises ConfigError for any other.

    Also return the two that name it: ``run``, with an id, and the plain keywords without those that are in ``run``.
    """
    if plain.get("sandbox"):
        raise ConfigError(
            "a rehearsal has its sandbox inside one process, so no other process can send for it",
            hint="serve a sandbox for all: bulk-sender sandbox",
        )
    run = named(run, plain)
    found = RunRef.at(run_folder(Path(run.folder), run.id or new_run_id()))
    settle_journals(found.folder.parent, config_of(config, plain))
    _refuse_files(found.folder.parent)
    others = {name: value for name, value in plain.items() if name not in ("run_id", "runs_dir")}
    return found, replace(run, id=found.name, folder=found.folder.parent), others


def refuse_to_resume(run: str, plain: Mapping[str, Any]) -> None:
    """Raise ConfigError for a run whose journal is not in PostgreSQL."""
    _refuse_files(run_folder(Path(plain.get("runs_dir") or DEFAULT_RUNS_DIR), run).parent)


def _refuse_files(runs_dir: Path) -> None:
    if journals.place_of(runs_dir) is None:
        raise ConfigError("workers of an engine need a journal that several processes can write", hint=IN_POSTGRES)
