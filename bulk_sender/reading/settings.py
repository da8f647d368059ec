"""Settings of the readers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from bulk_sender.config.model import InputConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings:
    """How files become rows. What is None is detected."""

    format: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    header: bool = True
    """Whether the columns have names: a CSV's header line, or the header row of a sheet."""
    header_row: int | None = None
    """The line of the header in a CSV, or its row in a sheet, from 1."""
    skip_last: int = 0
    """Rows at the end of each file to leave out, such as totals."""
    sheet: str | None = None
    null_values: tuple[str, ...] = ()
    """Texts in a workbook's cells that count as empty before the columns' types are found."""
    timezone: str = "UTC"
    """The time zone in which a workbook's datetimes are written where they are text."""

    @classmethod
    def of(cls, config: InputConfig) -> Self:
        return cls(
            format=config.format,
            delimiter=config.delimiter,
            encoding=config.encoding,
            header=config.header,
            header_row=config.header_row,
            skip_last=config.skip_last,
            sheet=config.sheet,
            null_values=tuple(config.null_values),
            timezone=config.timezone,
        )
