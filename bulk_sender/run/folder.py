"""Folders of runs: names, paths and permissions."""

from __future__ import annotations

import hashlib
import re
import secrets
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bulk_sender import journal as journals
from bulk_sender.config.defaults import ANOTHER_RUNS_DIR
from bulk_sender.config.model import Config
from bulk_sender.durable import make_folders
from bulk_sender.errors import BulkSenderError, ConfigError, RunHeldError
from bulk_sender.journal.store import RunRef
from bulk_sender.reading.spool import FOLDER, remove_if_left, remove_left_over

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,119}")


def new_run_id() -> str:
    """Return a new name that sorts by time: ``20260228-101500-1a2b``."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def run_id_for(*parts: object) -> str:
    """Return a run's name for the ids of a piece of work elsewhere, such as an orchestrator's task.

    The same parts give the same name, so that a repeated task resumes its run instead of sending twice. Other parts
    give another name. Parts that are valid in a name stay readable: ``run_id_for("winter", "2026-11-24", 3)`` is
    ``winter.2026-11-24.3``. Raises ConfigError if no part is given or all are empty.
    """
    texts = [str(part) for part in parts]
    if not any(texts):
        raise ConfigError("a run's name needs at least one part that is not empty")
    plain = ".".join(texts)
    if _RUN_ID.fullmatch(plain) and not any("." in text for text in texts):
        return plain
    # Characters were replaced, or the dots are ambiguous: a digest keeps names apart.
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    readable = re.sub(r"[^A-Za-z0-9._:+-]+", "-", plain)[:100].lstrip("._:+-")
    return f"{readable}-{digest}" if readable else digest


def is_name(text: str) -> bool:
    """Whether a run can have this name. A name never leads out of the folder of all runs."""
    return _RUN_ID.fullmatch(text) is not None


def run_folder(runs_dir: Path, run_id: str) -> Path:
    """Return a run's folder. Raises ConfigError for a name that a run cannot have, such as a path."""
    if not is_name(run_id):
        raise ConfigError(
            f"{run_id!r} is not a valid name of a run",
            hint="use up to 120 letters, digits and . _ : + -, beginning with a letter or digit",
        )
    return (runs_dir / run_id).absolute()


def make_run_folder(run: RunRef) -> None:
    """Create the folder, readable by its owner only. Raises BulkSenderError if it exists or cannot be created.

    An empty folder, or one in which a process died before its journal was complete, is used: it has sent nothing.
    """
    folder = run.folder
    make_parent(run)
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        if journals.exists(run):  # by another process, since this one looked
            raise RunHeldError(f"run {run.name!r} has been started in the meantime", hint="run this command again")
        if not _is_unused(run):
            raise BulkSenderError(
                f"{folder} already exists, but is not a run",
                hint="if a run of this name was there, put it back: a run of another name sends to everyone again. "
                "Else remove the folder",
            )
        folder.chmod(0o700)  # whatever the umask
        journals.announce(run)
    except OSError as error:
        raise BulkSenderError(
            f"the run's folder {folder} cannot be created: {error.strerror}",
            hint=f"make it writable, or {ANOTHER_RUNS_DIR}",
        ) from None


def settle_journals(runs_dir: Path, config: Config) -> None:
    """Let a folder of runs remember where the configuration wants their journals. Raises BulkSenderError."""
    scale, runs_dir = config.scale, runs_dir.absolute()
    store = scale.store or ""
    if scale.journal is not None:
        journals.keep_in(runs_dir, journals.Place(scale.journal, scale.schema_name, scale.ttl, store))
    elif store:
        place = journals.place_of(runs_dir)
        if place is None:
            raise ConfigError(
                "[scale] store is for runs whose journals are in PostgreSQL, and these are in their folders",
                hint="set journal in [scale], or leave out store",
            )
        journals.keep_in(runs_dir, replace(place, store=store))


def remove_inputs_left_over(runs_dir: Path) -> None:
    """Remove the stored inputs of processes that were killed before their run began."""
    remove_left_over(runs_dir)
    with suppress(OSError):
        for folder in runs_dir.iterdir():
            run = RunRef.at(folder)
            if journals.is_unfinished(run):
                remove_if_left(folder / FOLDER, is_taken=partial(journals.exists, run))


def make_parent(run: RunRef) -> None:
    """Create the folder of all runs if need be. Raises BulkSenderError."""
    try:
        make_folders(run.folder.parent)
    except FileExistsError:
        raise BulkSenderError(
            f"{run.folder.parent} is not a folder", hint=f"move the file away, or {ANOTHER_RUNS_DIR}"
        ) from None
    except OSError as error:
        raise BulkSenderError(
            f"the folder of the runs, {run.folder.parent}, cannot be created: {error.strerror}",
            hint=f"make it writable, or {ANOTHER_RUNS_DIR}",
        ) from None


def _is_unused(run: RunRef) -> bool:
    if run.folder.is_symlink() or not run.folder.is_dir():
        return False
    return next(run.folder.iterdir(), None) is None or journals.is_unfinished(run)
