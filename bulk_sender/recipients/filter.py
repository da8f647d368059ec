"""Row filter (``input.filter``): an SQL condition over the input's columns.

All columns of a CSV are text, but people write ``age > 17 AND opted_in``. If the condition is invalid for text, its
columns are read as booleans or numbers, for the condition only; what is sent never changes. The condition and the
column types decide the reading, never the rows, so that a resumed run selects the same rows. A cell that cannot be
read that way is null.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import polars as pl

from bulk_sender.config.model import InputConfig
from bulk_sender.errors import ConfigError
from bulk_sender.reading.panics import panics_hidden
from bulk_sender.reading.polars_errors import TROUBLE
from bulk_sender.reading.types import NUMBER
from bulk_sender.recipients.columns import Columns
from bulk_sender.recipients.convert import truth

_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
_DECIMAL = re.compile(r"""('[^']*'|"[^"]*")|\b([0-9]+)\.[0-9]+""")
_TO_DATE = re.compile(r"(\bas|::)\s*(date|time|datetime|timestamp)\b", re.IGNORECASE)
_AGGREGATE = re.compile(
    r"(?i)\b(avg|count|first|last|max|median|min|quantile_cont|quantile_disc|stddev\w*|sum|var\w*)\s*\(|\bover\s*\("
)
_ALLOWED = (
    "[input] filter is a condition on the row's own columns: comparisons, AND, OR, NOT, IN ('a', 'b'), BETWEEN, LIKE, "
    "IS NULL, CASE, and functions such as LOWER"
)
_MOST_COLUMNS = 6
"""Most text columns of a condition for which all three types are tried."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition matched to a schema.

    ``readings``: columns read as another type for the condition; ``called``: columns that the condition names without
    the type in their name (``age`` for ``age:integer``).
    """

    condition: pl.Expr | None = None
    readings: dict[str, pl.Expr] = field(default_factory=dict)
    called: dict[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    """The columns of the input that the condition uses."""

    @classmethod
    def of(cls, config: InputConfig, schema: pl.Schema) -> Filter:
        """Return the configured filter. Raise ConfigError for a condition that cannot be applied to these columns."""
        if config.filter is None:
            return cls()
        if found := _AGGREGATE.search(_QUOTED.sub("''", config.filter)):
            raise ConfigError(
                f"input.filter: {config.filter!r} uses several rows ({found[0]}…)",
                hint="a filter sees one row at a time; add a column to the input if it depends on other rows",
            )
        from bulk_sender.recipients.condition import NotAConditionError, rewritten  # it is slow to import

        try:
            sql = rewritten(config.filter)
        except NotAConditionError as error:
            raise _refused(config.filter, str(error), schema, hint=_ALLOWED) from None
        try:
            condition = pl.sql_expr(sql)
            named = list(dict.fromkeys(condition.meta.root_names()))
        except TROUBLE as error:
            raise _refused(config.filter, _first_line(error), schema) from None
        columns = Columns(schema)
        called = {column: name for name in named if (column := columns.renamed(name)) is not None}
        schema = pl.Schema({called.get(name, name): dtype for name, dtype in schema.items()})
        if unknown := [name for name in named if name not in schema]:
            raise _refused(config.filter, f"the input has no column {unknown[0]!r}", schema)
        # Replace 1.5 by 1 in the trial: polars compares text with 1.5 as text, but refuses to compare it with 1.
        probe = pl.sql_expr(_DECIMAL.sub(lambda found: found[1] or found[2], sql))
        texts = [name for name in named if schema[name] == pl.String]
        used = tuple(next((column for column, other in called.items() if other == name), name) for name in named)
        reasons = []
        for cell in ("x", None):  # first try text that is not a number or a date, then a null
            for readings in _readings(texts, sql, config.decimal):
                if not (reason := cls(probe, readings)._failure(schema, cell)):
                    return cls(condition, readings, called, used)
                reasons.append(reason)
        raise _refused(config.filter, reasons[0], schema)

    def select(self, frame: pl.DataFrame) -> pl.Series:
        """Return true for each row of ``frame`` that meets the condition; null counts as false.

        Raise ConfigError when a cell makes it fail, such as text that is not a date in DATE(...).
        """
        if self.condition is None:
            return pl.repeat(True, len(frame), eager=True)
        has_dates = any(frame.schema[name].is_temporal() for name in self.columns)
        try:
            with panics_hidden() if has_dates else nullcontext():  # polars panics at writing a date too distant
                chosen = self._evaluated(frame)
        except TROUBLE as error:
            raise ConfigError(
                f"input.filter cannot be applied to every row: {_first_line(error)}",
                hint="dates such as 2026-02-28 can be compared as text: day >= '2026-02-28'",
            ) from None
        if len(chosen) != len(frame):  # a condition without columns gives one value
            chosen = pl.repeat(chosen[0], len(frame), dtype=pl.Boolean, eager=True)
        return chosen.cast(pl.Boolean).fill_null(False)

    def _evaluated(self, frame: pl.DataFrame) -> pl.Series:
        assert self.condition is not None
        frame = frame.rename(self.called) if self.called else frame
        numbers = [name for name, dtype in frame.schema.items() if dtype == NUMBER]
        frame = frame.with_columns(pl.col(name).ext.storage().cast(pl.Float64, strict=False) for name in numbers)
        read = frame.with_columns(value.alias(name) for name, value in self.readings.items())
        return read.select(self.condition.alias("chosen")).to_series()

    def _failure(self, schema: pl.Schema, cell: str | None) -> str:
        """Return why the condition fails with these readings, tried on one row, or an empty string."""
        row = {name: [cell if dtype == pl.String else None] for name, dtype in schema.items()}
        try:
            found = self._evaluated(pl.DataFrame(row, schema=schema))
        except TROUBLE as error:
            return _first_line(error)
        return "" if found.dtype in (pl.Boolean, pl.Null) else f"its result is {found.dtype}, not true or false"


def _readings(texts: list[str], condition: str, decimal: str) -> Iterator[dict[str, pl.Expr]]:
    """Yield readings to try: all text columns as text first, then more and more as numbers or booleans."""
    number = partial(_number, decimal=decimal)
    kinds: list[list[Callable[[pl.Expr], pl.Expr] | None]] = [
        [None, truth]
        if _TO_DATE.search(condition)  # a number would become a number of days since 1970
        else [None, truth, number]
        if _is_negated(name, condition)
        else [None, number, truth]
        for name in (texts if len(texts) <= _MOST_COLUMNS else [])
    ]
    for chosen in sorted(product(*kinds), key=lambda each: len(each) - each.count(None)):
        yield {name: kind(pl.col(name)) for name, kind in zip(texts, chosen, strict=False) if kind is not None}


def _is_negated(name: str, condition: str) -> bool:
    """Whether the condition contains ``NOT name`` without a comparison; polars would treat a number as true."""
    quoted = re.escape(name.replace('"', '""'))
    return re.search(rf'\bnot\s+"{quoted}"\s*($|\)|and\b|or\b)', condition, re.IGNORECASE) is not None


def _number(text: pl.Expr, decimal: str) -> pl.Expr:
    bare = text.str.strip_chars()
    if decimal == ",":  # with a decimal comma, a point separates thousands: 1.500 is not 1.5
        bare = pl.when(~bare.str.contains(".", literal=True)).then(bare.str.replace(",", ".", literal=True))
    return bare.cast(pl.Float64, strict=False)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _refused(condition: str, why: str, schema: pl.Schema, hint: str = "") -> ConfigError:
    names = ", ".join(map(repr, schema.names()[:12]))
    return ConfigError(
        f"input.filter: {condition!r} cannot be applied: {why}",
        hint=hint or f"""the columns are {names}; put text in '…' and names with spaces in "…": "First name" = 'Zoé'""",
    )
