"""Telling how it goes from a thread of its own: a terminal that stands still must not hold up a request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bulk_sender.cli.console.progress import Report, Silence

if TYPE_CHECKING:
    from bulk_sender.observe.events import Progress


class Narrator:
    """Takes what there is to tell without ever waiting; use as a context manager around a delivery."""

    def __init__(self, report: Report) -> None:
        self.expected: int | None = None
        self.stopping = ""
        self._report = report
        self._items: SimpleQueue[int | threading.Event | Progress | None] = SimpleQueue()
        self._last: Progress | None = None
        self._is_silent = False
        self._thread = threading.Thread(target=self._tell, name="narrator", daemon=True)

    def reading(self, rows: int) -> None:
        self._items.put(rows)

    def moment(self, progress: Progress) -> None:
        self._last = progress
        self._items.put(progress)

    def stop(self, why: str) -> None:
        """The delivery was asked to end: say so at once."""
        self.stopping = why
        if self._last is not None:
            self._items.put(self._last)

    def clear(self) -> None:
        """Wait until all is told and the place is free for something else. Not for the event loop's thread."""
        told = threading.Event()
        self._items.put(told)
        told.wait()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """The place is free while the block runs; what happens meanwhile is not told."""
        self._is_silent = True
        self.clear()
        try:
            yield
        finally:
            self._is_silent = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._items.put(None)
        self._thread.join()

    def _tell(self) -> None:
        while (item := self._items.get()) is not None:
            try:
                self._tell_one(item)
            except Exception:  # a mistake in telling must not harm what is told of
                self._report = Silence()
            if isinstance(item, threading.Event):
                item.set()
        self._report.clear()

    def _tell_one(self, item: int | threading.Event | Progress) -> None:
        if isinstance(item, threading.Event):
            self._report.clear()
        elif self._is_silent:
            return
        elif isinstance(item, int):
            self._report.reading(item)
        else:
            self._report.moment(item, self.expected, self.stopping)
