"""Rules for ``audience``, a tree of ``AND`` and ``OR`` over four kinds of filters.

Source: Braze's page on the connected audience object, which also rules out any other filter (default
attributes, events, segments).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bulk_sender.sandbox.checks import Breach, Check, filled_text, moment, number, one_of, record, text
from bulk_sender.sandbox.vocabulary import SUBSCRIPTION_STATES


def audience(value: Any, where: str) -> Sequence[Breach]:
    """Check one filter, or ``{"AND": [...]}`` or ``{"OR": [...]}`` over such nodes."""
    if type(value) is not dict:
        return [("type", f"{where} must be an object")]
    if len(value) != 1:
        return [("audience.node", f"{where} must have exactly one key: AND, OR or the name of a filter")]
    ((name, content),) = value.items()
    if name not in ("AND", "OR"):
        check = _FILTERS.get(name)
        if check is None:
            return [("audience.filter", f"{where} must be AND, OR or one of {', '.join(_FILTERS)}")]
        return check(content, f"{where}.{name}")
    if type(content) is not list or not content:
        return [("audience.node", f"{where}.{name} must be an array with at least one filter")]
    return [breach for place, node in enumerate(content) for breach in audience(node, f"{where}.{name}[{place}]")]


def _custom_attribute(value: Any, where: str) -> Sequence[Breach]:
    """Check a custom attribute filter; its comparison decides which value is valid, if any."""
    breaches = _custom_attribute_fields(value, where)
    if breaches:
        return breaches
    comparison = value["comparison"]
    if comparison in _WITHOUT_VALUE:
        return breaches
    if "value" not in value:
        return [("required", f"{where}.value is required with {comparison}")]
    return _COMPARED_WITH.get(comparison, _plain)(value["value"], f"{where}.value")


def _plain(value: Any, where: str) -> Sequence[Breach]:
    return () if type(value) in (str, int, float, bool) else [("type", f"{where} must be a string, number or boolean")]


def _anything(value: Any, where: str) -> Sequence[Breach]:
    return ()


_WITHOUT_VALUE = frozenset({"exists", "does_not_exist"})
_COMPARED_WITH: dict[str, Check] = {
    "matches_regex": text,
    "does_not_match_regex": text,
    "greater_than": number,
    "greater_than_or_equal_to": number,
    "less_than": number,
    "less_than_or_equal_to": number,
    "less_than_x_days_ago": number,
    "greater_than_x_days_ago": number,
    "less_than_x_days_in_the_future": number,
    "greater_than_x_days_in_the_future": number,
    "after": moment,
    "before": moment,
    "equals": _plain,
    "not_equal": _plain,
    "does_not_equal": _plain,
    "includes_value": _plain,
    "does_not_include_value": _plain,
}
_comparison = one_of(_WITHOUT_VALUE | _COMPARED_WITH.keys(), "a comparison that Braze documents")
_custom_attribute_fields = record(
    {"custom_attribute_name": filled_text, "comparison": _comparison, "value": _anything},
    required=("custom_attribute_name", "comparison"),
)
_subscription_status = record(
    {
        "comparison": one_of({"is", "is_not"}, "is or is_not"),
        "value": one_of(SUBSCRIPTION_STATES, "opted_in, subscribed or unsubscribed"),
    },
    required=("comparison", "value"),
)
_FILTERS: dict[str, Check] = {
    "custom_attribute": _custom_attribute,
    "push_subscription_status": _subscription_status,
    "email_subscription_status": _subscription_status,
    "last_used_app": record(
        {"comparison": one_of({"after", "before"}, "after or before"), "value": moment},
        required=("comparison", "value"),
    ),
}
