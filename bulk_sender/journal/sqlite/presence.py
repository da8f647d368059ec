"""Whether the files of a journal are still those that its writer opened.

SQLite writes to the files that it has open. When one of them is deleted, moved or replaced, it does not notice, and
its commits are durable in a file that nobody finds again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

How = Literal["gone", "another", "shorter"]

_LOG_HEADER, _FRAME_HEADER = 32, 24
"""Bytes before the first frame of a write-ahead log, and before the page in each (SQLite, "WAL-mode file format")."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A file that is not what it was. ``how``: deleted or moved, replaced by another file, or cut short."""

    path: Path
    how: How


class Presence:
    """The files of one journal. ``look`` costs a few microseconds, and any thread may call it.

    Files are looked at by their names only: closing a descriptor of the journal would end SQLite's locks on it. On the
    write-ahead log it has none.
    """

    def __init__(self, paths: Sequence[Path], *, growing: Sequence[Path], log: Path) -> None:
        """``growing``: of these files, those that never get shorter. ``log``: the write-ahead log, which grows too.

        A file is known once it exists.
        """
        self._paths = tuple(paths)
        self._growing = frozenset([*growing, log])
        self._log = log
        self._known: dict[Path, os.stat_result] = {}

    def learn(self) -> None:
        """Take the files as they are now, and look for these from now on."""
        for path in self._paths:
            if path not in self._known and (found := stat_of(path)) is not None:
                self._known[path] = found

    def look(self) -> Missing | None:
        """Return the first file that is not what it was; None while all are."""
        for path, known in tuple(self._known.items()):
            found = stat_of(path)
            if found is None:
                return Missing(path, "gone")
            if (found.st_dev, found.st_ino) != (known.st_dev, known.st_ino):
                return Missing(path, "another")
            if path in self._growing:
                if found.st_size < known.st_size or (
                    path == self._log and found.st_size > known.st_size and _is_hollow(path, known.st_size)
                ):
                    return Missing(path, "shorter")
                self._known[path] = found
        return None


def stat_of(path: Path) -> os.stat_result | None:
    """Return what the system says about a file, and follow no link; None when it cannot be looked at.

    Whatever prevents a look, such as a file system that was unmounted, also prevents a later start.
    """
    try:
        return path.lstat()
    except OSError:
        return None


def _is_hollow(log: Path, size: int) -> bool:
    """Whether a log was cut short since it had ``size`` bytes, and has grown again.

    SQLite writes where it stopped, whatever the file has become. So the frames that were cut off are zeros now, and
    the number of a page is never zero.
    """
    try:
        file = os.open(log, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # the next look says what happened to it
        return False
    try:
        frame = _FRAME_HEADER + int.from_bytes(os.pread(file, 4, 8))
        whole = (size - _LOG_HEADER) // frame
        return whole > 0 and not any(os.pread(file, 4, _LOG_HEADER + (whole - 1) * frame))
    finally:
        os.close(file)
