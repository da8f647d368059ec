"""The handles on a run under way, for whoever started it: from its event loop, another thread or a signal handler."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Self

import anyio

from bulk_sender.delivery.stopping import Stopped, Stopping


class Control:
    """Give one to ``send_async`` or ``send``, keep it, and use it from anywhere, also before the run has begun.

    One control is for one run. Where nothing but cancelling the task is at hand, that does the same as ``abort``,
    and ``CancelledError`` goes on to whoever awaits.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: Stopping | None = None
        self._scope: anyio.CancelScope | None = None
        self._early: Stopped | None = None
        self._aborted = False

    @contextmanager
    def attached(self, stopping: Stopping, scope: anyio.CancelScope) -> Iterator[None]:
        """Hold this delivery while the block runs; a stop or an abort before it counts. Called in its event loop."""
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
        """While the block runs, these signals (SIGTERM when none is given) ``stop`` the run.

        For a main thread that an orchestrator ends with a signal. Whoever handled them before does so again afterwards.
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
        """Let the run end in order: requests under way may end, no further one begins, and it can be resumed.

        ``reason`` ends up in the summary. With ``signal`` (its number) the run counts as interrupted by it.
        """
        self._early = self._early or Stopped(reason, signal)
        if (stopping := self._stopping) is not None:
            self._call(lambda: stopping.stop(reason, signal))

    def abort(self) -> None:
        """Leave at once: what is in flight stays ``unknown``, the account is closed all the same."""
        self._aborted = True
        if (scope := self._scope) is not None:
            self._call(scope.cancel)

    def _call(self, what: Callable[[], None]) -> None:
        # Always by way of the loop: it may sleep, and only this wakes it from another thread or a signal handler.
        if (loop := self._loop) is not None:
            with suppress(RuntimeError):  # the loop was closed in between: the run is over
                loop.call_soon_threadsafe(what)
