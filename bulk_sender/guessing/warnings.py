"""Warnings of ``check`` about likely mistakes in an input's first rows. Pure.

Everything reported here is valid, but rarely intended, such as lost leading zeros.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from bulk_sender.guessing.column_names import is_code
from bulk_sender.recipients.mapping import Field, Identifier, RecipientMapping

INSIGHT_ROWS = 20_000
_MOST = 0.9
_MOST_FIELDS = 200
"""Later fields are not checked, to keep files with thousands of columns fast."""
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
_DATE = r"^([0-9]{1,2})([/.\-])([0-9]{1,2})[/.\-]([0-9]{4})\b"
_MOJIBAKE = r"[ÃÂ][\u0080-\u00bf]|â€|\ufffd"
"""UTF-8 decoded as another encoding, or characters that an encoding did not have."""


def insights(sample: pl.DataFrame, mapping: RecipientMapping) -> list[str]:
    """Return warnings about the first rows of an input; each names the column."""
    if not len(sample):
        return []
    found = [text for identifier in mapping.identifiers for text in _about_identifier(sample, identifier)]
    fields = [field for field in mapping.fields if field.column][:_MOST_FIELDS]
    raws = sample.select(field.raw.alias(str(index)) for index, field in enumerate(fields))
    return found + [text for field, raw in zip(fields, raws, strict=True) for text in _about_field(raw, field)]


def _about_identifier(sample: pl.DataFrame, identifier: Identifier) -> Iterator[str]:
    texts = sample.select(identifier.text.cast(pl.String)).to_series().drop_nulls()
    column = f"column {identifier.column!r}"
    if not len(texts):
        return
    if len(texts) > 1 and texts.n_unique() == 1:
        yield f"{column}: all {len(texts)} sampled rows have the same {identifier.kind}"
    if identifier.kind != "email" and _share(texts, _EMAIL) >= _MOST:
        yield f"{column}: the values look like e-mail addresses but are sent as {identifier.kind}"
    if lost := _lost_zeros(texts):
        yield f"{column}: {lost}"


def _about_field(raw: pl.Series, field: Field) -> Iterator[str]:
    column, name = f"column {field.column!r}", ".".join(field.path) or field.column
    empty = raw.is_null()
    if raw.dtype == pl.String:
        empty = empty | (raw.str.len_bytes() == 0)
    missing = int(empty.sum())
    if missing >= _MOST * len(raw) and len(raw) >= 10:
        yield f"{column}: {name} is empty in {missing} of the {len(raw)} sampled rows"
    if raw.dtype == pl.String:
        texts = raw.filter(~empty)
        if not field.has_format:
            yield from _about_dates(texts, column)
        yield from _about_text(texts, column, is_code(field.column))
    elif raw.dtype.is_integer() and is_code(field.column) and (lost := _lost_zeros(raw.drop_nulls().cast(pl.String))):
        yield f"{column}: {lost}"


def _about_dates(texts: pl.Series, column: str) -> Iterator[str]:
    if len(texts) and _share(texts, _DATE) >= _MOST:
        first, second = (texts.str.extract(_DATE, group).cast(pl.Int64).max() for group in (1, 3))
        assert isinstance(first, int) and isinstance(second, int)  # most cells match, so neither maximum is null
        if first <= 12 < second:
            yield f"{column}: dates such as {_example(texts, _DATE)} have the month first, as in the US"
        elif first <= 12 and second <= 12:
            yield f"{column}: dates such as {_example(texts, _DATE)} may have the day or the month first"


def _about_text(texts: pl.Series, column: str, code: bool) -> Iterator[str]:
    if code and (lost := _lost_zeros(texts)):
        yield f"{column}: {lost}"
    if garbled := int(texts.str.contains(_MOJIBAKE).sum()):
        shown = _example(texts, _MOJIBAKE)
        yield f"{column}: {_rows(garbled)} with garbled letters such as {shown}: check [input] encoding"


def _lost_zeros(texts: pl.Series) -> str:
    """Return a warning if a few codes are shorter and none begins with 0, or an empty string.

    Spreadsheets remove leading zeros.
    """
    if len(texts) < 10 or not bool(texts.str.contains(r"^[0-9]+$").all()) or bool(texts.str.starts_with("0").any()):
        return ""
    lengths = texts.str.len_bytes()
    width = lengths.max()
    assert isinstance(width, int)
    shorter = int((lengths < width).sum())
    # About a tenth of all codes begin with zero; sequential numbers also have shorter ones, so exclude those.
    if width < 4 or not 0 < shorter <= 0.3 * len(texts) or _counts_up(texts):
        return ""
    return f"{_rows(shorter)} with fewer than {width} digits, and none starts with 0: were leading zeros lost?"


def _counts_up(texts: pl.Series) -> bool:
    numbers = texts.cast(pl.Float64)
    return bool(numbers.is_sorted()) or bool(numbers.is_sorted(descending=True))


def _share(texts: pl.Series, pattern: str) -> float:
    return int(texts.str.contains(pattern).sum()) / len(texts)


def _example(texts: pl.Series, pattern: str) -> str:
    value = texts.filter(texts.str.contains(pattern)).first()
    return repr(str(value)[:30])


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"
