"""Which journals this process has proved sound, so that each page of a run does not prove all of it again.

A journal counts as proved while its files are unchanged. A process that sends proves it again in any case.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bulk_sender.journal.sqlite.mark import MARK
from bulk_sender.journal.sqlite.presence import stat_of

_SETTLED_NS = 2_000_000_000
"""A file that has changed within this time may change again without a new time of change."""

Stamp = tuple[object, ...]
"""What tells that the files of a journal have not changed."""


class Proved:
    """The journals that are known to be sound, by folder. Any thread may use it."""

    def __init__(self, journal: str, log: str, *, clock: Callable[[], int] = time.time_ns) -> None:
        """``journal``, ``log``: the names of the file and of its write-ahead log."""
        self._journal, self._log = journal, log
        self._clock = clock
        self._known: dict[Path, Stamp] = {}

    def prove_once(self, folder: Path, prove: Callable[[], object]) -> None:
        """Call ``prove``, which raises for a journal that is not sound, unless nothing changed since it did not."""
        stamp = self._stamp(folder)
        if stamp is None or self._known.get(folder) != stamp:
            prove()
            if stamp is not None:  # of before: a change during the proof makes it count for nothing
                self._known[folder] = stamp

    def _stamp(self, folder: Path) -> Stamp | None:
        """Return what tells that a journal has not changed; None when it has changed too lately to tell."""
        stats = [stat_of(folder / name) for name in (self._journal, MARK, self._log)]
        latest = max((it.st_mtime_ns for it in stats if it is not None), default=0)
        if self._clock() - latest < _SETTLED_NS:
            return None
        *own, log = [None if it is None else (it.st_dev, it.st_ino, it.st_size, it.st_mtime_ns) for it in stats]
        # To read makes an empty log if there is none, and sets the owner of any, which shows in its last time only.
        return *own, None if log is None or not log[2] else log, *(it and it.st_ctime_ns for it in stats[:2])
