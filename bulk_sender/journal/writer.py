"""The journal's writer: one thread that commits what has gathered, so that many workers share one sync.

``write`` returns when its records are durable, ``note`` at once. Records become durable in the order in which they were
given: whoever noted something and then waits for a ``write`` knows that both are on the disk. The event loop never
waits for the disk. Orders of one turn of the loop are handed over together: each handing over may cost a change of
threads.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import anyio

from bulk_sender.journal.sqlite.store import Journal, Statement

_MOST_AT_ONCE = 256
_GATHER_S = 0.001
"""How long the first order of a commit waits for others. A sync costs as much for one record as for many."""
_CALM_S = 0.005
"""After so long without an order none is waited for: it would come too late, and waking up costs, too."""


@dataclass(frozen=True, slots=True)
class _Order:
    """``failed`` is told in the loop what went wrong, ``done``, where somebody waits, that the records are durable."""

    statements: Sequence[Statement]
    failed: Callable[[BaseException], None]
    done: Callable[[], None] | None = None


class JournalWriter:
    """Owns the journal while its thread runs; use as an asynchronous context manager."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._gathered: list[_Order] = []
        self._orders: queue.SimpleQueue[list[_Order] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    async def __aenter__(self) -> JournalWriter:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._hand_over()
        self._orders.put(None)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._thread.join)

    async def write(self, *statements: Statement) -> None:
        """Add records, all or none. Raises JournalError when they are not on the disk.

        Not cut short by cancellation: whoever gave an order learns whether it is on the disk.
        """
        written = self._loop.create_future()
        self._give(_Order(statements, partial(_fail, written), partial(_end, written)))
        with anyio.CancelScope(shield=True):
            await written

    def note(self, *statements: Statement, failed: Callable[[BaseException], None]) -> None:
        """Add records, all or none, without waiting; ``failed`` is told in the loop why they are not on the disk."""
        self._give(_Order(statements, failed))

    def _give(self, order: _Order) -> None:
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(order)

    def _hand_over(self) -> None:
        if self._gathered:
            self._orders.put(self._gathered)
            self._gathered = []

    def _run(self) -> None:
        last, ended = False, 0.0
        while not last and (orders := self._orders.get()) is not None:
            if time.monotonic() - ended < _CALM_S:
                time.sleep(_GATHER_S)
            with suppress(queue.Empty):
                while len(orders) < _MOST_AT_ONCE:
                    more = self._orders.get_nowait()
                    if more is None:
                        last = True
                        break
                    orders.extend(more)
            errors = self._commit(orders)
            ended = time.monotonic()
            if calls := [call for pair in zip(orders, errors, strict=True) if (call := _word(*pair))]:
                self._loop.call_soon_threadsafe(_make, calls)

    def _commit(self, orders: list[_Order]) -> list[BaseException | None]:
        """All orders in one transaction; should that fail, each in one of its own, so that one can't sink another.

        Not when another program has kept the file locked: each would wait for it as long again.
        """
        together = [statement for order in orders for statement in order.statements]
        error = self._try(together)
        if error is None or len(orders) == 1 or self.journal.is_locked_out:
            return [error] * len(orders)
        return [self._try(order.statements) for order in orders]

    def _try(self, statements: Sequence[Statement]) -> BaseException | None:
        try:
            self.journal.write(statements)
        except BaseException as error:  # a bug must reach the worker that waits, not end this thread in silence
            return error
        return None


def _word(order: _Order, error: BaseException | None) -> Callable[[], None] | None:
    return order.done if error is None else partial(order.failed, error)


def _make(calls: list[Callable[[], None]]) -> None:
    for call in calls:
        call()


def _end(written: asyncio.Future[None]) -> None:
    if not written.done():  # unless whoever waited was cancelled
        written.set_result(None)


def _fail(written: asyncio.Future[None], error: BaseException) -> None:
    if not written.done():
        written.set_exception(error)
