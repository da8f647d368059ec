from __future__ import annotations

from typing import Any

import pytest

from bulk_sender.sandbox.attributes import attributes
from bulk_sender.sandbox.vocabulary import COUNTRIES, LANGUAGES


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"tier": "gold", "points": 3, "ratio": 0.5, "vip": True, "since": "2026-02-28", "old": None},
        {"points": {"inc": -2}},
        {"tags": ["a", 1, True, None], "plus": {"add": ["a"]}, "minus": {"remove": ["b"]}},
        {"both": {"add": ["a"], "remove": ["b"]}},
        {"address": {"city": "Paris", "geo": {"lat": 1.5}, "lines": ["a", "b"]}},
        {"stays": [{"hotel": "Ocean", "nights": 5}, {"hotel": "Hill", "tags": ["x"]}]},
        {"inc": 5, "add": "x", "odd": {"inc": 1, "more": 2}},
        {"country": "FR", "language": "fr", "gender": "F", "dob": "1980-02-29"},
        {"email_subscribe": "opted_in", "push_subscribe": "unsubscribed", "email": "ann@example.com"},
        {"country": None, "gender": None, "dob": None, "email": None},
        {"current_location": {"longitude": -73.9, "latitude": 40}},
        {"push_tokens": [{"app_id": "a", "token": "t"}, {"app_id": "a", "token": "t", "device_id": "d"}]},
        {"facebook": {"id": "x", "likes": ["a"], "num_friends": 1}, "twitter": {"id": 1, "screen_name": "x"}},
        {"subscription_groups": [{"subscription_group_id": "g", "subscription_state": "subscribed"}]},
        {"time_zone": "Europe/Paris", "phone": "+33123456789", "email_open_tracking_disabled": True},
    ],
)
def test_accepts_documented_attributes(value: dict[str, Any]) -> None:
    assert list(attributes(value, "attributes")) == []


@pytest.mark.parametrize(
    ("value", "rule", "path"),
    [
        ({"external_id": "u1"}, "identity", "attributes.external_id"),
        ({"external_id": None}, "identity", "attributes.external_id"),
        ({"braze_id": "b1"}, "identity", "attributes.braze_id"),
        ({"user_alias": {"alias_name": "n", "alias_label": "l"}}, "identity", "attributes.user_alias"),
        ({"country": ["FR"]}, "type", "attributes.country"),
        ({"language": "french"}, "vocabulary", "attributes.language"),
        ({"language": "FR"}, "vocabulary", "attributes.language"),
        ({"gender": "female"}, "vocabulary", "attributes.gender"),
        ({"gender": ""}, "vocabulary", "attributes.gender"),
        ({"gender": "MF"}, "vocabulary", "attributes.gender"),
        ({"dob": "1980-02-30"}, "date", "attributes.dob"),
        ({"dob": "28/02/1980"}, "date", "attributes.dob"),
        ({"dob": "19800228"}, "date", "attributes.dob"),
        ({"dob": "1980-W09-4"}, "date", "attributes.dob"),
        ({"dob": 1980}, "date", "attributes.dob"),
        ({"email_subscribe": "yes"}, "vocabulary", "attributes.email_subscribe"),
        ({"push_subscribe": True}, "vocabulary", "attributes.push_subscribe"),
        ({"first_name": 5}, "type", "attributes.first_name"),
        ({"email": ["ann@example.com"]}, "type", "attributes.email"),
        ({"email_click_tracking_disabled": "no"}, "type", "attributes.email_click_tracking_disabled"),
        ({"current_location": {"longitude": 1}}, "required", "attributes.current_location.latitude"),
        (
            {"current_location": {"longitude": "1", "latitude": 2}},
            "type",
            "attributes.current_location.longitude",
        ),
        ({"push_tokens": [{"app_id": "a"}]}, "required", "attributes.push_tokens[0].token"),
        ({"twitter": {"id": "1"}}, "type", "attributes.twitter.id"),
        ({"twitter": {"handle": "x"}}, "unknown_field", "attributes.twitter"),
        ({"subscription_groups": None}, "type", "attributes.subscription_groups"),
        ({"subscription_groups": {}}, "type", "attributes.subscription_groups"),
        (
            {"subscription_groups": [{"subscription_state": "subscribed"}]},
            "required",
            "attributes.subscription_groups[0].subscription_group_id",
        ),
        (
            {"subscription_groups": [{"subscription_group_id": "g"}]},
            "required",
            "attributes.subscription_groups[0].subscription_state",
        ),
        (
            {"subscription_groups": [{"subscription_group_id": "g", "subscription_state": "opted_in"}]},
            "vocabulary",
            "attributes.subscription_groups[0].subscription_state",
        ),
        ({"points": {"inc": "1"}}, "type", "attributes.points.inc"),
        ({"points": {"inc": True}}, "type", "attributes.points.inc"),
        ({"tags": {"add": "a"}}, "type", "attributes.tags.add"),
        ({"tags": {"remove": [["a"]]}}, "type", "attributes.tags.remove[0]"),
        ({"tags": ["a", ["b"]]}, "nested_array", "attributes.tags[1]"),
        ({"address": {"grid": [[1]]}}, "nested_array", "attributes.address.grid[0]"),
        ({"stays": [{"nights": [[1]]}]}, "nested_array", "attributes.stays[0].nights[0]"),
    ],
)
def test_refuses_an_invalid_attribute_and_names_its_path(value: dict[str, Any], rule: str, path: str) -> None:
    [(broken, sentence)] = attributes({"tier": "gold"} | value, "attributes")
    assert broken == rule
    assert sentence.startswith(path + " ")


def test_the_vocabularies_are_complete() -> None:
    assert len(COUNTRIES) == 249
    assert len(LANGUAGES) == 184
    assert {"FR", "GB", "US", "XK"} & COUNTRIES == {"FR", "GB", "US"}
    assert {"fr", "en", "zh", "iw"} & LANGUAGES == {"fr", "en", "zh"}
