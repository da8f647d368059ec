"""The error tree. Each class carries the exit code of a run that ends with it.

BulkSenderError
├── ConfigError       the configuration, a flag or a mapping is wrong            exit 2
├── CredentialError   the key is missing, malformed or where it must not be      exit 2
├── InputError        an input file cannot be read, or is empty                  exit 2
├── GuardrailError    a guard refused: not confirmed, too many, another plan     exit 2
├── RunNotFoundError  no run of that name                                        exit 2
├── RunHeldError      another process holds the run                              exit 2
├── RunMismatchError  the run exists with other input or another configuration   exit 2
├── JournalError      the journal is damaged, foreign, or cannot be written      exit 2, or 3 once sending began
│   └── StoreError    the store of a run's rows cannot be used, or has others    exit 2, or 3 once sending began
├── Interrupted       SIGINT or SIGTERM before anything was sent                 exit 130 or 143
└── InternalError     a bug in this program                                      exit 2, or 3 once sending began

Every message says what is wrong, where (file, row, column, key), and, in ``hint``, what to do next.
"""

from __future__ import annotations

import errno
import importlib.util
from typing import Self


class BulkSenderError(Exception):
    """Expected trouble. ``str(error)`` is one clear sentence; ``hint`` is the next step, or empty."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(BulkSenderError):
    """A configuration file, an environment variable, a flag or a mapping is wrong."""


class CredentialError(BulkSenderError):
    """The API key is missing, malformed, or found where it must not be. Never quotes the key."""


class InputError(BulkSenderError):
    """An input cannot be read, or has no rows."""


class GuardrailError(BulkSenderError):
    """A guard against an unwanted send refused to start it."""


class RunNotFoundError(BulkSenderError):
    """There is no run of that name in the runs folder."""


class RunHeldError(BulkSenderError):
    """Another process holds the run's lock."""


class RunMismatchError(BulkSenderError):
    """The run exists, but with another input or configuration."""


class JournalError(BulkSenderError):
    """The journal is damaged, belongs to another run, or cannot be written."""


class StoreError(JournalError):
    """An object in the store of a run's rows is missing, is another one, or cannot be read or written."""


class Interrupted(BulkSenderError):
    """A signal or a ``Control`` ended the work before anything was sent."""

    @classmethod
    def by(cls, signal: int, reason: str) -> Self:
        """Return the error of a signal by its number; 0 for a stop without one."""
        error = cls(reason)
        if signal:
            error.exit_code = 128 + signal
        return error


class InternalError(BulkSenderError):
    """A bug, or too little memory or too few descriptors.

    The message says where, and never quotes values: they may be personal data.
    """

    @classmethod
    def of(cls, error: BaseException, *, exit_code: int = 2) -> Self:
        """Return ``error`` as one sentence; the error itself, with its traceback, is the ``__cause__``."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        place, trace = "", error.__traceback__
        while trace is not None:
            module = trace.tb_frame.f_globals.get("__name__", "")
            if module.startswith("bulk_sender"):
                place = f" in {module}, line {trace.tb_lineno}"
            trace = trace.tb_next
        if short := _shortage(error):
            found = cls(short[0], hint=short[1])
            found.exit_code = exit_code
            found.__cause__ = error
            return found
        found = cls(
            f"internal error: {type(error).__name__}{place}; please report it",
            hint="BULK_SENDER_DEBUG=1 shows the whole traceback; the journal has everything that was sent",
        )
        found.exit_code = exit_code
        found.__cause__ = error
        return found


def _shortage(error: BaseException) -> tuple[str, str] | None:
    """Return message and hint when the machine ran short of something, which is not a bug; else None."""
    if isinstance(error, MemoryError):
        return (
            "not enough memory",
            "free some, or raise the limit (ulimit -v); the journal has everything that was sent",
        )
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "no file descriptor is left", "raise the limit, for example with ulimit -n 1024, and repeat the command"
    return None


def require_posix() -> None:
    """Raise BulkSenderError on Windows, which lacks the file locks that keep two processes from one run."""
    if importlib.util.find_spec("fcntl") is None:
        raise BulkSenderError("bulk-sender runs on Linux and macOS; on Windows use WSL 2")
