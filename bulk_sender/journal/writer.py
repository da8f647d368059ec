"""The thread that writes a journal: it commits what many workers gathered with one sync.

``write`` returns when its records are durable, ``note`` returns at once. Records become durable in the order of the
calls: after a ``write``, everything noted before it is on the disk, too. The event loop never waits for the disk. The
orders of one iteration of the loop are handed over together, because each handover may cost a thread switch. A note
may wait longer, for the next ``write`` to take it along: then both share one sync.
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

from bulk_sender.journal.records import Entry
from bulk_sender.journal.store import RunWriter

_MOST_AT_ONCE = 256
_GATHER = 0.2
"""How long the first order of a commit waits for others, as a share of the time that the last commit took.

One sync costs the same for one record and for many, and a slow disk or a distant database gathers more.
"""
_WAIT_S = 0.02
"""How long a note may wait for a ``write``: longer than the time between two requests at the default rate."""
_CALM_S = 0.005
"""After this long without an order, do not wait for others: they would come too late, and waking up costs time."""


@dataclass(frozen=True, slots=True)
class _Order:
    """Records to add, all or none. In the loop ``failed`` gets the error, or ``done`` is called if there is one."""

    records: Sequence[Entry]
    failed: Callable[[BaseException], None]
    done: Callable[[], None] | None = None


class JournalWriter:
    """Owns the journal while its thread runs. Use it as an asynchronous context manager."""

    def __init__(self, journal: RunWriter) -> None:
        self.journal = journal
        self._gathered: list[_Order] = []
        self._is_due = False
        """Whether what has gathered is handed over at the end of this iteration."""
        self._timer: asyncio.TimerHandle | None = None
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

    async def write(self, *records: Entry) -> None:
        """Add records, all or none. Raises JournalError when they are not on the disk.

        Cancellation does not cut this short: the caller always learns whether the records are on the disk.
        """
        written = self._loop.create_future()
        self._give(_Order(records, partial(_fail, written), partial(_end, written)))
        with anyio.CancelScope(shield=True):
            await written

    def note(
        self,
        *records: Entry,
        failed: Callable[[BaseException], None],
        done: Callable[[], None] | None = None,
        may_wait: bool = False,
    ) -> None:
        """Add records, all or none, without waiting.

        In the loop ``failed`` gets the error if they are not on the disk, and ``done`` is called when they are.
        ``may_wait``: they may stay in memory for up to 20 ms, until a ``write`` takes them along.
        """
        order = _Order(records, failed, done)
        if not may_wait:
            self._give(order)
            return
        self._gathered.append(order)
        if self._timer is None:
            self._timer = self._loop.call_later(_WAIT_S, self._hand_over)

    def _give(self, order: _Order) -> None:
        self._gathered.append(order)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._is_due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered:
            self._orders.put(self._gathered)
            self._gathered = []

    def _run(self) -> None:
        last, ended, took = False, 0.0, 0.0
        while not last and (orders := self._orders.get()) is not None:
            began = time.monotonic()
            if began - ended < _CALM_S:
                time.sleep(_GATHER * took)
                began = time.monotonic()
            with suppress(queue.Empty):
                while len(orders) < _MOST_AT_ONCE:
                    more = self._orders.get_nowait()
                    if more is None:
                        last = True
                        break
                    orders.extend(more)
            errors = self._commit(orders)
            ended = time.monotonic()
            took = min(ended - began, _CALM_S)
            if calls := [call for pair in zip(orders, errors, strict=True) if (call := _reply(*pair))]:
                self._loop.call_soon_threadsafe(_call_all, calls)

    def _commit(self, orders: list[_Order]) -> list[BaseException | None]:
        """Commit all orders in one transaction; if that fails, each separately, so that one cannot make others fail.

        When the journal says that smaller writes would fail as well, they are not tried.
        """
        together = [record for order in orders for record in order.records]
        error = self._try(together)
        if error is None or len(orders) == 1 or self.journal.is_locked_out:
            return [error] * len(orders)
        return [self._try(order.records) for order in orders]

    def _try(self, records: Sequence[Entry]) -> BaseException | None:
        try:
            self.journal.write(records)
        except BaseException as error:  # a bug must reach the worker that waits, not end this thread silently
            return error
        return None


def _reply(order: _Order, error: BaseException | None) -> Callable[[], None] | None:
    return order.done if error is None else partial(order.failed, error)


def _call_all(calls: list[Callable[[], None]]) -> None:
    for call in calls:
        call()


def _end(written: asyncio.Future[None]) -> None:
    if not written.done():  # unless the caller was cancelled
        written.set_result(None)


def _fail(written: asyncio.Future[None], error: BaseException) -> None:
    if not written.done():
        written.set_exception(error)
