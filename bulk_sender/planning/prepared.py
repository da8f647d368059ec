"""An input matched to a configuration, with checks that the file has not changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from bulk_sender.braze.details import CampaignDetails
from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError, InputError
from bulk_sender.guessing.fit import Comparison
from bulk_sender.planning.batches import Planned
from bulk_sender.planning.digest import BodyDigest, mark
from bulk_sender.planning.excluded import NOBODY, Excluded
from bulk_sender.planning.plan import plan
from bulk_sender.process_limits import TO_BEGIN, refuse_little_memory, room
from bulk_sender.reading.chunk import Position, Unit
from bulk_sender.reading.locate import Frame, Given, Rows
from bulk_sender.reading.query import Query
from bulk_sender.reading.rows import Cursor, Result
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from bulk_sender.reading.types import NUMBER
from bulk_sender.recipients.dates import shown
from bulk_sender.recipients.filter import Filter
from bulk_sender.recipients.mapping import RecipientMapping, resolve
from bulk_sender.text.clean import clean
from bulk_sender.text.numbers import number

if TYPE_CHECKING:
    from bulk_sender.planning.tasks import Job, Map

_UNIT_BYTES = 4 << 20
_SHOWN_ROWS = 100_000
_SHOWN_VALUES = 6
_SHOWN_CHARACTERS = 30

InputLike = str | Path | Frame | Query | Cursor | Result | Iterable[str | Path | Query | Mapping[str, Any]]
"""Paths, folders, globs, URLs, ``-`` or queries, one or several; a frame of polars, pandas or Arrow; the result of a
query, such as an executed cursor; or dicts.
"""


_MOST_KEPT_BYTES = 4 << 20
"""Keep the plan of an input whose rows take no more memory than this."""

_Key = tuple[int, int | None]


class _Kept:
    """The plan of a small input: the check before a send makes it, and the send takes it.

    Each has a key: what the plan depends on beside the input, which is the size of a request without its recipients,
    and the canary.
    """

    def __init__(self) -> None:
        self._key: _Key | None = None
        self._pieces: list[Planned] = []

    def take(self, key: _Key) -> list[Planned] | None:
        """Return the plan, once; None if there is none with this key."""
        found = self._pieces if self._key == key else None
        self._key, self._pieces = None, []
        return found

    def keeping(self, key: _Key, planned: Iterator[Planned]) -> Iterator[Planned]:
        """Yield a plan from its beginning, and keep it if it is small."""
        pieces: list[Planned] = []
        size = 0.0
        for piece in planned:
            size += piece.rows.estimated_size() + piece.rejects.estimated_size()
            pieces.append(piece)
            if size > _MOST_KEPT_BYTES:
                pieces.clear()
            yield piece
        if size <= _MOST_KEPT_BYTES:
            self._key, self._pieces = key, pieces


@dataclass(frozen=True, slots=True)
class PreparedInput:
    """An input matched to a configuration: everything that can be known without reading its rows."""

    source: Input
    mapping: RecipientMapping
    config: Config
    excluded: Excluded = NOBODY
    """The people to leave out."""
    marks: tuple[bytes, ...] | None = None
    """The digests of the pieces, if the plan was approved earlier. Each piece must match."""
    planners: Map | None = None
    """What runs the tasks of the plan; None for this process alone."""
    _kept: _Kept = field(default_factory=_Kept, compare=False)

    @classmethod
    def open(cls, given: InputLike, config: Config, spool: Spool) -> PreparedInput:
        """Open an input. ``spool`` must live as long as the result. Raise InputError, ConfigError."""
        refuse_little_memory()
        room(1, keep=TO_BEGIN)  # a library that runs out of descriptors would call a sound file damaged
        source = Input.open(each_of(given), ReadSettings.of(config.input), spool)
        Filter.of(config.input, source.schema)  # refuse an invalid condition before any row is read
        try:
            return cls.of(source, config)
        except ConfigError as error:
            if others := source.other_sheets:
                raise ConfigError(str(error), hint="; ".join(filter(None, (others, error.hint)))) from None
            raise

    @classmethod
    def of(cls, source: Input, config: Config) -> PreparedInput:
        """Match an input that is open. Raise ConfigError."""
        return cls(source, resolve(source.schema, config, source.unreadable), config)

    def approved(self, bodies: BodyDigest) -> PreparedInput:
        """Return the same input, bound to what was planned: see ``plan``."""
        return replace(self, marks=tuple(bodies.marks))

    def moved(self, old: Path, new: Path) -> PreparedInput:
        """Return the same input after its spooled files were moved from the folder ``old`` to ``new``."""
        self.source.moved(old, new)
        return replace(self, excluded=self.excluded.moved(new))

    def leaving_out(self, excluded: Excluded) -> PreparedInput:
        """Return the same input without some people."""
        return replace(self, excluded=excluded, _kept=_Kept())

    def compared_with(self, details: CampaignDetails | None) -> Comparison | None:
        """Return the comparison of a message with this input; None without a message."""
        if details is None or not details.messages:
            return None
        return Comparison(details, self.mapping, self.config.message.trigger_properties)

    @property
    def notes(self) -> list[str]:
        """What to know about the input before it is sent, beside its rows: guesses, sheets, cells that are wrong."""
        filtered = Filter.of(self.config.input, self.source.schema).columns
        used = {*self.source.schema, *filtered} - (set(self.mapping.unused) - set(filtered))
        recipient = self.config.recipient
        fields = [*recipient.trigger_properties.values(), *recipient.attributes.values()]
        typed = {field.column for field in fields if field.column and field.type not in (None, "string")}
        found = [*self.source.notes, *self.source.cell_notes(used, typed)]
        if self.source.unreadable:
            named = ", ".join(f"{name!r} ({kind})" for name, kind in self.source.unreadable.items())
            found.append(f"columns with a type that cannot be sent: {named}")
        return found

    def sample(self, rows: int) -> pl.DataFrame:
        """Return those of the first ``rows`` rows that the filter keeps, as they are in the input."""
        found = self.source.head(rows)
        return found.filter(Filter.of(self.config.input, self.source.schema).select(found))

    def tasks(self, target: Endpoint, room: Path) -> tuple[Job, list[Unit]]:
        """Return how to plan the input with tasks: see ``tasks.planned``. ``room``: a new folder for them."""
        from bulk_sender.planning.tasks import Job  # few runs have planners

        source = self.source
        job = Job(source.files, source.stamps, self.config, self.excluded, target.frame_bytes, room.as_uri())
        return job, source.units(_UNIT_BYTES)

    def plan(
        self,
        target: Endpoint,
        *,
        start: Position | None = None,
        canary: int | None = None,
        watch: Callable[[pl.DataFrame, pl.DataFrame], None] | None = None,
        **where: Any,
    ) -> Iterator[Planned]:
        """Plan the input. Raise InputError, also when a file is no longer the one that was opened.

        With ``marks``, raise InputError instead of yielding a piece whose requests are not the approved ones.
        """
        expected = iter(self.marks or ())
        key = target.frame_bytes, canary
        planned: Iterable[Planned] | None = None
        if start is None and watch is None:
            planned = self._kept.take(key)
        if planned is None:
            where |= {"head_bytes": target.frame_bytes, "excluded": self.excluded.sets()}
            planned = plan(self.source, self.mapping, self.config, start=start, canary=canary, watch=watch, **where)
            if watch is not None:
                planned = self._kept.keeping(key, planned)
        for piece in planned:
            self.source.refuse_changed()
            if self.marks is not None and mark(target, piece) != next(expected, b""):
                first, last = piece.rows["row"][0], piece.rows["row"][-1]
                raise InputError(
                    f"rows {first} to {last} would not be the requests that were planned: the input was changed",
                    hint="put it back as it was, then resume the run",
                )
            yield piece


def refuse_empty(opened: PreparedInput, given: InputLike) -> None:
    """Raise InputError when no row of the input is to be sent. Read no further than the first one that is."""
    chosen = Filter.of(opened.config.input, opened.source.schema)
    if not any(chunk.faults or chosen.select(chunk.frame).any() for chunk in opened.source.read()):
        raise no_rows(opened, given)


def no_rows(opened: PreparedInput, given: InputLike) -> InputError:
    """Return why there is nothing to send: the input has no rows, or its filter keeps none of them."""
    chosen = Filter.of(opened.config.input, opened.source.schema)
    rows, cells = 0, pl.DataFrame(schema={name: opened.source.schema[name] for name in chosen.columns})
    for chunk in opened.source.read():
        rows += len(chunk.frame)
        if chosen.columns and len(cells) < _SHOWN_ROWS:
            cells = pl.concat([cells, chunk.frame.select(chosen.columns)])
    if rows:
        values = "; ".join(f"{name!r} holds {_values(cells[name])}" for name in chosen.columns)
        several = f"none of the {number(rows)} rows matches" if rows > 1 else "the only row does not match"
        hint = "compare with a value that is in the column; upper and lower case differ"
        if chosen.columns and not any(cells[name].count() for name in chosen.columns):
            hint = "these cells are empty, so the filter keeps nobody"
        return InputError(f"{several} [input] filter" + (f"; {values}" if values else ""), hint=hint)
    each = each_of(given)
    if not any(isinstance(one, str | Path | Frame) for one in each):
        return InputError(f"{_named(each[0])} returned no rows", hint="check its conditions")
    named = ", ".join(map(_named, each))
    others = opened.source.other_sheets
    return InputError(
        f"{named} has no data row", hint="a header alone sends nothing" + (f"; {others}" if others else "")
    )


def _values(column: pl.Series) -> str:
    """Return the most frequent values of a column."""
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        return "nested values"
    column = column.ext.storage() if column.dtype == NUMBER else column
    counts = shown(column.drop_nulls()).alias("value").value_counts(sort=True)
    first = [clean(value, _SHOWN_CHARACTERS) for value in counts["value"].head(_SHOWN_VALUES)]
    return ", ".join(first) + (", …" if len(counts) > len(first) else "") if first else "nothing"


def _named(given: Given) -> str:
    if isinstance(given, Query):
        return given.name
    if isinstance(given, str | Path):
        return str(given)
    if isinstance(given, Frame):
        return "the frame"
    return "the query" if isinstance(given, Cursor | Result) else "the input"


def each_of(given: InputLike) -> list[Given]:
    """Return the inputs that a caller gave as a list."""
    if isinstance(given, str | Path) or not isinstance(given, Sequence) or isinstance(given, Frame):
        return [cast(Given, given)]
    if given and isinstance(given[0], Mapping):
        return [cast(Rows, given)]
    return cast(list[Given], list(given))
