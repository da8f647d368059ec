"""Files that are on the server already, in the folders of ``[files] folders``. A browser names one by an id."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from pathlib import Path

from bulk_sender.web.uploads import UploadError, refuse_kind

_MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class ServerFile:
    """``id``: for the browser. ``name``: the folder's name and the file's. ``changed``: seconds since 1970."""

    id: str
    name: str
    size: int
    changed: float
    path: Path


def listed(folders: Sequence[Path]) -> list[ServerFile]:
    """Return the files that may be used, the latest first, at most 100. A link that leads out of a folder is none."""
    return nlargest(_MOST_SHOWN, _all(folders), key=lambda file: file.changed)


def found(folders: Sequence[Path], id: str) -> ServerFile | None:
    """Return the file of an id; None if there is no such file any more."""
    return next((file for file in _all(folders) if file.id == id), None)


def is_allowed(folders: Sequence[Path], path: Path) -> bool:
    """Whether a file that was chosen earlier may still be used."""
    return any(file.path == path for file in _all(folders))


def _all(folders: Sequence[Path]) -> Iterator[ServerFile]:
    for folder in folders:
        root = Path(os.path.realpath(folder))
        try:
            with os.scandir(root) as entries:
                names = [entry.name for entry in entries if entry.is_file() and not entry.name.startswith(".")]
        except OSError:  # it may be missing for a while, such as a disk that is not mounted
            continue
        for name in names:
            if (file := _file(folder, root, name)) is not None:
                yield file


def _file(folder: Path, root: Path, name: str) -> ServerFile | None:
    path = Path(os.path.realpath(root / name))
    try:
        refuse_kind(path.name)
        facts = path.stat(follow_symlinks=False)
    except (OSError, UploadError):
        return None
    if path.parent != root or not path.is_file():
        return None
    id = hashlib.sha256(os.fsencode(path)).hexdigest()[:24]
    return ServerFile(id, f"{folder.name}/{name}", facts.st_size, facts.st_mtime, path)
