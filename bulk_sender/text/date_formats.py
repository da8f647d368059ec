"""Formats of dates and times, with the directives and the meaning of Python's ``datetime.strptime``.

A format becomes a regular expression for polars. chrono, the library behind polars' own parser, reads the same
directives by other rules: it takes ``26`` for a year of four digits, and ``.5`` for 5 nanoseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MONTH_NAMES = "january february march april may june july august september october november december"
_WEEKDAY_NAMES = "monday tuesday wednesday thursday friday saturday sunday"
MONTHS = tuple(_MONTH_NAMES.split())
WEEKDAYS = tuple(_WEEKDAY_NAMES.split())
YEARS = (1000, 3000)
"""The first and the last year that a format gives. Braze keeps later years as text, not as a time."""


def _names(names: tuple[str, ...], letters: int | None = None) -> str:
    return "|".join(name[:letters] for name in sorted(names, key=len, reverse=True))


_DIRECTIVES = {
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "m": "1[0-2]|0[1-9]|[1-9]",
    "B": _names(MONTHS),
    "b": _names(MONTHS, 3),
    "d": "3[01]|[12][0-9]|0[1-9]|[1-9]| [1-9]",
    "j": "36[0-6]|3[0-5][0-9]|[12][0-9]{2}|0[1-9][0-9]|00[1-9]|[1-9][0-9]|0[1-9]|[1-9]",
    "A": _names(WEEKDAYS),
    "a": _names(WEEKDAYS, 3),
    "H": "2[0-3]|[01][0-9]|[0-9]",
    "I": "1[0-2]|0[1-9]|[1-9]",
    "p": "am|pm",
    "M": "[0-5][0-9]|[0-9]",
    "S": "6[01]|[0-5][0-9]|[0-9]",
    "f": "[0-9]{1,6}",
    "z": r"(?P<z_sign>[+-])(?P<z_hour>[0-9]{2}):?(?P<z_minute>[0-5][0-9])"
    r"(?P<z_second>:?[0-5][0-9](?:\.[0-9]{1,6})?)?|(?-i:Z)",
}
"""Directive → what it matches, as in Python's ``_strptime``: the order of the alternatives matters."""

_INSTEAD = {
    "e": "%d",
    "h": "%b",
    "k": "%H",
    "l": "%I",
    "P": "%p",
    "D": "%m/%d/%y",
    "x": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "v": "%d-%b-%Y",
    "R": "%H:%M",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "r": "%I:%M:%S %p",
    "c": "%a %b %d %H:%M:%S %Y",
    "+": "%Y-%m-%dT%H:%M:%S.%f%z",
    ".f": ".%f",
    ".3f": ".%f",
    ".6f": ".%f",
    ".9f": ".%f",
    "L": "%f",
    "N": "%f",
    "i": "%M",
    "n": "a space",
    "t": "a space",
    "C": "%Y",
    "G": "%Y",
    "g": "%y",
    "E": "%Y",
    "O": "%d",
}
"""Directives of other tools → the nearest right form. A known one with a flag in front (``%-d``) means itself."""
_REFUSED = {
    "Z": "the name of a time zone cannot be read; use %z for an offset, or [input] timezone",
    "s": "seconds since 1970 cannot be read as a date; send them as a number",
    "U": "a week cannot be read; use %m and %d, or %j",
    "W": "a week cannot be read; use %m and %d, or %j",
    "V": "a week cannot be read; use %m and %d, or %j",
    "w": "the number of a weekday cannot be read; use %m and %d",
    "u": "the number of a weekday cannot be read; use %m and %d",
    "q": "a quarter cannot be read; use %m and %d",
    "Q": "a quarter cannot be read; use %m and %d",
}
_DIRECTIVE = re.compile(r"[:#_.0-9-]*(?:[EO](?=[A-Za-z]))?[A-Za-z+%]|.?", re.DOTALL)
_REPEATED = re.compile(r"(?<!%)%([A-Za-z])\1+")
_WORDS = {
    **dict.fromkeys(("yyyy", "jjjj", "aaaa"), "%Y"),
    **dict.fromkeys(("yy", "aa"), "%y"),
    **dict.fromkeys(("mm", "m"), "%m"),
    **dict.fromkeys(("dd", "d", "t"), "%d"),
    **dict.fromkeys(("hh", "h"), "%H"),
    **dict.fromkeys(("mi", "n", "nn"), "%M"),
    **dict.fromkeys(("ss", "s"), "%S"),
    **dict.fromkeys(("fff", "ffffff", "sss", "ssssss"), "%f"),
    "mmm": "%b",
    "mmmm": "%B",
    "ddd": "%a",
    "dddd": "%A",
    "zzz": "%z",
    "xxx": "%z",
    "z": "%z",
    "mon": "%b",
    "month": "%B",
    "eee": "%a",
    "eeee": "%A",
    "gg": "%d",
    "i": "%M",
}
"""Words of spreadsheets, databases and other tools, in lower case → the directive that they mean."""
_LETTERS = {"Y": "%Y", "y": "%y"}
"""Letters of PHP of which the case matters."""
_QUOTES = re.compile(r"^\[[^]]*\]|;@$|\\|'")
"""What stands around the text in a format of a spreadsheet or of Java: ``[$-407]``, ``;@``, ``\\-``, ``'T'``."""
_MINUTES, _HOURS = re.compile(r"(?i)(hh(?:24|12)?\W?)mi"), re.compile(r"(?i)(hh)(?:24|12)")
"""``HH24:MI`` of databases."""
_NAMES = {
    **dict.fromkeys(("iso", "iso8601", "iso-8601", "rfc3339"), "leave it out for ISO 8601"),
    **dict.fromkeys(("epoch", "unix", "timestamp"), _REFUSED["s"]),
}
"""Names of formats → what to do instead."""
_TWICE = {"m": "; minutes are %M", "M": "; months are %m", "d": "", "H": "", "Y": ""}
_SAME = (("Y", "y"), ("m", "B", "b", "j"), ("d", "j"), ("H", "I"), ("A", "a"))
"""Directives of which a format has one at most."""


@dataclass(frozen=True, slots=True)
class DateFormat:
    """A format. ``pattern`` has a group for each directive, and a group ``rest`` for what comes after them."""

    pattern: str
    directives: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> DateFormat:
        """Return the format. Raise ValueError, with the nearest right form, for one that cannot be meant."""
        parts: list[str] = []
        found: list[str] = []
        position = 0
        text = text.strip()
        if repeated := _REPEATED.search(text):
            raise ValueError(f"the format {text!r} has {repeated[0]}: write {_with_single_letters(text)!r}")
        while position < len(text):
            if text[position] == "%":
                match = _DIRECTIVE.match(text, position + 1)
                assert match is not None  # it matches the empty text, too
                position = match.end()
                if match[0] == "%":
                    parts.append("%")
                    continue
                found.append(_known(match[0], text, found))
                parts.append(f"(?P<{match[0]}>{_DIRECTIVES[match[0]]})")
            elif text[position].isspace():
                parts.append(r"\s+" if not parts or parts[-1] != r"\s+" else "")
                position += 1
            else:
                parts.append(re.escape(text[position]))
                position += 1
        directives = frozenset(found)
        _refuse_what_cannot_be_meant(directives, text)
        return cls(f"(?i)^{''.join(parts)}(?P<rest>[\\s\\S]*)$", directives)


def _known(directive: str, text: str, found: list[str]) -> str:
    """Return a directive that Python documents and that can be read here. Raise ValueError for others."""
    name = f"%{directive}"
    if directive == "":
        raise ValueError(f"the format {text!r} ends with %: write %% for a percent sign")
    if directive in _REFUSED:
        raise ValueError(f"the format {text!r} has {name}: {_REFUSED[directive]}")
    if directive not in _DIRECTIVES:
        letter = directive[-1]
        near = _INSTEAD.get(directive) or (f"%{letter}" if letter in _DIRECTIVES else _INSTEAD.get(letter))
        near = near or (f"%{letter.swapcase()}" if letter.swapcase() in _DIRECTIVES else None)
        known = " ".join(f"%{each}" for each in _DIRECTIVES)
        raise ValueError(
            f"the format {text!r} has {name}, which is not a directive: "
            + (f"write {near}" if near else f"use {known}")
        )
    if directive in found:
        raise ValueError(f"the format {text!r} has {name} twice{_TWICE.get(directive, '')}")
    return directive


def _refuse_what_cannot_be_meant(has: frozenset[str], text: str) -> None:
    """Raise ValueError for a format without a year, and for parts that contradict or need each other."""
    if not has:
        meant = "" if "%" in text else _in_directives(text)
        advice = f"write {meant!r}" if meant else _NAMES.get(text.lower(), "")
        raise ValueError(f"the format {text!r} has no directive such as %d" + (f": {advice}" if advice else ""))
    for group in _SAME:
        if len(both := [each for each in group if each in has]) > 1:
            raise ValueError(f"the format {text!r} has %{both[0]} and %{both[1]}: keep one")
    if "p" in has and "I" not in has:
        raise ValueError(
            f"the format {text!r} has %p, which needs hours from 1 to 12: write %I" + " instead of %H" * ("H" in has)
        )
    if "I" in has and "p" not in has:
        raise ValueError(
            f"the format {text!r} has %I without %p: write %H for hours from 0 to 23, or add %p for AM and PM"
        )
    if "M" in has and not has & {"H", "I"}:
        raise ValueError(f"the format {text!r} has minutes (%M) but no hour (%H): months are %m")
    if "S" in has and "M" not in has:
        raise ValueError(f"the format {text!r} has seconds (%S) but no minutes (%M)")
    if "f" in has and "S" not in has:
        raise ValueError(f"the format {text!r} has a fraction (%f) but no seconds (%S)")
    if not has & {"Y", "y"}:
        raise ValueError(f"the format {text!r} has no year: add %Y (four digits) or %y (two digits)")
    if "d" in has and not has & {"m", "B", "b"}:
        raise ValueError(f"the format {text!r} has a day (%d) but no month: add %m")
    if has & {"A", "a"} and not has & {"d", "j"}:
        raise ValueError(f"the format {text!r} has a weekday but no day: add %d")


def _with_single_letters(text: str) -> str:
    """Return ``%dd/%mm/%yyyy`` as ``%d/%m/%Y``."""
    return _in_directives(re.sub("%YY(?!Y)", "YYYY", text).replace("%", "")) or _REPEATED.sub(r"%\1", text)


def _in_directives(text: str) -> str:
    """Return ``DD/MM/YYYY``, as spreadsheets and other tools write it, as ``%d/%m/%Y``; empty if it means nothing."""
    plain = _HOURS.sub(r"\1", _MINUTES.sub(r"\1nn", _QUOTES.sub("", text)))
    plain, half_day = re.subn(r"(?i)(?<=[hmsin] )(?:am/pm|a/p|am|pm|tt|a)$", "%p", plain)
    before = ""
    is_french = "a" in plain.lower()

    def meant(word: str) -> str:
        nonlocal before
        lower = word.lower()
        found = _LETTERS.get(word) or _WORDS.get(lower)
        if lower in ("tt", "jj"):  # a German day, and a French day or a German year
            found = "%d" if lower == "tt" or is_french else "%y"
        if found == "%m" and before in ("%H", "%I"):
            found = "%M"
        if found == "%H" and half_day:
            found = "%I"
        before = found or before
        return found or word

    def read(match: re.Match[str]) -> str:
        runs = [run[0] for run in re.finditer(r"([A-Za-z])\1*", match[0])]
        if match[0].lower() not in _WORDS and all(run.lower() in _WORDS and run[1:] for run in runs):
            return "".join(map(meant, runs))  # ``yyyymmdd``
        return meant(match[0])

    written = re.sub(r"(?<!%)(?!T[Hh])[A-Za-z]+?(?=T[Hh]|[^A-Za-z]|$)", read, plain)
    if "%" not in written or re.search(r"(?<!%)([A-Za-z])\1", written):
        return ""
    try:
        DateFormat.parse(written)
    except ValueError:
        return ""
    return written
