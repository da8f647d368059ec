"""Columns of an input for a person who says what each one is: samples, empty cells, guesses, and cells that do not fit.

Only the first rows are looked at, so a large file takes no more memory than a small one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from bulk_sender.config.model import Config, FieldType
from bulk_sender.errors import ConfigError, InputError
from bulk_sender.guessing.draft import Guesses, composed, guessed
from bulk_sender.guessing.survey import SAMPLE_ROWS, Survey, opened
from bulk_sender.reading.layout import Setting
from bulk_sender.reading.locate import Given
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from bulk_sender.reading.types import NUMBER
from bulk_sender.recipients.cells import sample_texts
from bulk_sender.recipients.columns import untyped
from bulk_sender.recipients.convert import is_object, type_name
from bulk_sender.recipients.mapping import Field, Use, uses
from bulk_sender.text.clean import clean

SAMPLES = 5
_SAMPLED_CELLS = 200
"""Cells with a value among which different samples are searched."""
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell, where a person finds it, and its text for people (at most 80 characters).

    ``row``: the number of its row in reading order. ``source``: its file. ``source_line``: the line of the file, or
    the row of the sheet.
    """

    row: int
    source: str
    source_line: int
    value: str


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """What a column goes out as: a ``field`` such as ``external_user_id`` or ``trigger_properties.city``.

    ``format``: how its dates are written; None for ISO 8601.
    """

    field: str
    type: FieldType
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an input. Counts are of the rows that were looked at: ``Columns.sampled``.

    ``empty_cells`` and ``misfit_cells`` are the first few of those that ``empty`` and ``misfits`` count.
    """

    name: str
    dtype: str
    """Its type in the input, by the name that polars gives it, such as ``String`` or ``Int64``."""
    samples: tuple[str, ...]
    """The first different values as text, each of at most 80 characters."""
    empty: int
    empty_share: float
    empty_cells: tuple[Cell, ...]
    guess: tuple[ColumnUse, ...]
    """What it would go out as in the configuration that ``suggest`` returns; empty if it would not."""
    also: str
    """Another format that the dates fit, where it is not certain; else empty."""
    uses: tuple[ColumnUse, ...]
    """What it goes out as in the given configuration; empty if it does not."""
    misfits: int
    """Cells that would be rejected for their type: in the given configuration, or without one, in the guess."""
    expected: str
    """What these cells are not, such as ``a whole number``; empty where every cell fits."""
    misfit_cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of an input, and how it is read.

    A ``Setting`` is None where the format does not have it. With several files, it is that of the first one.
    """

    files: tuple[str, ...]
    format: str
    encoding: Setting[str] | None
    delimiter: Setting[str] | None
    header_row: Setting[int] | None
    """The line of the header in a CSV, or its row in a sheet, from 1."""
    sheet: Setting[str] | None
    sheets: tuple[str, ...]
    """The sheets that people see, and the one that was read."""
    decimal: Setting[str]
    """The decimal sign of numbers in text."""
    thousands: Setting[str] | None
    null_values: tuple[str, ...]
    """Texts that count as empty."""
    rows: int | None
    """All rows of the input, without totals at its end; None if it has more than were looked at."""
    sampled: int
    """Rows that were looked at."""
    malformed: int
    """Rows before the end of the sample that could not be read. They are not in it."""
    malformed_example: str
    columns: tuple[Column, ...]
    problems: tuple[str, ...]
    """What is wrong with the given configuration for these columns, such as a column that is not there."""
    notes: tuple[str, ...]
    """What else was decided about the input, such as which sheet is read."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values for JSON."""
        return asdict(self)

    def __getitem__(self, name: str) -> Column:
        """Return a column by its name. Raise KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def described(given: Sequence[Given], config: Config, *, rows: int = SAMPLE_ROWS, samples: int = SAMPLES) -> Columns:
    """Describe the columns of an input by its first ``rows`` valid rows. Raise InputError, ConfigError.

    ``samples``: how many values, empty cells and misfits to show of each column.
    """
    with Spool() as spool:
        source, found = opened(list(given), config, spool, sample_rows=rows, most_rows=rows)
        return _described(source, found, config, samples)


def _described(source: Input, found: Survey, config: Config, most: int) -> Columns:
    mapped, wrong = uses(source.schema, config, source.unreadable)
    guesses = _guessed(found, config)
    if config.recipient.is_empty and not guesses.is_mapped:
        mapped = []  # a name that happens to be that of a field is not yet a mapping
    suggested, why_not = _suggested(source, found, config, guesses)
    guess = uses(source.schema, suggested, source.unreadable)[0] if suggested is not None else []
    by = suggested.input if suggested is not None and not mapped else config.input
    given = config.input.model_fields_set
    how = source.read_as
    looking = _Looking(found, tuple(by.null_values), guesses, most)
    return Columns(
        files=tuple(file.name for file in source.files),
        format=how.format,
        encoding=how.encoding,
        delimiter=how.delimiter,
        header_row=how.header_row,
        sheet=Setting(how.sheet, is_guess=len(how.sheets) > 1 and config.input.sheet is None) if how.sheet else None,
        sheets=how.sheets,
        decimal=Setting(by.decimal, is_guess=not mapped and "decimal" not in given),
        thousands=Setting(by.thousands, is_guess="thousands" not in given) if by.thousands else None,
        null_values=tuple(by.null_values),
        rows=found.rows if found.is_whole else None,
        sampled=len(found.sample),
        malformed=found.malformed,
        malformed_example=found.fault,
        columns=tuple(
            looking.at(
                column,
                [use for use in guess if use.column == column.name],
                [use for use in mapped if use.column == column.name],
            )
            for column in found.sample.get_columns()
        ),
        problems=tuple(dict.fromkeys(map(str, [*wrong, *why_not]))),
        notes=(*source.notes, *source.cell_notes(set(source.schema))),
    )


def _guessed(found: Survey, config: Config) -> Guesses:
    """Return what the cells are; nothing if a column's name is wrong, which is a problem by itself."""
    try:
        return guessed(found.sample, config)
    except (ConfigError, InputError):
        return Guesses({}, (), is_mapped=True)


def _suggested(
    source: Input, found: Survey, config: Config, guesses: Guesses
) -> tuple[Config | None, Sequence[ConfigError | InputError]]:
    """Return the suggested configuration. Without one, return why, unless there are just no rows to guess from."""
    if not len(found.sample):
        return None, ()
    try:
        return composed(source, found, config, guesses).config, ()
    except (ConfigError, InputError) as error:
        return None, (error,) if config.recipient.is_empty else ()


@dataclass(frozen=True, slots=True)
class _Looking:
    """Describes a column of a sample. ``nothing``: texts that count as empty. ``most``: cells to show of each kind."""

    found: Survey
    nothing: tuple[str, ...]
    guesses: Guesses
    most: int

    def at(self, column: pl.Series, guess: Sequence[Use], mapped: Sequence[Use]) -> Column:
        name, column = column.name, column.alias("cell")  # a name may be a pattern to polars
        empty = self._empty(column)
        fields = [field for use in mapped or guess for field in use.fields if field.converted.can_fail]
        wrong = self._wrong(fields)
        is_certain = bool(mapped) or name not in self.guesses.columns
        return Column(
            name=name,
            dtype=type_name(column.dtype),
            samples=self._samples(column.filter(~empty)),
            empty=int(empty.sum()),
            empty_share=int(empty.sum()) / max(1, len(column)),
            empty_cells=self._cells(column, empty),
            guess=tuple(_use(use, column.dtype) for use in guess),
            also=("" if is_certain else self.guesses.columns[name].also) or "",
            uses=tuple(_use(use, column.dtype) for use in mapped),
            misfits=int(wrong.sum()),
            expected=next((field.converted.expected for field in fields), "") if wrong.any() else "",
            misfit_cells=self._cells(column, wrong),
        )

    def _empty(self, column: pl.Series) -> pl.Series:
        if column.dtype != pl.String:
            return column.is_null()
        return (column.str.strip_chars().is_in(["", *self.nothing])).fill_null(True)

    def _wrong(self, fields: Sequence[Field]) -> pl.Series:
        """Return the rows in which a cell cannot be converted."""
        none = pl.repeat(False, len(self.found.sample), eager=True)
        if not fields:
            return none
        flags = self.found.sample.select(
            pl.any_horizontal(field.converted.failed(field.converted.json) for field in fields).alias("wrong")
        )
        return flags["wrong"]

    def _samples(self, filled: pl.Series) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_shown(filled.head(_SAMPLED_CELLS))))[: self.most]

    def _cells(self, column: pl.Series, chosen: pl.Series) -> tuple[Cell, ...]:
        places = self.found.places.filter(chosen).head(self.most)
        texts = _shown(column.filter(chosen).head(self.most))
        return tuple(
            Cell(row, source, line, text)
            for (row, source, line), text in zip(
                places.select("row", "source", "source_line").rows(), texts, strict=True
            )
        )


def _shown(column: pl.Series) -> list[str]:
    return [clean(text, _SHOWN) for text in sample_texts(column).to_list()]


def _use(use: Use, dtype: pl.DataType) -> ColumnUse:
    kind = use.source.type or untyped(use.column)[1] or _kind(dtype)
    return ColumnUse(use.name, "string" if not use.fields else kind, use.source.format)


def _kind(dtype: pl.DataType) -> FieldType:
    """Return what a column goes out as if nothing else is configured."""
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric() or dtype == NUMBER:
        return "float"
    if dtype == pl.Boolean:
        return "boolean"
    if dtype == pl.Date:
        return "date"
    if isinstance(dtype, pl.Datetime):
        return "datetime"
    return "json" if is_object(dtype) else "string"
