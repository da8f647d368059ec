"""Print progress from a separate thread, so that a blocked terminal cannot hold up a request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bulk_sender.cli.console.progress import ProgressView, Silence, all_to_send

if TYPE_CHECKING:
    from bulk_sender.observe.events import Progress
    from bulk_sender.run.preflight import Preflight


class Narrator:
    """Takes progress without ever waiting. Use as a context manager around a delivery."""

    def __init__(self, view: ProgressView) -> None:
        self.expected: int | None = None
        self.stopping = ""
        self._view = view
        self._items: SimpleQueue[int | threading.Event | Preflight | Progress | None] = SimpleQueue()
        self._last: Progress | None = None
        self._is_silent = False
        self._thread = threading.Thread(target=self._tell, name="narrator", daemon=True)

    def reading(self, rows: int) -> None:
        self._items.put(rows)

    def target(self, found: Preflight) -> None:
        """Take what is known of the target before anything is sent."""
        self._items.put(found)

    def moment(self, progress: Progress) -> None:
        self._last = progress
        self._items.put(progress)

    def stop(self, why: str) -> None:
        """Print at once that the delivery is stopping."""
        self.stopping = why
        if self._last is not None:
            self._items.put(self._last)

    def clear(self) -> None:
        """Wait until everything is printed and erase the progress. Do not call this in the event loop's thread."""
        printed = threading.Event()
        self._items.put(printed)
        printed.wait()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Erase the progress, and print none while the block runs."""
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
            except Exception:  # an error in printing must not harm the delivery
                self._view = Silence()
            if isinstance(item, threading.Event):
                item.set()
        self._view.clear()

    def _tell_one(self, item: int | threading.Event | Preflight | Progress) -> None:
        from bulk_sender.run.preflight import Preflight

        if isinstance(item, threading.Event):
            self._view.clear()
        elif isinstance(item, Preflight):
            self._view.target(item)
        elif self._is_silent:
            return
        elif isinstance(item, int):
            self._view.reading(item)
        else:
            expected = all_to_send(item) if self.expected is None else self.expected
            self._view.moment(item, expected, self.stopping)
