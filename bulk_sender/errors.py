"""The error tree. Each class carries the exit code of a run that ends with it.

BulkSenderError
├── ConfigError       the configuration, a flag or a mapping is wrong            exit 2
├── CredentialError   the key is missing, malformed or where it must not be      exit 2
├── InputError        an input file can't be read, or holds nothing              exit 2
├── GuardrailError    a guard said no: no confirmation, too many recipients      exit 2
├── RunNotFoundError  no run of that name                                        exit 2
├── RunHeldError      another process holds the run                              exit 2
├── RunMismatchError  the run exists with other input or another configuration   exit 2
└── JournalError      the journal is damaged, foreign, or can't be written       exit 2, or 3 once sending began

Every message says what is wrong, where (file, row, column, key), and, in ``hint``, what to do next.
"""

from __future__ import annotations


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
