"""What Braze documents of an attribute's value: vocabularies of profile fields, and objects that change a value.

Sources: user_attributes_object, language_codes. A value outside of that is no reason for Braze to refuse a request;
it drops it, or makes something else of it (a country it can't map becomes null). So ``input.profile_fields`` says
whether such a row is rejected, or sent as it is and counted among the warnings of ``check``.

Values are looked at as bare text: a string without its quotes, anything else as its JSON.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import polars as pl

from bulk_sender.recipients.mapping import Field, RecipientMapping
from bulk_sender.recipients.vocabulary import COUNTRIES, GENDERS, GROUP_STATES, LANGUAGES, SUBSCRIPTIONS

_STRING = r'"(?:[^"\\]|\\.)*"'
_SCALAR = rf"(?:{_STRING}|-?[0-9][0-9.eE+-]*|true|false|null)"
_SCALARS = rf"\[\s*(?:{_SCALAR}(?:\s*,\s*{_SCALAR})*)?\s*\]"
_ADD_OR_REMOVE = rf'"(?:add|remove)"\s*:\s*{_SCALARS}'
_GROUP_ID = rf'"subscription_group_id"\s*:\s*{_STRING}'
_GROUP_STATE = rf'"subscription_state"\s*:\s*"(?:{"|".join(sorted(GROUP_STATES))})"'
_GROUP = rf"\{{\s*(?:{_GROUP_ID}\s*,\s*{_GROUP_STATE}|{_GROUP_STATE}\s*,\s*{_GROUP_ID})\s*\}}"

Sound = Callable[[pl.Expr], pl.Expr]


@dataclass(frozen=True, slots=True)
class Documented:
    """``sound`` is true for bare text that Braze documents; ``expected`` says in words what that is."""

    expected: str
    sound: Sound


@dataclass(frozen=True, slots=True)
class Checked:
    """An attribute with something to check; ``index`` is its place among the mapping's fields."""

    index: int
    field: Field
    documented: Documented

    @property
    def where(self) -> str:
        """Where its values come from, in words."""
        return f"column {self.field.column!r}" if self.field.column else f"the value of {'.'.join(self.field.path)}"


def checked(mapping: RecipientMapping, today: dt.date | None = None) -> Iterator[Checked]:
    """The mapped attributes of which Braze says more than that they have a value. ``today``: UTC, unless given."""
    profile = _profile_fields(today or dt.datetime.now(dt.UTC).date())
    first_attribute = len(mapping.fields) - len(mapping.attributes) - len(mapping.subscription_groups)
    first_group = len(mapping.fields) - len(mapping.subscription_groups)
    members: dict[str, set[str]] = {}
    for field in mapping.attributes:
        members.setdefault(field.path[0], set()).update(field.path[1:2])
    for index, field in enumerate(mapping.attributes, first_attribute):
        documented = profile.get(field.path[0]) if len(field.path) == 1 else None
        documented = documented or _change(field, members[field.path[0]])
        if documented is not None:
            yield Checked(index, field, documented)
    for index, field in enumerate(mapping.subscription_groups, first_group):
        yield Checked(index, field, _STATE)


def _change(field: Field, members: set[str]) -> Documented | None:
    """An object that changes the value there is: ``{"inc": 5}``, ``{"add": […]}``, ``{"remove": […]}``."""
    if len(field.path) == 1 and field.may_be_object:
        return _OBJECT
    if len(field.path) == 2 and members == {"inc"}:
        return _INCREMENT
    if len(field.path) == 2 and members <= {"add", "remove"}:
        return _ELEMENTS
    return None


def bare(json: pl.Expr) -> pl.Expr:
    """JSON text → bare text; null for null."""
    return pl.when(json != "null").then(json.str.strip_prefix('"').str.strip_suffix('"'))


class OddValues:
    """Counts, while rows are planned, the values that are sent as they are although Braze may drop them."""

    def __init__(self, mapping: RecipientMapping, today: dt.date | None = None) -> None:
        self._items = tuple(checked(mapping, today)) if mapping.profile_fields == "warn" else ()
        self._found: dict[int, tuple[int, int]] = {}

    def __call__(self, frame: pl.DataFrame, rows: pl.Series) -> None:
        """``frame``: the input's columns of rows that will be sent; ``rows``: their numbers."""
        for item in self._items:
            unsound = frame.select(~item.documented.sound(bare(item.field.converted.json)).fill_null(True)).to_series()
            if unsound.any():
                count, first = self._found.get(item.index, (0, int(rows.filter(unsound)[0])))
                self._found[item.index] = (count + int(unsound.sum()), first)

    def sentences(self) -> list[str]:
        """What to say of each doubtful attribute, in the order of the mapping."""
        return [
            f"{count} {'row' if count == 1 else 'rows'}, the first in row {first}: "
            f"{item.where} is not {item.documented.expected}; sent as it is"
            for item in self._items
            for count, first in [self._found.get(item.index, (0, 0))]
            if count
        ]


def _one_of(words: Collection[str]) -> Sound:
    return lambda value: value.is_in(sorted(words))


def _like(pattern: str) -> Sound:
    return lambda value: value.str.contains(rf"^{pattern}$")


def _past_day(today: dt.date) -> Sound:
    """A day that exists, and has begun somewhere on earth."""

    def sound(value: pl.Expr) -> pl.Expr:
        day = value.str.strptime(pl.Date, "%Y-%m-%d", strict=False)
        shaped = value.str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
        return pl.when(value.is_not_null()).then((shaped & (day <= today + dt.timedelta(days=1))).fill_null(False))

    return sound


def _change_or_other(value: pl.Expr) -> pl.Expr:
    """Any value but an object that begins like a change and isn't one."""
    begins = value.str.contains(r'^\{\s*"(?:inc|add|remove)"\s*:')
    increment = rf'\{{\s*"inc"\s*:\s*{_WHOLE}\s*\}}'
    elements = rf"\{{\s*{_ADD_OR_REMOVE}(?:\s*,\s*{_ADD_OR_REMOVE})?\s*\}}"
    return ~begins | value.str.contains(rf"^(?:{increment}|{elements})$")


_WHOLE = r"-?[0-9]+"
_INCREMENT = Documented("a whole number to add, as inc takes it", _like(_WHOLE))
_ELEMENTS = Documented("a list of values without objects, as add and remove take it", _like(_SCALARS))
_OBJECT = Documented(
    'a change that Braze knows: {"inc": whole number}, or {"add": […]} and {"remove": […]} with a list of values',
    _change_or_other,
)
_STATE = Documented("subscribed or unsubscribed", _one_of(GROUP_STATES))
_GROUPS = Documented(
    "a list of objects with a subscription_group_id and a subscription_state, subscribed or unsubscribed",
    _like(rf"\[\s*(?:{_GROUP}(?:\s*,\s*{_GROUP})*)?\s*\]"),
)
_SUBSCRIPTION = Documented("opted_in, subscribed or unsubscribed", _one_of(SUBSCRIPTIONS))


def _profile_fields(today: dt.date) -> dict[str, Documented]:
    return {
        "country": Documented(
            "a country code of ISO 3166-1 alpha-2, such as FR (what Braze can't map becomes null)", _one_of(COUNTRIES)
        ),
        "language": Documented("a language code of ISO 639-1, such as fr", _one_of(LANGUAGES)),
        "gender": Documented("M, F, O, N or P", _one_of(GENDERS)),
        "dob": Documented("a day of birth of the form 1980-12-21, and not in the future", _past_day(today)),
        "email_subscribe": _SUBSCRIPTION,
        "push_subscribe": _SUBSCRIPTION,
        "subscription_groups": _GROUPS,
    }
