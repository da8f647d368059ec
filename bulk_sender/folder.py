"""The folder of runs: names, places and privacy."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from bulk_sender.delivery.database import JOURNAL, UNFINISHED
from bulk_sender.errors import BulkSenderError, ConfigError

DEFAULT_RUNS_DIR = "bulk-sender-runs"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,119}")


def new_run_id() -> str:
    """A name that sorts by time: ``20260228-101500-1a2b``."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def run_folder(runs_dir: Path, run_id: str) -> Path:
    """Where a run lives. ``run_id`` may also be a path to its folder. Raises ConfigError for an unfit name."""
    if "/" in run_id and (Path(run_id) / JOURNAL).is_file():
        return Path(run_id).absolute()
    if not _RUN_ID.fullmatch(run_id):
        raise ConfigError(
            f"{run_id!r} can't name a run",
            hint="use letters, digits and . _ : + -, at most 120, a letter or digit first",
        )
    return (runs_dir / run_id).absolute()


def make_run_folder(folder: Path) -> None:
    """Create the folder, readable by its owner only. Raises BulkSenderError when it can't be, or already is.

    One that is empty, or in which a process died before its journal was whole, has never sent anything: it is used.
    """
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        if not _is_unused(folder):
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


def _is_unused(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    return not names or (UNFINISHED in names and JOURNAL not in names)


def run_ids(runs_dir: Path) -> Iterator[str]:
    """The runs in a folder, by name."""
    if runs_dir.is_dir():
        for folder in sorted(runs_dir.iterdir()):
            if (folder / JOURNAL).is_file():
                yield folder.name
