"""Evidence of one POST: how far it got, and what came back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

JOURNAL_LOST = "JournalLost"
"""The ``error`` of a POST that was not made, because the run's journal was lost after its intent was recorded."""
NO_DESCRIPTOR = "NoDescriptor"
"""The cause of a connection that failed because this process, or the machine, may open no more files."""


class Reach(IntEnum):
    """How far a request is known to have got."""

    NOTHING = 0
    CONNECTED = 1
    HEAD_STARTED = 2
    BODY_SENT = 3
    STATUS_SEEN = 4
    ANSWERED = 5


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything known about one POST.

    ``error`` is the exception's type (never its text, which may quote the key), ``cause`` the type behind it.
    ``body`` is as much of the answer as arrived; it counts only with ``reach`` ANSWERED.
    """

    reach: Reach
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""
    cause: str = ""
    premature: bool = False
    """The answer began before the whole request was written, and is not a refusal: it cannot be about this request."""
    elapsed_s: float = 0.0
    connecting_s: float = 0.0
    """The part of ``elapsed_s`` before the request began to be written."""
    connection: int = 0
    """Which of its client's connections carried it, counted from 1; 0 when none was opened."""
    unasked: bool = False
    """Bytes that no request had asked for had come by the end of the exchange, so the answer may be another's."""
