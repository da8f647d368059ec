"""The error tree. Each class carries the exit code of a run that ends with it.

BulkSenderError
├── ConfigError       the configuration, a flag or a mapping is wrong            exit 2
├── CredentialError   the key is missing, malformed or where it must not be      exit 2
├── InputError        an input file can't be read, or holds nothing              exit 2
├── GuardrailError    a guard said no: no word, too many recipients, other plan  exit 2
├── RunNotFoundError  no run of that name                                        exit 2
├── RunHeldError      another process holds the run                              exit 2
├── RunMismatchError  the run exists with other input or another configuration   exit 2
├── JournalError      the journal is damaged, foreign, or can't be written       exit 2, or 3 once sending began
├── Interrupted       SIGINT or SIGTERM before anything was sent                 exit 130 or 143
└── InternalError     a mistake in this program                                  exit 2, or 3 once sending began

Every message says what is wrong, where (file, row, column, key), and, in ``hint``, what to do next.
"""

from __future__ import annotations

from typing import Self


class BulkSenderError(Exception):
    """Expected trouble. ``str(error)`` is one clear sentence, ``hint`` the next step (or empty)."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(BulkSenderError):
    """A configuration file, an environment variable, a flag or a mapping is wrong."""


class CredentialError(BulkSenderError):
    """The API key is missing, malformed, or stands where it must not. Never quotes the key."""


class InputError(BulkSenderError):
    """An input can't be read, or holds no row."""


class GuardrailError(BulkSenderError):
    """A guard against an unwanted send refused to start it."""


class RunNotFoundError(BulkSenderError):
    """No run of that id in the runs folder."""


class RunHeldError(BulkSenderError):
    """Another process holds the run's lock."""


class RunMismatchError(BulkSenderError):
    """The run exists, but was made from other input or another configuration."""


class JournalError(BulkSenderError):
    """The journal is damaged, belongs to another run, or can't be written."""


class Interrupted(BulkSenderError):
    """A signal came before anything was sent."""


class InternalError(BulkSenderError):
    """Something that should not happen. Says where, never what was in hand: that may be a person's data."""

    @classmethod
    def of(cls, error: BaseException, *, exit_code: int = 2) -> Self:
        """``error`` as one sentence; itself, with its traceback, is the ``__cause__``."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        place, trace = "", error.__traceback__
        while trace is not None:
            module = trace.tb_frame.f_globals.get("__name__", "")
            if module.startswith("bulk_sender"):
                place = f" in {module}, line {trace.tb_lineno}"
            trace = trace.tb_next
        told = cls(
            f"internal error: {type(error).__name__}{place}; please report it",
            hint="with BULK_SENDER_DEBUG=1 the whole traceback is shown; what was sent until now is in the journal",
        )
        told.exit_code = exit_code
        told.__cause__ = error
        return told
