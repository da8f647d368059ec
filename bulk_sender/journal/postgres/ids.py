"""Ids that several processes of a run give out without asking each other: each takes them from the run in blocks.

An id of a later block is higher than all that were given out before the block was taken. A block that a process keeps
for long has no such order to the blocks of others, so ``Ids.pass_by`` gives up a block for a later one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

BLOCK = 1_000
_FEW = BLOCK // 2
KINDS = ("batch", "attempt", "decision")


@dataclass(slots=True)
class _Ids:
    """Those of one kind: the next one, the end of its block, and the block after that, if it is taken already."""

    next: int = 0
    end: int = 0
    reserve: tuple[int, int] | None = None


class Ids:
    """Any thread may ask for an id. It does I/O only where ids are used up faster than ``refill`` is called."""

    def __init__(self, take: Callable[[str, int], int]) -> None:
        """``take`` takes a block of a kind and a size from the run, and returns its first id."""
        self._take = take
        self._lock = threading.Lock()
        self._of = {kind: _Ids() for kind in KINDS}

    def new(self, kind: str) -> int:
        """Return the next id of a kind."""
        with self._lock:
            ids = self._of[kind]
            if ids.next == ids.end:
                ids.next, ids.end = ids.reserve or self._block(kind)
                ids.reserve = None
            ids.next += 1
            return ids.next - 1

    def refill(self, *, is_first: bool = False) -> None:
        """Take further blocks in time. For a thread that may wait. ``is_first``: also of kinds not asked for yet."""
        for kind, ids in self._of.items():
            if (ids.end or is_first) and ids.end - ids.next < _FEW and ids.reserve is None:
                block = self._block(kind)
                with self._lock:
                    ids.reserve = block

    def pass_by(self, kind: str, number: int) -> None:
        """Give out only ids higher than ``number`` from now on. For a thread that may wait."""
        ids = self._of[kind]
        if ids.next <= number:
            block = self._block(kind)
            with self._lock:
                (ids.next, ids.end), ids.reserve = block, None

    def _block(self, kind: str) -> tuple[int, int]:
        first = self._take(kind, BLOCK)
        return first, first + BLOCK
