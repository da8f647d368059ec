"""Type inference for the columns of a sample, and detection of the identifier column. Pure.

``init`` writes the results to a draft configuration.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from bulk_sender.config.model import FieldType
from bulk_sender.guessing import column_names
from bulk_sender.guessing.words import asks
from bulk_sender.recipients.convert import Convention, convert
from bulk_sender.recipients.numbers import grouped

_DATES = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日")
_SHORT_DATES = ("%d/%m/%y", "%m/%d/%y", "%d.%m.%y")
"""With a year of two digits. Not for dates of birth, because 56 would be the year 2056."""
_CLOCKS = (" %H:%M", " %H:%M:%S")
_INTEGER = r"^-?(0|[1-9][0-9]{0,17})$"
_PLAIN = {".": r"^[-−]?(0|[1-9][0-9]*)(\.[0-9]+)?$", ",": r"^[-−]?(0|[1-9][0-9]*)(,[0-9]+)?$"}
_SPACED_CODE = r"^[0-9]{3}(?:\p{Zs}[0-9]{3})+$"
_ONE_GROUP = r"^[-−]?[1-9][0-9]{0,2}[.,][0-9]{3}$"
"""A number that has one group of thousands, or three decimals."""
_DECIMALS = {".": r"\.", ",": ","}
_LEADING_ZERO = r"^0[0-9]"
_NOTHING = ("n/a", "N/A", "NA", "#N/A", "null", "NULL", "None", "NaN", "nan", "\\N", "(null)")
_ENOUGH = 0.97
_LETTERS = ({"y", "n"}, {"t", "f"}, {"o", "n"}, {"j", "n"}, {"s", "n"})
"""Pairs of letters that mean yes and no."""
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"


@dataclass(frozen=True, slots=True)
class Guess:
    """The guessed type of a text column.

    ``also``: another format that its dates fit; ``misfits``: how many cells of the sample do not have this type.
    """

    type: FieldType = "string"
    format: str | None = None
    also: str | None = None
    decimal_comma: bool = False
    misfits: int = 0
    thousands: str | None = None
    also_decimal: bool = False
    """Whether its separator of thousands could also be a decimal sign."""
    misfit: str = field(default="", compare=False)
    """The first of the cells that do not have this type."""


@dataclass(frozen=True, slots=True)
class Notation:
    """How a file writes numbers: the keys ``decimal`` and ``thousands`` of ``[input]``."""

    decimal: Literal[".", ","] = "."
    thousands: Literal[" ", ".", ",", "'", "_"] | None = None

    @property
    def pattern(self) -> str:
        """What a number looks like; the same number without separators, too."""
        plain = _PLAIN[self.decimal]
        return plain if self.thousands is None else f"{plain}|{grouped(self.thousands, self.decimal)}"


NOTATIONS = (
    Notation(),
    Notation(".", ","),
    Notation(","),
    Notation(".", " "),
    Notation(",", " "),
    Notation(",", "."),
    Notation(".", "'"),
    Notation(",", "'"),
)
"""The notations that are recognized, the likeliest first."""


def guess_notation(columns: Sequence[pl.Series], nothing: Sequence[str] = ()) -> Notation:
    """Return the notation that fits the numbers of most columns of text."""
    samples = [cells for column in columns if len(cells := _cells(column, nothing)) and not _is_code(cells)]
    digits = [cells for cells in samples if int(cells.str.contains("[0-9]").sum()) >= _ENOUGH * len(cells)]

    def fitting(notation: Notation) -> int:
        return sum(_mostly(cells, notation.pattern) for cells in digits)

    return max(NOTATIONS, key=fitting)


def guess_type(column: pl.Series, nothing: Sequence[str] = (), notation: Notation | None = None) -> Guess:
    """Return the narrowest type that at least 97 % of the cells fit; text for a sample without cells.

    ``nothing``: values that mean an empty cell. ``notation``: how the file writes numbers; guessed from the column.
    """
    cells = _cells(column, nothing)
    if not len(cells):
        return Guess()
    notation = guess_notation([column], nothing) if notation is None else notation
    return _guess_number(cells, notation) or _guess_moment(cells) or _guess_nested(cells) or Guess()


def agreeing(guesses: dict[str, Guess]) -> dict[str, Guess]:
    """Decide what can be read in two ways as the other columns of the file are written: numbers and dates."""
    if any(guess.thousands and not guess.also_decimal for guess in guesses.values()):
        guesses = {name: replace(guess, also_decimal=False) for name, guess in guesses.items()}
    certain = {guess.format[:2] for guess in guesses.values() if guess.format and not guess.also}
    if len(certain & {"%d", "%m"}) != 1:
        return guesses
    [first] = certain & {"%d", "%m"}

    def decided(guess: Guess) -> Guess:
        if not guess.also or guess.format is None:
            return guess
        right = guess.format if guess.format.startswith(first) else guess.also
        return replace(guess, format=right, also=None) if right.startswith(first) else guess

    return {name: decided(guess) for name, guess in guesses.items()}


def _cells(column: pl.Series, nothing: Sequence[str]) -> pl.Series:
    cells = column.str.strip_chars()
    return cells.filter((cells.str.len_bytes() > 0) & ~cells.is_in(list(nothing)))


def _is_code(cells: pl.Series) -> bool:
    """Whether digits in these cells are a code: by the column's name, a leading zero, or groups of one length."""
    if column_names.is_code(cells.name) or cells.str.contains(_LEADING_ZERO).any():
        return True
    return len(cells) > 1 and bool(cells.str.contains(_SPACED_CODE).all()) and cells.str.len_chars().n_unique() == 1


def _guess_number(cells: pl.Series, notation: Notation) -> Guess | None:
    if _may_be_boolean(cells) and (found := _typed(cells, "boolean")):
        return found
    if _is_code(cells):
        return None
    if _mostly(cells, _INTEGER):
        eight_digits = _mostly(cells, r"^(19|20)\d{6}$")
        return (_typed(cells, "date", "%Y%m%d") if eight_digits else None) or _typed(cells, "integer")
    if not _mostly(cells, notation.pattern):
        return None
    by = Convention(decimal=notation.decimal, thousands=notation.thousands)
    found = _typed(cells, "integer", by=by)
    if found is None or cells.str.contains(rf"{_DECIMALS[notation.decimal]}[0-9]+$").any():
        found = _typed(cells, "float", by=by)
    if found is None:
        return None
    plain = _PLAIN[notation.decimal]
    needs_thousands = notation.thousands is not None and not _mostly(cells, plain)
    separated = cells.filter(cells.str.contains("[.,]"))
    return replace(
        found,
        decimal_comma=notation.decimal == "," and bool(cells.str.contains(",", literal=True).any()),
        thousands=notation.thousands if needs_thousands else None,
        also_decimal=bool(len(separated)) and bool(separated.str.contains(_ONE_GROUP).all()),
    )


def _may_be_boolean(cells: pl.Series) -> bool:
    """Whether words such as "no" and "f" in these cells can mean true or false: not a country or a gender."""
    if cells.n_unique() > 8:
        return False
    if asks(cells.name) is not None:
        return True
    if column_names.meaning(cells.name, column_names.PROPERTIES) or _mostly(cells, _INTEGER):
        return False
    letters = set(cells.str.to_lowercase().unique())
    return any(len(each) > 1 for each in letters) or letters in _LETTERS


def _guess_moment(cells: pl.Series) -> Guess | None:
    if found := _typed(cells, "date"):
        return found
    if _mostly(cells, r"^\d{4}-\d{2}-\d{2}") and (found := _typed(cells, "datetime")):
        return found
    wanted: FieldType
    for wanted, clocks in (("date", ("",)), ("datetime", _CLOCKS)):
        days = _DATES if column_names.is_birth(cells.name) else _DATES + _SHORT_DATES
        formats = [day + clock for clock in clocks for day in days]
        fitting = [found for each in formats if _mostly(cells, _shape(each)) and (found := _typed(cells, wanted, each))]
        if fitting:
            best = min(fitting, key=lambda guess: guess.misfits)
            others = [guess.format for guess in fitting if guess is not best and guess.misfits == best.misfits]
            return replace(best, also=others[0] if others else None)
    return None


def _guess_nested(cells: pl.Series) -> Guess | None:
    if _mostly(cells, r"^[\[{]"):
        return _typed(cells, "json")
    several = cells.str.contains(r"^[^|]+(\|[^|]+)+$").sum()
    return Guess("list") if several >= max(2, len(cells) // 5) else None


def _mostly(cells: pl.Series, pattern: str) -> bool:
    return int(cells.str.contains(pattern).sum()) >= _ENOUGH * len(cells)


def _typed(cells: pl.Series, kind: FieldType, format: str | None = None, by: Convention | None = None) -> Guess | None:
    """Return a guess of this type, or None if it would reject too many of the cells."""
    converted = convert(pl.col("cell"), pl.String(), kind, by or Convention(format=format))
    wrong = cells.filter(cells.alias("cell").to_frame().select(converted.json.is_null()).to_series())
    if len(cells) - len(wrong) < _ENOUGH * len(cells):
        return None
    return Guess(kind, format, misfits=len(wrong), misfit=str(wrong[0]) if len(wrong) else "")


def _shape(format: str) -> str:
    """Return a pattern for a date format, because parsing alone would accept a two-digit year for %Y."""
    pattern = format.replace(".", r"\.").replace("%Y", r"\d{4}")
    if "%y" in pattern:
        day = r"\d{1,2}" if "/" in pattern else r"\d{2}"  # 1.2.26 is rather a version
        return "^" + re.sub("%[dm]", lambda _: day, pattern).replace("%y", r"\d{2}") + "$"
    for part in ("%d", "%m", "%H", "%M", "%S"):
        pattern = pattern.replace(part, r"\d{1,2}")
    return f"^{pattern}$"


def guess_nothing(sample: pl.DataFrame) -> list[str]:
    """Return the values in the sample's cells that mean "empty", such as ``n/a``."""
    cells = pl.concat(
        [sample[name] for name, dtype in sample.schema.items() if dtype == pl.String] or [pl.Series([""])]
    )
    values = set(cells.unique().drop_nulls())
    return [value for value in _NOTHING if value in values]


def guess_identifiers(sample: pl.DataFrame) -> dict[str, str]:
    """Return identifier → column, by name, else a column of addresses, else the first with a unique value per row."""
    found: dict[str, str] = {}
    for kind in column_names.IDENTIFIERS:
        ranks = {
            column: rank
            for column in sample.columns
            if (rank := column_names.identifier_rank(column, kind)) is not None and _fits(sample[column], kind)
        }
        if ranks:
            found[kind] = min(ranks, key=lambda column: ranks[column])
    if "email" not in found and (address := _address(sample)):
        found["email"] = address
    if not found:
        usable = [column for column in sample.columns if _can_identify(sample[column])]
        distinct = [column for column in usable if sample[column].n_unique() == len(sample)]
        if usable:
            found["external_user_id"] = (distinct or usable)[0]
    return {kind: found[kind] for kind in column_names.IDENTIFIERS if kind in found}


def _address(sample: pl.DataFrame) -> str | None:
    """Return the first column in which nearly all cells are addresses."""
    for column in sample.columns:
        if sample[column].dtype == pl.String and len(cells := _cells(sample[column], ())) and _mostly(cells, _EMAIL):
            return column
    return None


def _fits(column: pl.Series, kind: str) -> bool:
    """Whether the values of a column that is named like an identifier can be one."""
    if not _can_identify(column):
        return False
    if column.dtype != pl.String or not len(cells := _cells(column, ())):
        return True
    if kind == "email":
        known = column_names.identifier_rank(column.name, kind) or 0
        is_named = known < len(column_names.IDENTIFIERS[kind].split("|"))
        return is_named or 2 * int(cells.str.contains(_EMAIL).sum()) > len(cells)
    is_loose = column_names.is_loose(column.name)
    return not (is_loose and 2 * int(cells.str.contains(r"\S\s+\S").sum()) > len(cells))


def _can_identify(column: pl.Series) -> bool:
    if column.dtype.is_decimal():
        return not column.cast(pl.String).str.contains(r"\.0*[1-9]").any()
    return column.dtype == pl.String or column.dtype.is_integer()
