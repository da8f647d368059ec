"""A worker's slot among the requests in flight."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import anyio


class Slot:
    """One of a limiter's slots, kept from request to request: releasing it each time would wake a task each time."""

    __slots__ = ("_is_taken", "_limiter")

    def __init__(self, limiter: anyio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._is_taken = False

    def take_at_once(self) -> bool:
        """Acquire without waiting; return False if that is impossible."""
        if not self._is_taken:
            try:
                self._limiter.acquire_on_behalf_of_nowait(self)
            except anyio.WouldBlock:
                return False
            self._is_taken = True
        return True

    async def take(self) -> None:
        """Acquire, waiting if necessary. Do nothing if the slot is already taken."""
        if not self._is_taken:
            await self._limiter.acquire_on_behalf_of(self)
            self._is_taken = True

    def release(self) -> None:
        """Release the slot if it is taken."""
        if self._is_taken:
            self._is_taken = False
            self._limiter.release_on_behalf_of(self)

    def release_if_too_many(self) -> None:
        """Release if the limit has dropped below the number in use."""
        if self._limiter.borrowed_tokens > self._limiter.total_tokens:
            self.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()
