"""Test helper that converts a column's values with ``convert`` and returns plain Python values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from bulk_sender.config.model import FieldType
from bulk_sender.recipients.convert import Convention, convert


@dataclass(frozen=True)
class Wrong:
    """A value that is refused, so that its row is rejected."""


WRONG = Wrong()
Sent = str | Wrong | None
"""JSON text, a refusal, or None for a value that is left out."""


def converted(
    values: Sequence[Any],
    wanted: FieldType | None,
    dtype: pl.DataType | type[pl.DataType] = pl.String,
    by: Convention | None = None,
) -> list[Sent]:
    column = pl.Series("x", values, dtype=dtype)
    conversion = convert(pl.col("x"), column.dtype, wanted, by or Convention())
    frame = column.to_frame().with_columns(json=conversion.json)
    if not conversion.can_fail:
        return frame["json"].to_list()
    frame = frame.with_columns(wrong=conversion.failed(pl.col("json")))
    return [WRONG if wrong else json for json, wrong in frame.select("json", "wrong").rows()]
