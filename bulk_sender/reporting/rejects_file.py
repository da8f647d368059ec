"""Which file holds a run's rejected rows: ``rejected.csv``, unless somebody has changed that file.

For a workbook there is a ``rejected.xlsx``, too, under the same rules.

People fix the rows in this file. So what they wrote is never replaced: the next file gets the next free name. The
digests of what was written here are kept beside it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from bulk_sender.atomic import replacing, write_json

RECORD = "rejected.digests.json"
_log = logging.getLogger("bulk_sender")


def rejects_path(folder: Path, suffix: str = ".csv") -> Path:
    """Return the file that holds the rejected rows of the run in ``folder``, as it was last written."""
    names = [name for name in _record(folder) if name.endswith(suffix)]
    return folder / (names[-1] if names else f"rejected{suffix}")


def has_rejects(folder: Path, suffix: str) -> bool:
    """Whether a file of rejected rows with this suffix was written."""
    return any(name.endswith(suffix) for name in _record(folder))


class RejectsFile:
    """The rejects file of the run in ``folder``."""

    def __init__(self, folder: Path, suffix: str = ".csv") -> None:
        self._folder, self._suffix = folder, suffix
        self._written = _record(folder)

    @contextmanager
    def replaced(self) -> Iterator[Path]:
        """Yield a temporary file that becomes the rejects file. Raise BulkSenderError when that is impossible."""
        path = self._free()
        with replacing(path) as temporary:
            yield temporary
            digest = _digest(temporary)
            # Before the rename: a file that is already there under this digest must not seem to be somebody's work.
            self._remember(path.name, digest)

    def _free(self) -> Path:
        """Return the first name that is free, or whose file is as it was written here."""
        for number in count(1):
            path = self._folder / (f"rejected{self._suffix}" if number == 1 else f"rejected-{number}{self._suffix}")
            if not path.is_file() or path.is_symlink() or _digest(path) in self._written.get(path.name, ()):
                if number > 1 and path.name not in self._written:
                    _log.warning(
                        "somebody has changed rejected%s, so it was left as it is; the rejected rows are in %s",
                        self._suffix,
                        path.name,
                    )
                return path
        raise AssertionError("names do not run out")

    def _remember(self, name: str, digest: str) -> None:
        before = [known for known in self._written.pop(name, []) if known != digest]
        self._written[name] = [*before[-1:], digest]
        write_json(self._folder / RECORD, dict(self._written))


def _record(folder: Path) -> dict[str, list[str]]:
    """Return the digests of the files written here, by name, the latest file last."""
    try:
        found: dict[str, list[str]] = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
