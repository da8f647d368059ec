"""Updates of attributes that are dropped in silence: taken, and counted in the ledger."""

from __future__ import annotations

from typing import Any

import pytest

from bulk_sender.sandbox import Sandbox
from bulk_sender.sandbox.losses import losses

from .samples import CAMPAIGN_PATH, CANVAS_PATH, HEADERS, campaign, canvas, loopback_client

NULL = "null below the first level"
KEY = "nested key with a space, a dot or $"
CHANGE = "incomplete $add, $update or $remove"
GROUPS = [{"subscription_group_id": "g", "subscription_state": "subscribed"}]


def nested_of(size: int) -> dict[str, Any]:
    parts = {f"k{number:03}": "x" * 200 for number in range(size // 210 - 1)}
    return parts | {"rest": ["x" * 200, *["y"] * 40]}


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"tier": "x" * 255, "old": None, "points": {"inc": -2}, "k" * 255: 1},
        {"tags": ["a"] * 25, "more": {"add": ["b"] * 25, "remove": ["c"]}},
        {"address": {"city": "x" * 255, "geo": {"lat": 1.5}, "k" * 255: True, "since": {"$time": "2026-02-28"}}},
        {"stays": [{"hotel": "A", "nights": 2}] * 300},
        {"stays": {"$add": [{"id": 1}]}},
        {"stays": {"$update": [{"$identifier_key": "id", "$identifier_value": 1, "$new_object": {"id": 1}}]}},
        {"stays": {"$remove": [{"$identifier_key": "id", "$identifier_value": 1}], "$add": [{"id": 2}]}},
        {"_merge_objects": True, "address": {"city": "Lyon"}},
        {"country": "FR", "time_zone": "Europe/Paris", "email": "ann@example.com", "first_name": "x" * 300},
        {"country": None, "email": None, "time_zone": None, "subscription_groups": GROUPS},
        {"big": nested_of(99_000)},
    ],
)
def test_what_braze_stores_as_it_is_is_no_loss(attributes: dict[str, Any]) -> None:
    assert list(losses(attributes, canvas=False)) == []


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"address": {"city": None}}, NULL),
        ({"address": {"geo": {"lat": [1, None]}}}, NULL),
        ({"stays": [{"hotel": None}]}, NULL),
        ({"stays": {"$add": [{"hotel": None}]}}, NULL),
        ({"tags": ["a", None]}, NULL),
        ({"tags": {"add": [None]}}, NULL),
        ({"dates": {"born": {"$time": "soon"}}}, "malformed $time"),
        ({"big": nested_of(101_000)}, "nested attribute over 100 KB"),
        ({"big": [{"text": "x" * 200}] * 600}, "nested attribute over 100 KB"),
        ({"address": {"a b": 1}}, KEY),
        ({"address": {"geo": {"a.b": 1}}}, KEY),
        ({"stays": [{"$x": 1}]}, KEY),
        ({"tags": ["a"] * 26}, "array shortened to 25 elements"),
        ({"tags": {"add": list(range(26))}}, "array shortened to 25 elements"),
        ({"tier": "x" * 256}, "string over 255 characters"),
        ({"tags": ["x" * 256]}, "string over 255 characters"),
        ({"address": {"city": "x" * 256}}, "string over 255 characters"),
        ({"k" * 256: 1}, "key over 255 characters"),
        ({"address": {"k" * 256: 1}}, "key over 255 characters"),
        ({"stays": {"$update": [{"$identifier_value": 1, "$new_object": {}}]}}, CHANGE),
        ({"stays": {"$remove": [{"$identifier_key": "id"}]}}, CHANGE),
        ({"stays": {"$add": {"id": 1}}}, CHANGE),
        ({"stays": {"$add": [{"id": 1}], "more": 1}}, CHANGE),
        ({"_merge_objects": "yes"}, "_merge_objects is not true or false"),
        ({"_update_existing_only": True}, "a field of /users/track"),
        ({"push_token_import": True}, "a field of /users/track"),
        ({"points": {"inc": 1.5}}, "inc is not an integer"),
        ({"country": "France"}, "unknown country"),
        ({"country": "fr"}, "unknown country"),
        ({"time_zone": "Mars"}, "unknown time zone"),
        ({"email": "nope"}, "malformed e-mail address"),
    ],
)
def test_names_the_reason_of_a_lost_update(attributes: dict[str, Any], reason: str) -> None:
    assert list(losses(attributes | {"fine": 1}, canvas=False)) == [reason]


def test_subscription_groups_are_lost_with_a_canvas() -> None:
    assert list(losses({"subscription_groups": GROUPS}, canvas=True)) == ["subscription groups with a Canvas"]


def test_deep_nesting_is_lost_instead_of_failing() -> None:
    nested: Any = "end"
    for _ in range(5_000):
        nested = {"x": nested}
    assert list(losses({"deep": nested}, canvas=False)) == ["nested too deeply"]


@pytest.mark.anyio
async def test_the_request_is_taken_and_the_ledger_counts_each_lost_update() -> None:
    one = {"external_user_id": "u1", "attributes": {"o": {"a": None}, "p": {"b": None}, "country": "France"}}
    other = {"external_user_id": "u2", "attributes": {"tier": "gold", "o": {"a": None}}}
    third = {"external_user_id": "u3", "attributes": {"subscription_groups": GROUPS}}
    async with (
        Sandbox() as sandbox,
        loopback_client(base_url=sandbox.url, headers=HEADERS) as client,
    ):
        assert (await client.post(CAMPAIGN_PATH, json=campaign(one, other, third))).status_code == 201
        assert (await client.post(CANVAS_PATH, json=canvas(third))).status_code == 201
        facts = (await client.get("/_sandbox/ledger")).json()
    assert facts["dropped_attribute_updates"] == {
        NULL: 3,
        "unknown country": 1,
        "subscription groups with a Canvas": 1,
    }
    assert sandbox.ledger.dropped == facts["dropped_attribute_updates"]
    assert facts["accepted_recipients"] == 4
