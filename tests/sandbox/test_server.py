"""Answers of the sandbox over real connections on loopback."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from bulk_sender.sandbox import Sandbox

from .samples import (
    CAMPAIGN_PATH,
    CANVAS_PATH,
    HEADERS,
    SetClock,
    campaign,
    canvas,
    compact,
    loopback_client,
    users,
)

pytestmark = pytest.mark.anyio


def client_of(sandbox: Sandbox, **headers: str) -> httpx.AsyncClient:
    return loopback_client(base_url=sandbox.url, headers=HEADERS | headers)


async def post(sandbox: Sandbox, body: Any, path: str = CAMPAIGN_PATH, **headers: str) -> httpx.Response:
    async with client_of(sandbox, **headers) as client:
        return await client.post(path, json=body)


async def test_accepts_a_campaign_and_a_canvas_with_a_dispatch_id_each() -> None:
    async with Sandbox() as sandbox:
        answers = [await post(sandbox, campaign()), await post(sandbox, canvas(), CANVAS_PATH)]
    for answer in answers:
        assert answer.status_code == 201
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["message"] == "success"
        assert re.fullmatch("[0-9a-f]{32}", answer.json()["dispatch_id"])
    assert list(sandbox.ledger.dispatches) == [answer.json()["dispatch_id"] for answer in answers]


async def test_sends_one_message_to_a_person_who_occurs_twice_in_a_request() -> None:
    async with Sandbox() as sandbox:
        await post(sandbox, campaign(*users(3), *users(2)))
        assert sandbox.ledger.recipients == {f"external_user_id:u{number}": 1 for number in range(3)}
        assert (sandbox.ledger.accepted_recipients, sandbox.ledger.collapsed) == (3, 2)
        assert sandbox.ledger.twice() == {}
        await post(sandbox, campaign(*users(1)))
        assert sandbox.ledger.twice() == {"external_user_id:u0": 2}


async def test_compares_e_mail_addresses_without_case() -> None:
    order = {"prioritization": ["identified"]}
    async with Sandbox() as sandbox:
        await post(sandbox, campaign({"email": "Ann@Example.com"} | order, {"email": "ann@example.COM"} | order))
        await post(sandbox, campaign({"external_user_id": "A"}, {"external_user_id": "a"}))
    assert sandbox.ledger.recipients == {
        "email:ann@example.com": 1,
        "external_user_id:A": 1,
        "external_user_id:a": 1,
    }
    assert sandbox.ledger.collapsed == 1


async def test_takes_4_mb_and_not_a_byte_more() -> None:
    async with Sandbox() as sandbox, client_of(sandbox) as client:
        spaces = b" " * (4_000_000 - len(compact(campaign())))
        assert (await client.post(CAMPAIGN_PATH, content=compact(campaign()) + spaces)).status_code == 201
        assert (await client.post(CAMPAIGN_PATH, content=compact(campaign()) + spaces + b" ")).status_code == 413


async def test_a_refused_request_names_the_recipient_and_sends_nothing() -> None:
    async with Sandbox() as sandbox:
        answer = await post(sandbox, campaign(*users(7), {"email": "ann@example.com"}, *users(1)))
    assert answer.status_code == 400
    sentence = "recipients[7].prioritization is required when using email"
    assert answer.json() == {
        "message": sentence,
        "errors": [{"type": sentence, "input_array": "recipients", "index": 7}],
    }
    assert sandbox.ledger.accepted_requests == 0
    assert sandbox.ledger.recipients == {}
    assert sandbox.ledger.outcomes == {"400": 1}


async def test_a_violation_by_the_request_itself_has_no_index() -> None:
    async with Sandbox() as sandbox:
        answer = await post(sandbox, campaign(*users(51)))
    sentence = "The max number of external_ids and aliases per request was exceeded"
    assert answer.json() == {"message": sentence, "errors": [{"type": sentence}]}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"campaign_id":', "Expecting value"),
        (b'{"campaign_id":"a","campaign_id":"b"}', "the key 'campaign_id' occurs twice"),
        (b'{"campaign_id":"a","recipients":[{"x":NaN}]}', "NaN is not JSON"),
        (b"", "Expecting value"),
    ],
)
async def test_a_body_that_is_not_json_is_refused_in_brazes_words(body: bytes, reason: str) -> None:
    async with Sandbox() as sandbox, client_of(sandbox) as client:
        answer = await client.post(CAMPAIGN_PATH, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"] == "Error while parsing request body. Please check your syntax."
    assert answer.json()["sandbox"].startswith(reason)
    assert "message" not in answer.json()


@pytest.mark.parametrize("body", [b"[]", b"null"])
async def test_a_body_that_is_not_an_object_is_refused(body: bytes) -> None:
    async with Sandbox() as sandbox, client_of(sandbox) as client:
        answer = await client.post(CAMPAIGN_PATH, content=body)
    assert (answer.status_code, answer.json()["message"]) == (400, "the body must be an object")


async def test_accepts_any_nonempty_key_unless_keys_are_configured() -> None:
    async with Sandbox() as sandbox:
        assert (await post(sandbox, campaign())).status_code == 201
        for authorization in ("", "Bearer", "Basic c2FuZGJveA=="):
            answer = await post(sandbox, campaign(), authorization=authorization)
            assert (answer.status_code, answer.json()) == (401, {"message": "Missing API key"})
    async with Sandbox(keys=["right"]) as sandbox:
        assert (await post(sandbox, campaign(), authorization="Bearer right")).status_code == 201
        answer = await post(sandbox, campaign(), authorization="Bearer wrong")
        assert (answer.status_code, answer.json()) == (401, {"message": "Invalid App Group API Identifier: wrong"})
        assert sandbox.ledger.accepted_requests == 1


async def test_accepts_any_campaign_unless_campaigns_are_configured() -> None:
    async with Sandbox(campaigns=["known"]) as sandbox:
        assert (await post(sandbox, campaign(campaign_id="known"))).status_code == 201
        answer = await post(sandbox, campaign(campaign_id="other"))
        assert (answer.status_code, answer.json()) == (400, {"message": "Invalid Campaign ID"})
        answer = await post(sandbox, canvas(canvas_id="other"), CANVAS_PATH)
        text = "canvas_id must be a string of the Canvas api identifier"
        assert (answer.status_code, answer.json()) == (400, {"message": text})


async def test_other_paths_methods_and_content_types_are_refused() -> None:
    async with Sandbox() as sandbox, client_of(sandbox) as client:
        unknown = await client.post("/messages/send", json=campaign())
        wrong_method = await client.get(CAMPAIGN_PATH)
        head = await client.head(CAMPAIGN_PATH)
        form = await client.post(CAMPAIGN_PATH, content=b"a=b", headers={"content-type": "text/plain"})
        utf8 = await client.post(
            CAMPAIGN_PATH,
            content=compact(campaign()),
            headers={"content-type": "application/JSON; charset=utf-8"},
        )
        query = await client.post(CAMPAIGN_PATH + "?x=1", json=campaign())
    assert (unknown.status_code, unknown.json()) == (404, {"message": "Not Found"})
    assert (wrong_method.status_code, wrong_method.headers["allow"]) == (405, "POST")
    assert (head.status_code, head.content) == (405, b"")
    assert form.status_code == 415
    assert (utf8.status_code, query.status_code) == (201, 201)


async def test_every_answer_has_the_rate_limit_headers_in_lower_case() -> None:
    clock = SetClock(1_800_000_000.0)
    async with Sandbox(limit=10, clock=clock, keys=["sandbox-key"]) as sandbox, client_of(sandbox) as client:
        answers = [
            await client.post(CAMPAIGN_PATH, json=campaign()),
            await client.post(CAMPAIGN_PATH, json=campaign(campaign_id=1)),
            await client.post(CAMPAIGN_PATH, content=b"{"),
            await client.post(CAMPAIGN_PATH, json=campaign(), headers={"authorization": "Bearer no"}),
            await client.get("/nowhere"),
            await client.get("/_sandbox/ledger"),
        ]
    assert [answer.status_code for answer in answers] == [201, 400, 400, 401, 404, 200]
    for answer in answers:
        names = [name for name, _ in answer.headers.raw]
        assert {b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset"} <= set(names)
        refused_key = answer.status_code == 401
        assert answer.headers["x-ratelimit-limit"] == ("" if refused_key else "10")
        assert answer.headers["x-ratelimit-reset"] == ("" if refused_key else "1800003600")
        assert answer.headers["date"] == "Fri, 15 Jan 2027 08:00:00 GMT"
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["9", "8", "8", "", "8", "8"]


async def test_campaigns_and_canvases_share_a_limit_and_broadcasts_have_a_separate_one() -> None:
    broadcast = {"campaign_id": "c", "broadcast": True}
    clock = SetClock(1_800_000_000.0)
    async with Sandbox(limit=2, window_s=10, broadcast_limit=1, clock=clock) as sandbox:
        assert (await post(sandbox, campaign())).status_code == 201
        assert (await post(sandbox, canvas(), CANVAS_PATH)).status_code == 201
        refused = await post(sandbox, campaign())
        assert (refused.status_code, refused.json()) == (429, {"message": "Rate Limited"})
        assert refused.headers["retry-after"] == "10"
        first, second = await post(sandbox, broadcast), await post(sandbox, broadcast)
        assert [first.status_code, second.status_code] == [201, 429]
        assert second.headers["retry-after"] == "60"
        clock.now += 10
        assert (await post(sandbox, campaign())).status_code == 201
        assert (sandbox.ledger.broadcasts, sandbox.ledger.accepted_recipients) == (1, 3)


async def test_an_audience_beside_recipients_has_a_limit_of_250_a_minute() -> None:
    audience = {"custom_attribute": {"custom_attribute_name": "a", "comparison": "exists"}}
    async with Sandbox(clock=SetClock()) as sandbox:
        first = await post(sandbox, campaign(audience=audience))
        plain = await post(sandbox, campaign())
        assert (first.headers["x-ratelimit-limit"], first.headers["x-ratelimit-remaining"]) == ("250", "249")
        assert (plain.headers["x-ratelimit-limit"], plain.headers["x-ratelimit-remaining"]) == ("250000", "249999")
    async with Sandbox(audience_limit=1, clock=SetClock()) as sandbox:
        answers = [await post(sandbox, canvas(audience=audience), CANVAS_PATH) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 429]
        assert answers[1].headers["retry-after"] == "60"
        assert (await post(sandbox, campaign())).status_code == 201


async def test_ten_broadcasts_a_minute_go_to_one_audience() -> None:
    audience = {"custom_attribute": {"custom_attribute_name": "a", "comparison": "exists"}}
    clock = SetClock()
    async with Sandbox(clock=clock) as sandbox:
        same = {"campaign_id": "c", "broadcast": True}
        answers = [await post(sandbox, same) for _ in range(11)]
        assert [answer.status_code for answer in answers] == [201] * 10 + [429]
        assert answers[-1].headers["x-ratelimit-limit"] == "10"
        assert (await post(sandbox, same | {"campaign_id": "d"})).status_code == 201
        assert (await post(sandbox, same | {"audience": audience})).status_code == 201
        clock.now += 60
        assert (await post(sandbox, same)).status_code == 201


async def test_creates_send_ids_a_hundred_a_day() -> None:
    async with Sandbox(send_id_limit=5, campaigns=["c"], clock=SetClock()) as sandbox:
        path = "/sends/id/create"
        own = await post(sandbox, {"campaign_id": "c", "send_id": "winter"}, path)
        made = await post(sandbox, {"campaign_id": "c"}, path)
        unknown = await post(sandbox, {"campaign_id": "x"}, path)
        long = await post(sandbox, {"campaign_id": "c", "send_id": "é"}, path)
        without = await post(sandbox, {"send_id": "s"}, path)
        over = await post(sandbox, {"campaign_id": "c"}, path)
    assert (own.status_code, own.json()) == (201, {"message": "success", "send_id": "winter"})
    assert re.fullmatch("[0-9a-f]{32}", made.json()["send_id"])
    assert (unknown.status_code, unknown.json()) == (400, {"message": "Invalid Campaign ID"})
    assert (long.status_code, without.status_code) == (400, 400)
    assert (over.status_code, over.headers["x-ratelimit-limit"]) == (429, "5")


async def test_an_external_id_over_987_bytes_is_named_by_index_and_the_others_are_sent() -> None:
    async with Sandbox() as sandbox:
        answer = await post(sandbox, campaign(*users(2), {"external_user_id": "x" * 988}))
    assert answer.status_code == 201
    assert answer.json()["errors"] == [
        {"type": "'external_id' must be fewer than 988 bytes", "input_array": "recipients", "index": 2}
    ]
    assert (sandbox.ledger.accepted_recipients, sandbox.ledger.refused) == (2, 1)


async def test_the_ledger_endpoint_returns_the_facts() -> None:
    async with Sandbox() as sandbox:
        await post(sandbox, campaign(*users(2), *users(1)))
        await post(sandbox, campaign(*users(1)))
        await post(sandbox, {"campaign_id": "c", "broadcast": True})
        await post(sandbox, {})
        async with loopback_client() as client:
            answer = await client.get(f"{sandbox.url}/_sandbox/ledger")
    assert answer.json() == {
        "requests": 4,
        "accepted_requests": 3,
        "accepted_recipients": 3,
        "distinct_recipients": 2,
        "accepted_more_than_once": {"external_user_id:u0": 2},
        "collapsed": 1,
        "refused_by_index": 0,
        "dropped_attribute_updates": {},
        "broadcasts": 1,
        "outcomes": {"201": 3, "400": 1},
        "complaints": [
            "1 recipient collapsed: the same person twice in one request",
            "1 person sent the same campaign or Canvas more than once",
        ],
    }


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_gets_413_although_it_is_not_read(chunked: bool) -> None:
    size = 3_000_000

    async def chunks() -> Any:
        for _ in range(size // 1000):
            yield b"x" * 1000

    async with Sandbox(body_cap=100_000) as sandbox, client_of(sandbox) as client:
        answer = await client.post(CAMPAIGN_PATH, content=chunks() if chunked else b"x" * size)
        assert (answer.status_code, answer.json()) == (413, {"message": "Request Entity Too Large"})
        assert (await client.post(CAMPAIGN_PATH, json=campaign())).status_code == 201
    assert sandbox.ledger.outcomes == {"413": 1, "201": 1}


async def test_requests_of_many_parallel_clients_are_all_recorded() -> None:
    async with Sandbox() as sandbox:
        dispatches: list[str] = []

        async def send(worker: int) -> None:
            async with client_of(sandbox) as client:
                for number in range(10):
                    body = campaign(*users(20, f"w{worker}-{number}-"))
                    answer = await client.post(CAMPAIGN_PATH, content=compact(body))
                    dispatches.append(answer.json()["dispatch_id"])

        await asyncio.gather(*(send(worker) for worker in range(25)))
    assert sandbox.ledger.accepted_requests == 250
    assert len(sandbox.ledger.recipients) == 250 * 20
    assert set(sandbox.ledger.recipients.values()) == {1}
    assert sorted(sandbox.ledger.dispatches) == sorted(dispatches)


async def test_the_end_of_the_block_closes_connections_and_frees_the_port() -> None:
    taken = asyncio.Event()

    def clock() -> float:  # called when a request is accepted, a minute before its answer
        taken.set()
        return 1_800_000_000.0

    async with Sandbox(latency_s=60, clock=clock) as sandbox, client_of(sandbox) as client:
        waiting = asyncio.create_task(client.post(CAMPAIGN_PATH, json=campaign()))
        await taken.wait()
        await sandbox.__aexit__(None, None, None)
        with pytest.raises(httpx.TransportError):
            await waiting
        port = int(sandbox.url.rpartition(":")[2])
        async with Sandbox(port=port) as again:
            assert (await post(again, campaign())).status_code == 201


async def test_serves_until_cancelled() -> None:
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    sandbox = Sandbox()
    serving = asyncio.create_task(sandbox.serve_forever(lambda running: started.set_result(running.url)))
    async with loopback_client() as client:
        assert (await client.get(await started + "/_sandbox/ledger")).status_code == 200
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(httpx.TransportError):
            await client.get(sandbox.url)
