"""Number formats of a workbook: which cells are dates or times, and which show leading zeros.

A workbook stores a date as a number and an id such as 000750 as 750. Only the cell's number format tells them apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain


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
class Code:
    """How whole numbers from ``least`` to ``most`` look: counts of digits, and the fixed texts in between.

    Without ``parts``, such a number is shown in another way, and stays a number.
    """

    parts: tuple[int | str, ...]
    least: int
    most: int

    @property
    def digits(self) -> int:
        """The fewest digits that are shown."""
        return sum(part for part in self.parts if isinstance(part, int))


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How numbers of one format look. ``codes``: one for each section with zeros; the first that fits counts."""

    shown: Shown
    codes: tuple[Code, ...] = ()


GENERAL = NumberFormat(Shown.NUMBER)
_BUILT_IN = (
    dict.fromkeys((*range(14, 18), *range(27, 32), 34, 35, 36, *range(50, 59)), Shown.DATE)
    | dict.fromkeys((18, 19, 20, 21, 32, 33, 45, 47), Shown.TIME)
    | {22: Shown.MOMENT, 46: Shown.ELAPSED}
)
_SIGN = re.compile(r'"[^"]*"?|\\.|\[[^\]]*\]|[_*].|AM/PM|A/P|General|E[+-]|.', re.IGNORECASE | re.DOTALL)
_HARMLESS = re.compile(r"\[(Black|Blue|Cyan|Green|Magenta|Red|White|Yellow|Color ?\d+)\]", re.IGNORECASE)
"""Colours."""
_FIXED = " -+$()'^&~{}<>=:"
"""Signs that a format shows although they are not in quotes."""
_PLACED = re.compile(r"\[\$([^\]-]*)(?:-[^\]]*)?\]")
"""A text with or without a language, such as ``[$€-407]``."""
_CONDITION = re.compile(r"\[(<=|>=|<|>|=)([0-9]{1,15})\]")
_MOST = 2**63 - 1
_DATE_LETTERS = set("ymdhs")


def number_format(number: int, code: str | None) -> NumberFormat:
    """Return the format of this number; ``code`` is its text, None for a built-in one."""
    if code is not None:
        return _of_code(code)
    return NumberFormat(_BUILT_IN.get(number, Shown.NUMBER))


def _of_code(code: str) -> NumberFormat:
    """Read the format's sections. Dates follow from the first one, which is that of positive numbers."""
    sections: list[list[str]] = [[]]
    for sign in _SIGN.findall(code):
        if sign == ";":
            sections.append([])
        else:
            sections[-1].append(sign)
    moment = _moment(sections[0])
    if moment is not None:
        return NumberFormat(moment)
    codes = tuple(_code(signs) for signs in _sections_from_zero(sections))
    return NumberFormat(Shown.CODE, codes) if any(code.parts for code in codes) else GENERAL


def _sections_from_zero(sections: list[list[str]]) -> list[list[str]]:
    """Return the sections for numbers from 0, in the order in which they are tried."""
    if any(_CONDITION.fullmatch(sign) for sign in chain.from_iterable(sections)):
        return sections[:3]
    zero = [["[=0]", *sections[2]]] if len(sections) > 2 else []
    return [*zero, sections[0]]


def _code(signs: list[str]) -> Code:
    least, most = 0, _MOST
    for found in filter(None, map(_CONDITION.fullmatch, signs)):
        bound = int(found[2])
        least = bound + (found[1] == ">") if found[1] in (">", ">=", "=") else 0
        most = bound - (found[1] == "<") if found[1] in ("<", "<=", "=") else _MOST
    code = Code(_parts([sign for sign in signs if not _CONDITION.fullmatch(sign)]), least, most)
    return code if code.digits > 1 else Code((), least, most)


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
        elif sign in _FIXED or (not sign.isascii() and not sign.isalpha()):
            fixed = sign
        elif placed := _PLACED.fullmatch(sign):
            fixed = placed[1]
        elif len(sign) == 2 and sign[0] in "_*":  # space as wide as a sign, or as the cell
            continue
        elif not _HARMLESS.fullmatch(sign):
            return ()
        else:
            continue
        if parts and isinstance(parts[-1], str):
            parts[-1] += fixed
        elif fixed:
            parts.append(fixed)
    return tuple(parts)
