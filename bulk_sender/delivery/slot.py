"""A place among the requests under way, which may be given back before whoever has it is done."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import anyio


class Slot:
    """One of a limiter's slots. Leaving the context gives it back, unless ``release`` has; from one task only."""

    __slots__ = ("_is_taken", "_limiter")

    def __init__(self, limiter: anyio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._is_taken = False

    def take_at_once(self) -> bool:
        """Take it unless that would have to wait."""
        try:
            self._limiter.acquire_nowait()
        except anyio.WouldBlock:
            return False
        self._is_taken = True
        return True

    async def take(self) -> None:
        """Wait for it, where it is not taken yet."""
        if not self._is_taken:
            await self._limiter.acquire()
            self._is_taken = True

    def release(self) -> None:
        if self._is_taken:
            self._is_taken = False
            self._limiter.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()
