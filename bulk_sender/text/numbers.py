"""Numbers, durations and shares as people read them. Pure."""

from __future__ import annotations

_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def number(value: float) -> str:
    """Return a rate or a count with three significant figures, or all digits before the point: ``69.4``, ``3,472``."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    decimals = 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{decimals}f}".rstrip("0").removesuffix(".")


def several(count: int, one: str, many: str = "") -> str:
    """Return ``1 row``, ``2 rows``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Return a duration in at most two units: ``134 ms``, ``3.4 s``, ``12 s``, ``3 min 14 s``, ``4 h 7 min``."""
    if seconds <= 0:
        return "0 s"
    if seconds < 0.9995:
        return f"{max(1, round(seconds * 1000))} ms"
    return f"{seconds:.1f}".removesuffix(".0") + " s" if seconds < 9.95 else roughly(seconds)


def roughly(seconds: float) -> str:
    """Return a duration in whole seconds, at least one."""
    whole = max(1, round(seconds))
    for unit, name, small, smaller in _UNITS:
        if whole >= unit:
            rest = whole % unit // small
            return f"{whole // unit} {name}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def share(part: int, whole: int) -> str:
    """Return a share in percent, never rounded to nothing or to all: ``<0.1 %``, ``12.5 %``, ``>99.9 %``."""
    if not whole or not part or part == whole:
        return "100 %" if part and part == whole else "0 %"
    percent = 100 * part / whole
    if percent < 0.1:
        return "<0.1 %"
    return ">99.9 %" if percent > 99.9 else f"{percent:.1f} %"
