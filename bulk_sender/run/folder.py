"""The folder of runs: names, places and privacy."""

from __future__ import annotations

import hashlib
import re
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from bulk_sender import journal as journals
from bulk_sender.errors import BulkSenderError, ConfigError
from bulk_sender.journal.store import RunRef

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,119}")


def new_run_id() -> str:
    """A name that sorts by time: ``20260228-101500-1a2b``."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def run_id_for(*parts: object) -> str:
    """A run's name made of whatever names one piece of work elsewhere, such as an orchestrator's task.

    The same parts give the same name, so that a repetition goes on with its run instead of sending again; other parts
    give another. Fit parts can be read in it: ``run_id_for("winter", "2026-11-24", 3)`` is ``winter.2026-11-24.3``.
    Raises ConfigError without parts, or when all are empty.
    """
    texts = [str(part) for part in parts]
    if not any(texts):
        raise ConfigError("a run's name needs at least one part that is not empty")
    plain = ".".join(texts)
    if _RUN_ID.fullmatch(plain) and not any("." in text for text in texts):
        return plain
    # Something had to be replaced, or the dots could have come about in another way: a digest keeps names apart.
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    readable = re.sub(r"[^A-Za-z0-9._:+-]+", "-", plain)[:100].lstrip("._:+-")
    return f"{readable}-{digest}" if readable else digest


def run_folder(runs_dir: Path, run_id: str) -> Path:
    """Where a run lives. ``run_id`` may also be a path to its folder. Raises ConfigError for an unfit name."""
    if "/" in run_id and journals.exists(RunRef.at(Path(run_id))):
        return Path(run_id).absolute()
    if not _RUN_ID.fullmatch(run_id):
        raise ConfigError(
            f"{run_id!r} can't name a run",
            hint="use letters, digits and . _ : + -, at most 120, a letter or digit first",
        )
    return (runs_dir / run_id).absolute()


def make_run_folder(run: RunRef) -> None:
    """Create the folder, readable by its owner only. Raises BulkSenderError when it can't be, or already is.

    One that is empty, or in which a process died before its journal was whole, has never sent anything: it is used.
    """
    folder = run.folder
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        if not _is_unused(run):
            raise BulkSenderError(
                f"{folder} already exists, but holds no run", hint="choose another --run-id or remove it"
            )
        folder.chmod(0o700)  # whatever the umask
    except FileExistsError:
        raise BulkSenderError(
            f"{folder.parent} is no folder", hint="choose another place for the runs with --runs-dir"
        ) from None
    except OSError as error:
        raise BulkSenderError(
            f"the run's folder {folder} can't be created: {error.strerror}",
            hint="choose another place with --runs-dir",
        ) from None


def _is_unused(run: RunRef) -> bool:
    if run.folder.is_symlink() or not run.folder.is_dir():
        return False
    return next(run.folder.iterdir(), None) is None or journals.is_unfinished(run)
