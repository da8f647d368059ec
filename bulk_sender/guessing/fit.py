"""Compare the names that a message uses with the columns of an input. Pure; emptiness is counted in whole columns."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from bulk_sender.braze.details import CampaignDetails
from bulk_sender.braze.placeholders import Placeholder, has_hidden_parts, names_of, placeholders
from bulk_sender.recipients.mapping import Field, RecipientMapping
from bulk_sender.text.numbers import several

_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Missing:
    """A placeholder that nothing fills, and the nearest column or property; empty without one."""

    name: str
    near: str = ""


@dataclass(frozen=True, slots=True)
class EmptyValue:
    """A column that fills a placeholder, and in how many rows to send it is empty."""

    name: str
    column: str
    rows: int
    first_row: int


@dataclass(frozen=True, slots=True)
class Fit:
    """What does not fit between a message and an input."""

    missing: tuple[Missing, ...] = ()
    unused: tuple[str, ...] = ()
    """Columns sent as properties that no placeholder uses. Empty when parts of the message are not shown by Braze."""
    empty: tuple[EmptyValue, ...] = ()

    def sentences(self) -> list[str]:
        """Return a warning for each."""
        return [
            *(
                f"the message uses {{{{…${{{found.name}}}}}}}, which no column fills"
                + (f" (did you mean {found.near!r}?)" if found.near else "")
                for found in self.missing
            ),
            *(
                f"{several(found.rows, 'row')}, starting at row {found.first_row}: column {found.column!r} is empty, "
                f"and the message uses it as {found.name} without a default"
                for found in self.empty
            ),
            *([f"the message does not use {self._columns()}"] if self.unused else []),
        ]

    def _columns(self) -> str:
        more = len(self.unused) - _MOST_NAMED
        named = ", ".join(map(repr, self.unused[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")
        return ("column " if len(self.unused) == 1 else "columns ") + named


class Comparison:
    """Compares a message with a mapping, and counts empty values while rows pass by."""

    def __init__(self, details: CampaignDetails, mapping: RecipientMapping, common: Mapping[str, Any]) -> None:
        """``common``: the properties of every request, which stand in for those that a row lacks."""
        self._mapping = mapping
        self._details = details
        self._common = common
        self._used = placeholders(details)
        self._counted = tuple(self._required())
        self._empty: dict[int, tuple[int, int]] = {}

    def __call__(self, frame: pl.DataFrame, planned: pl.DataFrame) -> None:
        """Count the empty values in ``frame``, the input's columns for the rows to send, ``planned``."""
        for index, (_, field) in enumerate(self._counted):
            empty = frame.select(field.converted.json.is_null()).to_series()
            if empty.any():
                count, first = self._empty.get(index, (0, int(planned["row"].filter(empty)[0])))
                self._empty[index] = (count + int(empty.sum()), first)

    @property
    def result(self) -> Fit:
        """What does not fit, with the empty values of the rows that have passed by."""
        empty = tuple(
            EmptyValue(used.shown, field.column, *self._empty[index])
            for index, (used, field) in enumerate(self._counted)
            if index in self._empty
        )
        return Fit(tuple(self._missing()), tuple(self._unused()), empty)

    def _required(self) -> Iterator[tuple[Placeholder, Field]]:
        for used in self._used:
            if not used.may_be_missing and used.path[0] not in self._common:
                for field in self._mapping.properties:
                    if field.column and field.path == used.path[: len(field.path)]:
                        yield used, field

    def _missing(self) -> Iterator[Missing]:
        for used in self._used:
            filled = used.path[0] in self._common or any(
                _meet(used.path, field.path) for field in self._mapping.properties
            )
            if not filled and not used.may_be_missing:
                yield Missing(used.shown, _nearest(used.shown, self._columns()))

    def _columns(self) -> Iterator[str]:
        for field in self._mapping.properties:
            yield field.column or ".".join(field.path)
        yield from self._mapping.unused

    def _unused(self) -> Iterator[str]:
        # A name is the message's own only if it is one of the objects that requests fill.
        is_canvas = self._mapping.properties_name in names_of(canvas=True)
        if has_hidden_parts(self._details) or is_canvas != (self._details.kind == "Canvas"):
            return
        seen: dict[str, None] = {}
        for field in self._mapping.properties:
            if field.column and not any(_meet(used.path, field.path) for used in self._used):
                seen[field.column] = None
        yield from seen


def _meet(used: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether one of two paths lies within the other."""
    shorter = min(len(used), len(path))
    return used[:shorter] == path[:shorter]


def _nearest(name: str, columns: Iterable[str]) -> str:
    """Return the column whose name, or the last part of it, is most like ``name``."""
    plain = {_plain(column): column for column in reversed(list(columns))}
    wanted = _plain(name)
    near = difflib.get_close_matches(wanted, plain, n=1, cutoff=0.6)
    return plain[near[0]] if near else ""


def _plain(name: str) -> str:
    last = name.rpartition(".")[2].partition(":")[0]
    return "".join(character for character in last.casefold() if character.isalnum())
