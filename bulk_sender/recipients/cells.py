"""Cells of an input as text for people: in errors, and as samples of a column. Pure."""

from __future__ import annotations

import polars as pl

from bulk_sender.errors import ConfigError
from bulk_sender.reading.types import NUMBER
from bulk_sender.recipients.convert import Convention, is_object, json_text
from bulk_sender.recipients.dates import shown

NESTED = "a nested value"


def cell_texts(series: pl.Series) -> pl.Series:
    """Return a column as text for errors, in which nested values have no room."""
    if series.dtype == pl.String:
        return series
    if is_object(series.dtype):
        return pl.Series(series.name, [NESTED] * len(series), dtype=pl.String)
    if series.dtype == pl.Binary:
        return pl.Series(series.name, map(_bytes_as_text, series), dtype=pl.String)
    if series.dtype == NUMBER:
        return series.ext.storage()
    return shown(series)


def sample_texts(series: pl.Series) -> pl.Series:
    """Return a column as text, with nested values as JSON where JSON has them."""
    if not is_object(series.dtype):
        return cell_texts(series)
    try:
        return series.alias("_").to_frame().select(json_text(pl.col("_"), series.dtype, Convention())).to_series()
    except ConfigError:
        return cell_texts(series)


def _bytes_as_text(cell: bytes | None) -> str | None:
    return None if cell is None else cell.decode(errors="backslashreplace")
