"""First look at an input: a sample, the answers about consent, and totals at the end.

Totals and rare answers are at the end of long files, where a sample does not reach.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError, InputError
from bulk_sender.guessing import column_names
from bulk_sender.guessing.types import guess_identifiers
from bulk_sender.guessing.words import TOTAL, may_answer
from bulk_sender.reading.locate import Given
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from bulk_sender.reading.types import OWN
from bulk_sender.recipients.columns import is_pattern
from bulk_sender.recipients.dates import shown
from bulk_sender.recipients.mapping import by_names
from bulk_sender.text.clean import clean

SAMPLE_ROWS = 10_000
MOST_ROWS = 1_000_000
"""Rows after which reading stops. Totals at the end of a longer file are not found; ``check`` warns of them."""
PLACES = pl.Schema({"row": pl.UInt64(), "source": pl.String(), "source_row": pl.UInt64(), "source_line": pl.UInt64()})
"""The number of a row in reading order, its file, its number in it, and where a person finds it there."""
_TAIL = 6
_ENOUGH = 5
_MOST_ANSWERS = 50


@dataclass(frozen=True, slots=True)
class Survey:
    """What a first look found.

    ``sample``: the first valid rows, without totals. ``totals``: how many rows at the end are not recipients, and
    ``total`` the first text in them. ``answers``: column about consent → its values with their ``count``. ``rows``:
    those that were read, without totals; all of them if ``is_whole``.
    """

    sample: pl.DataFrame
    rows: int = 0
    totals: int = 0
    total: str = ""
    answers: dict[str, pl.DataFrame] = field(default_factory=dict)
    places: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PLACES))
    """Where each row of the sample is."""
    is_whole: bool = True
    malformed: int = 0
    fault: str = ""
    """What is wrong with the first malformed row, and where it is."""


def survey(source: Input, *, sample_rows: int = SAMPLE_ROWS, most_rows: int = MOST_ROWS) -> Survey:
    """Look at the rows of an input. Raise InputError when it cannot be read.

    ``sample_rows``: the most rows of the sample. ``most_rows``: rows after which reading stops.
    """
    sample = pl.DataFrame(schema=source.schema)
    places = pl.DataFrame(schema=PLACES)
    tail, numbers = sample, pl.Series("row", [], dtype=pl.UInt64)
    asked = {name: pl.DataFrame() for name, dtype in source.schema.items() if may_answer(name, dtype)}
    rows = malformed = 0
    fault = ""
    for chunk in source.read():
        if rows >= most_rows:
            return Survey(sample, rows, answers=asked, places=places, is_whole=False, malformed=malformed, fault=fault)
        if chunk.faults:
            malformed += len(chunk.faults)
            fault = fault or chunk.fault(min(chunk.faults))
        row = pl.int_range(rows + 1, rows + len(chunk.frame) + 1, dtype=pl.UInt64, eager=True)
        rows += len(chunk.frame)
        tail, numbers = pl.concat([tail, chunk.frame]).tail(_TAIL), pl.concat([numbers, row.alias("row")]).tail(_TAIL)
        if len(sample) < sample_rows:
            is_valid = ~pl.int_range(len(chunk.frame), eager=True).is_in(list(chunk.faults))
            place = chunk.origins().select(row=row, source="source", source_row="source_row")
            place = place.with_columns(source_line=chunk.numbered_lines()).cast(PLACES)
            sample = pl.concat([sample, chunk.frame.filter(is_valid)]).head(sample_rows)
            places = pl.concat([places, place.filter(is_valid)]).head(sample_rows)
        for name, before in asked.items():
            asked[name] = _counted(before, chunk.frame[name])
    may_have_totals = len(source.files) == 1 and not any(map(is_pattern, source.schema))
    found = _totals(tail, sample.head(max(0, len(sample) - _TAIL))) if may_have_totals else []
    if not found:
        return Survey(sample, rows, answers=asked, places=places, malformed=malformed, fault=fault)
    places = places.filter(places["row"] < numbers[-len(found)])
    left = tail.tail(len(found))
    answers = {name: _without(counts, left[name]) for name, counts in asked.items()}
    return Survey(
        sample.head(len(places)),
        rows - len(found),
        len(found),
        found[0],
        answers,
        places,
        malformed=malformed,
        fault=fault,
    )


def opened(
    given: list[Given], config: Config, spool: Spool, *, sample_rows: int = SAMPLE_ROWS, most_rows: int = MOST_ROWS
) -> tuple[Input, Survey]:
    """Open an input and look at it. Of a workbook, take the first visible sheet with a table of people.

    A sheet that the configuration names is taken. Raise InputError when the input cannot be read.
    """
    source = Input.open(given, ReadSettings.of(config.input), spool)
    found = survey(source, sample_rows=sample_rows, most_rows=most_rows)
    is_read_once = isinstance(given[0], str) and given[0] == "-"
    if config.input.sheet is not None or is_read_once or _names_people(found.sample):
        return source, found
    for sheet in source.visible_sheets:
        settings = replace(ReadSettings.of(config.input), sheet=sheet)
        try:
            other = Input.open(given, settings, spool)
            seen = survey(other, sample_rows=sample_rows, most_rows=most_rows)
        except InputError:
            continue
        if _names_people(seen.sample):
            return other, seen
    return source, found


def _names_people(sample: pl.DataFrame) -> bool:
    """Whether rows are people: a column is named like an identifier, or holds addresses."""
    if any(map(is_pattern, sample.columns)):  # which is refused later
        return True
    try:
        if len(sample) and by_names(sample.schema)[0].identifier_order:
            return True
    except ConfigError:  # one is named like a field, with a type that does not exist
        return True
    found = guess_identifiers(sample) if len(sample) and len(sample.columns) > 1 else {}
    return any(
        kind == "email" or column_names.identifier_rank(column, kind) is not None for kind, column in found.items()
    )


def _counted(before: pl.DataFrame, column: pl.Series) -> pl.DataFrame:
    """Return the values of a column with their counts, added to those before."""
    if len(before) > _MOST_ANSWERS:  # these are not answers
        return before
    counts = column.alias("value").to_frame().group_by("value", maintain_order=True).len("count")
    joined = pl.concat([before, counts]) if len(before) else counts
    return joined.group_by("value", maintain_order=True).agg(pl.col("count").sum())


def _without(counts: pl.DataFrame, values: pl.Series) -> pl.DataFrame:
    """Return the counts without those of some rows."""
    fewer = values.alias("value").to_frame().group_by("value").len("less")
    joined = counts.join(fewer, on="value", how="left", nulls_equal=True, maintain_order="left")
    left = joined.select("value", count=pl.col("count") - pl.col("less").fill_null(0))
    return left.filter(pl.col("count") > 0)


def _totals(tail: pl.DataFrame, others: pl.DataFrame) -> list[str]:
    """Return the first text of each row at the end of a file that is a total or a note, in the order of the file."""
    if not len(others):
        others = tail.head(max(0, len(tail) - 1))
    usual = _Usual.of(others)
    found: list[str] = []
    for row in reversed(_texts(tail).rows()):
        if usual.has(row):
            break
        found.insert(0, clean(next((text for text in row if text), ""), 40))
    return found if len(found) < len(tail) else []


@dataclass(frozen=True, slots=True)
class _Usual:
    """What the rows of people look like.

    ``places``: the columns that identify people. ``fewest``: the fewest cells with a value.
    """

    rows: int
    places: Sequence[int]
    shapes: Sequence[tuple[bool, bool]]
    """For each of ``places``: whether all its values have a digit, and whether none has a blank."""
    fewest: int
    most: int

    @classmethod
    def of(cls, others: pl.DataFrame) -> _Usual:
        columns = [name for name in guess_identifiers(others).values() if len(others)]
        texts = _texts(others)
        filled = texts.select(filled=pl.sum_horizontal(pl.all() != ""))["filled"] if len(others) else pl.Series([0])
        shapes = []
        for name in columns:
            cells = texts[name].filter(texts[name] != "")
            shapes.append((bool(cells.str.contains("[0-9]").all()), not cells.str.contains(r"\s").any()))
        fewest, most = filled.min(), filled.max()
        assert isinstance(fewest, int) and isinstance(most, int)
        return cls(len(others), [others.columns.index(name) for name in columns], shapes, fewest, most)

    def has(self, row: tuple[str, ...]) -> bool:
        """Whether a row is a person's."""
        filled = [text for text in row if text]
        if not filled or any("@" in text for text in filled):
            return bool(filled)
        ids = [row[place] for place in self.places]
        if re.search(TOTAL, filled[0]) or any(re.search(TOTAL, text) for text in ids):
            return False
        if any(re.search(TOTAL, text) for text in filled) and len(filled) < self.most and not any(ids):
            return False
        if self.rows < _ENOUGH or 2 * len(filled) > self.fewest:
            return True
        return any(map(self._fits, ids, self.shapes))

    @staticmethod
    def _fits(text: str, shape: tuple[bool, bool]) -> bool:
        has_digit, is_unbroken = shape
        return (
            bool(text)
            and (not has_digit or re.search("[0-9]", text) is not None)
            and not (is_unbroken and re.search(r"\s", text))
        )


def _texts(frame: pl.DataFrame) -> pl.DataFrame:
    """Return scalar cells as text without blanks around it, nested ones as empty."""
    columns = []
    for column in frame.get_columns():  # not by name: polars takes a column called * for all columns
        if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
            columns.append(pl.repeat("", len(frame), eager=True).alias(column.name))
            continue
        value = column.ext.storage() if column.dtype in OWN else column
        columns.append(shown(value).str.strip_chars().fill_null("").alias(column.name))
    return pl.DataFrame(columns)
