"""Property tests: any valid recipient is accepted; one broken rule anywhere gives a 400 that names the recipient."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sender.sandbox import RunningSandbox, run_in_thread
from bulk_sender.sandbox.vocabulary import COUNTRIES, LANGUAGES

from .samples import CAMPAIGN_PATH, HEADERS, campaign, compact

NAMES = st.text(min_size=1, max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
PROPERTIES = st.dictionaries(
    st.text(max_size=8),
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)),
    max_size=4,
)
STATES = st.sampled_from(["opted_in", "subscribed", "unsubscribed"])
GROUPS = st.lists(
    st.fixed_dictionaries(
        {
            "subscription_group_id": NAMES,
            "subscription_state": st.sampled_from(["subscribed", "unsubscribed"]),
        }
    ),
    max_size=2,
)
CUSTOM = st.dictionaries(
    NAMES.map("custom_".__add__),
    SCALARS
    | st.lists(SCALARS, max_size=3)
    | st.fixed_dictionaries({"inc": st.integers()})
    | st.fixed_dictionaries({}, optional={"add": st.lists(SCALARS), "remove": st.lists(SCALARS)})
    | st.fixed_dictionaries({"nested": st.fixed_dictionaries({"x": SCALARS})}),
    max_size=4,
)
PROFILE = st.fixed_dictionaries(
    {},
    optional={
        "country": st.sampled_from(sorted(COUNTRIES)),
        "language": st.sampled_from(sorted(LANGUAGES)),
        "gender": st.sampled_from("MFONP") | st.none(),
        "dob": st.dates().map(str),
        "email_subscribe": STATES,
        "push_subscribe": STATES,
        "first_name": st.text(),
        "subscription_groups": GROUPS,
    },
)
ATTRIBUTES = st.tuples(CUSTOM, PROFILE).map(lambda pair: pair[0] | pair[1])
IDENTIFIERS = st.one_of(
    st.fixed_dictionaries({"external_user_id": NAMES}),
    st.fixed_dictionaries({"braze_id": NAMES}),
    st.fixed_dictionaries({"user_alias": st.fixed_dictionaries({"alias_name": NAMES, "alias_label": NAMES})}),
    st.fixed_dictionaries(
        {
            "email": st.emails(),
            "prioritization": st.tuples(
                st.sampled_from(["identified", "unidentified"]),
                st.sampled_from(["most_recently_updated", "least_recently_updated"]),
            ).map(list),
        }
    ),
)


@st.composite
def recipients(draw: st.DrawFn) -> dict[str, Any]:
    recipient: dict[str, Any] = draw(IDENTIFIERS)
    recipient |= draw(st.fixed_dictionaries({}, optional={"trigger_properties": PROPERTIES, "attributes": ATTRIBUTES}))
    if "user_alias" not in recipient:
        choices = [None, True, False] if recipient.get("attributes") else [None, True]
        existing_only = draw(st.sampled_from(choices))
        if existing_only is not None:
            recipient["send_to_existing_only"] = existing_only
    return recipient


def _without_identifier(recipient: dict[str, Any]) -> None:
    for name in ("external_user_id", "braze_id", "user_alias", "email"):
        recipient.pop(name, None)


def _second_identifier(recipient: dict[str, Any]) -> None:
    recipient["braze_id" if "braze_id" not in recipient else "external_user_id"] = "another"


def _mail_without_prioritization(recipient: dict[str, Any]) -> None:
    _without_identifier(recipient)
    recipient.pop("prioritization", None)
    recipient["email"] = "ann@example.com"


def _new_user_without_attributes(recipient: dict[str, Any]) -> None:
    _without_identifier(recipient)
    recipient.pop("attributes", None)
    recipient |= {"external_user_id": "u", "send_to_existing_only": False}


def _new_user_with_empty_attributes(recipient: dict[str, Any]) -> None:
    _without_identifier(recipient)
    recipient |= {"external_user_id": "u", "send_to_existing_only": False, "attributes": {}}


def _alias_with_existing_only(recipient: dict[str, Any]) -> None:
    _without_identifier(recipient)
    alias = {"alias_name": "n", "alias_label": "l"}
    recipient |= {"user_alias": alias, "send_to_existing_only": True}


def _sets(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(recipient: dict[str, Any]) -> None:
        recipient[field] = value

    return change


def _attribute(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(recipient: dict[str, Any]) -> None:
        recipient["attributes"] = recipient.get("attributes", {}) | {name: value}

    return change


BREAKS = [
    _without_identifier,
    _second_identifier,
    _mail_without_prioritization,
    _new_user_without_attributes,
    _new_user_with_empty_attributes,
    _alias_with_existing_only,
    _sets("prioritization", ["newest"]),
    _sets("trigger_properties", "none"),
    _sets("trigger_properties", {"a": "x" * 50_000}),
    _sets("attributes", ["none"]),
    _sets("send_to_existing_only", "yes"),
    _sets("phone", "+33123456789"),
    _attribute("country", ["FR"]),
    _attribute("language", "french"),
    _attribute("gender", "female"),
    _attribute("dob", "31/12/1980"),
    _attribute("email_subscribe", "yes"),
    _attribute("subscription_groups", [{"subscription_group_id": "g"}]),
    _attribute("external_id", "u"),
    _attribute("points", {"inc": "one"}),
    _attribute("grid", [[1]]),
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    with run_in_thread(keep_recipients=False) as running:
        yield running


@pytest.fixture(scope="module")
def client(sandbox: RunningSandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.url, headers=HEADERS) as opened:
        yield opened


@settings(max_examples=60, deadline=None)
@given(batch=st.lists(recipients(), min_size=1, max_size=5))
def test_valid_recipients_are_accepted(client: httpx.Client, batch: list[dict[str, Any]]) -> None:
    answer = client.post(CAMPAIGN_PATH, content=compact(campaign(*batch)))
    assert answer.status_code == 201, answer.text


@settings(max_examples=60, deadline=None)
@given(batch=st.lists(recipients(), min_size=1, max_size=5), data=st.data())
def test_one_broken_rule_is_refused_with_the_recipients_index(
    client: httpx.Client, sandbox: RunningSandbox, batch: list[dict[str, Any]], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(batch) - 1), label="index")
    broken = copy.deepcopy(batch)
    data.draw(st.sampled_from(BREAKS), label="break")(broken[index])
    accepted = sandbox.ledger.accepted_requests
    answer = client.post(CAMPAIGN_PATH, content=compact(campaign(*broken)))
    assert answer.status_code == 400
    assert {error["index"] for error in answer.json()["errors"]} == {index}
    assert answer.json()["message"].startswith(f"recipients[{index}]")
    assert sandbox.ledger.accepted_requests == accepted
