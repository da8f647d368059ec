"""What httpx lets a client know about a POST, pinned against the installed httpx, httpcore, h11 and anyio.

The judge of outcomes rests on these rows: which exception type comes up, whether the trace saw the headers
start and the body complete, and what the server had truly done. A row that turns red after an update is a
change of evidence, to be understood before the judge is trusted again. Where the kernel's timing decides, a
row names every view seen.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise

import httpx
import pytest

from tests.faults import (
    FAULTS,
    FaultServer,
    Plan,
    black_hole,
    kill_when,
    refusing_port,
    request_read,
    unresolvable,
)
from tests.faults.probe import LARGE, SMALL, Evidence, post, post_once, transport

EITHER = None
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="other kernels refuse when the queue is full")


@dataclass(frozen=True)
class Row:
    """One row of the table. ``body_complete`` EITHER: timing decides. ``status``: of a response that was
    begun.
    """

    fault: Plan
    raised: str
    body_complete: bool | None
    accepted: bool
    body: bytes = SMALL
    tls: str | None = None
    status: int | None = None
    overtaken: str = ""

    def __str__(self) -> str:
        name = self.fault if isinstance(self.fault, str) else getattr(self.fault, "name", "plan")
        return "-".join([name, "large" if self.body is LARGE else "small", "tls" if self.tls else "plain"])


def both(fault: str, raised: str, body_complete: bool | None, accepted: bool, status: int | None = None) -> list[Row]:
    return [Row(fault, raised, body_complete, accepted, tls=tls, status=status) for tls in (None, "good")]


TABLE = [
    # nothing read, yet the body counts as sent: the kernel took it
    Row("rst_on_accept", "ReadError", EITHER, False, overtaken="ConnectError"),
    Row("rst_on_accept", "ReadError", EITHER, False, tls="good"),
    *both("fin_on_accept", "ReadError", EITHER, False),
    *both("half_close_on_accept", "RemoteProtocolError", True, False),
    *both("stop_reading", "ReadTimeout", True, False),
    *both("rst_mid_body", "ReadError", True, False),
    *both("fin_mid_body", "RemoteProtocolError", True, False),
    # a body larger than the buffers: sometimes proof that it was not sent completely, and sometimes
    # "complete" anyway
    Row("stop_reading", "WriteTimeout", False, False, LARGE),
    Row("stop_reading", "WriteTimeout", False, False, LARGE, tls="good"),
    Row("rst_mid_body", "ReadError", EITHER, False, LARGE),
    Row("rst_mid_body", "ReadError", EITHER, False, LARGE, tls="good"),
    Row("rst_on_accept", "ReadError", EITHER, False, LARGE, overtaken="ConnectError"),
    Row("rst_on_accept", "ReadError", EITHER, False, LARGE, tls="good"),
    # everything read and taken: the same exceptions as above
    *both("fin_after_read", "RemoteProtocolError", True, True),
    *both("rst_after_read", "ReadError", True, True),
    *both("hang_after_read", "ReadTimeout", True, True),
    # ... or read and thrown away
    *both("fin_after_read_not_taken", "RemoteProtocolError", True, False),
    *both("rst_after_read_not_taken", "ReadError", True, False),
    # a part of an answer
    *both("half_status_line", "RemoteProtocolError", True, True),
    *both("half_headers", "RemoteProtocolError", True, True),
    *both("half_body_fin", "RemoteProtocolError", True, True, status=201),
    *both("half_body_rst", "ReadError", True, True, status=201),
    *both("half_body_hang", "ReadTimeout", True, True, status=201),
    *both("chunked_truncated", "RemoteProtocolError", True, True, status=201),
    *both("chunked_unfinished", "RemoteProtocolError", True, True, status=201),
    # invalid HTTP, or too much of it
    *both("junk_status", "RemoteProtocolError", True, True),
    *both("tls_alert_bytes", "RemoteProtocolError", True, True),
    *both("header_bomb", "RemoteProtocolError", True, True),
    *both("bad_gzip", "DecodingError", True, True, status=201),
    # an early refusal reaches a small request, and a large one when the server drains it; an RST may
    # overtake it
    *both("early_413_fin", "", True, False, status=413),
    Row("early_413_fin", "", EITHER, False, LARGE, status=413),
    # no exception, but no proof either
    *both("read_to_close_truncated", "", True, True, status=201),
    *both("early_response_before_request", "", True, False, status=201),
]


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_the_evidence_of_a_post_that_was_begun(row: Row) -> None:
    with FaultServer(row.fault, tls=row.tls) as server:
        client = server.client_context() if row.tls else None
        # short only for rows about time-outs, so that a busy machine changes no verdict
        seen = post_once(server.url, row.body, tls=client, patience=0.25 if "Timeout" in row.raised else 10)
        server.ledger.wait(lambda ledger: bool(ledger.accepted), 2 * row.accepted)
    assert bool(server.ledger.accepted) == row.accepted
    assert len(server.ledger.requests) == 1, "nothing is ever sent again on HTTP/1.1"
    if row.overtaken and seen.raised == row.overtaken:
        assert not seen.headers_started
        return
    assert seen.raised == row.raised, seen
    assert seen.status == row.status
    assert seen.headers_started
    if row.body_complete is not EITHER:
        assert seen.body_complete == row.body_complete


def test_an_early_413_followed_by_a_reset_is_lost_on_a_large_body() -> None:
    with FaultServer("early_413_rst") as server:
        seen = post_once(server.url, LARGE)
    assert (seen.raised, seen.status, seen.text) == ("ReadError", None, "")
    assert server.ledger.accepted == []


# --- never connected: the only proof by exception ------------------------------------------------


@pytest.mark.parametrize(
    ("nowhere", "raised"),
    [
        (refusing_port, "ConnectError"),
        (unresolvable, "ConnectError"),
        pytest.param(black_hole, "ConnectTimeout", marks=only_linux),
    ],
)
def test_without_a_connection_no_header_starts(nowhere: Callable[[], AbstractContextManager[str]], raised: str) -> None:
    with nowhere() as url:
        seen = post_once(url, connect=0.25 if raised == "ConnectTimeout" else 10)
    assert seen.raised == raised
    assert not seen.headers_started
    assert not seen.body_complete


@pytest.mark.parametrize(
    ("tls", "raised"),
    [
        ("expired", "ConnectError"),
        ("self_signed", "ConnectError"),
        ("unknown_authority", "ConnectError"),
        ("wrong_host", "ConnectError"),
        ("reset_in_handshake", "ConnectError"),
        ("fin_in_handshake", "ConnectError"),
        ("http_in_clear", "ConnectError"),
        ("h2_only", "ConnectError"),
        ("silent_handshake", "ConnectTimeout"),
    ],
)
def test_without_a_handshake_no_header_starts(tls: str, raised: str) -> None:
    with FaultServer("ok", tls=tls) as server:
        connect = 0.25 if raised == "ConnectTimeout" else 10
        seen = post_once(server.url, tls=server.client_context(), connect=connect)
    assert seen.raised == raised
    assert not seen.headers_started
    assert server.ledger.requests == []


def test_a_full_pool_leaves_no_trace_at_all() -> None:
    async def both_at_once(url: str) -> tuple[Evidence, Evidence]:
        async with transport(limits=httpx.Limits(max_connections=1)) as over:
            return await asyncio.gather(post(over, url, patience=0.6), post(over, url, patience=0.2))

    with FaultServer("hang_after_read") as server:
        first, second = asyncio.run(both_at_once(server.url))
    assert first.raised == "ReadTimeout"
    assert second.raised == "PoolTimeout"
    assert second.events == []
    assert len(server.ledger.requests) == 1


def test_a_foreign_scheme_leaves_no_trace_at_all() -> None:
    seen = post_once("ftp://127.0.0.1:9")
    assert seen.raised == "UnsupportedProtocol"
    assert seen.events == []


def test_an_illegal_header_starts_but_writes_nothing_and_its_error_quotes_the_key() -> None:
    with FaultServer("ok") as server:
        seen = post_once(server.url, headers={"Authorization": "Bearer not-a-real-key\n"})
        assert server.ledger.wait(lambda ledger: all(c.closed for c in ledger.connections), 2)
    assert seen.raised == "LocalProtocolError"
    assert "http11.send_request_headers.failed" in seen.events
    assert not seen.body_complete
    assert server.ledger.requests == []
    assert "not-a-real-key" in seen.text


def test_a_proxy_that_refuses_connect_shows_headers_started_though_no_request_left() -> None:
    async def through(proxy: str) -> Evidence:
        async with transport(proxy=proxy) as over:
            return await post(over, "https://127.0.0.1:9")

    with FaultServer("proxy_refuses_connect") as server:
        seen = asyncio.run(through(server.url))
    assert seen.raised == "ProxyError"
    assert seen.headers_started
    assert [request.method for request in server.ledger.requests] == ["CONNECT"]


# --- time-outs are for each read, not for the whole ----------------------------------------------


@pytest.mark.parametrize("fault", [FAULTS["drip_answer"], FAULTS["endless_100_continue"]], ids=lambda fault: fault.name)
def test_only_a_separate_deadline_ends_a_dripping_answer(fault: Plan) -> None:
    with FaultServer(fault) as server:
        seen = post_once(server.url, patience=0.15, deadline=0.5)
    assert seen.raised == "TimeoutError", "asyncio's own: httpx's read time-out never fired"
    assert len(server.ledger.accepted) == 1


def test_a_cancelled_post_raises_a_base_exception() -> None:
    async def cancelled(server: FaultServer) -> BaseException | None:
        async with transport() as over:
            task = asyncio.create_task(post(over, server.url, patience=5))
            await asyncio.to_thread(server.ledger.wait, lambda ledger: bool(ledger.accepted), 5)
            task.cancel()
            [ended] = await asyncio.gather(task, return_exceptions=True)
            return ended if isinstance(ended, BaseException) else None

    with FaultServer("hang_after_read") as server:
        ended = asyncio.run(cancelled(server))
    assert isinstance(ended, asyncio.CancelledError)
    assert not isinstance(ended, Exception)
    assert len(server.ledger.accepted) == 1


def test_an_interrupted_post_raises_keyboard_interrupt_although_the_batch_was_accepted() -> None:
    program = "import httpx, sys; httpx.post(sys.argv[1], content=b'{}', timeout=20, trust_env=False)"
    with FaultServer("hang_after_read") as server:
        ended = kill_when([sys.executable, "-c", program, server.url], request_read(server), signal.SIGINT)
    assert ended.struck
    assert "KeyboardInterrupt" in ended.stderr
    assert len(server.ledger.accepted) == 1


# --- kept connections ----------------------------------------------------------------------------


def in_a_row(server: FaultServer, count: int, *, pause: float = 0.0, **more: object) -> list[Evidence]:
    """Several POSTs one after the other over one transport, so that connections are kept."""

    async def go() -> list[Evidence]:
        seen = []
        async with transport(limits=httpx.Limits(max_connections=1)) as over:
            for _ in range(count):
                seen.append(await post(over, server.url, **more))  # type: ignore[arg-type]
                await asyncio.sleep(pause)
        return seen

    return asyncio.run(go())


def test_a_kept_connection_closed_after_reading_is_an_error_and_not_a_retry() -> None:
    with FaultServer("keepalive_close_race") as server:
        first, second = in_a_row(server, 2)
    assert first.status == 201
    assert (second.raised, second.body_complete) == ("RemoteProtocolError", True)
    assert len(server.ledger.accepted) == 2
    assert len(server.ledger.connections) == 1


def test_a_kept_connection_closed_without_reading_looks_the_same_and_accepted_nothing() -> None:
    with FaultServer("keepalive_close_race_unread") as server:
        first, second = in_a_row(server, 2)
    assert first.status == 201
    assert second.raised in {"ReadError", "RemoteProtocolError"}
    assert second.headers_started
    assert len(server.ledger.accepted) == 1
    assert len(server.ledger.requests) == 2


def test_a_connection_that_was_closed_while_idle_is_replaced_beforehand() -> None:
    with FaultServer("ok", idle=0.05) as server:
        seen = in_a_row(server, 3, pause=0.1)
    assert [one.status for one in seen] == [201, 201, 201]
    assert len(server.ledger.connections) == 3


def test_a_stray_answer_that_arrives_while_idle_costs_the_connection() -> None:
    with FaultServer("stray_201_while_idle") as server:
        seen = in_a_row(server, 3, pause=0.1)
        taken = [entry.dispatch_id for entry in server.ledger.accepted]
    assert [httpx.Response(201, content=one.content).json()["dispatch_id"] for one in seen] == taken
    assert len(server.ledger.connections) == 3


def test_a_stray_answer_in_the_same_segment_is_given_to_the_next_batch() -> None:
    with FaultServer("desync_429_201") as server:
        statuses = [one.status for one in in_a_row(server, 6)]
    # Nearly always 429, 201 in turn; when the second answer is read by itself, httpcore notices and hangs up.
    assert set(statuses) == {429, 201}
    assert all(before == 429 for before, status in pairwise([201, *statuses]) if status == 201)
    assert server.ledger.accepted == [], "three batches would be lost silently"


def test_fresh_connections_keep_a_stray_answer_out() -> None:
    with FaultServer("desync_429_201") as server:
        seen = in_a_row(server, 6, headers={"Connection": "close"})
    assert [one.status for one in seen] == [429] * 6


# --- bodies --------------------------------------------------------------------------------------


def test_a_body_cut_off_by_a_bare_close_is_not_an_error() -> None:
    with FaultServer("read_to_close_truncated", tls="good") as server:
        seen = post_once(server.url, tls=server.client_context())
    assert (seen.raised, seen.status, seen.content) == ("", 201, b'{"dispatch')


def test_only_reading_raw_keeps_a_gzip_bomb_small() -> None:
    with FaultServer(FAULTS["gzip_bomb"].using(megabytes=4)) as server:
        unpacked, raw = post_once(server.url), post_once(server.url, raw=True)
    assert len(unpacked.content) > 4_000_000
    assert len(raw.content) < 40_000


def test_the_protocol_stays_http_1_1_though_the_server_offers_more() -> None:
    with FaultServer("ok", tls="good") as server:
        seen = post_once(server.url, tls=server.client_context())
    assert seen.http_version == "HTTP/1.1"
    assert server.ledger.connections[0].alpn == "http/1.1"
