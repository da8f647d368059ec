"""Number formats of a workbook: which cells are dates or times, and which show leading zeros.

A workbook stores a date as a number and an id such as 000750 as 750. Only the cell's number format tells them apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum


class Shown(IntEnum):
    """What a number format makes of a number."""

    NUMBER = 0
    DATE = 1
    TIME = 2
    MOMENT = 3
    """A date with a time of day."""
    ELAPSED = 4
    """Hours that may be more than 24, such as ``[h]:mm``."""
    CODE = 5
    """Digits with leading zeros, such as ``000000`` or ``000-00-0000``."""


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How numbers of one format look. ``parts``: of a code, the counts of digits and the fixed texts in between."""

    shown: Shown
    parts: tuple[int | str, ...] = ()

    @property
    def digits(self) -> int:
        """The fewest digits that a code shows."""
        return sum(part for part in self.parts if isinstance(part, int))


GENERAL = NumberFormat(Shown.NUMBER)
_BUILT_IN = (
    dict.fromkeys((*range(14, 18), *range(27, 32), 34, 35, 36, *range(50, 59)), Shown.DATE)
    | dict.fromkeys((18, 19, 20, 21, 32, 33, 45, 47), Shown.TIME)
    | {22: Shown.MOMENT, 46: Shown.ELAPSED}
)
_SIGN = re.compile(r'"[^"]*"?|\\.|\[[^\]]*\]|[_*].|AM/PM|A/P|General|E[+-]|.', re.IGNORECASE | re.DOTALL)
_HARMLESS = re.compile(r"\[(Black|Blue|Cyan|Green|Magenta|Red|White|Yellow|Color ?\d+|\$-[^\]]*)\]", re.IGNORECASE)
"""Colours and languages."""
_FIXED = " -()+:"
_DATE_LETTERS = set("ymdhs")


def number_format(number: int, code: str | None) -> NumberFormat:
    """Return the format of this number; ``code`` is its text, None for a built-in one."""
    if code is not None:
        return _of_code(code)
    return NumberFormat(_BUILT_IN.get(number, Shown.NUMBER))


def _of_code(code: str) -> NumberFormat:
    """Read the format's first section, which is that of positive numbers."""
    signs: list[str] = []
    for sign in _SIGN.findall(code):
        if sign == ";":
            break
        signs.append(sign)
    moment = _moment(signs)
    if moment is not None:
        return NumberFormat(moment)
    parts = _parts(signs)
    found = NumberFormat(Shown.CODE, parts)
    return found if found.digits > 1 else GENERAL


def _moment(signs: list[str]) -> Shown | None:
    """Return which date or time the letters ask for; None when they ask for none."""
    elapsed = any(re.fullmatch(r"\[(h+|m+|s+)\]", sign, re.IGNORECASE) for sign in signs)
    plain = "".join(sign.lower() if len(sign) == 1 else " " for sign in signs)
    plain = re.sub(r"s\.0+", "s", plain) if not elapsed else re.sub(r"\.0+", "", plain)
    if re.search(r"[0#?]", plain):
        return None
    letters = _DATE_LETTERS & set(plain)
    if elapsed:
        return Shown.ELAPSED
    if not letters:
        return None
    has_time = bool(letters & {"h", "s"})
    has_date = bool(letters & {"y", "d"}) or not has_time
    return Shown.MOMENT if has_date and has_time else Shown.DATE if has_date else Shown.TIME


def _parts(signs: list[str]) -> tuple[int | str, ...]:
    """Return counts of digits and fixed texts; nothing when the format does more than place digits."""
    parts: list[int | str] = []
    for sign in signs:
        if sign == "0" or (sign == "#" and any(isinstance(part, int) for part in parts)):
            if parts and isinstance(parts[-1], int):
                parts[-1] += 1
            else:
                parts.append(1)
            continue
        if sign == "#":  # optional digits in front of the first zero
            if parts:
                return ()
            continue
        if sign[0] == '"':
            fixed = sign.strip('"')
        elif sign[0] == "\\":
            fixed = sign[1:]
        elif sign in _FIXED:
            fixed = sign
        elif not _HARMLESS.fullmatch(sign):
            return ()
        else:
            continue
        if parts and isinstance(parts[-1], str):
            parts[-1] += fixed
        elif fixed:
            parts.append(fixed)
    return tuple(parts)
