"""What people change in rejected rows of a run before they send them: cells by row, and rows that are left out.

Kept in a private file for each run until the rows are sent, so that a closed tab loses nothing and two people see each
other's changes.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bulk_sender.atomic import write_json


@dataclass(frozen=True, slots=True)
class Fixes:
    """``cells``: row → column → new text. ``by``: who changed something last. ``draft``: what was made of it."""

    version: int = 0
    cells: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    left_out: frozenset[int] = frozenset()
    by: str = ""
    draft: str = ""
    made_from: int = -1
    """The version of the form that it was made of: the same form again is a second click."""

    def text(self, row: int, column: str, before: str | None) -> str:
        """Return what a cell has now."""
        return self.cells.get(row, {}).get(column, before or "")

    def with_cell(self, row: int, column: str, text: str, before: str | None) -> Fixes:
        """Return the fixes with a cell as somebody wrote it. Line ends that a browser changed are no change."""
        own = dict(self.cells.get(row, {}))
        if text.replace("\r\n", "\n") == (before or "").replace("\r\n", "\n").replace("\r", "\n"):
            own.pop(column, None)
        else:
            own[column] = text.replace("\r\n", "\n")
        cells = {each: told for each, told in self.cells.items() if each != row}
        return replace(self, cells=cells | ({row: own} if own else {}))


class FixBook:
    """The fixes of all runs of a page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def of(self, run: str) -> Fixes:
        """Return what was changed for a run so far."""
        try:
            told = json.loads(self._path(run).read_bytes())
        except (OSError, ValueError):
            return Fixes()
        cells = {int(row): dict(own) for row, own in told["cells"].items()}
        return Fixes(told["version"], cells, frozenset(told["left_out"]), told["by"], told["draft"], told["made_from"])

    def change(self, run: str, version: int, by: str, step: Callable[[Fixes], Fixes]) -> Fixes | None:
        """Apply a step, and return the fixes; None when somebody else changed them since ``version``."""
        with self._held():
            before = self.of(run)
            if before.version != version:
                return None
            after = step(before)
            if after == before:
                return before
            after = replace(after, version=version + 1, by=by)
            self._write(run, after)
            return after

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._lock:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            yield

    def _write(self, run: str, fixes: Fixes) -> None:
        told: dict[str, Any] = {
            "version": fixes.version,
            "cells": {str(row): dict(own) for row, own in fixes.cells.items()},
            "left_out": sorted(fixes.left_out),
            "by": fixes.by,
            "draft": fixes.draft,
            "made_from": fixes.made_from,
        }
        write_json(self._path(run), told)

    def _path(self, run: str) -> Path:
        return self._folder / f"{hashlib.sha256(run.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}.json"
