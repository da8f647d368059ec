"""An input laid against a configuration, for the first time or again, and the proof that it stayed what it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.config.model import Config
from bulk_sender.errors import InputError
from bulk_sender.planning.batches import Planned
from bulk_sender.planning.digest import BodyDigest, mark
from bulk_sender.planning.plan import plan
from bulk_sender.reading.locate import Frame, Given
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from bulk_sender.recipients.filter import Filter
from bulk_sender.recipients.mapping import RecipientMapping, resolve

InputLike = str | Path | Frame | Sequence[str | Path]
"""Paths, folders, globs, URLs or ``-``, one or several; or a frame of polars, pandas or Arrow."""


@dataclass(frozen=True, slots=True)
class PreparedInput:
    """An input laid against a configuration: everything that can be known without reading its rows."""

    source: Input
    mapping: RecipientMapping
    config: Config
    as_found: tuple[tuple[int, ...], ...]
    """What identified each file when it was opened, which is before it is hashed; looked at again while it is read."""
    marks: tuple[bytes, ...] | None = None
    """By which each piece of the plan has to be recognised, when it was planned and approved before."""

    @classmethod
    def open(cls, given: InputLike, config: Config, spool: Spool) -> PreparedInput:
        """``spool`` has to live as long as what is opened. Raises InputError, ConfigError."""
        source = Input.open(_each(given), ReadSettings.of(config.input), spool)
        Filter.of(config.input, source.schema)  # a condition that can't be applied is refused before any row is read
        return cls.of(source, config)

    @classmethod
    def of(cls, source: Input, config: Config) -> PreparedInput:
        """Match an input that is open. Raises ConfigError."""
        return cls(source, resolve(source.schema, config), config, _stamps(source.paths))

    def approved(self, bodies: BodyDigest) -> PreparedInput:
        """The same, bound to what was planned of it: see ``plan``."""
        return replace(self, marks=tuple(bodies.marks))

    def sample(self, rows: int) -> pl.DataFrame:
        """Of the first ``rows`` rows those that are meant, as they are in the input."""
        found = self.source.head(rows)
        return found.filter(Filter.of(self.config.input, self.source.schema).select(found))

    def plan(self, target: Endpoint, **where: Any) -> Iterator[Planned]:
        """Raises InputError, also when a file is no longer the one that was opened: its rows are not this input's.

        With ``marks`` no piece is given out that would be another request than the one approved.
        """
        expected = iter(self.marks or ())
        for piece in plan(self.source, self.mapping, self.config, head_bytes=target.frame_bytes, **where):
            if _stamps(self.source.paths) != self.as_found:
                raise InputError(
                    "the input was changed while it was read", hint="put it back as it was, then resume the run"
                )
            if self.marks is not None and mark(target, piece) != next(expected, b""):
                first, last = piece.rows["row"][0], piece.rows["row"][-1]
                raise InputError(
                    f"rows {first} to {last} would not be the requests that were planned: the input was changed",
                    hint="put it back as it was, then resume the run",
                )
            yield piece


def _stamps(paths: Sequence[Path]) -> tuple[tuple[int, ...], ...]:
    """Device, inode, size (bytes) and time of change (ns) of each file; of one that is gone, nothing."""
    found: list[tuple[int, ...]] = []
    for path in paths:
        try:
            facts = path.stat()
        except OSError:
            found.append(())
            continue
        found.append((facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns))
    return tuple(found)


def refuse_empty(opened: PreparedInput, given: InputLike) -> None:
    """Read no further than the first row. Raises InputError when there is none."""
    if next(opened.source.read(), None) is None:
        raise no_rows(given)


def no_rows(given: InputLike) -> InputError:
    named = ", ".join(str(one) if isinstance(one, str | Path) else "the frame" for one in _each(given))
    return InputError(f"{named} has no data row", hint="a header alone sends nothing")


def _each(given: InputLike) -> list[Given]:
    if isinstance(given, str | Path) or not isinstance(given, Sequence):
        return [given]
    return list(given)
