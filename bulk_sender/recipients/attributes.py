"""Checks of attribute values: the vocabularies of profile fields, and objects that change a value.

Sources: user_attributes_object, language_codes. Braze does not refuse a request with an undocumented value; it drops
the value or changes it (a country it cannot map becomes null). So ``input.profile_fields`` decides whether such a row
is rejected, or sent unchanged and counted in the warnings of ``check``.

Values are compared as bare text: a string without its quotes, anything else as its JSON.
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
    """A documented kind of value. ``sound`` is true for valid bare text; ``expected`` describes it in an error."""

    expected: str
    sound: Sound


@dataclass(frozen=True, slots=True)
class Checked:
    """An attribute with a documented kind of value; ``index`` is its position among the mapping's fields."""

    index: int
    field: Field
    documented: Documented

    @property
    def json(self) -> pl.Expr:
        """Its values as JSON, as somebody wrote them."""
        return self.field.converted.json if self.field.written is None else self.field.written

    @property
    def where(self) -> str:
        """Where its values come from, as messages name it."""
        return f"column {self.field.column!r}" if self.field.column else f"the value of {'.'.join(self.field.path)}"


def checked(mapping: RecipientMapping, today: dt.date | None = None) -> Iterator[Checked]:
    """Yield the mapped attributes whose values Braze restricts. ``today`` defaults to the day in UTC."""
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
    """Return the check for an object that changes the current value, such as ``{"inc": 5}`` or ``{"add": […]}``."""
    if len(field.path) == 1 and field.may_be_object:
        return _OBJECT
    if len(field.path) == 2 and members == {"inc"}:
        return _INCREMENT
    if len(field.path) == 2 and members <= {"add", "remove"}:
        return _ELEMENTS
    if len(field.path) == 2 and field.path[1] in _OBJECT_CHANGES:
        return _OBJECT_CHANGES[field.path[1]]
    return None


def bare(json: pl.Expr) -> pl.Expr:
    """Return JSON text as bare text; null stays null."""
    return pl.when(json != "null").then(json.str.strip_prefix('"').str.strip_suffix('"'))


class OddValues:
    """Counts values that are sent unchanged although Braze may drop them, while rows are planned."""

    def __init__(self, mapping: RecipientMapping, today: dt.date | None = None) -> None:
        self._items = tuple(checked(mapping, today)) if mapping.profile_fields == "warn" else ()
        self._found: dict[int, tuple[int, int]] = {}

    def __call__(self, frame: pl.DataFrame, planned: pl.DataFrame) -> None:
        """Count the values in ``frame``, the input's columns for the rows to send, planned as ``planned``."""
        rows = planned["row"]
        for item in self._items:
            unsound = frame.select(~item.documented.sound(bare(item.json)).fill_null(True)).to_series()
            if unsound.any():
                count, first = self._found.get(item.index, (0, int(rows.filter(unsound)[0])))
                self._found[item.index] = (count + int(unsound.sum()), first)

    def sentences(self) -> list[str]:
        """Return a warning for each attribute with undocumented values, in the order of the mapping."""
        return [
            f"{count} {'row' if count == 1 else 'rows'}, starting at row {first}: "
            f"{item.where} is not {item.documented.expected}; sent unchanged"
            for item in self._items
            for count, first in [self._found.get(item.index, (0, 0))]
            if count
        ]


def _one_of(allowed: Collection[str]) -> Sound:
    return lambda value: value.is_in(sorted(allowed))


def _like(pattern: str) -> Sound:
    return lambda value: value.str.contains(rf"^{pattern}$")


def _past_day(today: dt.date) -> Sound:
    """Return a check for an existing day that has begun somewhere on earth."""

    def sound(value: pl.Expr) -> pl.Expr:
        day = value.str.strptime(pl.Date, "%Y-%m-%d", strict=False)
        shaped = value.str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
        return pl.when(value.is_not_null()).then((shaped & (day <= today + dt.timedelta(days=1))).fill_null(False))

    return sound


def _change_or_other(value: pl.Expr) -> pl.Expr:
    """Accept any value except an object that starts like a change and is not a valid one."""
    begins = value.str.contains(r'^\{\s*"(?:inc|\$?add|\$?remove|\$update)"\s*:')
    increment = rf'\{{\s*"inc"\s*:\s*{_WHOLE}\s*\}}'
    elements = rf"\{{\s*{_ADD_OR_REMOVE}(?:\s*,\s*{_ADD_OR_REMOVE})?\s*\}}"
    objects = _object_changes(value) & ~value.str.contains(r'"\$(?:add|remove|update)"\s*:\s*[^\s\[]')
    of_objects = value.str.contains(r'^\{\s*"\$')
    return ~begins | value.str.contains(rf"^(?:{increment}|{elements})$") | (of_objects & objects)


def _object_changes(value: pl.Expr) -> pl.Expr:
    """Return where changes of a list of objects name the objects: each key with its value, and new objects by key."""
    keys, values, new = (
        value.str.count_matches(rf'"\$(?:{name})"\s*:') for name in ("identifier_key", "identifier_value", "new_object")
    )
    updates = ~value.str.contains(r'"\$update"\s*:') | (new > 0)
    removes = ~value.str.contains(r'"\$remove"\s*:') | (keys > new)
    return (keys == values) & (new <= keys) & updates & removes


def _list_of_objects(value: pl.Expr) -> pl.Expr:
    return value.str.contains(r"^\[\s*\{[\s\S]*\}\s*\]$")


def _updates(value: pl.Expr) -> pl.Expr:
    named = _object_changes(value) & (value.str.count_matches(r'"\$new_object"\s*:\s*\{') > 0)
    all_new = value.str.count_matches(r'"\$identifier_key"\s*:') == value.str.count_matches(r'"\$new_object"\s*:\s*\{')
    return _list_of_objects(value) & named & all_new


def _removals(value: pl.Expr) -> pl.Expr:
    return (
        _list_of_objects(value)
        & _object_changes(value)
        & (value.str.count_matches(r'"\$identifier_key"\s*:') > 0)
        & ~value.str.contains(r'"\$new_object"\s*:')
    )


_WHOLE = r"-?[0-9]+"
_INCREMENT = Documented("a whole number, as inc requires", _like(_WHOLE))
_ELEMENTS = Documented("a list of values without objects, as add and remove require", _like(_SCALARS))
_OBJECT = Documented(
    'a valid change: use {"inc": whole number}, {"add": […]} and {"remove": […]} with a list of values, or '
    '{"$add": […]}, {"$update": […]} and {"$remove": […]} with a list of objects',
    _change_or_other,
)
_OBJECT_CHANGES = {
    "$add": Documented("a list of objects, as $add requires", _list_of_objects),
    "$update": Documented(
        "a list of objects with $identifier_key, $identifier_value and $new_object, as $update requires", _updates
    ),
    "$remove": Documented(
        "a list of objects with $identifier_key and $identifier_value, as $remove requires", _removals
    ),
}
_STATE = Documented("subscribed or unsubscribed", _one_of(GROUP_STATES))
_GROUPS = Documented(
    "a list of objects with a subscription_group_id and a subscription_state (subscribed or unsubscribed)",
    _like(rf"\[\s*(?:{_GROUP}(?:\s*,\s*{_GROUP})*)?\s*\]"),
)
_SUBSCRIPTION = Documented("opted_in, subscribed or unsubscribed", _one_of(SUBSCRIPTIONS))


def _profile_fields(today: dt.date) -> dict[str, Documented]:
    return {
        "country": Documented(
            "an ISO 3166-1 alpha-2 country code, such as FR (Braze sets unknown ones to null)", _one_of(COUNTRIES)
        ),
        "language": Documented("an ISO 639-1 language code, such as fr", _one_of(LANGUAGES)),
        "gender": Documented("M, F, O, N or P", _one_of(GENDERS)),
        "dob": Documented("a date of birth such as 1980-12-21, not in the future", _past_day(today)),
        "email_subscribe": _SUBSCRIPTION,
        "push_subscribe": _SUBSCRIPTION,
        "subscription_groups": _GROUPS,
    }
