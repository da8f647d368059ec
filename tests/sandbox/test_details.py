"""The details endpoints of the sandbox: name, state and message of a campaign and a Canvas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from bulk_sender.sandbox import STATES, Sandbox

from .command import Command
from .samples import HEADERS, SetClock, campaign, loopback_client

pytestmark = pytest.mark.anyio
EMAIL = {"channel": "email", "name": "Variation 1", "subject": "Hello {{api_trigger_properties.${name}}}", "body": "x"}
PUSH = {"channel": "ios_push", "alert": "Hi"}
DOCUMENTED = {
    *("message", "created_at", "updated_at", "archived", "draft", "enabled", "has_post_launch_draft", "name"),
    *("description", "schedule_type", "channels", "tags"),
}


async def get(sandbox: Sandbox, path: str, headers: dict[str, str] = HEADERS, **query: str) -> httpx.Response:
    async with loopback_client(base_url=sandbox.url) as client:
        return await client.get(path, params=query, headers={"authorization": headers.get("authorization", "")})


async def details(sandbox: Sandbox, target: str = "campaign") -> dict[str, Any]:
    path, name = {
        "campaign": ("/campaigns/details", "campaign_id"),
        "canvas": ("/canvas/details", "canvas_id"),
    }[target]
    answer = await get(sandbox, path, **{name: "c-1"})
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


async def test_returns_the_documented_fields_of_a_campaign() -> None:
    async with Sandbox() as sandbox:
        content = await details(sandbox)
    assert content.keys() == DOCUMENTED | {"first_sent", "last_sent", "messages", "conversion_behaviors"}
    assert (content["message"], content["name"]) == ("success", "Sandbox campaign")
    assert (content["schedule_type"], content["channels"], content["messages"]) == ("api_triggered", [], {})


async def test_returns_the_documented_fields_of_a_canvas() -> None:
    async with Sandbox() as sandbox:
        content = await details(sandbox, "canvas")
    assert content.keys() == DOCUMENTED | {"first_entry", "last_entry", "variants", "steps"}
    assert (content["name"], content["steps"]) == ("Sandbox Canvas", [])


@pytest.mark.parametrize("target", ["campaign", "canvas"])
async def test_shows_each_state_and_follows_a_change(target: str) -> None:
    shown = {}
    async with Sandbox() as sandbox:
        for state in STATES:
            sandbox.rehearse(state=state)
            content = await details(sandbox, target)
            shown[state] = (content["archived"], content["draft"], content["enabled"])
    assert shown == {
        "live": (False, False, True),
        "paused": (False, False, True),
        "stopped": (False, False, False),
        "archived": (True, False, False),
        "draft": (False, True, False),
    }


@pytest.mark.parametrize(
    "content",
    [
        {"messages": {"v1": EMAIL, "v2": PUSH}, "name": "Winter", "archived": True, "message": "success"},
        {"messages": {"v1": EMAIL, "v2": PUSH}},
        {"v1": EMAIL, "v2": PUSH},
    ],
)
async def test_shows_a_message_of_the_users_own(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "message.json"
    file.write_text(json.dumps(content))
    async with Sandbox(message=file) as sandbox:
        of_campaign, of_canvas = await details(sandbox), await details(sandbox, "canvas")
    assert of_campaign["messages"] == {"v1": EMAIL, "v2": PUSH}
    assert of_campaign["channels"] == ["email", "ios_push"]
    assert of_campaign["name"] == content.get("name", "Sandbox campaign")
    assert of_campaign["archived"] is False  # the state is the rehearsal's
    [step] = of_canvas["steps"]
    assert (step["messages"], step["channels"]) == ({"v1": EMAIL, "v2": PUSH}, ["email", "ios_push"])


async def test_a_list_of_messages_gets_variation_ids(tmp_path: Path) -> None:
    file = tmp_path / "message.json"
    file.write_text(json.dumps([EMAIL, PUSH]))
    async with Sandbox(message=file) as sandbox:
        assert (await details(sandbox))["messages"] == {"variation-1": EMAIL, "variation-2": PUSH}


async def test_shows_the_steps_of_a_saved_answer_of_a_canvas(tmp_path: Path) -> None:
    steps = [
        {"name": "Wait", "type": "delay", "id": "s1"},
        {"name": "Mail", "type": "message", "id": "s2", "channels": ["email"], "messages": {"v1": EMAIL}},
    ]
    file = tmp_path / "canvas.json"
    file.write_text(json.dumps({"name": "Winter", "steps": steps, "message": "success"}))
    async with Sandbox(message=file) as sandbox:
        of_canvas, of_campaign = await details(sandbox, "canvas"), await details(sandbox)
    assert of_canvas["steps"] == [steps[0] | {"messages": {}}, steps[1]]
    assert (of_canvas["name"], of_canvas["channels"]) == ("Winter", ["email"])
    assert of_campaign["messages"] == {"v1": EMAIL}


@pytest.mark.parametrize("content", ["{", "[1]", '"text"', '{"messages": {"v1": "text"}}', '{"steps": {}}'])
def test_refuses_a_file_that_is_no_message_and_names_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "message.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"message\.json is not an answer of"):
        Sandbox(message=file)


async def test_refuses_as_braze_does() -> None:
    async with Sandbox(keys=["sandbox-key"], campaigns=["known"]) as sandbox:
        unknown = await get(sandbox, "/campaigns/details", campaign_id="other")
        of_canvas = await get(sandbox, "/canvas/details", canvas_id="other")
        missing = await get(sandbox, "/campaigns/details")
        without_key = await get(sandbox, "/campaigns/details", headers={}, campaign_id="known")
        wrong_key = await get(sandbox, "/campaigns/details", headers={"authorization": "Bearer x"}, campaign_id="known")
        wrong_path = await get(sandbox, "/campaigns/detail", campaign_id="known")
        assert (await get(sandbox, "/campaigns/details", campaign_id="known")).status_code == 200
        sandbox.rehearse(details=False)
        forbidden = await get(sandbox, "/campaigns/details", campaign_id="known")
        async with loopback_client(base_url=sandbox.url, headers=HEADERS) as client:
            assert (await client.post("/campaigns/details", json={})).status_code == 405
    text = "campaign_id must be a string of the campaign api identifier"
    assert (unknown.status_code, unknown.json()) == (400, {"message": text})
    assert (missing.status_code, missing.json()) == (400, {"message": text})
    assert of_canvas.json() == {"message": "canvas_id must be a string of the Canvas api identifier"}
    assert [answer.status_code for answer in (without_key, wrong_key, wrong_path)] == [401, 401, 404]
    assert forbidden.status_code == 403
    assert forbidden.json() == {"message": "You do not have permission to access this resource"}


async def test_counts_in_the_pool_of_the_sends() -> None:
    async with Sandbox(limit=2, clock=SetClock()) as sandbox:
        first = await get(sandbox, "/campaigns/details", campaign_id="c")
        async with loopback_client(base_url=sandbox.url, headers=HEADERS) as client:
            sent = await client.post("/campaigns/trigger/send", json=campaign())
        third = await get(sandbox, "/canvas/details", canvas_id="c")
    assert [answer.status_code for answer in (first, sent, third)] == [200, 201, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in (first, sent, third)] == ["1", "0", "0"]
    assert sandbox.ledger.requests == 1


async def test_a_rehearsal_is_changed_over_http_without_a_key() -> None:
    async with Sandbox() as sandbox, loopback_client(base_url=sandbox.url) as client:
        before = (await client.get("/_sandbox/rehearsal")).json()
        changed = await client.post("/_sandbox/rehearsal", json={"state": "paused"})
        wrong = [await client.post("/_sandbox/rehearsal", json=body) for body in ({"state": "x"}, {"stat": "live"}, [])]
        after = (await client.get("/_sandbox/rehearsal")).json()
    assert before == {"state": "live", "answers": "usual", "details": True}
    assert (changed.status_code, changed.json()) == (200, before | {"state": "paused"})
    assert [answer.status_code for answer in wrong] == [400, 400, 400]
    assert "live, paused, stopped, archived, draft" in wrong[0].json()["message"]
    assert after == changed.json()


def test_the_command_takes_state_message_and_permission(tmp_path: Path) -> None:
    file = tmp_path / "message.json"
    file.write_text(json.dumps({"v1": EMAIL}))
    with Command("--state", "archived", "--message", str(file)) as sandbox:
        shown = httpx.get(f"{sandbox.url}/campaigns/details?campaign_id=c", headers=HEADERS).json()
    assert (shown["archived"], shown["messages"]) == (True, {"v1": EMAIL})
    with Command("--no-details") as sandbox:
        refused = httpx.get(f"{sandbox.url}/canvas/details?canvas_id=c", headers=HEADERS)
    assert refused.status_code == 403
