"""The invalid rows and the duplicates that are put into a sample on purpose, at known places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from draws import Mask, Rows


@dataclass(frozen=True)
class Fault:
    """One invalid row: the ``cell`` put into ``column`` at ``offset`` (from 0), and why it is invalid."""

    offset: int
    column: str
    cell: str | None
    reason: str


@dataclass(frozen=True)
class Flaws:
    """All that is wrong in a sample. In a longer file the same flaws come again every ``period`` rows."""

    period: int
    faults: tuple[Fault, ...] = ()
    repeats: Mapping[int, int] = field(default_factory=dict)
    """Offset of a duplicate → offset of the earlier row whose identifier it repeats."""

    def owner(self, rows: Rows) -> Rows:
        """The row whose identifier each row bears: itself, or an earlier one."""
        back = np.zeros(self.period, dtype=np.uint64)
        for offset, earlier in self.repeats.items():
            back[offset] = offset - earlier
        earlier_by: Rows = back[rows % np.uint64(self.period)]
        return rows - earlier_by

    def put_into(self, frame: pl.DataFrame, rows: Rows) -> pl.DataFrame:
        """``frame`` (text columns) with the faulty cells in their places."""
        offsets = pl.Series(rows % np.uint64(self.period))
        for fault in self.faults:
            cell = pl.lit(fault.cell, dtype=pl.String)
            column = pl.when(offsets == fault.offset).then(cell).otherwise(pl.col(fault.column))
            frame = frame.with_columns(column.alias(fault.column))
        return frame


def rows_with(offsets: Sequence[int], rows: Rows, period: int) -> Mask:
    """True for the rows that stand at one of ``offsets`` of their period."""
    return np.isin(rows % np.uint64(period), np.array(offsets, dtype=np.uint64))
