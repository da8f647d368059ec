"""Failpoints: places where a test can kill the process, to prove that a run survives it.

``BULK_SENDER_FAILPOINT=before_outcome:3`` sends SIGKILL to this process when it reaches ``before_outcome`` for the
third time; without ``:n``, the first time. No handler runs and nothing is cleaned up, as in a power cut. Without the
variable, ``reach`` costs one comparison. ``before_outcome:3:stop`` suspends the process there (SIGSTOP).

=====================  ===============================================================================================
``before_KIND``        a transaction with a record of that kind is about to begin
``inside_KIND``        its records are inserted, but not committed
``after_KIND``         it is durable, and nothing has acted on it yet
``before_publishing``  a new run's journal is complete, but does not have its name yet
``before_results``     the results' temporary file is about to be made (also for ``rejected.csv``, ``summary.json``)
``mid_results``        a part of the results is written
``before_rename``      a temporary file is complete and synced
``after_rename``       it has replaced the old file; the folder is not synced
=====================  ===============================================================================================

KIND is ``intent`` (an attempt), ``outcome``, ``chunk``, ``split`` (a batch's halves), ``epoch``, ``ending`` (of an
epoch), ``decision`` or ``fact``.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable

VARIABLE = "BULK_SENDER_FAILPOINT"

_KINDS = {
    "attempt": "intent",
    "outcome": "outcome",
    "chunk": "chunk",
    "batch": "split",
    "epoch": "epoch",
    "ending": "ending",
    "decision": "decision",
    "run": "fact",
}
"""The journal's table → the kind of its records."""

KINDS = tuple(_KINDS.values())
PLACES = (
    *(f"{moment}_{kind}" for kind in KINDS for moment in ("before", "inside", "after")),
    "before_publishing",
    "before_results",
    "mid_results",
    "before_rename",
    "after_rename",
)
"""All names."""


class Failpoint:
    """An armed place; the event loop and the journal's thread call ``reach``."""

    def __init__(self, text: str) -> None:
        """Raise ValueError for an unknown name: a test that never strikes must not pass."""
        self.name, _, rest = text.partition(":")
        nth, _, how = rest.partition(":")
        self._signal = signal.SIGSTOP if how == "stop" else signal.SIGKILL
        if self.name not in PLACES:
            raise ValueError(f"{VARIABLE}: {self.name!r} is not a failpoint")
        self._left = int(nth or 1)
        self._lock = threading.Lock()

    def reach(self, name: str) -> None:
        if name != self.name:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._signal)


_armed = Failpoint(text) if (text := os.environ.get(VARIABLE)) else None


def reach(name: str) -> None:
    """Record that the process has reached the place ``name``."""
    if _armed is not None:
        _armed.reach(name)


def reach_records(moment: str, tables: Iterable[str]) -> None:
    """Record a transaction's ``moment`` (before, inside, after), once for each kind of record in it."""
    if _armed is not None:
        tables = set(tables)
        if "chunk" in tables:
            tables.discard("batch")  # planned together, not split
        for table in tables:
            _armed.reach(f"{moment}_{_KINDS[table]}")
