"""How far the work before the first request is, for the caller, who may also end it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bulk_sender.reading.formats import InputFile
from bulk_sender.reading.source import Input
from bulk_sender.run.options import Watch


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a stage before the first request is.

    ``hashing`` reads the files for their SHA-256: ``done`` bytes of ``total``. ``counting`` checks each row: ``done``
    rows, and their number is not known before (None).
    """

    name: Literal["hashing", "counting"]
    done: int
    total: int | None = None


class Stages:
    """Calls ``Watch.on_stage`` and ``Watch.on_rows``. Any thread may use it.

    ``ends``: whether a stop by ``Watch.control`` raises Interrupted here. A run that is about to begin records it.
    """

    def __init__(self, watch: Watch, *, ends: bool = False) -> None:
        self._on_stage: Callable[[Stage], object] = watch.on_stage or (lambda _: None)
        self._on_rows: Callable[[int], object] = watch.on_rows or (lambda _: None)
        self._control = watch.control if ends else None
        self._lock = threading.Lock()
        self._hashed = 0

    def refuse_stopped(self) -> None:
        """Raise Interrupted if the caller has stopped the work."""
        if self._control is not None:
            self._control.refuse_stopped()

    def hashing(self, source: Input) -> Callable[[int], None]:
        """Return what takes the number of each further bytes of a source that were hashed."""
        total = sum(map(_size, source.files))

        def add(count: int) -> None:
            self.refuse_stopped()
            with self._lock:  # two files are hashed at once, and the number must not fall
                self._hashed += count
                self._on_stage(Stage("hashing", self._hashed, total))

        return add

    def counting(self, rows: int) -> None:
        """Take the number of rows that were counted."""
        self.refuse_stopped()
        self._on_stage(Stage("counting", rows))
        self._on_rows(rows)


def _size(file: InputFile) -> int:
    try:
        return file.path.stat().st_size
    except OSError:  # hashing says what is wrong
        return 0
