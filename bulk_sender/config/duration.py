"""A length of time, such as ``20 hours``."""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(seconds?|sec|s|minutes?|min|m|hours?|h|days?|d|weeks?|w)(?![a-z])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> timedelta:
    """Return ``"20 hours"``, ``"90d"`` or ``"1 day 12 hours"`` as a length of time; ``"0"`` is none.

    Raises ValueError with the expected form.
    """
    plain = text.strip().lower()
    if plain == "0":
        return timedelta()
    found = [(float(count), _UNITS[unit[0]]) for count, unit in _DURATION.findall(plain)]
    if not found or _DURATION.sub("", plain).strip(" ,"):
        raise ValueError(f"{text!r} is not a length of time: write it like 20 hours, 90 minutes, 30 s or 7 days")
    return sum((timedelta(**{unit: count}) for count, unit in found), timedelta())
