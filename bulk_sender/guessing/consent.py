"""The filter that ``init`` writes for columns about consent, from the answers in them. Pure.

It is active, not a comment: people who said no must not get a message because somebody did not read the draft. It
names the answers that agree, so that an answer nobody thought of leaves people out instead of messaging them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from bulk_sender.guessing import words
from bulk_sender.text.clean import clean
from bulk_sender.text.numbers import number

_CLEAR = 0.8
"""The least share of values that must be answers such as yes and no."""
_MOST_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Answers:
    """The values of one column about consent. ``agreed`` and ``others`` have their counts, the empty cell as null."""

    column: str
    dtype: pl.DataType
    agreed: pl.DataFrame
    others: pl.DataFrame
    is_clear: bool
    """Whether the values are answers such as yes and no."""

    @classmethod
    def of(cls, column: str, counts: pl.DataFrame) -> Answers:
        """Sort the values of a column, given with their ``count``."""
        said = pl.col("value").cast(pl.String).str.strip_chars().str.to_lowercase()
        is_empty = said.fill_null("") == ""
        agrees = said.is_in(sorted(words.consents(column))) | (is_empty & words.asks_who_refused(column))
        refuses = said.is_in(sorted(words.refusals(column))).fill_null(False)
        seen = counts.with_columns(
            agrees=agrees.fill_null(False), known=agrees.fill_null(False) | refuses, empty=is_empty
        )
        answered = seen.filter(~pl.col("empty"))
        known = answered.filter("known")
        is_clear = bool(len(known)) and int(known["count"].sum()) >= _CLEAR * int(answered["count"].sum())
        left = seen.filter(~pl.col("agrees")).sort("count", descending=True, maintain_order=True)
        return cls(column, counts["value"].dtype, seen.filter("agrees"), left, is_clear)

    @property
    def condition(self) -> str:
        """The SQL condition for people who agreed; for those who did not refuse, if nobody agreed."""
        name = '"' + self.column.replace('"', '""') + '"'
        empty_agrees = words.asks_who_refused(self.column)
        if self.dtype == pl.Boolean:
            return f"({name} IS NULL OR NOT {name})" if empty_agrees else name
        agreed = self._listed(self.agreed)
        if not agreed:
            return f"{name} IS NULL" if empty_agrees else f"{name} NOT IN ({self._listed(self.others)})"
        chosen = f"{name} IN ({agreed})"
        return f"({name} IS NULL OR {chosen})" if empty_agrees else chosen

    def _listed(self, seen: pl.DataFrame) -> str:
        values = seen["value"].drop_nulls().cast(pl.String)
        if self.dtype.is_integer():
            return ", ".join(values)
        return ", ".join("'" + value.replace("'", "''") + "'" for value in values)

    @property
    def offered(self) -> str:
        """The SQL condition with all values, to choose from."""
        name = '"' + self.column.replace('"', '""') + '"'
        values = self._listed(self.others.head(_MOST_SHOWN))
        return f"{name} IN ({values})" if values and self.dtype != pl.Boolean else name

    @property
    def left_out(self) -> str:
        """The values that do not agree, with their counts, in words."""
        return _counted(self.others)


def _counted(seen: pl.DataFrame) -> str:
    shown = [
        f"{_shown(value)} ({number(count)})" for value, count in seen.select("value", "count").head(_MOST_SHOWN).rows()
    ]
    more = len(seen) - len(shown)
    return ", ".join(shown) + (f" and {more} other values" if more > 0 else "")


def _shown(value: object) -> str:
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return repr(clean(text, 30)) if text.strip() else "empty"


@dataclass(frozen=True, slots=True)
class Consent:
    """What the columns about consent say together.

    ``filter``: the condition for people who agreed; empty without such columns. ``unclear``: columns about consent
    whose values are not understood.
    """

    filter: str
    columns: tuple[Answers, ...]
    unclear: tuple[Answers, ...]

    @classmethod
    def of(cls, answers: Mapping[str, pl.DataFrame]) -> Consent:
        """Read the answers: column → its values with their ``count``."""
        found = [Answers.of(column, counts) for column, counts in answers.items() if len(counts)]
        clear = [each for each in found if each.is_clear]
        unclear = [each for each in found if not each.is_clear and words.is_question(each.column)]
        return cls(" AND ".join(each.condition for each in clear), tuple(clear), tuple(unclear))

    @property
    def said(self) -> str:
        """Who gets the message, and who does not."""
        agreed = [repr(each.column) for each in self.columns if not words.asks_who_refused(each.column)]
        refused = [repr(each.column) for each in self.columns if words.asks_who_refused(each.column)]
        who = f"only people who agreed in {' and '.join(agreed)} get the message" if agreed else ""
        if refused:
            who += (", and " if who else "") + f"people who refused in {' or '.join(refused)} get no message"
        left = "; ".join(
            (f"in {each.column!r} " if len(self.columns) > 1 else "") + each.left_out
            for each in self.columns
            if each.left_out
        )
        return who + (f"; left out: {left}" if left else "")

    @property
    def doubts(self) -> list[str]:
        """What to say of the columns whose values are not understood."""
        return [
            f"column {each.column!r} may say who agreed to get messages, but its values are not clear: "
            f"{each.left_out}. Everyone gets the message unless you choose the right values in [input] filter"
            for each in self.unclear
        ]
