"""The number of records a journal had, in a small file beside it.

SQLite takes the last commits from ``journal.sqlite-wal``. That file can be lost, cut short or damaged, or someone can
put back an old copy of the journal. What is left is a sound journal of an earlier time: attempts would be missing, and
their batches would be sent a second time. So a journal with fewer records than its mark says is refused.

The mark is written after each commit and not synced. After a power loss it may be too low, which does no harm. It
cannot be too high.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from bulk_sender.durable import sync_file

MARK = "journal.mark"
_WIDTH = 20


class Mark:
    """The mark of one journal, open for writing."""

    def __init__(self, descriptor: int, key: bytes) -> None:
        self._descriptor, self._key = descriptor, key

    @classmethod
    def create(cls, folder: Path, key: bytes, records: int) -> Mark:
        """Create the mark. Raises OSError."""
        flags = os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        mark = cls(os.open(folder / MARK, flags, 0o600), key)
        os.pwrite(mark._descriptor, _line(records, key), 0)
        sync_file(mark._descriptor)
        return mark

    @classmethod
    def open(cls, folder: Path, key: bytes) -> Mark:
        """Open the mark. Raises OSError."""
        return cls(os.open(folder / MARK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), key)

    def set(self, records: int) -> None:
        """Write the number in place, in one piece. A mark that is too low does no harm."""
        with suppress(OSError):
            os.pwrite(self._descriptor, _line(records, self._key), 0)

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._descriptor)


def read_mark(folder: Path, key: bytes) -> int | None:
    """Return how many records the journal had; None when its mark is missing, damaged or another run's."""
    try:
        line = (folder / MARK).read_bytes()
    except OSError:
        return None
    number = line[:_WIDTH]
    return int(number) if number.isdigit() and line == _line(int(number), key) else None


def _line(records: int, key: bytes) -> bytes:
    number = b"%0*d" % (_WIDTH, records)
    return number + b" " + hashlib.blake2b(number, digest_size=8, key=key).hexdigest().encode() + b"\n"
