"""How far the journal had got, in a small file beside it.

SQLite takes the last commits from ``journal.sqlite-wal``. When that file is lost, cut short or damaged, or an old
copy of the journal is put back, what is left is a sound journal of an earlier moment: attempts would be missing, and
their batches would be sent a second time. The mark counts the records; a journal that has fewer is refused.

It is written after each commit and not synced: after a power loss it may tell of an earlier moment, which accuses
nobody. It can't be too high.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

MARK = "journal.mark"
_WIDTH = 20


class Mark:
    """The mark of one journal, open for writing."""

    def __init__(self, descriptor: int, key: bytes) -> None:
        self._descriptor, self._key = descriptor, key

    @classmethod
    def create(cls, folder: Path, key: bytes, records: int) -> Mark:
        """Raises OSError."""
        flags = os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        mark = cls(os.open(folder / MARK, flags, 0o600), key)
        os.pwrite(mark._descriptor, _line(records, key), 0)
        os.fsync(mark._descriptor)
        return mark

    @classmethod
    def open(cls, folder: Path, key: bytes) -> Mark:
        """Raises OSError."""
        return cls(os.open(folder / MARK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), key)

    def set(self, records: int) -> None:
        """In place, in one piece. A mark that stays behind does no harm."""
        with suppress(OSError):
            os.pwrite(self._descriptor, _line(records, self._key), 0)

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._descriptor)


def read_mark(folder: Path, key: bytes) -> int | None:
    """How many records the journal had at least; None when no mark is there, or it is damaged or another run's."""
    try:
        line = (folder / MARK).read_bytes()
    except OSError:
        return None
    number = line[:_WIDTH]
    return int(number) if number.isdigit() and line == _line(int(number), key) else None


def _line(records: int, key: bytes) -> bytes:
    number = b"%0*d" % (_WIDTH, records)
    return number + b" " + hashlib.blake2b(number, digest_size=8, key=key).hexdigest().encode() + b"\n"
