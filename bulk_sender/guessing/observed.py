"""Warnings of ``check`` that are counted over all rows to be sent, column by column.

``warnings`` looks at the first rows only; what is here must be exact, because it decides whether to send.
"""

from __future__ import annotations

from typing import Protocol

import polars as pl

from bulk_sender.recipients.attributes import OddValues
from bulk_sender.recipients.mapping import Identifier, RecipientMapping
from bulk_sender.text.numbers import several


class Observer(Protocol):
    """Counts something while rows are planned.

    It is called with the input's columns of the rows to send, and with the planned rows in the same order.
    """

    def __call__(self, frame: pl.DataFrame, planned: pl.DataFrame) -> None: ...

    def sentences(self) -> list[str]:
        """Return the warnings, after the last row."""


class Observers:
    """All observers that a mapping needs; a file without what they look for costs nothing."""

    def __init__(self, mapping: RecipientMapping) -> None:
        self._observers: list[Observer] = [PaddedIdentifiers(mapping), IdentifierKinds(mapping), NewUsers(mapping)]
        self._observers.append(OddValues(mapping))

    def __call__(self, frame: pl.DataFrame, planned: pl.DataFrame) -> None:
        for observer in self._observers:
            observer(frame, planned)

    def sentences(self) -> list[str]:
        """Return the warnings of all observers."""
        return [sentence for observer in self._observers for sentence in observer.sentences()]


class PaddedIdentifiers:
    """Counts identifiers that have blanks around them in the input."""

    def __init__(self, mapping: RecipientMapping) -> None:
        self._identifiers = [item for item in mapping.identifiers if item.is_padded is not None]
        self._trim = mapping.trim
        self._count = 0

    def __call__(self, frame: pl.DataFrame, planned: pl.DataFrame) -> None:
        for item in self._identifiers:
            self._count += int((_padded(frame, item) & (planned["identifier_type"] == item.kind)).sum())

    def sentences(self) -> list[str]:
        if not self._count:
            return []
        they, them = ("it is", "it") if self._count == 1 else ("they are", "them")
        if self._trim:
            return [f"{several(self._count, 'identifier')} had blanks around {them}; {they} sent without"]
        return [f"{several(self._count, 'identifier')} with blanks around {them}, sent as written: see [input] trim"]


def _padded(frame: pl.DataFrame, item: Identifier) -> pl.Series:
    assert item.is_padded is not None
    return frame.select(item.is_padded.fill_null(False)).to_series()


class IdentifierKinds:
    """Warns when people are identified in more than one way, and of those whom ``identified`` leaves out."""

    def __init__(self, mapping: RecipientMapping) -> None:
        self._prioritization = mapping.prioritization
        self._kinds: dict[str, int] = {}
        self._identified = False

    def __call__(self, frame: pl.DataFrame, planned: pl.DataFrame) -> None:
        kinds = planned["identifier_type"]
        for kind, count in kinds.value_counts().iter_rows():
            self._kinds[kind] = self._kinds.get(kind, 0) + count
        if self._prioritization is not None and not self._identified and "email" in self._kinds:
            given = frame.select(given=self._prioritization)["given"]
            given = pl.repeat(given[0], len(kinds), eager=True) if len(given) == 1 else given
            self._identified = bool(given.filter(kinds == "email").str.contains(r"^identified\b").any())

    def sentences(self) -> list[str]:
        found = []
        if len(self._kinds) > 1:
            *others, last = sorted(self._kinds)
            found.append(
                f"people are identified by {', '.join(others)} and by {last}: somebody who is in the file under both "
                "is not recognised as a duplicate, and gets two messages"
            )
        if self._identified:
            found.append(
                "prioritization has 'identified': addresses of people without an external id in Braze get no message; "
                "most_recently_updated alone reaches them, too"
            )
        return found


class NewUsers:
    """Warns when ``send_to_existing_only`` is false and nothing says how to reach the people whom Braze creates."""

    def __init__(self, mapping: RecipientMapping) -> None:
        stored = {field.path[0].lower() for field in mapping.attributes if field.path}
        self._given = None if stored & {"email", "phone"} else mapping.existing_only
        self._count = 0

    def __call__(self, frame: pl.DataFrame, planned: pl.DataFrame) -> None:
        if self._given is not None:
            false = frame.select(false=self._given.converted.json == "false")["false"]
            self._count += len(planned) if len(false) == 1 and false[0] else int(false.sum())

    def sentences(self) -> list[str]:
        if not self._count:
            return []
        return [
            f"send_to_existing_only is false for {several(self._count, 'row')}, and the attributes have no email and "
            "no phone: people whom Braze creates for them cannot get an e-mail or an SMS"
        ]
