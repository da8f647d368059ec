"""How figures are written for people. Pure."""

from __future__ import annotations


def number(value: float) -> str:
    """A rate or a count with three figures that matter: ``0.123``, ``69.4``, ``3,472``."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.{1 if value >= 10 else 2 if value >= 1 else 3}f}"


def duration(seconds: float) -> str:
    """A length of time in at most two units: ``134 ms``, ``3.4 s``, ``2 min 05 s``, ``4 h 07 min``, ``2 d 03 h``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    for unit, name, small, smaller in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // small:02d} {smaller}"
    return f"{whole} s"


def share(part: int, whole: int) -> str:
    """A share in percent, never rounded to nothing or to all: ``<0.1 %``, ``12.5 %``, ``>99.9 %``."""
    if not whole or not part or part == whole:
        return "100 %" if part and part == whole else "0 %"
    percent = 100 * part / whole
    if percent < 0.1:
        return "<0.1 %"
    return ">99.9 %" if percent > 99.9 else f"{percent:.1f} %"
