"""Disk space set aside while requests are in flight.

When the disk is full, the outcomes of the requests in flight must still be recorded. The ballast is deleted to make
room for them, and nothing new begins.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

BALLAST = "ballast"
SIZE = 4 << 20
"""Bytes. An outcome written alone takes up to four pages of the write-ahead log, 16 kB: there is room for 250. Outcomes
of 512 requests in flight share transactions."""


class Ballast:
    """The file ``ballast`` in a run's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / BALLAST

    def reserve(self) -> None:
        """Take the space. Raises OSError when the disk has no room for it."""
        self.free()
        descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, 0, SIZE)
            else:
                os.write(
                    descriptor, os.urandom(SIZE)
                )  # random bytes, so a compressing file system cannot shrink the file
        except BaseException:
            self.free()
            raise
        finally:
            os.close(descriptor)

    def free(self) -> bool:
        """Give the space back. Returns False when there was none."""
        with suppress(OSError):
            self._path.unlink()
            return True
        return False
