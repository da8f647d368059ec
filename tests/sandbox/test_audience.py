from __future__ import annotations

from typing import Any

import pytest

from bulk_sender.sandbox.audience import audience

BLUE = {"custom_attribute": {"custom_attribute_name": "eyes", "comparison": "equals", "value": "blue"}}
OPTED_IN = {"push_subscription_status": {"comparison": "is", "value": "opted_in"}}


def attribute(**fields: Any) -> dict[str, Any]:
    return {"custom_attribute": {"custom_attribute_name": "n"} | fields}


@pytest.mark.parametrize(
    "tree",
    [
        BLUE,
        {"AND": [BLUE]},
        {"OR": [BLUE, {"AND": [OPTED_IN, {"OR": [BLUE, OPTED_IN]}]}]},
        attribute(comparison="exists"),
        attribute(comparison="does_not_exist"),
        attribute(comparison="greater_than", value=5),
        attribute(comparison="matches_regex", value="^a"),
        attribute(comparison="less_than_x_days_ago", value=2),
        attribute(comparison="before", value="2026-02-28T10:00:00Z"),
        attribute(comparison="does_not_equal", value=False),
        {"email_subscription_status": {"comparison": "is_not", "value": "subscribed"}},
        {"last_used_app": {"comparison": "after", "value": "2019-07-22T13:17:55+0000"}},
    ],
)
def test_accepts_documented_filters(tree: dict[str, Any]) -> None:
    assert list(audience(tree, "audience")) == []


@pytest.mark.parametrize(
    ("tree", "rule", "sentence"),
    [
        ("all", "type", "audience must be an object"),
        ({}, "audience.node", "audience must have exactly one key"),
        ({"AND": [BLUE], "OR": [BLUE]}, "audience.node", "audience must have exactly one key"),
        (BLUE | OPTED_IN, "audience.node", "audience must have exactly one key"),
        ({"AND": []}, "audience.node", "audience.AND must be an array with at least one filter"),
        ({"OR": BLUE}, "audience.node", "audience.OR must be an array"),
        ({"and": [BLUE]}, "audience.filter", "audience must be AND, OR or one of"),
        ({"segment_id": "s"}, "audience.filter", "audience must be AND, OR or one of"),
        ({"AND": [BLUE, {"OR": ["x"]}]}, "type", "audience.AND[1].OR[0] must be an object"),
        ({"custom_attribute": []}, "type", "audience.custom_attribute must be an object"),
        ({"custom_attribute": {"comparison": "exists"}}, "required", "custom_attribute_name is required"),
        (attribute(value=1), "required", "comparison is required"),
        (attribute(comparison="is", value=1), "vocabulary", "a comparison that Braze documents"),
        (attribute(comparison="equals"), "required", "value is required with equals"),
        (attribute(comparison="equals", value=[1]), "type", "value must be a string, number or boolean"),
        (attribute(comparison="greater_than", value="5"), "type", "value must be a number"),
        (attribute(comparison="matches_regex", value=5), "type", "value must be a string"),
        (attribute(comparison="after", value="yesterday"), "date", "value must be an ISO 8601"),
        (attribute(comparison="exists", extra=1), "unknown_field", "'extra'"),
        ({"push_subscription_status": {"comparison": "equals", "value": "opted_in"}}, "vocabulary", "is_not"),
        ({"push_subscription_status": {"comparison": "is", "value": "yes"}}, "vocabulary", "opted_in"),
        ({"email_subscription_status": {"comparison": "is"}}, "required", "value is required"),
        ({"last_used_app": {"comparison": "after", "value": 5}}, "date", "ISO 8601"),
        ({"last_used_app": {"comparison": "is", "value": "2026-01-01"}}, "vocabulary", "after or before"),
    ],
)
def test_refuses_a_tree_with_one_invalid_node(tree: Any, rule: str, sentence: str) -> None:
    [(broken, said)] = audience(tree, "audience")
    assert broken == rule
    assert sentence in said
