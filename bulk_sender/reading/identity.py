"""Whether a file is the one that a run began with: by its digest, and more cheaply by its stamp."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from bulk_sender.errors import InputError

if TYPE_CHECKING:
    from bulk_sender.reading.formats import InputFile

_PART = 1 << 20
"""Bytes that are hashed at once."""
_TICK_NS = 20_000_000
"""The longest tick of a kernel, 10 ms, and as much again."""


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What a run records about a file to open it again; a different ``size`` (bytes) or ``sha256`` is another input."""

    name: str
    size: int
    sha256: str
    format: str = ""
    partitions: dict[str, str | None] = field(default_factory=dict)


def identify(file: InputFile, on_bytes: Callable[[int], object] = lambda _: None) -> FileIdentity:
    """Return the size and digest of a file. Raise InputError when it cannot be read.

    ``on_bytes`` is called with the size of each part that was read, and may raise.
    """
    digest, part = hashlib.sha256(), memoryview(bytearray(_PART))
    try:
        raw = file.path.open("rb", buffering=0)
    except OSError as error:
        raise _unreadable(file, error) from None
    with raw:
        size = os.fstat(raw.fileno()).st_size
        while count := _read(file, raw, part):
            digest.update(part[:count])
            on_bytes(count)
    return FileIdentity(file.name, size, digest.hexdigest(), file.format, file.partitions)


def _read(file: InputFile, raw: RawIOBase, part: memoryview) -> int:
    try:
        return raw.readinto(part) or 0
    except OSError as error:
        raise _unreadable(file, error) from None


def _unreadable(file: InputFile, error: OSError) -> InputError:
    return InputError(f"{file.name} cannot be read: {error.strerror}")


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells cheaply that a file is still the same. Moving its folder within a file system changes nothing.

    ``size`` in bytes, ``modified_ns`` and ``changed_ns`` since the epoch. Any program may set the time of
    modification back; the time of change is the system's own, and every write moves it.
    """

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> FileStamp | None:
        """Return the stamp of the file at ``path``; None when it cannot be read."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    @classmethod
    def calm(cls, path: Path) -> FileStamp | None:
        """Return a stamp that every later write changes.

        A file system counts time in ticks, so two writes within one tick leave the same time. If the last write was
        just now, wait until its tick is over.
        """
        found = cls.of(path)
        if found is not None and 0 <= time.time_ns() - found.changed_ns < _TICK_NS:
            time.sleep(_TICK_NS / 1e9)
            found = cls.of(path)
        return found
