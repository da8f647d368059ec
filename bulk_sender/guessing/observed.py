"""Warnings of ``check`` that are counted over all rows to be sent, column by column.

``warnings`` looks at the first rows only; what is here must be exact, because it decides whether to send.
"""

from __future__ import annotations

from typing import Protocol

import polars as pl

from bulk_sender.guessing.odd_identifiers import OddIdentifiers
from bulk_sender.guessing.stored import StoredValues
from bulk_sender.guessing.words import TOTAL, consents, may_answer, refusals
from bulk_sender.recipients.attributes import OddValues
from bulk_sender.recipients.columns import untyped
from bulk_sender.recipients.mapping import Identifier, RecipientMapping
from bulk_sender.recipients.rules import has_liquid
from bulk_sender.text.clean import clean
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

    def __init__(self, mapping: RecipientMapping, schema: pl.Schema) -> None:
        self._observers: list[Observer] = [
            OptOuts(schema),
            LastRows(mapping),
            PaddedIdentifiers(mapping),
            OddIdentifiers(mapping),
            IdentifierKinds(mapping),
            NewUsers(mapping),
            OddValues(mapping),
            StoredValues(mapping),
        ]
        if mapping.liquid == "warn":
            self._observers.append(LiquidValues(mapping))

    def __call__(self, frame: pl.DataFrame, planned: pl.DataFrame) -> None:
        if not len(planned):
            return
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


class LiquidValues:
    """Counts values with Liquid by column: Braze runs ``{{`` and ``{%`` in a recipient's data as code."""

    def __init__(self, mapping: RecipientMapping) -> None:
        self._fields = [field for field in mapping.fields if field.column]
        self._found: dict[str, int] = {}

    def __call__(self, frame: pl.DataFrame, planned: pl.DataFrame) -> None:
        has = planned.select(has_liquid(pl.col("recipient"))).to_series()
        if not has.any():
            return
        suspects = frame.filter(has)
        found = suspects.select(
            has_liquid(field.converted.json).sum().alias(str(place)) for place, field in enumerate(self._fields)
        )
        counts = {field.column: found[str(place)][0] for place, field in enumerate(self._fields)}
        if not any(counts.values()):
            counts = {"": len(suspects)}
        for column, count in counts.items():
            self._found[column] = self._found.get(column, 0) + count

    def sentences(self) -> list[str]:
        return [
            f"{f'column {column!r}' if column else 'the identifiers or names'}: {several(count, 'row')} with Liquid "
            '({{ or {%), which Braze runs as code: [input] liquid = "reject" rejects such rows'
            for column, count in self._found.items()
            if count
        ]


class OptOuts:
    """Counts recipients who said no, by a column's name and values in several languages."""

    def __init__(self, schema: pl.Schema) -> None:
        self._columns = {
            column: refusals(untyped(column)[0])
            for column, dtype in schema.items()
            if may_answer(untyped(column)[0], dtype)
        }
        self._counts = dict.fromkeys(self._columns, 0)
        self._others = dict.fromkeys(self._columns, 0)
        self._all = 0

    def __call__(self, frame: pl.DataFrame, planned: pl.DataFrame) -> None:
        self._all += len(planned)
        for column, refused in self._columns.items():
            answers = frame[column].cast(pl.String).str.strip_chars().str.to_lowercase()
            no = answers.is_in(sorted(refused))
            self._counts[column] += int(no.sum())
            yes = answers.is_in(sorted(consents(untyped(column)[0]))) | (answers.str.len_bytes() == 0)
            self._others[column] += int((~no & ~yes).sum())

    def sentences(self) -> list[str]:
        return [
            f"column {column!r} says no for {count:,} of {several(self._all, 'recipient')}; "
            f"{'they' if count > 1 else 'this person'} will be messaged"
            for column, count in self._counts.items()
            if count > self._others[column]  # otherwise its values are not answers
        ]


class LastRows:
    """Looks for totals in the last rows: TOTAL in a cell, an identifier unlike all others, mostly empty cells."""

    def __init__(self, mapping: RecipientMapping) -> None:
        self._text = pl.coalesce([item.text.cast(pl.String) for item in mapping.identifiers])
        self._tail = pl.DataFrame()
        self._rows = 0
        self._with_digit = 0
        self._fewest: int | None = None

    def __call__(self, frame: pl.DataFrame, planned: pl.DataFrame) -> None:
        texts = [pl.col(name) for name, dtype in frame.schema.items() if dtype == pl.String][:_MOST_COLUMNS]
        filled = [pl.col(name).is_not_null() for name in frame.columns[:_MOST_COLUMNS]]
        seen = frame.select(
            row=pl.lit(planned["row"]),
            who=self._text,
            filled=pl.sum_horizontal(filled).cast(pl.UInt32),
        ).with_columns(is_total=pl.lit(False))
        if texts:  # only the last rows can be totals, so look at no others for the words
            last = frame.tail(_TAIL).select(
                pl.any_horizontal(text.str.contains(TOTAL) for text in texts).fill_null(False)
            )
            flags = pl.concat([pl.repeat(False, len(frame) - len(last), eager=True), last.to_series()])
            seen = seen.with_columns(is_total=flags)
        joined = pl.concat([self._tail, seen]) if len(self._tail) else seen
        others, self._tail = joined.head(-_TAIL), joined.tail(_TAIL)
        if len(others):
            self._rows += len(others)
            self._with_digit += int(others["who"].str.contains("[0-9]").sum())
            fewest = int(others["filled"].min())  # type: ignore[arg-type]
            self._fewest = fewest if self._fewest is None else min(fewest, self._fewest)

    def sentences(self) -> list[str]:
        if not len(self._tail):
            return []
        others = self._tail.head(-1)
        with_digit = self._with_digit + int(others["who"].str.contains("[0-9]").sum())
        all_digits = self._rows + len(others) >= _ENOUGH and with_digit == self._rows + len(others)
        odd = self._tail.filter(pl.col("is_total"))
        last = self._tail.tail(1)
        if not len(odd) and all_digits and not last["who"].str.contains("[0-9]").fill_null(True)[0]:
            odd = last
        if not len(odd) and self._fewest is not None and self._rows >= _ENOUGH:
            fewest = min(self._fewest, *others["filled"]) if len(others) else self._fewest
            odd = last.filter(2 * pl.col("filled") <= fewest)
        return [
            f"row {row:,} ({_quoted(who)}) looks like a total, not like a recipient, and would be messaged: "
            "delete it, or leave it out with [input] filter, or with skip_last = 1 if it is the file's last row"
            for row, who in odd.select("row", "who").rows()
        ]


_TAIL = 3
_ENOUGH = 10
_MOST_COLUMNS = 200


def _quoted(text: str | None) -> str:
    return repr(clean(text, 30))
