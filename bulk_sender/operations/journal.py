"""Prepare a database for journals, and accept one that took another's place."""

from __future__ import annotations

from pathlib import Path

from bulk_sender import journal as journals
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.errors import ConfigError
from bulk_sender.journal.store import RunRef
from bulk_sender.run.folder import run_folder
from bulk_sender.run.settings import ConfigLike, load_config


def make_journal(config: ConfigLike = None, *, runs_dir: str | Path = DEFAULT_RUNS_DIR) -> journals.Made:
    """Make the schema for journals in a database, unless it is there.

    The database: that of the environment, of ``config``, or of the folder of runs. Raises ConfigError without one.
    """
    scale = load_config(config).scale
    place = journals.place_of(Path(runs_dir).absolute(), scale.journal, scale.schema_name)
    if place is None:
        raise ConfigError(
            "no database is named for the journals",
            hint="set BULK_SENDER_JOURNAL=postgresql://user@host/database, or journal in [scale] of --config",
        )
    return journals.make_schema(place)


def accept_database(run: str, *, runs_dir: str | Path = DEFAULT_RUNS_DIR) -> bool:
    """Record that the database, a promoted standby, has everything that it had when it took over.

    Return False when it is the database in which the run began. The caller says so; nothing can prove it.
    """
    return journals.accept_server(RunRef.at(run_folder(Path(runs_dir), run)))
