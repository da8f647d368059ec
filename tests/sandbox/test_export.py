from __future__ import annotations

from typing import Any

import httpx
import pytest

from bulk_sender.sandbox import Sandbox

from .samples import CAMPAIGN_PATH, CANVAS_PATH, HEADERS, SetClock, campaign, canvas, loopback_client, users

pytestmark = pytest.mark.anyio
FIELDS = ["external_id", "user_aliases", "email", "braze_id", "campaigns_received", "canvases_received"]
ALIAS = {"alias_name": "n", "alias_label": "l"}
EVERYBODY = [
    {"external_user_id": "u1"},
    {"user_alias": ALIAS},
    {"email": "ann@example.com", "prioritization": ["identified"]},
    {"braze_id": "b1"},
]


async def ask(sandbox: Sandbox, **body: Any) -> httpx.Response:
    async with loopback_client(base_url=sandbox.url, headers=HEADERS) as client:
        return await client.post("/users/export/ids", json={"fields_to_export": FIELDS} | body)


async def send(sandbox: Sandbox, path: str, body: dict[str, Any]) -> None:
    async with loopback_client(base_url=sandbox.url, headers=HEADERS) as client:
        assert (await client.post(path, json=body)).status_code == 201


async def test_returns_what_each_kind_of_user_received_and_when() -> None:
    clock = SetClock(1_800_000_000.0)
    received = [
        {
            "name": "Sandbox campaign",
            "api_campaign_id": "campaign-1",
            "last_received": "2027-01-15T08:01:00.000Z",
            "engaged": {},
            "converted": False,
        }
    ]
    async with Sandbox(clock=clock) as sandbox:
        await send(sandbox, CAMPAIGN_PATH, campaign(*EVERYBODY))
        clock.now += 60
        await send(sandbox, CAMPAIGN_PATH, campaign(*EVERYBODY))
        answer = await ask(
            sandbox, external_ids=["u1"], user_aliases=[ALIAS], email_address="ann@example.com", braze_id="b1"
        )
    assert answer.status_code == 200
    assert answer.json() == {
        "message": "success",
        "users": [
            {"external_id": "u1", "campaigns_received": received},
            {"user_aliases": [ALIAS], "campaigns_received": received},
            {"email": "ann@example.com", "campaigns_received": received},
            {"braze_id": "b1", "campaigns_received": received},
        ],
        "invalid_user_ids": [],
    }


async def test_distinguishes_canvases_from_campaigns() -> None:
    async with Sandbox(clock=SetClock(1_800_000_000.0)) as sandbox:
        await send(sandbox, CANVAS_PATH, canvas())
        [user] = (await ask(sandbox, external_ids=["u1"])).json()["users"]
    assert user == {
        "external_id": "u1",
        "canvases_received": [
            {
                "name": "Sandbox Canvas",
                "api_canvas_id": "canvas-1",
                "last_entered": "2027-01-15T08:00:00.000Z",
                "last_received_message": "2027-01-15T08:00:00.000Z",
            }
        ],
    }


async def test_an_unknown_user_has_received_nothing() -> None:
    async with Sandbox() as sandbox:
        answer = await ask(sandbox, external_ids=["nobody"])
    assert answer.json()["users"] == [{"external_id": "nobody"}]
    assert answer.json()["invalid_user_ids"] == []


async def test_returns_only_the_requested_fields() -> None:
    async with Sandbox() as sandbox:
        await send(sandbox, CAMPAIGN_PATH, campaign())
        answer = await ask(sandbox, external_ids=["u1"], fields_to_export=["external_id", "purchases"])
    assert answer.json()["users"] == [{"external_id": "u1"}]


async def test_includes_a_message_whose_answer_was_lost() -> None:
    async with (
        Sandbox(weather="lost-answers") as sandbox,
        loopback_client(base_url=sandbox.url, headers=HEADERS) as client,
    ):
        lost = None
        for number in range(60):
            try:
                await client.post(CAMPAIGN_PATH, json=campaign({"external_user_id": f"u{number}"}))
            except httpx.TransportError:
                lost = f"u{number}"
                break
        [user] = (await ask(sandbox, external_ids=[lost])).json()["users"]
    assert user["campaigns_received"][0]["api_campaign_id"] == "campaign-1"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"external_ids": [f"u{n}" for n in range(51)]}, "The max number of ids per request was exceeded"),
        (
            {"external_ids": ["u"] * 50, "user_aliases": [ALIAS]},
            "The max number of ids per request was exceeded",
        ),
        ({"external_ids": ["u1"], "fields_to_export": []}, "body.fields_to_export must have at least 1 element"),
        ({"external_ids": "u1"}, "body.external_ids must be an array"),
        ({"external_ids": [1]}, "body.external_ids[0] must be a non-empty string"),
        ({"user_aliases": [{"alias_name": "n"}]}, "body.user_aliases[0].alias_label is required"),
        ({"email_address": ["ann@example.com"]}, "body.email_address must be a string"),
        ({"emails": []}, "body has a field that Braze does not know: 'emails'"),
        ({}, "No identifiers: external_ids, user_aliases, email_address or braze_id"),
    ],
)
async def test_refuses_an_invalid_request(body: dict[str, Any], message: str) -> None:
    async with Sandbox() as sandbox:
        answer = await ask(sandbox, **body)
    assert (answer.status_code, answer.json()) == (400, {"message": message})


async def test_requires_fields_to_export() -> None:
    async with (
        Sandbox() as sandbox,
        loopback_client(base_url=sandbox.url, headers=HEADERS) as client,
    ):
        answer = await client.post("/users/export/ids", json={"external_ids": ["u1"]})
    assert answer.status_code == 400
    assert answer.json() == {"message": "body.fields_to_export is required"}


async def test_has_a_separate_rate_limit() -> None:
    async with Sandbox(export_limit=2, limit=1, clock=SetClock()) as sandbox:
        await send(sandbox, CAMPAIGN_PATH, campaign(*users(1)))
        answers = [await ask(sandbox, external_ids=["u1"]) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[2].headers["retry-after"] == "60"
