"""A request rate, such as ``250000/hour``."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field

from bulk_sender.config.base import Model

_RATE = re.compile(r"^\s*([\d_]+(?:\.\d+)?)\s*/\s*(second|minute|hour|day|s|m|min|h|d)\s*$")


_SECONDS = {
    "second": 1,
    "s": 1,
    "minute": 60,
    "m": 60,
    "min": 60,
    "hour": 3600,
    "h": 3600,
    "day": 86400,
    "d": 86400,
}


class Rate(Model):
    """``count`` requests per ``seconds``."""

    count: float = Field(gt=0)
    seconds: int

    @property
    def per_second(self) -> float:
        return self.count / self.seconds

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``"250000/hour"``. Raises ValueError with the expected form."""
        match = _RATE.match(text)
        if not match or float(match[1].replace("_", "")) <= 0:
            raise ValueError(f"invalid rate {text!r}: use N/second, N/minute, N/hour or N/day, such as 250000/hour")
        return cls(count=float(match[1].replace("_", "")), seconds=_SECONDS[match[2]])
