"""The small checks that the rules are made of.

A check takes a JSON value and the path it stands at, and returns what is wrong with it: a sequence of
breaches, empty when all is well. A breach is ``(rule, sentence)``: the rule's name, and a sentence that
names the path and never quotes the value, which may be somebody's personal data.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

Breach = tuple[str, str]
Check = Callable[[Any, str], Sequence[Breach]]

FINE: Sequence[Breach] = ()
SCALARS = frozenset({str, int, float, bool, type(None)})


def text(value: Any, where: str) -> Sequence[Breach]:
    return FINE if type(value) is str else [("type", f"{where} must be a string")]


def filled_text(value: Any, where: str) -> Sequence[Breach]:
    if type(value) is str and value:
        return FINE
    return [("type", f"{where} must be a string that is not empty")]


def email(value: Any, where: str) -> Sequence[Breach]:
    if type(value) is not str:
        return [("type", f"{where} must be a string")]
    name, at, domain = value.rpartition("@")
    if at and name and domain and not any(character.isspace() for character in value):
        return FINE
    return [("email", f"{where} must be an e-mail address")]


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
    """``YYYY-MM-DD``, a day that exists."""
    if type(value) is str:
        try:
            if date.fromisoformat(value).isoformat() == value:  # ISO 8601 has other spellings of a day
                return FINE
        except ValueError:
            pass
    return [("date", f"{where} must be a date of the form YYYY-MM-DD")]


def moment(value: Any, where: str) -> Sequence[Breach]:
    """A date or a date and time, ISO 8601."""
    if type(value) is str:
        try:
            datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return FINE
    return [("date", f"{where} must be an ISO 8601 date and time")]


def one_of(words: Collection[str], called: str) -> Check:
    """A string of a closed vocabulary; ``called`` names the vocabulary in the sentence."""

    def check(value: Any, where: str) -> Sequence[Breach]:
        return FINE if type(value) is str and value in words else [("vocabulary", f"{where} must be {called}")]

    return check


def array_of(each: Check, *, least: int = 0) -> Check:
    """An array whose every element passes ``each``, with at least ``least`` elements."""

    def check(value: Any, where: str) -> Sequence[Breach]:
        if type(value) is not list:
            return [("type", f"{where} must be an array")]
        if len(value) < least:
            return [("empty", f"{where} must hold at least {least}")]
        return [breach for place, element in enumerate(value) for breach in each(element, f"{where}[{place}]")]

    return check


def record(fields: Mapping[str, Check], *, required: Collection[str] = ()) -> Check:
    """An object that holds no field but ``fields``, and all of ``required``."""

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
