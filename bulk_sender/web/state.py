"""Private files of a page: the key that signs its cookies, unused links, ended sessions, and the lock that it runs.

They are in a folder per port, so that ``web --link`` needs nothing but the port. Of a link and of a session only a
digest is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bulk_sender.errors import BulkSenderError

LINK_LASTS_S = 3600.0
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class State:
    """The private folder of the page on one port."""

    folder: Path

    @classmethod
    def of(cls, port: int) -> State:
        """Return the state of the page on ``port``, in the user's own folder for such files."""
        home = os.environ.get("XDG_STATE_HOME") or ""
        try:
            base = Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "state"
        except RuntimeError:
            raise BulkSenderError(
                "there is no home folder for the page's own files", hint="set XDG_STATE_HOME to a private folder"
            ) from None
        return cls(base / "bulk-sender" / f"web-{port}")

    @property
    def _links(self) -> Path:
        return self.folder / "links"

    @property
    def _ended(self) -> Path:
        return self.folder / "ended"

    def key(self) -> bytes:
        """Return the key that signs cookies, and make it first if need be. It outlives the page's restart."""
        path = self.folder / "key"
        self._make_folders()
        with suppress(FileExistsError):
            _write_private(path, secrets.token_bytes(_KEY_BYTES))
        path.chmod(0o600)
        found = path.read_bytes()
        if len(found) != _KEY_BYTES:  # a power cut while it was written
            path.unlink()
            _write_private(path, found := secrets.token_bytes(_KEY_BYTES))
        return found

    def new_token(self) -> str:
        """Return a token of 256 bits that signs in once, within an hour."""
        token = secrets.token_urlsafe(32)
        self._make_folders()
        _write_private(self._links / _digest(token), b"")
        return token

    def redeem(self, token: str) -> bool:
        """Whether ``token`` is one that nobody has used. After that it is used."""
        wanted, found = _digest(token), None
        for path in self._all_links():
            if time.time() - _made(path) > LINK_LASTS_S:
                path.unlink(missing_ok=True)
            elif hmac.compare_digest(path.name, wanted):
                found = path
        if found is None:
            return False
        try:
            found.unlink()  # only one of two requests at the same time succeeds
        except FileNotFoundError:
            return False
        return True

    def forget_links(self) -> None:
        """Make all links that were not used invalid."""
        for path in self._all_links():
            path.unlink(missing_ok=True)

    def _all_links(self) -> list[Path]:
        return sorted(self._links.iterdir()) if self._links.is_dir() else []

    def end_session(self, cookie: str, lasts_s: float) -> None:
        """Remember that the session of ``cookie`` is over, until ``lasts_s`` seconds have passed."""
        self._make_folders()
        for path in self._ended.iterdir():
            if time.time() - _made(path) > lasts_s:
                path.unlink(missing_ok=True)
        with suppress(FileExistsError):
            _write_private(self._ended / _digest(cookie), b"")

    def has_ended(self, cookie: str) -> bool:
        """Whether somebody ended the session of ``cookie``."""
        return (self._ended / _digest(cookie)).exists()

    @contextmanager
    def held(self, url: str) -> Iterator[None]:
        """Hold the lock of the page that serves at ``url``. Raises BulkSenderError if another process has it."""
        import fcntl  # Windows lacks it, and --help has to work there

        self._make_folders()
        descriptor = os.open(self.folder / "address", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise BulkSenderError("another page is already running on this port") from None
            file.truncate(0)
            file.write(url)
            file.flush()
            yield

    def address(self) -> str | None:
        """Return the URL of the page that holds the lock; None when none does."""
        import fcntl

        path = self.folder / "address"
        if not path.is_file():
            return None
        with path.open("r+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return file.read() or None
        return None

    def _make_folders(self) -> None:
        try:
            for folder in (self.folder, self._links, self._ended):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            raise BulkSenderError(
                f"the folder of the page's own files, {self.folder}, cannot be created: {error.strerror}",
                hint="set XDG_STATE_HOME to a folder that you can write to",
            ) from None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _made(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _write_private(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
