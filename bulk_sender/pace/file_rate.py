"""One rate for all runs of a workspace on this machine: a schedule in a small file.

The file holds one number: when, on the machine's monotonic clock, the next request of any process may leave (the
"theoretical arrival time" of the generic cell rate algorithm). A process that wants to send moves it by one interval
and waits for its own turn. A turn costs a lock and sixteen bytes. Turns shorter than a few milliseconds are taken
several at a time, so that the lock stays cheap at any rate.
"""

from __future__ import annotations

import math
import os
import stat
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio

from bulk_sender.errors import BulkSenderError
from bulk_sender.pace.shared import workspace_of

with suppress(ImportError):  # Windows, where errors.require_posix refuses earlier
    import fcntl
    import pwd

_FORM = struct.Struct("<8sd")
_MARK = b"bsrate01"
_AT_ONCE_S = 0.02
"""Take turns worth this much time together."""
_FEWEST_SAVED = 2
"""A late process may catch up on at least this many turns, or on ``_AT_ONCE_S``: fewer would cost rate."""
_HINT = "remove it, or set [delivery] share_rate = false"
_HORIZON_S = 7200.0
"""Discard schedules further ahead than this: they predate a reboot."""


class FileRate:
    """The turns of one workspace. ``take`` returns the seconds to wait before the next request may leave."""

    def __init__(self, path: Path, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._interval = 1.0 / rate
        self._at_once = max(1, math.floor(_AT_ONCE_S * rate))
        self._saved_s = max(_FEWEST_SAVED * self._interval, _AT_ONCE_S)
        self._turns: list[float] = []
        self._file = _open_private(path)

    def is_due(self) -> bool:
        """Whether a turn is due now, so that ``take`` would return 0.0."""
        return bool(self._turns) and self._turns[-1] <= self._clock()

    def take(self) -> float:
        """Reserve one request. Return the seconds to wait, 0.0 when it may leave at once."""
        if not self._turns:
            first = self._reserve()
            self._turns = [first + number * self._interval for number in reversed(range(self._at_once))]
        return max(0.0, self._turns.pop() - self._clock())

    async def turn(self, held_s: Callable[[], float]) -> None:
        """Reserve one request, and wait until it may leave. Other limits were asked just before."""
        if (wait := self.take()) > 0.0:
            await anyio.sleep(wait)

    async def leave(self) -> None:
        """Return at once: a turn's request leaves soon after it."""

    def pause(self, seconds: float) -> None:
        """Do nothing: each process of this machine learns from the server itself."""

    def allowed(self, rate: float) -> None:
        """Do nothing, as ``pause``."""

    def _reserve(self) -> float:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            now = self._clock()
            raw = os.pread(self._file, _FORM.size, 0)
            mark, next_free = _FORM.unpack(raw) if len(raw) == _FORM.size else (b"", 0.0)
            if mark != _MARK or not now - _HORIZON_S < next_free < now + _HORIZON_S:
                next_free = now
            first = max(now - self._saved_s, float(next_free))
            os.pwrite(self._file, _FORM.pack(_MARK, first + self._at_once * self._interval), 0)
            return first
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)


def shared_rate_path(endpoint: str, authorization: str) -> Path:
    """Return the file of a workspace: one for each endpoint and key, in a folder that belongs to this user.

    The folder is made. It is the first one that can be private: where everybody may write, such as in ``/tmp``, another
    user may have taken its name. All processes of a user and environment come to the same one. Raise BulkSenderError
    if there is none.
    """
    name = workspace_of(endpoint, authorization)
    refusal: BulkSenderError | None = None
    for folder in _folders():
        try:
            _make_private(folder)
            return folder / f"{name}.rate"
        except BulkSenderError as error:
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def _folders() -> Iterator[Path]:
    """The folders that may hold schedules, the best first."""
    own = f"bulk-sender-{os.getuid()}"
    yield Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / own
    # The home of the user database: a job of cron and one of a login may have different variables.
    with suppress(KeyError):
        yield Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache" / own
    yield Path("/var/tmp") / own  # noqa: S108 - used only if it is private


def _make_private(folder: Path) -> None:
    """Make a folder that only this user can write, unless it is there. Raise BulkSenderError."""
    try:
        if folder.parent.name == ".cache" and folder.parent.parent.is_dir():
            folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise BulkSenderError(f"{folder} cannot be used to share the rate: {error.strerror}", hint=_HINT) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise BulkSenderError(f"{folder} is not a private folder of this user", hint=_HINT)


def _open_private(path: Path) -> int:
    """Open or create the file in a folder that only this user can write. Raise BulkSenderError."""
    _make_private(path.parent)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BulkSenderError(f"{path} cannot be used to share the rate: {error.strerror}", hint=_HINT) from None
