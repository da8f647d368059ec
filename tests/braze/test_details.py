"""Details of a campaign or Canvas: what Braze's answer says of its name, state and messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bulk_sender.braze.details import details_of, details_url, read_answer
from bulk_sender.config.model import BrazeConfig
from bulk_sender.http.evidence import Evidence, Reach

CAMPAIGN = {
    "message": "success",
    "created_at": "2026-10-01T08:00:00Z",
    "archived": False,
    "draft": False,
    "enabled": True,
    "name": "Winter sale",
    "description": "",
    "schedule_type": "api_triggered",
    "channels": ["email", "android_push"],
    "tags": [],
    "messages": {
        "v-1": {
            "channel": "email",
            "name": "Variation 1",
            "subject": "Hello {{api_trigger_properties.${first_name}}}",
            "body": "<p>{{api_trigger_properties.${total}}}</p>",
            "from": "Shop <shop@example.com>",
            "extras": {"season": "{{api_trigger_properties.${season}}}", "empty": ""},
        },
        "v-2": {"channel": "android_push", "alert": "Hi"},
        "v-3": {"channel": "email", "type": "control"},
    },
}
CANVAS = {
    "message": "success",
    "name": "Welcome",
    "archived": False,
    "draft": False,
    "variants": [{"name": "A", "id": "a"}],
    "steps": [
        {"name": "Day 1", "type": "message", "messages": {"m-1": {"channel": "sms", "body": "{{context.${code}}}"}}},
        {"name": "Wait", "type": "delay"},
        "not a step",
    ],
}


def answered(status: int, content: Any) -> Evidence:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Evidence(Reach.ANSWERED, status, body=body)


def test_the_messages_of_a_campaign_have_their_texts() -> None:
    details = details_of(CAMPAIGN)
    assert details is not None
    assert (details.kind, details.name, details.state) == ("campaign", "Winter sale", "live")
    assert details.channels == ("email", "android_push")
    mail, push = details.messages
    assert (mail.variation, mail.channel, mail.name) == ("v-1", "email", "Variation 1")
    assert dict(mail.fields) == {
        "subject": "Hello {{api_trigger_properties.${first_name}}}",
        "body": "<p>{{api_trigger_properties.${total}}}</p>",
        "from": "Shop <shop@example.com>",
        "extras.season": "{{api_trigger_properties.${season}}}",
    }
    assert dict(push.fields) == {"alert": "Hi"}


def test_the_messages_of_a_canvas_are_those_of_its_steps() -> None:
    details = details_of(CANVAS)
    assert details is not None
    assert (details.kind, details.state) == ("Canvas", "live")
    [message] = details.messages
    assert (message.name, message.channel, message.fields["body"]) == ("Day 1", "sms", "{{context.${code}}}")


@pytest.mark.parametrize(
    ("change", "state", "word", "remedy"),
    [
        ({"archived": True, "draft": True}, "archived", "is archived", "unarchive"),
        ({"draft": True}, "draft", "is a draft", "launch"),
        ({"enabled": False}, "stopped", "is stopped", "start it again"),
    ],
)
def test_a_target_that_sends_nothing_says_why_and_what_to_do(
    change: dict[str, bool], state: str, word: str, remedy: str
) -> None:
    details = details_of(CAMPAIGN | change)
    assert details is not None
    assert details.state == state
    assert word in details.refusal
    assert "'Winter sale'" in details.refusal
    assert remedy in details.remedy


def test_a_live_target_has_no_refusal() -> None:
    for answer in (CAMPAIGN, CANVAS, {"name": "x", "archived": False}):
        details = details_of(answer)
        assert details is not None
        assert details.refusal == details.remedy == ""


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "text",
        {},
        {"message": "success"},
        {"name": 3, "archived": False},
        {"name": "a user", "email": "a@example.com"},
    ],
    ids=repr,
)
def test_another_answer_has_no_details(answer: Any) -> None:
    assert details_of(answer) is None


@pytest.mark.parametrize(
    "messages", [None, [], "x", {"v": None}, {"v": []}, {"v": {"channel": 3, "body": 7}}, {"": {"body": "a"}}], ids=repr
)
def test_messages_of_another_form_never_raise(messages: Any) -> None:
    details = details_of(CAMPAIGN | {"messages": messages, "channels": messages, "enabled": "no"})
    assert details is not None
    assert details.state == "live"


def test_deep_answers_are_cut_off() -> None:
    deep: Any = "text"
    for _ in range(200):
        deep = {"a": deep}
    details = details_of(CAMPAIGN | {"messages": {"v": {"channel": "email", "data": deep}}})
    assert details is not None
    assert not details.messages[0].fields
    assert read_answer(answered(200, b"[" * 100_000), canvas=False).details is None


def test_names_from_braze_are_clean() -> None:
    details = details_of(CAMPAIGN | {"name": "Win\x1b[31mter\n‮sale"})
    assert details is not None
    assert details.name == "Win ter sale"


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (answered(403, {"message": "Forbidden"}), "lacks the permission campaigns.details (HTTP 403: Forbidden)"),
        (answered(404, {"message": "Not Found"}), "Braze answered HTTP 404: Not Found"),
        (answered(404, b"<html>nothing</html>"), "Braze answered HTTP 404"),
        (answered(400, {"error": "Invalid Campaign ID"}), "HTTP 400: Invalid Campaign ID"),
        (answered(429, {"message": "Rate Limited"}), "rate limit is used up"),
        (answered(302, b""), "redirects elsewhere"),
        (answered(500, {"message": "Internal Server Error"}), "HTTP 500"),
        (answered(200, {"message": "success"}), "without details"),
        (answered(200, b"not JSON"), "without details"),
        (Evidence(Reach.BODY_SENT, error="ReadTimeout"), "no complete answer came (ReadTimeout)"),
        (Evidence(Reach.STATUS_SEEN, 200), "no complete answer came"),
    ],
)
def test_an_answer_without_details_says_why(evidence: Evidence, words: str) -> None:
    answer = read_answer(evidence, canvas=False)
    assert answer.details is None
    assert words in answer.why_not
    assert not answer.key_refused


def test_a_refused_key_is_told_apart() -> None:
    answer = read_answer(answered(401, {"message": "Invalid API key: ***"}), canvas=True)
    assert answer.key_refused == "HTTP 401: Invalid API key: ***"
    assert "canvas.details" in read_answer(answered(403, {}), canvas=True).why_not


def test_the_question_names_the_target() -> None:
    base = "https://rest.iad-01.braze.com"
    assert details_url(base, BrazeConfig(campaign_id="a b&c")) == f"{base}/campaigns/details?campaign_id=a+b%26c"
    assert details_url(base, BrazeConfig(canvas_id="v")) == f"{base}/canvas/details?canvas_id=v"
