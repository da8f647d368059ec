"""Private storage for inputs that cannot be read twice: standard input, remote objects and frames.

Such an input is first written to a file, so that digests, positions and resumed runs work as for any other file.
Text keeps its bytes; a table becomes an Arrow IPC file.

A process holds an operating-system lock on its folder. It ends with the process, however that ends, and so tells a
folder that a killed process left from one that is in use, whatever the clock says.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from bulk_sender.config.defaults import ANOTHER_RUNS_DIR
from bulk_sender.durable import make_folders, sync_folder, sync_path
from bulk_sender.errors import InputError

with suppress(ImportError):  # Windows, where errors.require_posix refuses earlier
    import fcntl

FOLDER = "input"
"""The spool's name within a run's folder."""
_PREFIX = ".input-"
_TEMPORARY_PREFIX = ".bulk-sender-input-"
"""In the system's folder for temporary files, which programs share."""
_LOCK = ".lock"
_PART_BYTES = 1 << 20
STORED_ROWS = 1_000
"""Rows in a record batch of a stored table. polars reads no less than one, however few of its rows are wanted."""


class Spool:
    """A folder of mode 0700, created on first use in ``parent`` (None: the system's folder for temporary files).

    A context manager: at its end, it deletes the folder unless ``settle`` moved it.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = parent
        self._made_parent = False
        self.folder: Path | None = None
        self.settled: tuple[Path, Path] | None = None
        """The old and the new folder, once the files were moved."""
        self._lock: int | None = None
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            if self._made_parent and self._parent is not None and not any(self._parent.iterdir()):
                self._parent.rmdir()
        self.release()

    def place(self, ending: str) -> Path:
        """Create a new empty file of mode 0600. Raise InputError when that fails."""
        try:
            folder = self._made()
            self._count += 1
            path = folder / f"{self._count:04d}{ending}"
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise unwritable(error) from None
        return path

    def copy(self, stream: BinaryIO, name: str) -> Path:
        """Copy the bytes of a stream to a new file. Raise InputError when it cannot be read or written."""
        path = self.place(".bytes")
        try:
            with path.open("wb") as file:
                for part in _parts(stream, name):
                    file.write(part)
        except OSError as error:
            raise unwritable(error) from None
        return path

    def sync(self) -> None:
        """Make all files durable. Raise InputError: a run must not begin with an input that a power cut would take."""
        if self.folder is None:
            return
        try:
            for path in self._files(self.folder):
                sync_path(path)
            sync_folder(self.folder)
        except OSError as error:
            raise unwritable(error) from None

    def settle(self, folder: Path) -> Path | None:
        """Move everything to ``folder``, durably, in place of what a killed process left there. Raise InputError.

        ``folder`` has to be on the same file system. ``sync`` comes first, and ``release`` once a journal names it.
        Return the old folder, or None when nothing was spooled.
        """
        if self.folder is None:
            return None
        try:
            if folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder)
            self.folder.rename(folder)
            sync_folder(folder)
        except OSError as error:
            raise unwritable(error) from None
        self.settled, self.folder = (self.folder, folder), None
        return self.settled[0]

    def release(self) -> None:
        """Give up the lock, after the folder was deleted or belongs to a run."""
        if self.settled is not None:
            with suppress(OSError):
                (self.settled[1] / _LOCK).unlink()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @staticmethod
    def _files(folder: Path) -> Iterator[Path]:
        yield from (path for path in folder.iterdir() if path.name != _LOCK)

    def _made(self) -> Path:
        if self.folder is None:
            if self._parent is not None and not self._parent.exists():
                make_folders(self._parent)
                self._made_parent = True
            if self._parent is None:
                remove_left_over(None)
            while self._lock is None:
                # mkdtemp sets mode 0700
                folder = Path(tempfile.mkdtemp(prefix=_prefix(self._parent), dir=self._parent))
                self._lock = _locked(folder)
            self.folder = folder
        return self.folder


def hand_over(path: Path, to: Path) -> None:
    """Move one file to ``to``, durably, and make the folder there if it is gone. Raise InputError."""
    try:
        sync_path(path)
        to.parent.mkdir(mode=0o700, exist_ok=True)
        path.replace(to)
        sync_folder(to.parent)
    except OSError as error:
        raise unwritable(error) from None


def files_left_over(parent: Path) -> list[Path]:
    """Return the files in the folders of ``left_over``."""
    return [path for folder in left_over(parent) for path in sorted(folder.iterdir()) if path.name != _LOCK]


def left_over(parent: Path | None) -> list[Path]:
    """Return the folders in ``parent`` that spools have made and that no running process holds.

    ``parent``: None for the system's folder for temporary files. Without a lock in it, the folder is of an earlier
    release: a process of that release may still use it.
    """
    return [folder for folder in _spools(parent) if not _is_held(folder) and any(folder.iterdir())]


def is_locked(folder: Path) -> bool:
    """Whether the folder has a lock, as those of this release have."""
    return (folder / _LOCK).exists()


def remove_left_over(parent: Path | None) -> None:
    """Remove the folders that killed processes have left in ``parent``. One of an earlier release stays."""
    for folder in _spools(parent):
        remove_if_left(folder)


def remove_if_left(folder: Path, *, is_taken: Callable[[], bool] = lambda: False) -> None:
    """Remove the folder of a spool unless a running process holds it, or ``is_taken`` says that a run has it."""
    with suppress(OSError):
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if (lock := _opened_lock(place, create=False)) is None:
                folder.rmdir()  # empty: killed before it was locked; else of an earlier release, and this fails
                return
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Its process may have moved it, or given it to a run, before this one had the lock.
                is_here = folder.stat().st_ino == os.fstat(place).st_ino
                if not is_here or os.fstat(lock).st_nlink == 0 or is_taken():
                    return
                for name in sorted(os.listdir(place), key=lambda name: name == _LOCK):  # noqa: PTH208 - of a descriptor
                    os.unlink(name, dir_fd=place)
                folder.rmdir()
            finally:
                os.close(lock)
        finally:
            os.close(place)


def _spools(parent: Path | None) -> list[Path]:
    """Return the folders of spools in ``parent`` that belong to this user."""
    place = parent if parent is not None else Path(tempfile.gettempdir())
    found = []
    with suppress(OSError):
        for path in sorted(place.glob(f"{_prefix(parent)}*")):
            with suppress(OSError):
                if not path.is_symlink() and path.is_dir() and path.stat().st_uid == os.getuid():
                    found.append(path)
    return found


def _prefix(parent: Path | None) -> str:
    return _PREFIX if parent is not None else _TEMPORARY_PREFIX


def _locked(folder: Path) -> int | None:
    """Lock a new folder. Return None if another process took it for left over before it was locked."""
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        lock = _opened_lock(place, create=True)
    except FileNotFoundError:
        return None
    finally:
        os.close(place)
    assert lock is not None
    with suppress(OSError):  # a file system without locks: nobody else gets one either
        fcntl.flock(lock, fcntl.LOCK_EX)
    with suppress(FileNotFoundError):
        if (folder / _LOCK).stat().st_ino == os.fstat(lock).st_ino:
            return lock
    os.close(lock)
    return None


def _opened_lock(place: int, *, create: bool) -> int | None:
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    try:
        return os.open(_LOCK, flags, 0o600, dir_fd=place)
    except FileNotFoundError:
        if create:
            raise
        return None


def _is_held(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return is_locked(folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(lock)


def _parts(stream: BinaryIO, name: str) -> Iterator[bytes]:
    try:
        while part := stream.read(_PART_BYTES):
            yield part
    except OSError as error:
        raise InputError(f"{name} cannot be read to its end: {error.strerror or error}") from None


def unwritable(error: OSError) -> InputError:
    return InputError(
        f"the input cannot be saved to disk: {error.strerror or error}",
        hint=f"free some space. Only for a run that has not begun: {ANOTHER_RUNS_DIR}",
    )
