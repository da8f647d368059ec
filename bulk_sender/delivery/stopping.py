"""The stop of a run: the first reason for it, and the waits that it cuts short."""

from __future__ import annotations

import math
import signal as signals
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio

IN_FLIGHT_S, FILES_S = 3.0, 5.0
"""After SIGTERM, how long requests in flight may take, and how long the results, counted from the signal.

Docker kills a container 10 s after it, other supervisors after 30 or 90 s. Ctrl-C (SIGINT) has no limit: it can be
pressed again.
"""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why sending ended early. ``signal`` is its number when a signal did it, else 0.

    ``even_if_done``: the run counts as stopped even if no row is left to send.
    """

    reason: str
    signal: int = 0
    even_if_done: bool = False


class Stopping:
    """Shared by all parts of a sender. ``stop`` may be called at any time from its event loop."""

    def __init__(self) -> None:
        self.stopped: Stopped | None = None
        self.is_interrupted = False
        """Whether a signal came, as the first reason or a later one. A supervisor waits seconds until it kills."""
        self.leave_by = math.inf
        """When the process must have left, on ``time.monotonic``'s clock: some seconds after SIGTERM."""
        self._waits: set[anyio.CancelScope] = set()

    @property
    def is_set(self) -> bool:
        """Whether the run is to stop: no further batch may begin."""
        return self.stopped is not None

    def is_late(self) -> bool:
        """Whether the process must leave now, whatever is not written yet. Any thread may ask."""
        return time.monotonic() > self.leave_by

    def stop(self, reason: str, signal: int = 0, *, even_if_done: bool = False) -> None:
        """Take no further batch, and let requests in flight end. The first reason stands; an empty one does nothing."""
        self.is_interrupted = self.is_interrupted or bool(signal)
        if signal == signals.SIGTERM:
            self.leave_by = min(self.leave_by, time.monotonic() + FILES_S)
        if reason and self.stopped is None:
            self.stopped = Stopped(reason, signal, even_if_done)
            for scope in tuple(self._waits):
                scope.cancel()

    @contextmanager
    def cutting_short(self) -> Iterator[None]:
        """End the block early when the run stops. Never put a request inside."""
        with anyio.CancelScope() as scope:
            self._waits.add(scope)
            if self.is_set:
                scope.cancel()
            try:
                yield
            finally:
                self._waits.discard(scope)
