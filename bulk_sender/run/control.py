"""Stop or abort a running send from any thread."""

from __future__ import annotations

import asyncio
import signal as signals
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Self

import anyio

from bulk_sender.delivery.stopping import IN_FLIGHT_S, Stopped, Stopping
from bulk_sender.errors import Interrupted


class Control:
    """Give one to ``send`` in ``Watch``, keep it, and use it from anywhere, also before the run has begun.

    One control is for one run. Cancelling the task that awaits ``send_async`` does the same as ``abort``, and raises
    ``CancelledError`` in that task.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: Stopping | None = None
        self._scope: anyio.CancelScope | None = None
        self._early: Stopped | None = None
        self._aborted = False
        self.has_begun = False
        """Whether its run has begun: from here on, requests may leave, and a stop is in the run's account."""

    @contextmanager
    def attached(self, stopping: Stopping, scope: anyio.CancelScope) -> Iterator[anyio.CancelScope]:
        """Control this run, which sends in ``scope``, while the block runs. Called in its event loop.

        An earlier stop or abort counts.
        """
        self.has_begun = True
        self._stopping, self._scope, self._loop = stopping, scope, asyncio.get_running_loop()
        if self._early is not None:
            self._stop(stopping, scope, self._early)
        if self._aborted:
            scope.cancel()
        try:
            yield scope
        finally:
            self._loop = self._stopping = self._scope = None

    @contextmanager
    def on_signals(self, *numbers: int) -> Iterator[Self]:
        """Stop the run on these signals (default: SIGTERM) while the block runs.

        For the main thread of a program that an orchestrator ends with a signal. The handlers before are restored.
        """

        def stop(number: int, _frame: object) -> None:
            self.stop(f"interrupted by {signals.Signals(number).name}", number)

        before = {number: signals.signal(number, stop) for number in numbers or (signals.SIGTERM,)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signals.signal(number, handler)

    def stop(self, reason: str, signal: int = 0) -> None:
        """Start no further request and let those in flight finish. The run can be resumed.

        ``reason`` appears in the summary. With ``signal`` (its number) the run counts as interrupted by it. After
        SIGTERM the process ends within ten seconds: a request that hangs longer than three becomes ``unknown``.
        """
        stop = Stopped(reason, signal)
        self._early = self._early or stop
        if (stopping := self._stopping) is not None and (scope := self._scope) is not None:
            self._call(lambda: self._stop(stopping, scope, stop))

    def refuse_stopped(self) -> None:
        """Raise Interrupted after a stop or an abort, for work that sends nothing, such as a check."""
        if self._early is None and not self._aborted:
            return
        stop = self._early or Stopped("stopped immediately")
        raise Interrupted.by(stop.signal, stop.reason)

    @staticmethod
    def _stop(stopping: Stopping, scope: anyio.CancelScope, stop: Stopped) -> None:
        stopping.stop(stop.reason, stop.signal)
        if stop.signal == signals.SIGTERM:
            # Not anyio's current_time: it raises outside a task, and this is a callback of the loop.
            scope.deadline = min(scope.deadline, asyncio.get_running_loop().time() + IN_FLIGHT_S)

    def abort(self) -> None:
        """Stop immediately. Requests in flight become ``unknown``; results are still written."""
        self._aborted = True
        if (scope := self._scope) is not None:
            self._call(scope.cancel)

    def _call(self, what: Callable[[], None]) -> None:
        # A sleeping event loop wakes only for this, whether a thread or a signal handler calls.
        if (loop := self._loop) is not None:
            with suppress(RuntimeError):  # the loop was closed in between: the run is over
                loop.call_soon_threadsafe(what)
