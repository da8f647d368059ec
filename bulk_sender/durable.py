"""Files and folders that survive a power cut.

A file is durable when its bytes are synced and when the folder that names it is synced, too.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

with suppress(ImportError):  # Windows, where errors.require_posix refuses earlier
    import fcntl

CANNOT = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""What a file system answers that has no sync for folders, such as some network and FUSE file systems.

Everything else means that the disk failed, above all EIO. After that, a later sync that succeeds proves nothing.
"""


def sync_file(descriptor: int) -> None:
    """Make the bytes of an open file durable. Raises OSError.

    On macOS ``fsync`` leaves them in the drive's cache, and F_FULLFSYNC does not. Not every file system has it.
    """
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError as error:
            if error.errno not in CANNOT | {errno.ENOTTY}:
                raise
    os.fsync(descriptor)


def sync_path(path: Path) -> None:
    """Make the bytes of a closed file durable; one that does not exist is left out. Raises OSError."""
    with suppress(FileNotFoundError):
        _sync(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable, such as a renamed file's, and the folder's own name in its parent.

    Raises OSError when the disk fails. A file system that cannot sync folders is taken as it is. So is a parent that
    this user must not read: its names cannot be synced by this user.
    """
    _sync_names(folder)
    with suppress(PermissionError):
        _sync_names(folder.absolute().parent)


def make_folders(folder: Path) -> None:
    """Create a folder that only this user can read, and its missing parents. Raises OSError.

    Each has a durable name before the next is made. So a process killed here leaves at most one name unsynced,
    which ``sync_folder`` of a folder below makes durable.
    """
    missing = []
    above = folder.absolute()
    while not above.exists():
        missing.append(above)
        above = above.parent
    for number, each in enumerate(reversed(missing), start=1):
        with suppress(FileExistsError):  # by another process, now
            each.mkdir(mode=0o700 if number == len(missing) else 0o777)
        sync_folder(each.parent)
    if not folder.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))


def _sync_names(folder: Path) -> None:
    try:
        _sync(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in CANNOT:
            raise


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)
