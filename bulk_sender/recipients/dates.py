"""Dates and times in text with a format, as Python's ``datetime.strptime`` reads them. In whole columns.

polars' own parser reads the directives by other rules, so only the finished ISO date is given to it.
"""

from __future__ import annotations

import re

import polars as pl

from bulk_sender.text.date_formats import MONTHS, WEEKDAYS, YEARS, DateFormat

_MONTHS = {name: number for number, name in enumerate(MONTHS, 1)} | {
    name[:3]: number for number, name in enumerate(MONTHS, 1)
}
_WEEKDAYS = {name: number for number, name in enumerate(WEEKDAYS, 1)} | {
    name[:3]: number for number, name in enumerate(WEEKDAYS, 1)
}


_IN_UTC = re.compile(r"%[HMSf] ?Z\s*$")
ISO_YEARS = (1000, 9999)
"""The years of dates in ISO 8601 and in typed columns: those that have four digits."""


_FARTHEST_YEAR = 200_000
"""polars panics when it writes or moves a date that is a little farther away, such as DuckDB's ``infinity``."""
_COMMON = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%Y.%m.%d", "%d-%m-%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y")
"""The formats in which people write days, besides ISO 8601."""
_A_DAY = r"^([0-9]{1,2}[/.][0-9]{1,2}[/.][0-9]{4}|[0-9]{4}[/.][0-9]{1,2}[/.][0-9]{1,2})\b"
"""Looks like a day with a year of four digits, whether it exists or not."""


def is_sensible(day: pl.Expr) -> pl.Expr:
    """Return where a date or a datetime has a year of four digits; null where there is none."""
    return pl.when(day.is_not_null()).then(day.dt.year().is_between(*ISO_YEARS).fill_null(False))


def writable(day: pl.Expr) -> pl.Expr:
    """Return dates and datetimes, null where polars would panic at writing them."""
    return pl.when(day.dt.year().abs() <= _FARTHEST_YEAR).then(day)


def written(day: pl.Expr, dtype: pl.DataType, format: str) -> pl.Expr:
    """Return dates and datetimes as text for people; those that polars cannot write as a distance from 1970."""
    unit = dtype.time_unit if isinstance(dtype, pl.Datetime) else "days"
    return pl.coalesce(writable(day).dt.strftime(format), pl.format(f"{{}} {unit} after 1970-01-01", day.to_physical()))


def shown(column: pl.Series) -> pl.Series:
    """Return a scalar column as text for people."""
    if isinstance(column.dtype, pl.Date | pl.Datetime):
        return column.to_frame("_").select(written(pl.col("_"), column.dtype, "iso")).to_series().alias(column.name)
    return column.cast(pl.String)


def moments(text: pl.Expr, format: str, *, as_written: bool = False, any_year: bool = False) -> pl.Expr:
    """Return text as datetimes, null where it does not fit; in UTC, without a zone, if the format has an offset.

    ``as_written``: the local time, whatever the offset. Years outside YEARS are null unless ``any_year``.
    """
    read = DateFormat.parse(format)

    def parse(column: pl.Series) -> pl.Series:
        groups = column.str.extract_groups(read.pattern).struct.unnest()
        return groups.select(moment=_moment(read.directives, as_written, any_year))["moment"]

    return text.map_batches(parse, return_dtype=pl.Datetime("us"))


def has_offset(format: str) -> bool:
    """Whether the values of a format have an offset from UTC, or a Z behind their time, which means UTC."""
    return "z" in DateFormat.parse(format).directives or _IN_UTC.search(format) is not None


def advice(text: pl.Expr, format: str | None) -> pl.Expr:
    """Return what to do about text that is not a date, to follow the sentence that says so; null without advice."""
    if format is None:
        day = text.str.extract(r"^(\S+)")
        fitting = [
            pl.when(moments(day, each).is_not_null()).then(pl.lit(f': give the column a format, such as "{each}"'))
            for each in _COMMON
        ]
        strange = text.str.contains(r"^0[0-9]{3}-[0-9]{2}-[0-9]{2}")
        years = pl.lit(f": years are from {ISO_YEARS[0]} to {ISO_YEARS[1]}")
        no_day = pl.when(text.str.contains(_A_DAY)).then(pl.lit(": there is no such day"))
        return pl.coalesce([*fitting, pl.when(strange).then(years), no_day])
    years = pl.lit(f": years are from {YEARS[0]} to {YEARS[1]}")
    skipped = pl.lit(": daylight saving skips this time")
    found = [
        pl.when(moments(text, format).is_not_null()).then(skipped),
        pl.when(moments(text, format, any_year=True).is_not_null()).then(years),
    ]
    for has, other, digits in (("%Y", "%y", "two"), ("%y", "%Y", "four")):
        if has in format:
            fits = moments(text, format.replace(has, other)).is_not_null()
            found.append(pl.when(fits).then(pl.lit(f": a year of {digits} digits is {other}")))
    return pl.coalesce(found)


def _moment(has: frozenset[str], as_written: bool, any_year: bool) -> pl.Expr:
    year = _year(has)
    month = _number("m") if "m" in has else _named(has, "Bb", _MONTHS) if has & {"B", "b"} else pl.lit(1)
    day = _number("d") if "d" in has else pl.lit(1)
    iso = pl.format("{}-{}-{}", _padded(year, 4), _padded(month, 2), _padded(day, 2))
    date = iso.str.strptime(pl.Date, "%Y-%m-%d", strict=False)
    valid = pl.col("rest") == ""
    if "j" in has:  # day 366 exists in leap years only
        date = date + pl.duration(days=_number("j") - 1)
        valid &= date.dt.year() == year
    if has & {"A", "a"}:  # a wrong weekday is a sign that day and month are swapped
        valid &= date.dt.weekday() == _named(has, "Aa", _WEEKDAYS)
    if not any_year:
        valid &= year.is_between(*YEARS)
    if "S" in has:
        valid &= _number("S") < 60
    if "z" in has:
        valid &= pl.col("z_second").is_null() & ((_number("z_hour") < 24) | pl.col("z_sign").is_null())
    moment = date.cast(pl.Datetime("us")) + pl.duration(
        hours=_hour(has),
        minutes=_number("M") if "M" in has else 0,
        seconds=_number("S") if "S" in has else 0,
        microseconds=pl.col("f").str.pad_end(6, "0").cast(pl.Int64) if "f" in has else 0,
        time_unit="us",
    )
    return pl.when(valid).then(moment - _offset() if "z" in has and not as_written else moment)


def _year(has: frozenset[str]) -> pl.Expr:
    if "Y" in has:
        return _number("Y")
    return _number("y") + pl.when(_number("y") <= 68).then(2000).otherwise(1900)


def _hour(has: frozenset[str]) -> pl.Expr | int:
    if "I" in has:
        return _number("I") % 12 + pl.when(pl.col("p").str.to_lowercase() == "pm").then(12).otherwise(0)
    return _number("H") if "H" in has else 0


def _offset() -> pl.Expr:
    sign = pl.when(pl.col("z_sign") == "-").then(-1).otherwise(1)
    minutes = (_number("z_hour") * 60 + _number("z_minute")).fill_null(0)
    return pl.duration(minutes=sign * minutes, time_unit="us")


def _number(group: str) -> pl.Expr:
    return pl.col(group).str.strip_chars(" ").cast(pl.Int64)


def _named(has: frozenset[str], groups: str, numbers: dict[str, int]) -> pl.Expr:
    [group] = [each for each in groups if each in has]
    return pl.col(group).str.to_lowercase().replace_strict(numbers, default=None, return_dtype=pl.Int64)


def _padded(number: pl.Expr, digits: int) -> pl.Expr:
    return number.cast(pl.String).str.zfill(digits)
