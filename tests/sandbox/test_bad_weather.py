"""Tests of each weather over real connections."""

from __future__ import annotations

import asyncio
import time
from itertools import count

import httpx
import pytest

from bulk_sender.sandbox import Sandbox
from bulk_sender.sandbox.weather import CLIMATES, LOST, Climate, Fate

from .samples import CAMPAIGN_PATH, HEADERS, SetClock, campaign, loopback_client, users
from .test_wire import connected, whole

pytestmark = pytest.mark.anyio


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Fate:
    """Make every request meet the same fate."""
    fate: Fate = request.param
    monkeypatch.setitem(CLIMATES, "calm", Climate(chances={fate: 1.0}))  # type: ignore[misc]
    return fate


async def answers_of(sandbox: Sandbox, count: int) -> list[httpx.Response | httpx.TransportError]:
    """Send ``count`` requests of one recipient each, one after the other, and return their outcomes."""
    seen: list[httpx.Response | httpx.TransportError] = []
    async with loopback_client(base_url=sandbox.url, headers=HEADERS) as client:
        for number in range(count):
            try:
                seen.append(await client.post(CAMPAIGN_PATH, json=campaign({"external_user_id": f"u{number}"})))
            except httpx.TransportError as error:
                seen.append(error)
    return seen


async def raw_answer(sandbox: Sandbox) -> bytes:
    """Return all bytes until the end of the connection; raise :class:`ConnectionResetError` on a reset."""
    async with connected(sandbox) as (reader, writer):
        writer.write(whole())
        return await reader.read()


@pytest.mark.parametrize("always", [Fate.CLOSED], indirect=True)
async def test_an_answer_may_never_arrive(always: Fate) -> None:
    async with Sandbox() as sandbox:
        assert await raw_answer(sandbox) == b""
        assert sandbox.ledger.accepted_requests == 1
        assert sandbox.ledger.outcomes == {always: 1}


@pytest.mark.parametrize("always", [Fate.RESET], indirect=True)
async def test_a_connection_may_be_reset_after_the_request_was_accepted(always: Fate) -> None:
    async with Sandbox() as sandbox:
        with pytest.raises(ConnectionResetError):
            await raw_answer(sandbox)
        assert sandbox.ledger.accepted_requests == 1


@pytest.mark.parametrize("always", [Fate.UNREAD], indirect=True)
async def test_a_connection_may_be_reset_before_the_request_was_read(always: Fate) -> None:
    async with Sandbox() as sandbox:
        with pytest.raises(ConnectionResetError):
            await raw_answer(sandbox)
        assert sandbox.ledger.accepted_requests == 0
        assert sandbox.ledger.outcomes == {always: 1}


@pytest.mark.parametrize("always", [Fate.CUT_IN_HEAD], indirect=True)
async def test_an_answer_may_end_inside_its_head(always: Fate) -> None:
    async with Sandbox() as sandbox:
        answer = await raw_answer(sandbox)
        assert answer.startswith(b"HTTP/1.1 201")
        assert b"\r\n\r\n" not in answer
        assert sandbox.ledger.accepted_requests == 1


@pytest.mark.parametrize("always", [Fate.CUT_IN_BODY], indirect=True)
async def test_an_answer_may_end_inside_its_body(always: Fate) -> None:
    async with Sandbox() as sandbox:
        answer = await raw_answer(sandbox)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"content-length: 70" in head
        assert body == b'{"dispatch_id":"' + next(iter(sandbox.ledger.dispatches)).encode()[:19]


@pytest.mark.parametrize("always", [Fate.ERROR, Fate.UNAVAILABLE], indirect=True)
async def test_an_error_from_braze_itself_is_json_and_nothing_is_accepted(always: Fate) -> None:
    async with Sandbox() as sandbox:
        [answer] = await answers_of(sandbox, 1)
    assert isinstance(answer, httpx.Response)
    assert answer.status_code == (500 if always is Fate.ERROR else 503)
    assert set(answer.json()) == {"message"}
    assert "x-ratelimit-reset" in answer.headers
    assert sandbox.ledger.accepted_requests == 0


@pytest.mark.parametrize("always", [Fate.BAD_GATEWAY, Fate.GATEWAY_TIMEOUT], indirect=True)
async def test_an_error_from_a_gateway_is_html_and_the_request_may_be_accepted(always: Fate) -> None:
    async with Sandbox() as sandbox:
        [answer] = await answers_of(sandbox, 1)
    assert isinstance(answer, httpx.Response)
    assert answer.status_code == (502 if always is Fate.BAD_GATEWAY else 504)
    assert answer.headers["content-type"] == "text/html"
    assert answer.text.startswith("<html>")
    assert "x-ratelimit-reset" not in answer.headers
    assert sandbox.ledger.accepted_requests == (0 if always is Fate.BAD_GATEWAY else 1)


async def test_calm_answers_everything() -> None:
    async with Sandbox(weather="calm") as sandbox:
        answers = await answers_of(sandbox, 70)
    assert {answer.status_code for answer in answers if isinstance(answer, httpx.Response)} == {201}
    assert len(sandbox.ledger.recipients) == 70


async def test_slow_accepts_the_request_first_and_answers_later() -> None:
    async with (
        Sandbox(weather="slow", latency_s=60) as sandbox,
        loopback_client(base_url=sandbox.url, headers=HEADERS, timeout=0.1) as client,
    ):
        with pytest.raises(httpx.ReadTimeout):
            await client.post(CAMPAIGN_PATH, json=campaign())
        assert sandbox.ledger.accepted_requests == 1
    async with Sandbox(weather="slow") as sandbox:
        begun = time.monotonic()
        [answer] = await answers_of(sandbox, 1)
        assert time.monotonic() - begun >= 0.2
    assert isinstance(answer, httpx.Response)
    assert answer.status_code == 201


async def test_throttled_refuses_with_429_until_the_window_ends() -> None:
    clock = SetClock(1_800_000_000.0)
    async with Sandbox(weather="throttled", clock=clock) as sandbox:
        answers = await answers_of(sandbox, 20)
        refused = next(answer for answer in answers if getattr(answer, "status_code", None) == 429)
        assert isinstance(refused, httpx.Response)
        assert refused.headers["x-ratelimit-limit"] == "60"
        assert refused.headers["x-ratelimit-remaining"] == "0"
        assert refused.headers["x-ratelimit-reset"] == "1800000002"
        assert refused.headers["retry-after"] == "2"
        before = sandbox.ledger.accepted_requests
        [again] = await answers_of(sandbox, 1)
        assert getattr(again, "status_code", None) == 429
        assert sandbox.ledger.accepted_requests == before < 20
        clock.now += 2
        [after] = await answers_of(sandbox, 1)
        assert getattr(after, "status_code", None) == 201


async def test_a_lower_limit_than_the_weathers_is_kept() -> None:
    async with Sandbox(weather="throttled", limit=5, clock=SetClock()) as sandbox:
        answers = await answers_of(sandbox, 6)
    assert sum(getattr(answer, "status_code", None) == 201 for answer in answers) <= 5


@pytest.mark.parametrize("seed", range(5))
async def test_lost_answers_accepts_everything_and_loses_an_answer_early(seed: int) -> None:
    async with Sandbox(weather="lost-answers", seed=seed) as sandbox:
        answers = await answers_of(sandbox, 60)
    lost = [answer for answer in answers if isinstance(answer, httpx.TransportError)]
    assert 1 <= len(lost) <= 5
    assert sandbox.ledger.accepted_requests == 60
    assert len(sandbox.ledger.recipients) == 60
    assert sum(sandbox.ledger.outcomes.get(fate, 0) for fate in LOST) == len(lost)


async def test_an_outage_resets_and_refuses_connections_and_then_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CLIMATES, "outage", Climate(dark_at=(4, 4), dark_s=(0.3, 0.3)))  # type: ignore[misc]
    async with Sandbox(weather="outage") as sandbox, connected(sandbox) as (bystander, _):
        answers = await answers_of(sandbox, 5)
        assert [isinstance(answer, httpx.Response) for answer in answers] == [True] * 4 + [False]
        assert sandbox.ledger.accepted_requests == 5  # the last was accepted, only its answer is missing
        assert sandbox.ledger.outcomes == {"201": 4, Fate.DARK: 1}
        with pytest.raises(ConnectionResetError):
            await bystander.read()
        [refused] = await answers_of(sandbox, 1)
        assert isinstance(refused, httpx.ConnectError)
        async with asyncio.timeout(10):
            while True:
                [answer] = await answers_of(sandbox, 1)
                if isinstance(answer, httpx.Response):
                    break
                await asyncio.sleep(0.02)
        assert answer.status_code == 201
        assert sandbox.ledger.requests == 6


async def test_closing_the_sandbox_during_an_outage_frees_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CLIMATES, "outage", Climate(dark_at=(0, 0), dark_s=(600, 600)))  # type: ignore[misc]
    async with Sandbox(weather="outage") as sandbox:
        await answers_of(sandbox, 1)
    async with Sandbox(port=int(sandbox.url.rpartition(":")[2])) as again:
        [answer] = await answers_of(again, 1)
        assert isinstance(answer, httpx.Response)


async def test_answers_in_a_storm_are_always_correct(monkeypatch: pytest.MonkeyPatch) -> None:
    """201 means accepted, an error in Braze's JSON means not accepted; no answer or a gateway's means unknown."""
    storm = CLIMATES["storm"]
    rough = Climate(
        chances={fate: 5 * chance for fate, chance in storm.chances.items()},
        surely=storm.surely,
        surely_within=storm.surely_within,
        dark_at=(100, 100),
        dark_s=(0.2, 0.2),
        limit=100,
        window_s=1.0,
    )
    ticks = count(1_800_000_000.0, 0.1)  # a window of a few requests, independent of the machine's speed
    clock = ticks.__next__
    monkeypatch.setitem(CLIMATES, "storm", rough)  # type: ignore[misc]
    seen: dict[str, int | None] = {}

    async def status_of(client: httpx.AsyncClient, name: str) -> int | None:
        while True:
            try:
                return (await client.post(CAMPAIGN_PATH, json=campaign(*users(1, name)))).status_code
            except httpx.ConnectError:  # outage: the request was never sent
                await asyncio.sleep(0.02)
            except httpx.TransportError:
                return None

    async with Sandbox(weather="storm", seed=3, clock=clock) as sandbox:

        async def send(worker: int) -> None:
            async with loopback_client(base_url=sandbox.url, headers=HEADERS) as client:
                for number in range(40):
                    name = f"w{worker}-{number}-"
                    seen[name] = await status_of(client, name)

        await asyncio.gather(*(send(worker) for worker in range(10)))
    taken = {key.removeprefix("external_user_id:").removesuffix("-0") + "-" for key in sandbox.ledger.recipients}
    assert len(seen) == 400
    assert {None, 201, 429, 500, 503, 502, 504} <= set(seen.values())
    for name, status in seen.items():
        if status == 201 or status == 504:
            assert name in taken
        elif status is not None:
            assert name not in taken
    assert any(name in taken for name, status in seen.items() if status is None)
    assert any(name not in taken for name, status in seen.items() if status is None)
    assert sandbox.ledger.twice() == {}
