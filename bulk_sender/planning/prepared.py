"""An input matched to a configuration, with checks that the file has not changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from bulk_sender.braze.details import CampaignDetails
from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.config.model import Config
from bulk_sender.errors import InputError
from bulk_sender.guessing.fit import Comparison
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
    """An input matched to a configuration: everything that can be known without reading its rows."""

    source: Input
    mapping: RecipientMapping
    config: Config
    marks: tuple[bytes, ...] | None = None
    """The digests of the pieces, if the plan was approved earlier. Each piece must match."""

    @classmethod
    def open(cls, given: InputLike, config: Config, spool: Spool) -> PreparedInput:
        """Open an input. ``spool`` must live as long as the result. Raise InputError, ConfigError."""
        source = Input.open(_each(given), ReadSettings.of(config.input), spool)
        Filter.of(config.input, source.schema)  # refuse an invalid condition before any row is read
        return cls.of(source, config)

    @classmethod
    def of(cls, source: Input, config: Config) -> PreparedInput:
        """Match an input that is open. Raise ConfigError."""
        return cls(source, resolve(source.schema, config), config)

    def approved(self, bodies: BodyDigest) -> PreparedInput:
        """Return the same input, bound to what was planned: see ``plan``."""
        return replace(self, marks=tuple(bodies.marks))

    def compared_with(self, details: CampaignDetails) -> Comparison:
        """Return the comparison of a message with this input."""
        return Comparison(details, self.mapping, self.config.message.trigger_properties)

    def sample(self, rows: int) -> pl.DataFrame:
        """Return those of the first ``rows`` rows that the filter keeps, as they are in the input."""
        found = self.source.head(rows)
        return found.filter(Filter.of(self.config.input, self.source.schema).select(found))

    def plan(self, target: Endpoint, **where: Any) -> Iterator[Planned]:
        """Plan the input. Raise InputError, also when a file is no longer the one that was opened.

        With ``marks``, raise InputError instead of yielding a piece whose requests are not the approved ones.
        """
        expected = iter(self.marks or ())
        for piece in plan(self.source, self.mapping, self.config, head_bytes=target.frame_bytes, **where):
            if not self.source.is_unchanged():
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


def refuse_empty(opened: PreparedInput, given: InputLike) -> None:
    """Raise InputError when the input has no rows. Read no further than the first one."""
    if next(opened.source.read(), None) is None:
        raise no_rows(given)


def no_rows(given: InputLike) -> InputError:
    named = ", ".join(str(one) if isinstance(one, str | Path) else "the frame" for one in _each(given))
    return InputError(f"{named} has no data row", hint="a header alone sends nothing")


def _each(given: InputLike) -> list[Given]:
    if isinstance(given, str | Path) or not isinstance(given, Sequence):
        return [given]
    return list(given)
