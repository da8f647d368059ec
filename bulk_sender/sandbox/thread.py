"""Sandbox in a separate thread, for code that is synchronous or must not share its event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import ParamSpec

from bulk_sender.sandbox.ledger import Ledger
from bulk_sender.sandbox.server import Sandbox

_P = ParamSpec("_P")


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that serves in another thread: its URL, the ledger of what it accepted, and its ``rehearse``."""

    url: str
    ledger: Ledger
    rehearse: Callable[..., None]
    """Changes the rehearsal: see :meth:`Sandbox.rehearse`."""


def _threaded(make: Callable[_P, Sandbox]) -> Callable[_P, AbstractContextManager[RunningSandbox]]:
    @contextmanager
    def run_in_thread(*args: _P.args, **kwargs: _P.kwargs) -> Iterator[RunningSandbox]:
        """Serve a :class:`Sandbox` (same arguments) in a daemon thread while the block runs.

        The thread has a separate event loop. The ledger may be read at any time, even after the block.
        """
        sandbox = make(*args, **kwargs)
        started: Future[Callable[[], object]] = Future()

        async def serve() -> None:
            stopping = asyncio.Event()
            loop = asyncio.get_running_loop()
            async with sandbox:
                started.set_result(lambda: loop.call_soon_threadsafe(stopping.set))
                await stopping.wait()

        def run() -> None:
            try:
                asyncio.run(serve())
            except BaseException as failure:
                if started.done():
                    raise
                started.set_exception(failure)

        thread = threading.Thread(target=run, name="sandbox", daemon=True)
        thread.start()
        stop = started.result()
        try:
            yield RunningSandbox(sandbox.url, sandbox.ledger, sandbox.rehearse)
        finally:
            stop()
            thread.join()

    return run_in_thread


run_in_thread = _threaded(Sandbox)
