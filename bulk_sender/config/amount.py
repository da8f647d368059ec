"""A number of rows, or a share of all rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of rows, or a share of all rows in percent."""

    rows: int | None = None
    percent: float | None = None

    @classmethod
    def parse(cls, text: str | int) -> Self:
        """Parse ``100`` or ``"1%"``. Raises ValueError with the expected form."""
        plain = str(text).strip().replace("_", "")
        if plain.isdecimal() and not isinstance(text, bool):
            return cls(rows=int(plain))
        if (share := _SHARE.fullmatch(plain)) and float(share[1]) <= 100:
            return cls(percent=float(share[1]))
        raise ValueError(f"{text!r} is neither a number of rows nor a share of them, such as 100 or 1%")

    def allows(self, rows: int, of: int) -> bool:
        """Whether it allows ``rows`` of ``of`` rows."""
        if self.percent is not None:
            return 100 * rows <= self.percent * of
        return rows <= (self.rows or 0)

    def __str__(self) -> str:
        return f"{self.percent:g}%" if self.percent is not None else str(self.rows)
