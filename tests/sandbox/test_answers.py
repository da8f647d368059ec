"""Rare answers of Braze that a rehearsal can choose, each as it was documented or recorded."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from bulk_sender.sandbox import ANSWERS, Sandbox

from .samples import CAMPAIGN_PATH, CANVAS_PATH, HEADERS, SetClock, campaign, canvas, loopback_client, users

pytestmark = pytest.mark.anyio
BROADCAST = {"campaign_id": "c", "broadcast": True}


async def post(sandbox: Sandbox, body: Any = None, path: str = CAMPAIGN_PATH, times: int = 1) -> list[httpx.Response]:
    async with loopback_client(base_url=sandbox.url, headers=HEADERS) as client:
        return [await client.post(path, json=campaign(*users(3)) if body is None else body) for _ in range(times)]


@pytest.mark.parametrize(
    ("state", "of_campaign", "of_canvas"),
    [
        (
            "paused",
            "The campaign is paused. Resume the campaign to ensure trigger requests will take effect.",
            "The Canvas is paused. Resume the Canvas to ensure trigger requests will take effect.",
        ),
        (
            "archived",
            "The campaign is archived. Unarchive the campaign to ensure trigger requests will take effect.",
            "The Canvas is archived. Unarchive the Canvas to ensure trigger requests will take effect.",
        ),
        ("stopped", "The campaign is stopped.", "The Canvas is stopped."),
        ("draft", "The campaign is a draft.", "The Canvas is a draft."),
    ],
)
async def test_what_is_not_live_answers_success_with_a_notice_and_sends_nothing(
    state: str, of_campaign: str, of_canvas: str
) -> None:
    async with Sandbox(state=state) as sandbox:
        [first] = await post(sandbox)
        [second] = await post(sandbox, canvas(), CANVAS_PATH)
        [third] = await post(sandbox, BROADCAST)
        assert [answer.status_code for answer in (first, second, third)] == [201, 201, 201]
        assert first.json().keys() == {"message", "notice"}
        assert (first.json()["message"], third.json()) == ("success", first.json())
        assert first.json()["notice"].startswith(of_campaign)
        assert second.json()["notice"].startswith(of_canvas)
        assert (sandbox.ledger.requests, sandbox.ledger.accepted_requests) == (3, 0)
        assert sandbox.ledger.outcomes == {f"201 with a notice, not sent: {state}": 3}
        sandbox.rehearse(state="live")
        [after] = await post(sandbox)
    assert after.json().keys() == {"dispatch_id", "message"}
    assert sandbox.ledger.accepted_recipients == 3


async def test_a_notice_can_stand_beside_errors() -> None:
    async with Sandbox(state="paused", answers="errors") as sandbox:
        [answer] = await post(sandbox)
    assert answer.json().keys() == {"message", "notice", "errors"}


async def test_a_request_that_breaks_a_rule_is_refused_in_every_rehearsal() -> None:
    for answers in set(ANSWERS) - {"unauthorized"}:
        async with Sandbox(state="paused", answers=answers) as sandbox:
            [answer] = await post(sandbox, campaign(recipients=[]))
        assert answer.status_code == 400
        assert answer.json()["message"].startswith("No Recipients")


async def test_minor_errors_name_nobody_and_everybody_is_sent_the_message() -> None:
    async with Sandbox(answers="errors") as sandbox:
        [answer] = await post(sandbox)
    assert answer.status_code == 201
    assert re.fullmatch("[0-9a-f]{32}", answer.json()["dispatch_id"])
    assert [type(error) for error in answer.json()["errors"]] == [str]
    assert (sandbox.ledger.accepted_recipients, sandbox.ledger.refused) == (3, 0)


async def test_errors_by_index_name_the_first_recipient_who_is_sent_nothing() -> None:
    async with Sandbox(answers="errors-by-index") as sandbox:
        [answer] = await post(sandbox)
        [broadcast] = await post(sandbox, BROADCAST)
    assert answer.status_code == 201
    assert answer.json()["errors"] == [
        {"type": "'external_id' must be fewer than 988 bytes", "input_array": "recipients", "index": 0}
    ]
    assert sandbox.ledger.recipients == {"external_user_id:u1": 1, "external_user_id:u2": 1}
    assert sandbox.ledger.refused == 1
    assert "errors" not in broadcast.json()


async def test_queued_has_no_dispatch_id_and_everybody_is_sent_the_message() -> None:
    async with Sandbox(answers="queued") as sandbox:
        [answer] = await post(sandbox)
    assert (answer.status_code, answer.json()) == (202, {"message": "queued"})
    assert sandbox.ledger.accepted_recipients == 3
    assert sandbox.ledger.outcomes == {"202": 1}


async def test_a_refusal_can_have_its_text_in_error() -> None:
    async with Sandbox(answers="error-body") as sandbox:
        [answer] = await post(sandbox)
    assert (answer.status_code, answer.json()) == (400, {"error": "message body does not match declared format"})
    assert sandbox.ledger.accepted_requests == 0


async def test_a_refused_key_is_quoted_with_empty_rate_limit_headers_everywhere() -> None:
    async with Sandbox(answers="unauthorized") as sandbox:
        [answer] = await post(sandbox)
        async with loopback_client(base_url=sandbox.url, headers=HEADERS) as client:
            details = await client.get("/campaigns/details?campaign_id=c")
            ledger = await client.get("/_sandbox/ledger")
    for each in (answer, details):
        assert (each.status_code, each.json()) == (401, {"message": "Invalid App Group API Identifier: sandbox-key"})
        assert [each.headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining", "reset")] == ["", "", ""]
    assert ledger.status_code == 200
    assert sandbox.ledger.accepted_requests == 0


async def test_every_third_request_can_be_refused_with_nothing_but_a_time_to_wait() -> None:
    async with Sandbox(answers="retry-after-only") as sandbox:
        answers = await post(sandbox, times=4)
    assert [answer.status_code for answer in answers] == [429, 201, 201, 429]
    for answer in answers:
        limits = {name: value for name, value in answer.headers.items() if name.startswith(("x-rate", "retry"))}
        assert limits == ({"x-ratelimit-retry-after": "1"} if answer.status_code == 429 else {})
    assert sandbox.ledger.accepted_requests == 2


async def test_a_used_up_window_has_nothing_but_a_time_to_wait_either() -> None:
    async with Sandbox(answers="retry-after-only", limit=2, window_s=8, clock=SetClock()) as sandbox:
        answers = await post(sandbox, times=3)
    assert [answer.status_code for answer in answers] == [429, 201, 429]
    assert answers[2].headers["x-ratelimit-retry-after"] == "8"
    assert "x-ratelimit-reset" not in answers[2].headers


async def test_reset_can_be_the_seconds_to_go() -> None:
    async with Sandbox(answers="seconds-to-go", limit=1, window_s=8, clock=SetClock()) as sandbox:
        taken, refused = await post(sandbox, times=2)
    assert (taken.status_code, refused.status_code) == (201, 429)
    for answer in (taken, refused):
        assert answer.headers["x-ratelimit-reset"] == "8"
        assert answer.headers["x-ratelimit-remaining"] == "0"
        assert "retry-after" not in answer.headers


async def test_every_third_request_can_be_answered_by_a_cache_although_it_was_taken() -> None:
    async with Sandbox(answers="varnish") as sandbox:
        answers = await post(sandbox, times=3)
    assert [answer.status_code for answer in answers] == [503, 201, 201]
    page = answers[0]
    assert page.headers["content-type"].startswith("text/html")
    assert (page.headers["via"], page.headers["retry-after"]) == ("1.1 varnish", "1")
    assert "Guru Mediation" in page.text
    assert "x-ratelimit-limit" not in page.headers
    assert sandbox.ledger.accepted_requests == 3
    assert sandbox.ledger.outcomes == {"503 from a cache, accepted": 1, "201": 2}


async def test_answers_change_while_it_serves_and_unknown_ones_are_refused() -> None:
    async with Sandbox() as sandbox:
        for answers in ANSWERS:
            sandbox.rehearse(answers=answers)
        with pytest.raises(ValueError, match="'odd' is not a valid kind of answer"):
            sandbox.rehearse(answers="odd")
        sandbox.rehearse(answers="usual")
        assert (await post(sandbox))[0].status_code == 201
    with pytest.raises(ValueError, match="use usual, errors"):
        Sandbox(answers="odd")
