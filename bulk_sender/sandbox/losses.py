"""Updates of attributes that Braze takes, and then drops or shortens in silence.

The sandbox takes them too, and counts them in the ledger, by reason. ``docs/reference/sandbox.md`` says which reasons
are documented, and which are inferred from limits whose consequence Braze does not document.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from bulk_sender.sandbox import checks
from bulk_sender.sandbox.body import size_of
from bulk_sender.sandbox.vocabulary import COUNTRIES

MAX_ELEMENTS = 25
"""Elements of an array of scalars. Newer pages say 500; this is the lowest documented default."""
MAX_CHARACTERS = 255
NESTED_CAP = 100_000

_OF_USERS_TRACK = frozenset({"_update_existing_only", "push_token_import"})
_SUBSCRIPTION_GROUPS = "subscription_groups"
_OPERATORS: Mapping[str, frozenset[str]] = {
    "$add": frozenset(),
    "$update": frozenset({"$identifier_key", "$identifier_value", "$new_object"}),
    "$remove": frozenset({"$identifier_key", "$identifier_value"}),
}
"""Change of an array of objects → keys that each of its entries needs."""
_NOT_CUSTOM = frozenset(
    {
        *("country", "language", "gender", "dob", "email_subscribe", "push_subscribe", "first_name", "last_name"),
        *("home_city", "image_url", "phone", "date_of_first_session", "date_of_last_session"),
        *("marked_email_as_spam_at", "email_open_tracking_disabled", "email_click_tracking_disabled"),
        *("current_location", "facebook", "twitter", "push_tokens"),
    }
)


def losses(attributes: Mapping[str, Any], *, canvas: bool) -> Iterator[str]:
    """Yield the reason of each update that is lost, at most one for an attribute. The rules accepted ``attributes``."""
    for name, value in attributes.items():
        reason = _loss(name, value, canvas)
        if reason:
            yield reason


def _loss(name: str, value: Any, canvas: bool) -> str:
    if name in _OF_USERS_TRACK:
        return "a field of /users/track"
    if name == "_merge_objects":
        return "" if type(value) is bool else "_merge_objects is not true or false"
    if name == _SUBSCRIPTION_GROUPS:
        return "subscription groups with a Canvas" if canvas else ""
    if value is None:
        return ""
    if name == "country":
        return "" if value in COUNTRIES else "unknown country"
    if name == "time_zone":
        return "" if value in _zones() or not _zones() else "unknown time zone"
    if name == "email":
        return "malformed e-mail address" if checks.email(value, name) else ""
    if name in _NOT_CUSTOM:
        return ""
    if len(name) > MAX_CHARACTERS:
        return "key over 255 characters"
    try:
        return _custom(value)
    except RecursionError:
        return "nested too deeply"


def _custom(value: Any) -> str:
    if type(value) is str:
        return _text(value)
    if type(value) not in (dict, list):
        return ""
    if type(value) is dict:
        if value.keys() == {"inc"}:
            return "" if type(value["inc"]) is int else "inc is not an integer"
        if value.keys() <= {"add", "remove"}:
            return next(filter(None, map(_array, value.values())), "")
    elif not any(type(element) is dict for element in value):
        return _array(value)
    return _nested(value)


def _array(elements: list[Any]) -> str:
    """Check an array of scalars."""
    reason = next(filter(None, map(_leaf, elements)), "")
    return reason or ("array shortened to 25 elements" if len(elements) > MAX_ELEMENTS else "")


def _nested(value: Any) -> str:
    """Check a nested object, an array of objects, or a change of one."""
    if type(value) is dict and any(name in _OPERATORS for name in value):
        if not all(name in _OPERATORS and _is_change(name, entries) for name, entries in value.items()):
            return "incomplete $add, $update or $remove"
        reason = next(filter(None, map(_entries, value.values())), "")
    else:
        reason = _inside(value)
    return reason or ("nested attribute over 100 KB" if size_of(value) > NESTED_CAP else "")


def _is_change(name: str, entries: Any) -> bool:
    needed = _OPERATORS[name]
    return type(entries) is list and all(type(entry) is dict and needed <= entry.keys() for entry in entries)


def _entries(entries: list[dict[str, Any]]) -> str:
    plain = ({name: value for name, value in entry.items() if name not in _ENTRY_KEYS} for entry in entries)
    named = (entry[name] for entry in entries for name in _ENTRY_KEYS if name in entry)
    return next(filter(None, map(_inside, (*plain, *named))), "")


def _inside(value: Any) -> str:
    if type(value) is list:
        return next(filter(None, map(_inside, value)), "")
    if type(value) is not dict:
        return _leaf(value)
    if value.keys() == {"$time"}:
        return "malformed $time" if checks.moment(value["$time"], "") else ""
    for name, content in value.items():
        if len(name) > MAX_CHARACTERS:
            return "key over 255 characters"
        if any(sign in name for sign in " .$"):
            return "nested key with a space, a dot or $"
        reason = _inside(content)
        if reason:
            return reason
    return ""


def _leaf(value: Any) -> str:
    if value is None:
        return "null below the first level"
    return _text(value) if type(value) is str else ""


def _text(value: str) -> str:
    return "string over 255 characters" if len(value) > MAX_CHARACTERS else ""


_ENTRY_KEYS = ("$identifier_key", "$identifier_value", "$new_object")


@cache
def _zones() -> frozenset[str]:
    """Return the time zones that this machine knows; none on a machine without a database of them."""
    return frozenset(zoneinfo.available_timezones())
