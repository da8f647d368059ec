"""The batches on their way from the worklist to the workers."""

from __future__ import annotations

from collections import deque

import anyio

from bulk_sender.delivery.work import Work


class Feed:
    """A bounded queue of one writer and many workers, filled up in one go: its writer wakes once for many batches."""

    def __init__(self, most: int) -> None:
        """``most``: how many batches may wait. ``put`` goes on when half of them are taken."""
        self._most = most
        self._waiting: deque[Work] = deque()
        self._has_room = anyio.Event()
        self._has_more = anyio.Event()
        self._is_ended = self._is_abandoned = False

    async def put(self, work: Work) -> None:
        """Add a batch, and wait while there are enough. Do nothing once it is abandoned."""
        if self._is_abandoned:
            return
        self._waiting.append(work)
        self._has_more.set()
        if len(self._waiting) >= self._most:
            self._has_room = anyio.Event()
            await self._has_room.wait()

    def end(self) -> None:
        """Add no more."""
        self._is_ended = True
        self._has_more.set()

    def abandon(self) -> None:
        """Take no more: a writer that waits goes on."""
        self._is_abandoned = True
        self._has_room.set()

    def take_at_once(self) -> Work | None:
        """Return the next batch if one waits."""
        if not self._waiting:
            return None
        work = self._waiting.popleft()
        if 2 * len(self._waiting) <= self._most:
            self._has_room.set()
        return work

    async def take(self) -> Work | None:
        """Return the next batch, waiting for it if necessary; None after the last."""
        while (work := self.take_at_once()) is None and not self._is_ended:
            if self._has_more.is_set():
                self._has_more = anyio.Event()
            await self._has_more.wait()
        return work
