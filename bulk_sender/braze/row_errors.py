"""Errors in an answer of success: which recipients they name, and what holds for each part of the batch. Pure.

Braze reports minor errors in ``errors[]`` beside success; whatever they do not concern is still sent (errors). An entry
names a recipient by ``index``, its place in the request's ``recipients``, counted from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.text.clean import clean

CODE = "recipient_error"
"""The ``error_code`` of a row that an entry names."""


@dataclass(frozen=True, slots=True)
class Part:
    """``size`` rows of a batch from its row ``first`` (counted from 0), with what holds for them."""

    first: int
    size: int
    outcome: Outcome


def parts(outcome: Outcome, size: int) -> tuple[Part, ...]:
    """Return the parts of an accepted batch of ``size`` rows that have different outcomes; one part: the whole.

    A named row is unknown, likely not accepted, with Braze's text. The other rows stay accepted. Neighbours that are
    named with the same text are one part.
    """
    named: dict[int, list[str]] = {}
    others: list[str] = []
    for error in outcome.errors:
        if error.index is None or error.index >= size:
            others.append(error.text)
        else:
            named.setdefault(error.index, []).append(error.text)
    if outcome.verdict is not Verdict.ACCEPTED or not named:
        return (Part(0, size, outcome),)
    return tuple(_parts(outcome, size, named, others))


def _parts(outcome: Outcome, size: int, named: dict[int, list[str]], others: Sequence[str]) -> Iterator[Part]:
    note = clean("; ".join(others))
    accepted = replace(outcome, code=outcome.code if note else "", message=note, errors=())
    texts = [clean("; ".join(dict.fromkeys(named[index]))) if index in named else None for index in range(size)]
    first = 0
    for text, group in groupby(texts):
        rows = len(list(group))
        yield Part(first, rows, accepted if text is None else _doubted(outcome, text))
        first += rows


def _doubted(outcome: Outcome, text: str) -> Outcome:
    return replace(outcome, verdict=Verdict.UNKNOWN, code=CODE, message=text, likely="not_accepted", errors=())
