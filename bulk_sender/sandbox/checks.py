"""Building blocks for the sandbox's rules: small checks of JSON values.

A check takes a JSON value and its path, and returns a sequence of breaches, empty if the value is valid. A
breach is ``(rule, sentence)``: the rule's name, and a sentence that names the path. It never quotes the
value, which may be personal data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

Breach = tuple[str, str]
Check = Callable[[Any, str], Sequence[Breach]]

FINE: Sequence[Breach] = ()
_HASH = re.compile(r"[0-9A-Za-z+/_-]{32,128}={0,2}")
SCALARS = frozenset({str, int, float, bool, type(None)})


def text(value: Any, where: str) -> Sequence[Breach]:
    return FINE if type(value) is str else [("type", f"{where} must be a string")]


def filled_text(value: Any, where: str) -> Sequence[Breach]:
    if type(value) is str and value:
        return FINE
    return [("type", f"{where} must be a non-empty string")]


def email(value: Any, where: str) -> Sequence[Breach]:
    if type(value) is not str:
        return [("type", f"{where} must be a string")]
    name, at, domain = value.rpartition("@")
    if at and name and domain and not any(character.isspace() for character in value):
        return FINE
    return [("email", f"{where} must be an e-mail address")]


def email_or_hash(value: Any, where: str) -> Sequence[Breach]:
    """Accept an e-mail address or the hash of one, which stands in its place with field-level encryption.

    Braze does not document the form of a hash, so anything that looks like hexadecimal or base64 digits will do.
    """
    return FINE if type(value) is str and _HASH.fullmatch(value) else email(value, where)


def boolean(value: Any, where: str) -> Sequence[Breach]:
    return FINE if type(value) is bool else [("type", f"{where} must be true or false")]


def number(value: Any, where: str) -> Sequence[Breach]:
    return FINE if type(value) in (int, float) else [("type", f"{where} must be a number")]


def integer(value: Any, where: str) -> Sequence[Breach]:
    return FINE if type(value) is int else [("type", f"{where} must be an integer")]


def mapping(value: Any, where: str) -> Sequence[Breach]:
    return FINE if type(value) is dict else [("type", f"{where} must be an object")]


def scalar(value: Any, where: str) -> Sequence[Breach]:
    return FINE if type(value) in SCALARS else [("type", f"{where} must be a string, number, boolean or null")]


def calendar_day(value: Any, where: str) -> Sequence[Breach]:
    """Accept an existing day in the form ``YYYY-MM-DD``."""
    if type(value) is str:
        try:
            if date.fromisoformat(value).isoformat() == value:  # ISO 8601 has other forms of a day
                return FINE
        except ValueError:
            pass
    return [("date", f"{where} must be a date in the form YYYY-MM-DD")]


def moment(value: Any, where: str) -> Sequence[Breach]:
    """Accept a date, or a date and time, in ISO 8601."""
    if type(value) is str:
        try:
            datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return FINE
    return [("date", f"{where} must be an ISO 8601 date and time")]


def one_of(allowed: Collection[str], expected: str) -> Check:
    """Return a check for one of the ``allowed`` strings; ``expected`` describes them in the sentence."""

    def check(value: Any, where: str) -> Sequence[Breach]:
        return FINE if type(value) is str and value in allowed else [("vocabulary", f"{where} must be {expected}")]

    return check


def array_of(each: Check, *, least: int = 0) -> Check:
    """Return a check for an array of at least ``least`` elements that all pass ``each``."""

    def check(value: Any, where: str) -> Sequence[Breach]:
        if type(value) is not list:
            return [("type", f"{where} must be an array")]
        if len(value) < least:
            return [("empty", f"{where} must have at least {least} element{'s' * (least > 1)}")]
        return [breach for place, element in enumerate(value) for breach in each(element, f"{where}[{place}]")]

    return check


def record(fields: Mapping[str, Check], *, required: Collection[str] = ()) -> Check:
    """Return a check for an object with only the given ``fields``, and all of ``required``."""

    def check(value: Any, where: str) -> Sequence[Breach]:
        if type(value) is not dict:
            return [("type", f"{where} must be an object")]
        breaches = [("required", f"{where}.{name} is required") for name in required if name not in value]
        for name, element in value.items():
            known = fields.get(name)
            breaches += known(element, f"{where}.{name}") if known else [unknown_field(name, where)]
        return breaches

    return check


def unknown_field(name: str, where: str) -> Breach:
    return ("unknown_field", f"{where or 'the body'} has a field that Braze does not know: {name[:60]!r}")
