"""A place among the requests under way."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import anyio


class Slot:
    """One of a limiter's slots, from ``take`` or ``take_at_once`` until the context is left."""

    __slots__ = ("_is_taken", "_limiter")

    def __init__(self, limiter: anyio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._is_taken = False

    def take_at_once(self) -> bool:
        """Take it unless that would have to wait."""
        try:
            self._limiter.acquire_on_behalf_of_nowait(self)
        except anyio.WouldBlock:
            return False
        self._is_taken = True
        return True

    async def take(self) -> None:
        """Wait for it, where it is not taken yet."""
        if not self._is_taken:
            await self._limiter.acquire_on_behalf_of(self)
            self._is_taken = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._is_taken:
            self._limiter.release_on_behalf_of(self)
