"""Files that a process must leave out because it has to end, such as seconds after SIGTERM."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_T = TypeVar("_T")

IsLate = Callable[[], bool]
"""Whether the process must end now."""


class OutOfTime(Exception):
    """The process must end before a file is complete."""


def never() -> bool:
    """There is time for everything."""
    return False


def in_time(items: Iterable[_T], is_late: IsLate) -> Iterator[_T]:
    """Yield ``items``. Raise OutOfTime as soon as it ``is_late``."""
    for item in items:
        if is_late():
            raise OutOfTime
        yield item
