"""Private storage for inputs that cannot be read twice: standard input, remote objects and frames.

Such an input is first written to a file, so that digests, positions and resumed runs work as for any other file.
Text keeps its bytes; a table becomes an Arrow IPC file.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from bulk_sender.errors import InputError

FOLDER = "input"
"""The spool's name within a run's folder."""


class Spool:
    """A folder of mode 0700, created on first use in ``parent`` (None: the system's folder for temporary files).

    A context manager: at its end, it deletes the folder unless ``settle`` moved it.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = parent
        self._made_parent = False
        self.folder: Path | None = None
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            if self._made_parent and self._parent is not None and not any(self._parent.iterdir()):
                self._parent.rmdir()

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
                shutil.copyfileobj(stream, file, 1 << 20)
        except OSError as error:
            raise InputError(f"{name} cannot be read to its end: {error.strerror or error}") from None
        return path

    def settle(self, folder: Path) -> Path | None:
        """Move everything to ``folder``, which must be on the same file system and must not exist yet.

        Return the old folder, or None when nothing was spooled.
        """
        old, self.folder = self.folder, None
        if old is not None:
            old.rename(folder)
        return old

    def _made(self) -> Path:
        if self.folder is None:
            if self._parent is not None and not self._parent.exists():
                self._parent.mkdir(mode=0o700, parents=True)
                self._made_parent = True
            self.folder = Path(tempfile.mkdtemp(prefix=".input-", dir=self._parent))  # mkdtemp sets mode 0700
        return self.folder


def unwritable(error: OSError) -> InputError:
    return InputError(
        f"the input cannot be saved to disk: {error.strerror or error}",
        hint="free some space. Only for a run that has not begun: choose another folder with --runs-dir",
    )
