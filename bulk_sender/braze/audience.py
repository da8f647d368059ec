"""The vocabulary of ``audience``: Braze's filters, their comparisons and values (Braze: connected_audience). Pure.

The configuration refuses a tree of another shape. What is said here is a warning, because Braze may know more.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from bulk_sender.config.base import JsonObject

_STATES = ("opted_in", "subscribed", "unsubscribed")
_WITHOUT_VALUE = ("exists", "does_not_exist")
_TEXT = ("matches_regex", "does_not_match_regex")
_NUMBER = (
    "greater_than",
    "greater_than_or_equal_to",
    "less_than",
    "less_than_or_equal_to",
    "less_than_x_days_ago",
    "greater_than_x_days_ago",
    "less_than_x_days_in_the_future",
    "greater_than_x_days_in_the_future",
)
_TIME = ("after", "before")
_ANY = ("equals", "not_equal", "does_not_equal", "includes_value", "does_not_include_value")
_FIELDS: dict[str, tuple[str, ...]] = {
    "custom_attribute": ("custom_attribute_name", "comparison", "value"),
    "push_subscription_status": ("comparison", "value"),
    "email_subscription_status": ("comparison", "value"),
    "last_used_app": ("comparison", "value"),
}
_COMPARISONS: dict[str, tuple[str, ...]] = {
    "custom_attribute": (*_ANY, *_TEXT, *_NUMBER, *_TIME, *_WITHOUT_VALUE),
    "push_subscription_status": ("is", "is_not"),
    "email_subscription_status": ("is", "is_not"),
    "last_used_app": _TIME,
}


def unknown_words(audience: JsonObject | None, where: str = "message.audience") -> Iterator[str]:
    """Yield a sentence for each filter, comparison or value that Braze does not document."""
    for name, content in (audience or {}).items():
        here = f"{where}.{name}"
        if name in ("AND", "OR"):
            for place, node in enumerate(content):
                yield from unknown_words(node, f"{here}[{place}]")
        elif name not in _FIELDS:
            yield f"{here}: Braze documents no such filter; it has {', '.join(_FIELDS)}"
        else:
            yield from _about_filter(name, content, here)


def _about_filter(name: str, content: dict[str, Any], where: str) -> Iterator[str]:
    for field in content:
        if field not in _FIELDS[name]:
            yield f"{where}.{field}: Braze documents no such field; the filter has {', '.join(_FIELDS[name])}"
    comparison, value = content.get("comparison"), content.get("value")
    if name == "custom_attribute" and not content.get("custom_attribute_name"):
        yield f"{where}: custom_attribute_name is missing"
    if comparison not in _COMPARISONS[name]:
        shown = "is missing" if comparison is None else f"has no {comparison!r}"
        yield f"{where}: comparison {shown}; Braze documents {', '.join(_COMPARISONS[name])}"
    elif comparison not in _WITHOUT_VALUE and (wanted := _wanted(name, comparison, value)):
        shown = "is missing" if value is None else f"{value!r} does not fit"
        yield f"{where}: value {shown}; {comparison} takes {wanted}"


def _wanted(name: str, comparison: str, value: Any) -> str:
    """Return what kind of value a comparison takes if this is none, or an empty string."""
    if name.endswith("_status"):
        return "" if value in _STATES else ", ".join(_STATES)
    if comparison in _TIME:
        return "" if _is_time(value) else "a time in ISO 8601"
    if comparison in _TEXT:
        return "" if isinstance(value, str) else "text"
    if comparison in _NUMBER:
        return "" if isinstance(value, int | float) and not isinstance(value, bool) else "a number"
    return "" if isinstance(value, str | int | float) else "text, a number, true or false"


def _is_time(value: Any) -> bool:
    try:
        return dt.datetime.fromisoformat(value) is not None
    except (TypeError, ValueError):
        return False
