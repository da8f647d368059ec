"""The lock of a run: one process at a time.

It is an operating-system lock, which ends with its process however that process ends.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from bulk_sender.errors import JournalError, RunHeldError
from bulk_sender.text.times import now

with suppress(ImportError):  # Windows, where errors.require_posix refuses earlier
    import fcntl

LOCK = "lock"
_TRIES = 4
_BETWEEN_TRIES_S = 0.05


def take_lock(folder: Path) -> int:
    """Lock the run in ``folder`` until ``release``. Raises RunHeldError, which names the holder, and JournalError."""
    try:
        descriptor = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalError(
            f"the lock {folder / LOCK} cannot be opened: {error.strerror}",
            hint="the run's folder has to be writable, and the lock has to be a regular file",
        ) from None
    if not _locked(descriptor):
        found = _description(descriptor)
        os.close(descriptor)
        raise RunHeldError(
            f"run {folder.name!r} is held by {found}",
            hint="wait for it to end, or stop it, then try again",
        )
    text = f"process {os.getpid()} on {socket.gethostname()} since {now()}\n".encode()
    with suppress(OSError):  # a full disk: the text is only for people, the lock holds without it
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)
    return descriptor


def _locked(descriptor: int) -> bool:
    """Try for a moment, because ``holder`` takes the lock for an instant to see whether it is free."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            time.sleep(_BETWEEN_TRIES_S)
    return False


def release(lock: int) -> None:
    with suppress(OSError):
        os.ftruncate(lock, 0)
    with suppress(OSError):
        os.close(lock)


def holder(folder: Path) -> str | None:
    """Describe the process that holds the run now; None when none does."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return None
    except OSError:
        return _description(descriptor)
    finally:
        os.close(descriptor)


def _description(descriptor: int) -> str:
    return os.pread(descriptor, 400, 0).decode("utf-8", "replace").strip() or "another process"
