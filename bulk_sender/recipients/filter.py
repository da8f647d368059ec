"""``input.filter``: which rows are meant, as an SQL condition over the input's own columns.

In a CSV every column is text, while people write ``age > 17 AND opted_in``. Where the condition makes no sense over
text, the columns it names are read, for the condition alone, as what it wants: true or false, or numbers. Which is
told from the condition and the columns' types, never from the rows, so that a resumed run chooses the same rows. A
cell that is neither is null to the condition. What is sent is never touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import polars as pl

from bulk_sender.config.model import InputConfig
from bulk_sender.errors import ConfigError
from bulk_sender.reading.polars_errors import TROUBLE
from bulk_sender.recipients.columns import Columns
from bulk_sender.recipients.convert import truth

_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
_DECIMAL = re.compile(r"""('[^']*'|"[^"]*")|\b([0-9]+)\.[0-9]+""")
_TO_DATE = re.compile(r"(\bas|::)\s*(date|time|datetime|timestamp)\b", re.IGNORECASE)
_AGGREGATE = re.compile(
    r"(?i)\b(avg|count|first|last|max|median|min|quantile_cont|quantile_disc|stddev\w*|sum|var\w*)\s*\(|\bover\s*\("
)
_MOST_COLUMNS = 6
"""Text columns of one condition that are tried as three types each."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition laid against a schema.

    ``readings``: the columns that it wants as something else than they are; ``called``: those that it calls by their
    names without the types they bear (``age`` for ``age:integer``).
    """

    condition: pl.Expr | None = None
    readings: dict[str, pl.Expr] = field(default_factory=dict)
    called: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: InputConfig, schema: pl.Schema) -> Filter:
        """Raises ConfigError for a condition that can't be applied to these columns."""
        if config.filter is None:
            return cls()
        try:
            condition = pl.sql_expr(config.filter)
            named = list(dict.fromkeys(condition.meta.root_names()))
        except TROUBLE as error:
            raise _refused(config.filter, _first_line(error), schema) from None
        columns = Columns(schema)
        called = {column: name for name in named if (column := columns.renamed(name)) is not None}
        schema = pl.Schema({called.get(name, name): dtype for name, dtype in schema.items()})
        if unknown := [name for name in named if name not in schema]:
            raise _refused(config.filter, f"the input has no column {unknown[0]!r}", schema)
        if found := _AGGREGATE.search(_QUOTED.sub("''", config.filter)):
            raise ConfigError(
                f"input.filter: {config.filter!r} looks at several rows ({found[0]}…)",
                hint="a filter decides on each row by itself; prepare the input if it has to know the others",
            )
        # polars compares text with 1.5 letter by letter, but refuses to compare it with 1.
        probe = pl.sql_expr(_DECIMAL.sub(lambda found: found[1] or found[2], config.filter))
        texts = [name for name in named if schema[name] == pl.String]
        reasons = []
        for cell in ("x", None):  # text that is no number and no date, else none at all
            for readings in _readings(texts, config):
                if not (reason := cls(probe, readings)._trouble(schema, cell)):
                    return cls(condition, readings, called)
                reasons.append(reason)
        raise _refused(config.filter, reasons[0], schema)

    def select(self, frame: pl.DataFrame) -> pl.Series:
        """True for each row of ``frame`` that the condition holds for; null is not true.

        Raises ConfigError when a cell stops it, such as text that is no date where one is asked for.
        """
        if self.condition is None:
            return pl.repeat(True, len(frame), eager=True)
        try:
            chosen = self._over(frame)
        except TROUBLE as error:
            raise ConfigError(
                f"input.filter can't be applied to every row: {_first_line(error)}",
                hint="dates as 2026-02-28 can be compared as text: day >= '2026-02-28'",
            ) from None
        if len(chosen) != len(frame):  # it names no column
            chosen = pl.repeat(chosen[0], len(frame), dtype=pl.Boolean, eager=True)
        return chosen.cast(pl.Boolean).fill_null(False)

    def _over(self, frame: pl.DataFrame) -> pl.Series:
        assert self.condition is not None
        frame = frame.rename(self.called) if self.called else frame
        read = frame.with_columns(value.alias(name) for name, value in self.readings.items())
        return read.select(self.condition.alias("chosen")).to_series()

    def _trouble(self, schema: pl.Schema, cell: str | None) -> str:
        """What is wrong with the condition over columns read so, empty when nothing is; tried on one row."""
        row = {name: [cell if dtype == pl.String else None] for name, dtype in schema.items()}
        try:
            found = self._over(pl.DataFrame(row, schema=schema))
        except TROUBLE as error:
            return _first_line(error)
        return "" if found.dtype in (pl.Boolean, pl.Null) else f"it gives {found.dtype}, neither true nor false"


def _readings(texts: list[str], config: InputConfig) -> Iterator[dict[str, pl.Expr]]:
    """Columns of text as they are, then ever more of them as numbers or as true and false."""
    number = partial(_number, decimal=config.decimal)
    condition = config.filter or ""
    kinds: list[list[Callable[[pl.Expr], pl.Expr] | None]] = [
        [None, truth]
        if _TO_DATE.search(condition)  # a number would become a day after 1970
        else [None, truth, number]
        if _is_negated(name, condition)
        else [None, number, truth]
        for name in (texts if len(texts) <= _MOST_COLUMNS else [])
    ]
    for chosen in sorted(product(*kinds), key=lambda each: len(each) - each.count(None)):
        yield {name: kind(pl.col(name)) for name, kind in zip(texts, chosen, strict=False) if kind is not None}


def _is_negated(name: str, condition: str) -> bool:
    """Whether the condition says ``NOT name`` and compares it with nothing: polars would take a number for true."""
    return re.search(rf'\bnot\s+"?{re.escape(name)}"?\s*($|\)|and\b|or\b)', condition, re.IGNORECASE) is not None


def _number(text: pl.Expr, decimal: str) -> pl.Expr:
    bare = text.str.strip_chars()
    if decimal == ",":  # a point separates thousands then: 1.500 is no 1.5
        bare = pl.when(~bare.str.contains(".", literal=True)).then(bare.str.replace(",", ".", literal=True))
    return bare.cast(pl.Float64, strict=False)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _refused(condition: str, why: str, schema: pl.Schema) -> ConfigError:
    names = ", ".join(map(repr, schema.names()[:12]))
    return ConfigError(
        f"input.filter: {condition!r} can't be applied: {why}",
        hint=f"""the columns are {names}; write text in '…', names with blanks in "…", such as "First name" = 'Zoé'""",
    )
