"""Rules of the sandbox: each test case breaks one rule of a valid request."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import bulk_sender.sandbox
from bulk_sender.sandbox.rules import CAMPAIGN, CANVAS, Trigger, Violation, too_long, violations

from .samples import campaign, canvas, users

MAIL = {"email": "ann@example.com", "prioritization": ["unidentified", "most_recently_updated"]}
ALIAS = {"user_alias": {"alias_name": "n", "alias_label": "l"}}
USER = {"external_user_id": "u1"}
AUDIENCE = {
    "AND": [
        {"custom_attribute": {"custom_attribute_name": "eyes", "comparison": "equals", "value": "blue"}},
        {"OR": [{"push_subscription_status": {"comparison": "is", "value": "opted_in"}}]},
    ]
}


@pytest.mark.parametrize(
    "body",
    [
        campaign(),
        campaign(*users(50)),
        campaign(MAIL, ALIAS, USER, {"braze_id": "b1"}),
        campaign(MAIL | {"prioritization": ["identified"]}),
        campaign(USER | {"trigger_properties": {"a": [1, {"b": None}], "c": True, "d": 1.5}}),
        campaign(USER | {"send_to_existing_only": False, "attributes": {"tier": "gold"}}),
        campaign(USER | {"send_to_existing_only": True}),
        campaign(send_id="s", trigger_properties={"x": 1}, broadcast=False, audience=AUDIENCE),
        campaign(attachments=[{"file_name": "terms", "url": "https://example.com/terms.pdf"}]),
        campaign(attachments=[{"file_name": "terms", "url": "u", "basic_auth_credential": "shop"}]),
        campaign(send_id="s" * 64),
        campaign(MAIL | {"email": "3d" * 32}),
        campaign(MAIL | {"email": "Pb0+/" * 8 + "Ab=="}),
        campaign(USER | {"trigger_properties": {"a": "x" * 49_992}}),
        {"campaign_id": "c", "broadcast": True},
        {"campaign_id": "c", "broadcast": True, "audience": AUDIENCE},
    ],
)
def test_accepts_documented_campaign_requests(body: dict[str, Any]) -> None:
    assert violations(body, CAMPAIGN) == []


@pytest.mark.parametrize(
    "body",
    [
        canvas(),
        canvas(USER | {"canvas_entry_properties": {"a": 1}}, canvas_entry_properties={"b": 2}),
        canvas(USER | {"context": {"a": 1}}, context={"b": 2}),
        {"canvas_id": "c", "broadcast": True},
    ],
)
def test_accepts_documented_canvas_requests(body: dict[str, Any]) -> None:
    assert violations(body, CANVAS) == []


@pytest.mark.parametrize(
    ("body", "rule", "sentence"),
    [
        ([], "type", "the body must be an object"),
        ({"recipients": [USER]}, "required", "campaign_id must be a string of the campaign api identifier"),
        (campaign(campaign_id=""), "target_id", "campaign_id must be a string of the campaign api identifier"),
        (campaign(campaign_id=7), "target_id", "campaign_id must be a string of the campaign api identifier"),
        (campaign(send_id=7), "send_id", "send_id must be a string of 1 to 64 ASCII characters"),
        (campaign(send_id=""), "send_id", "1 to 64 ASCII"),
        (campaign(send_id="s" * 65), "send_id", "1 to 64 ASCII"),
        (campaign(send_id="é" * 3), "send_id", "1 to 64 ASCII"),
        (campaign(trigger_properties={"a": "x" * 50_000}), "too_large", "trigger_properties has 50008 bytes"),
        (campaign(trigger_properties=""), "type", "trigger_properties must be an object"),
        (campaign(broadcast="false"), "type", "broadcast must be true or false"),
        (campaign(broadcast=True), "broadcast", "recipients cannot be included when broadcast is true"),
        (
            {"campaign_id": "c", "broadcast": True, "attachments": [{"file_name": "f", "url": "u"}]},
            "broadcast",
            "attachments cannot be included when broadcast is true",
        ),
        ({"campaign_id": "c"}, "no_recipients", "No Recipients"),
        ({"campaign_id": "c", "broadcast": False}, "no_recipients", "No Recipients"),
        ({"campaign_id": "c", "audience": AUDIENCE}, "no_recipients", "No Recipients"),
        ({"campaign_id": "c", "recipients": []}, "no_recipients", "No Recipients"),
        ({"campaign_id": "c", "recipients": None}, "type", "recipients must be an array"),
        (campaign(*users(51)), "too_many", "max number of external_ids and aliases per request"),
        (campaign(attachments={}), "type", "attachments must be an array"),
        (campaign(attachments=[{"url": "u"}]), "required", "attachments[0].file_name is required"),
        (campaign(attachments=[{"file_name": "f"}]), "required", "attachments[0].url is required"),
        (campaign(attachments=[{"file_name": 1, "url": "u"}]), "type", "attachments[0].file_name must be a"),
        (campaign(campaing_id="c"), "unknown_field", "the body has a field that Braze does not know"),
        (campaign(canvas_entry_properties={}), "unknown_field", "'canvas_entry_properties'"),
        (campaign(audience=[]), "type", "audience must be an object"),
    ],
)
def test_refuses_a_request_that_breaks_one_rule(body: Any, rule: str, sentence: str) -> None:
    [violation] = violations(body, CAMPAIGN)
    assert (violation.rule, violation.index) == (rule, None)
    assert sentence in violation.sentence


@pytest.mark.parametrize(
    ("recipient", "rule", "sentence"),
    [
        ("u1", "type", "must be an object"),
        ({}, "one_identifier", "exactly one of external_user_id, user_alias, email, braze_id"),
        ({"attributes": {}}, "one_identifier", "exactly one of"),
        (USER | MAIL, "one_identifier", "exactly one of"),
        (USER | ALIAS, "one_identifier", "exactly one of"),
        (USER | {"braze_id": "b"}, "one_identifier", "exactly one of"),
        ({"external_user_id": ""}, "type", "external_user_id must be a non-empty string"),
        ({"external_user_id": 17}, "type", "external_user_id must be a non-empty string"),
        ({"external_user_id": None}, "type", "external_user_id must be a non-empty string"),
        ({"braze_id": 17}, "type", "braze_id must be a non-empty string"),
        ({"user_alias": "n"}, "type", "user_alias must be an object"),
        ({"user_alias": {"alias_name": "n"}}, "required", "user_alias.alias_label is required"),
        ({"user_alias": {"alias_label": "l"}}, "required", "user_alias.alias_name is required"),
        ({"user_alias": {"alias_name": "", "alias_label": "l"}}, "type", "user_alias.alias_name must be a"),
        ({"user_alias": {"alias_name": "n", "alias_label": "l", "x": 1}}, "unknown_field", "'x'"),
        (MAIL | {"email": 1}, "type", "email must be a string"),
        (MAIL | {"email": "ann.example.com"}, "email", "email must be an e-mail address"),
        (MAIL | {"email": "ann @example.com"}, "email", "email must be an e-mail address"),
        ({"email": "ann@example.com"}, "prioritization", "prioritization is required when using email"),
        (MAIL | {"prioritization": "identified"}, "type", "prioritization must be an array"),
        (MAIL | {"prioritization": []}, "prioritization", "one value, or one of each pair"),
        (MAIL | {"prioritization": ["newest"]}, "vocabulary", "prioritization accepts identified"),
        (MAIL | {"prioritization": [["identified"]]}, "vocabulary", "prioritization accepts identified"),
        (MAIL | {"prioritization": ["identified", "unidentified"]}, "prioritization", "one of each pair"),
        (MAIL | {"prioritization": ["identified", "identified"]}, "prioritization", "one of each pair"),
        (
            MAIL | {"prioritization": ["most_recently_updated", "least_recently_updated"]},
            "prioritization",
            "one of each pair",
        ),
        (USER | {"trigger_properties": ""}, "type", "trigger_properties must be an object"),
        (USER | {"trigger_properties": None}, "type", "trigger_properties must be an object"),
        (USER | {"send_to_existing_only": "true"}, "type", "send_to_existing_only must be true or false"),
        (USER | {"send_to_existing_only": False}, "existing_only_attributes", "attributes is required"),
        (
            USER | {"send_to_existing_only": False, "attributes": {}},
            "existing_only_attributes",
            "attributes is required, and not empty",
        ),
        (ALIAS | {"send_to_existing_only": True}, "existing_only_alias", "cannot be used with user_alias"),
        (
            ALIAS | {"send_to_existing_only": False, "attributes": {"tier": "gold"}},
            "existing_only_alias",
            "cannot be used with user_alias",
        ),
        (USER | {"attributes": []}, "type", "attributes must be an object"),
        (USER | {"first_name": "Ann"}, "unknown_field", "'first_name'"),
        (USER | {"canvas_entry_properties": {}}, "unknown_field", "'canvas_entry_properties'"),
    ],
)
def test_refuses_a_recipient_that_breaks_one_rule_and_names_it(recipient: Any, rule: str, sentence: str) -> None:
    [violation] = violations(campaign(USER, USER, recipient, USER), CAMPAIGN)
    assert (violation.rule, violation.index) == (rule, 2)
    assert violation.sentence.startswith("recipients[2]")
    assert sentence in violation.sentence


NAMES = [(CAMPAIGN, campaign, "trigger_properties"), (CANVAS, canvas, "context")]
NAMES += [(CANVAS, canvas, "canvas_entry_properties")]


def of_bytes(size: int, name: str = "é") -> dict[str, str]:
    return {name: "x" * (size - len(f'{{"{name}":""}}'.encode()))}


@pytest.mark.parametrize(("trigger", "request_of", "name"), NAMES)
def test_properties_may_have_at_most_50_kb(trigger: Trigger, request_of: Any, name: str) -> None:
    assert violations(request_of(USER | {name: of_bytes(50_000)}), trigger) == []
    assert violations(request_of(**{name: of_bytes(50_000)}), trigger) == []
    [of_recipient] = violations(request_of(USER | {name: of_bytes(50_001)}), trigger)
    [of_request] = violations(request_of(**{name: of_bytes(50_001)}), trigger)
    assert (of_recipient.rule, of_recipient.index) == ("too_large", 0)
    assert (of_request.rule, of_request.index) == ("too_large", None)
    [wrong_type] = violations(request_of(**{name: "x"}), trigger)
    assert wrong_type.rule == "type"


@pytest.mark.parametrize(("trigger", "request_of", "name"), NAMES)
def test_properties_of_request_and_recipient_count_together(trigger: Trigger, request_of: Any, name: str) -> None:
    half = of_bytes(25_000, "a")
    fits, over = of_bytes(25_001, "b"), of_bytes(25_002, "b")  # merged, one pair of braces turns into a comma
    assert violations(request_of(USER | {name: fits}, USER, **{name: half}), trigger) == []
    [found] = violations(request_of(USER | {name: fits}, USER | {name: over}, **{name: half}), trigger)
    assert (found.rule, found.index) == ("too_large", 1)
    assert "merged with the request's" in found.sentence
    same = request_of(USER | {name: of_bytes(40_000, "a")}, **{name: of_bytes(40_000, "a")})
    assert violations(same, trigger) == []  # the recipient's key replaces the request's


@pytest.mark.parametrize(
    ("body", "index"),
    [
        (canvas(context={}, canvas_entry_properties={}), None),
        (canvas(USER, USER | {"context": {}, "canvas_entry_properties": {}}), 1),
        (canvas(USER | {"context": {"a": 1}}, canvas_entry_properties={"b": 1}), 0),
    ],
)
def test_a_canvas_takes_one_name_of_its_properties(body: dict[str, Any], index: int | None) -> None:
    [found] = violations(body, CANVAS)
    assert (found.rule, found.index) == ("two_names", index)


def test_names_recipients_whose_external_id_is_too_long_instead_of_refusing_the_request() -> None:
    body = campaign({"external_user_id": "é" * 493 + "x"}, {"external_user_id": "é" * 494}, MAIL, ALIAS)
    assert violations(body, CAMPAIGN) == []
    assert too_long(body) == [1]


@pytest.mark.parametrize("field", ["send_id", "attachments", "trigger_properties", "campaign_id"])
def test_a_canvas_refuses_fields_of_campaigns(field: str) -> None:
    [violation] = violations(canvas(**{field: "x"}), CANVAS)
    assert violation.rule == "unknown_field"


def test_names_every_recipient_that_breaks_a_rule() -> None:
    found = violations(campaign(USER, {}, USER, USER | MAIL, {"email": "x"}), CAMPAIGN)
    assert [(violation.index, violation.rule) for violation in found] == [
        (1, "one_identifier"),
        (3, "one_identifier"),
        (4, "email"),
        (4, "prioritization"),
    ]


def test_never_quotes_a_value() -> None:
    secret = "ann.secret"
    body = campaign({"email": secret, "prioritization": secret, "attributes": {"gender": secret, "dob": secret}})
    found = violations(body, CAMPAIGN)
    assert len(found) == 4
    assert not any(secret in violation.sentence for violation in found)


def test_refuses_deep_nesting_instead_of_failing() -> None:
    nested: Any = "end"
    for _ in range(5_000):
        nested = {"x": nested}
    assert violations(campaign(USER | {"attributes": nested}), CAMPAIGN) == [
        Violation("too_deep", "the body is nested too deeply")
    ]


def test_shares_no_code_with_the_sender() -> None:
    folder = Path(bulk_sender.sandbox.__file__).parent
    imported = {
        name
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    ours = {name for name in imported if name.startswith("bulk_sender")}
    assert ours
    assert all(name.startswith("bulk_sender.sandbox") for name in ours)
