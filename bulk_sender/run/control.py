"""Stop or abort a running send from any thread."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Self

import anyio

from bulk_sender.delivery.stopping import Stopped, Stopping


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

    @contextmanager
    def attached(self, stopping: Stopping, scope: anyio.CancelScope) -> Iterator[None]:
        """Control this run while the block runs. An earlier stop or abort counts. Called in its event loop."""
        self._stopping, self._scope, self._loop = stopping, scope, asyncio.get_running_loop()
        if self._early is not None:
            stopping.stop(self._early.reason, self._early.signal)
        if self._aborted:
            scope.cancel()
        try:
            yield
        finally:
            self._loop = self._stopping = self._scope = None

    @contextmanager
    def on_signals(self, *numbers: int) -> Iterator[Self]:
        """Stop the run on these signals (default: SIGTERM) while the block runs.

        For the main thread of a program that an orchestrator ends with a signal. The handlers before are restored.
        """

        def stop(number: int, _frame: object) -> None:
            self.stop(f"interrupted by {signal.Signals(number).name}", number)

        before = {number: signal.signal(number, stop) for number in numbers or (signal.SIGTERM,)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self, reason: str, signal: int = 0) -> None:
        """Start no further request and let those in flight finish. The run can be resumed.

        ``reason`` appears in the summary. With ``signal`` (its number) the run counts as interrupted by it.
        """
        self._early = self._early or Stopped(reason, signal)
        if (stopping := self._stopping) is not None:
            self._call(lambda: stopping.stop(reason, signal))

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
