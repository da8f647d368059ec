"""Both transports against every fault: the judge's verdict is compared with what the server did."""

from __future__ import annotations

import asyncio
import functools
import json
import random
import resource
import socket
import ssl
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from bulk_sender.braze.answer import Verdict, judge
from bulk_sender.errors import ConfigError
from bulk_sender.http.bounds import KEEPALIVE_S, MAX_ANSWER_BYTES
from bulk_sender.http.client import HttpClient
from bulk_sender.http.clock import since_boot
from bulk_sender.http.credential import Credential
from bulk_sender.http.evidence import Evidence, Reach
from bulk_sender.http.exchange import Target, Trace
from bulk_sender.http.fast_transport import WireTransport, _Connection
from bulk_sender.http.plain_transport import PlainTransport
from bulk_sender.http.settings import HttpSettings
from bulk_sender.http.transport import tls_context, transport_factory
from tests.faults import (
    FAULTS,
    Fault,
    FaultServer,
    Turn,
    black_hole,
    http_answer,
    mutate,
    nth,
    refusing_port,
    success,
    unresolvable,
)
from tests.faults.probe import LARGE, SMALL
from tests.faults.tls import authority
from tests.kit.posting import KINDS, TRANSPORTS, client, post_all, transports, word
from tests.kit.target import KEY

both = pytest.mark.parametrize("kind", KINDS)
either_scheme = pytest.mark.parametrize("tls", [None, "good"], ids=["plain", "tls"])

DEADLINE = 0.8
NEEDS_THE_DEADLINE = {
    *("stop_reading", "stall_mid_body", "hang_after_read", "stall_after_status_line", "half_body_hang"),
    *("drip_answer", "endless_100_continue", "answer_after_deadline"),
}
QUICKER: dict[str, dict[str, float]] = {"answer_after_deadline": {"delay": 4.0}, "gzip_bomb": {"megabytes": 2}}


def played(name: str) -> Fault:
    return FAULTS[name].using(**QUICKER[name]) if name in QUICKER else FAULTS[name]


def never_left(evidence: Evidence) -> bool:
    """Whether the connection was given up before the request began, which a client can detect first."""
    return evidence.reach <= Reach.CONNECTED and evidence.error == "ConnectError"


# --- every fault ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Met:
    """One POST against one fault: what the client knew, and what the server did."""

    evidence: Evidence
    taken: bool
    received: int
    requests: int


def meet(name: str, tls: str | None, kind: str, attempts: int = 5) -> Met:
    """Meet a fault. A busy machine may not connect within a short deadline, and then the fault was not met."""
    met = _meet(name, tls, kind)
    return meet(name, tls, kind, attempts - 1) if met.evidence.error == "ConnectTimeout" and attempts > 1 else met


def _meet(name: str, tls: str | None, kind: str) -> Met:
    with FaultServer(played(name), tls=tls) as server:
        timeout = DEADLINE if name in NEEDS_THE_DEADLINE else 10.0
        [evidence] = post_all(kind, server.url, SMALL, timeout=timeout)
        server.ledger.wait(lambda ledger: bool(ledger.accepted), 2 * FAULTS[name].accepts)
        seen = server.ledger.requests
        return Met(evidence, bool(server.ledger.accepted), sum(request.received for request in seen), len(seen))


@functools.cache
def meet_all(tls: str | None, kind: str) -> dict[str, Met]:
    """Return one POST per fault. Several run at a time, because most of the time is spent waiting for sockets."""
    authority()  # created once, before several threads use it
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(FAULTS, pool.map(lambda name: meet(name, tls, kind), FAULTS), strict=True))


@both
def test_each_kind_runs_on_the_event_loop_it_names(kind: str) -> None:
    async def whose() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert ("uvloop" in asyncio.run(whose())) == ("uvloop" in kind)


@both
@either_scheme
@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_judged_correctly(name: str, tls: str | None, kind: str) -> None:
    fault, met = FAULTS[name], meet_all(tls, kind)[name]
    outcome = judge(met.evidence)
    unread = not met.taken and met.received == 0 and never_left(met.evidence)
    assert fault.allows(word(outcome)) or unread, (met, outcome)
    assert met.taken is fault.accepts
    assert met.taken or outcome.verdict is not Verdict.ACCEPTED or name == "early_response_before_request"
    assert not (met.taken and judge(met.evidence, server_errors="hold").may_send_again), outcome
    assert KEY not in repr(met.evidence) + repr(outcome)
    assert met.requests <= 1, "nothing is ever sent again"


@both
@pytest.mark.parametrize("tls", ["expired", "self_signed", "unknown_authority", "wrong_host"])
def test_an_untrusted_certificate_stops_the_run(tls: str, kind: str) -> None:
    with FaultServer("ok", tls=tls) as server:
        [evidence] = post_all(kind, server.url, SMALL)
        assert server.ledger.requests == []
    assert judge(evidence).stop == "certificate", evidence


@both
@pytest.mark.parametrize(
    "tls", ["reset_in_handshake", "fin_in_handshake", "http_in_clear", "h2_only", "silent_handshake"]
)
def test_a_failed_handshake_proves_that_nothing_was_sent(tls: str, kind: str) -> None:
    with FaultServer("ok", tls=tls) as server:
        [evidence] = post_all(kind, server.url, SMALL, timeout=DEADLINE if tls == "silent_handshake" else 10)
        assert server.ledger.requests == []
    outcome = judge(evidence)
    assert (word(outcome), outcome.stop) == ("unsent", ""), evidence


@both
def test_a_failed_connection_proves_that_nothing_was_sent(kind: str) -> None:
    with refusing_port() as url:
        [evidence] = post_all(kind, url, SMALL)
    assert (word(judge(evidence)), evidence.error) == ("unsent", "ConnectError")
    with black_hole() as url:
        [evidence] = post_all(kind, url, SMALL, timeout=DEADLINE)
    assert (word(judge(evidence)), evidence.error) == ("unsent", "ConnectTimeout")
    with unresolvable() as url:
        [evidence] = post_all(kind, url, SMALL)
    assert judge(evidence).stop == "host"


# --- large bodies: the kernel's buffer, early refusals ----------------------------------------------------------------


@both
@either_scheme
@pytest.mark.parametrize("name", ["stop_reading", "stall_mid_body"])
def test_a_body_that_the_kernel_did_not_accept_is_not_counted_as_written(name: str, tls: str | None, kind: str) -> None:
    with FaultServer(name, tls=tls, receive_buffer=8192) as server:
        [evidence] = post_all(kind, server.url, LARGE, timeout=0.5)
    assert evidence.reach is Reach.HEAD_STARTED, evidence
    assert (judge(evidence).verdict, judge(evidence).likely) == (Verdict.UNKNOWN, "not_accepted")


@both
@either_scheme
def test_a_large_body_arrives_completely_and_counts_as_written(tls: str | None, kind: str) -> None:
    with FaultServer("ok", tls=tls, receive_buffer=65536) as server:
        found = post_all(kind, server.url, LARGE, SMALL, LARGE)
        assert [judge(evidence).verdict for evidence in found] == [Verdict.ACCEPTED] * 3
        assert [seen.received for seen in server.ledger.requests] == [len(LARGE), len(SMALL), len(LARGE)]
        assert len(server.ledger.connections) == 1
    with FaultServer("hang_after_read", tls=tls) as server:
        [evidence] = post_all(kind, server.url, LARGE, timeout=2.0)
        assert len(server.ledger.accepted) == 1
    assert evidence.reach is Reach.BODY_SENT


@both
@either_scheme
def test_an_early_413_is_refused_or_unknown(tls: str | None, kind: str) -> None:
    for name in ("early_413_fin", "early_413_rst"):
        with FaultServer(name, tls=tls) as server:
            large, small = post_all(kind, server.url, LARGE, SMALL)
            assert server.ledger.accepted == []
        assert judge(large).verdict in (Verdict.TOO_LARGE, Verdict.UNKNOWN)
        assert judge(small).verdict in (Verdict.TOO_LARGE, Verdict.UNKNOWN)
        if name == "early_413_fin":
            assert judge(large).verdict is Verdict.TOO_LARGE


@either_scheme
def test_the_wire_accepts_an_early_413_without_waiting_for_the_body_to_drain(tls: str | None) -> None:
    def refuse_and_hold(turn: Turn) -> None:
        turn.read_head(greedy=False)
        turn.send(http_answer(413, {"message": "Too large"}))
        turn.wire.hang(60)

    hold = Fault("early_413_held", "F39", "write", False, "refused", refuse_and_hold)
    with FaultServer(hold, tls=tls, receive_buffer=8192) as server:
        [evidence] = post_all("wire", server.url, LARGE, timeout=30)
    assert (judge(evidence).verdict, evidence.reach) == (Verdict.TOO_LARGE, Reach.ANSWERED)
    assert evidence.elapsed_s < 20


@either_scheme
def test_the_wire_refuses_a_success_that_began_before_the_request_was_written(tls: str | None) -> None:
    def praise_and_read(turn: Turn) -> None:
        turn.read_head(greedy=False)
        answer = http_answer(201, success("0" * 32))
        turn.send(answer[:20])
        turn.wire.hang(0.1)
        turn.read_whole()
        turn.send(answer[20:])

    early = Fault("early_201", "F24", "write", False, "unknown", praise_and_read)
    with FaultServer(early, tls=tls, receive_buffer=8192) as server:
        [evidence] = post_all("wire", server.url, LARGE)
    assert (judge(evidence).verdict, judge(evidence).code) == (Verdict.UNKNOWN, "premature_answer")


@both
def test_a_success_while_the_body_cannot_be_written_is_not_a_success(kind: str) -> None:
    def praise_and_close(turn: Turn) -> None:
        turn.read_head(greedy=False)
        turn.send(http_answer(201, success("0" * 32)))
        turn.wire.close()

    early = Fault("early_201_close", "F24", "write", False, "unknown", praise_and_close)
    with FaultServer(early, receive_buffer=8192) as server:
        [evidence] = post_all(kind, server.url, LARGE)
    assert judge(evidence).verdict is Verdict.UNKNOWN


# --- kept connections: no answer for another request (F22 to F24) -----------------------------------------------------


@both
@either_scheme
@pytest.mark.parametrize("fault", ["desync_429_201", "desync_201_201"])
def test_an_answer_with_another_behind_it_proves_nothing(fault: str, tls: str | None, kind: str) -> None:
    with FaultServer(fault, tls=tls) as server:
        [evidence] = post_all(kind, server.url, SMALL)
    assert evidence.unasked
    outcome = judge(evidence)
    assert (outcome.verdict, outcome.code, outcome.stop) == (Verdict.UNKNOWN, "unasked_bytes", "mixed_up")


def answering_then(late: bytes, delay: float) -> Fault:
    """Refuse each request, and send ``late`` on its connection ``delay`` seconds afterwards."""

    def play(turn: Turn) -> None:
        turn.read_whole()
        turn.answer(http_answer(429, {"message": "Rate limit exceeded"}))
        turn.wire.hang(delay)
        turn.send(late)

    return Fault("answering_then", "F24", "answer", False, "throttled", play)


def after_an_answer(kind: str, url: str, wait_s: float) -> tuple[Evidence, bool, Evidence]:
    """An exchange, whether unasked bytes were found in ``wait_s`` seconds, and another exchange."""

    async def go() -> tuple[Evidence, bool, Evidence]:
        sender = client(kind, url)
        first = await sender.post(SMALL)
        found = await sender.unasked(wait_s)
        second = await sender.post(SMALL)
        await sender.aclose()
        return first, found, second

    return asyncio.run(go())


@both
@either_scheme
def test_an_answer_that_comes_while_no_request_is_open_is_noticed(tls: str | None, kind: str) -> None:
    stray = http_answer(201, success("1" * 32))
    for delay in (0.0, 0.002, 0.03):
        with FaultServer(answering_then(stray, delay), tls=tls) as server:
            first, found, second = after_an_answer(kind, server.url, 0.2)
        assert found, delay
        assert (first.connection, second.connection) == (1, 2)
        assert second.unasked, "the client never forgets it"


@both
@either_scheme
@pytest.mark.parametrize(
    "late",
    [b"\r\n", http_answer(408, {"message": "Request Timeout"}, {"Connection": "close"})],
    ids=["an empty line", "408"],
)
def test_what_servers_send_before_they_close_is_no_answer(late: bytes, tls: str | None, kind: str) -> None:
    with FaultServer(answering_then(late, 0.02), tls=tls) as server:
        first, found, second = after_an_answer(kind, server.url, 0.2)
    assert not (found or first.unasked or second.unasked)
    assert judge(second).verdict is Verdict.THROTTLED


@both
@either_scheme
@pytest.mark.parametrize(
    ("behind", "is_unasked"),
    [
        (b"\r\n", False),
        (http_answer(408, {"message": "Request Timeout"}, {"Connection": "close"}), False),
        (http_answer(201, success("1" * 32)), True),
        (b"something else", True),
    ],
    ids=["an empty line", "408", "201", "no answer"],
)
def test_what_comes_in_one_piece_with_an_answer_counts_like_what_comes_later(
    behind: bytes, is_unasked: bool, tls: str | None, kind: str
) -> None:
    """A busy machine reads late, so both may lie there together."""

    def play(turn: Turn) -> None:
        turn.answer(http_answer(201, success(turn.accept())) + behind)

    with FaultServer(Fault("in_one_piece", "F24", "answer", True, "accepted", play), tls=tls) as server:
        first, second = post_all(kind, server.url, SMALL, SMALL)
    assert (first.reach, first.unasked) == (Reach.ANSWERED, is_unasked)
    assert second.connection in (1, 2)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("httpx")])
def test_bytes_that_come_between_two_looks_are_noticed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool of httpx's transport looks by itself while a response is closed, and would close what is readable."""
    aclose = httpx.Response.aclose

    async def late(response: httpx.Response) -> None:
        await asyncio.sleep(0.1)
        await aclose(response)

    monkeypatch.setattr(httpx.Response, "aclose", late)
    with FaultServer(answering_then(http_answer(201, success("1" * 32)), 0.03)) as server:
        first, _, second = after_an_answer(kind, server.url, 0.0)
    assert (first.unasked, second.unasked, second.connection) == (False, True, 2)


@both
@either_scheme
def test_without_keepalive_each_request_has_its_own_connection(tls: str | None, kind: str) -> None:
    async def go(url: str) -> list[Evidence]:
        sender = client(kind, url, keepalive=False)
        found = [await sender.post(SMALL) for _ in range(3)]
        assert not await sender.unasked(0.02)
        await sender.aclose()
        return found

    for fault, verdict in (("ok", Verdict.ACCEPTED), ("desync_429_201", Verdict.THROTTLED)):
        with FaultServer(fault, tls=tls) as server:
            found = asyncio.run(go(server.url))
            assert len(server.ledger.connections) == 3
        assert [judge(evidence).verdict for evidence in found] == [verdict] * 3
        assert [evidence.connection for evidence in found] == [1, 2, 3]


@both
def test_a_connection_is_old_when_a_suspended_machine_wakes(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock that counts while the machine is suspended decides, and no other."""

    async def go(url: str) -> list[Evidence]:
        sender = client(kind, url)
        found = [await sender.post(SMALL), await sender.post(SMALL)]
        monkeypatch.setattr("bulk_sender.http.client.since_boot", lambda: since_boot() + KEEPALIVE_S)
        found.append(await sender.post(SMALL))
        await sender.aclose()
        return found

    with FaultServer("ok") as server:
        found = asyncio.run(go(server.url))
    assert [evidence.connection for evidence in found] == [1, 1, 2]


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="only Linux has this clock")
def test_the_clock_of_connections_counts_while_the_machine_is_suspended() -> None:
    assert abs(since_boot() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1


@both
@either_scheme
def test_a_connection_closed_while_idle_is_not_written_to(tls: str | None, kind: str) -> None:
    with FaultServer("ok", tls=tls, idle=0.03) as server:
        found = post_all(kind, server.url, *[SMALL] * 3, pause=0.15)
        assert len(server.ledger.connections) == 3
    assert [judge(evidence).verdict for evidence in found] == [Verdict.ACCEPTED] * 3


@both
def test_a_race_with_the_servers_close_is_unknown_and_never_retried(kind: str) -> None:
    for name, taken in (("keepalive_close_race", 2), ("keepalive_close_race_unread", 1)):
        with FaultServer(name) as server:
            first, second = post_all(kind, server.url, SMALL, SMALL)
            assert len(server.ledger.accepted) == taken
            assert len(server.ledger.requests) == 2
        assert (judge(first).verdict, judge(second).verdict) == (Verdict.ACCEPTED, Verdict.UNKNOWN)


@both
@either_scheme
def test_after_any_failure_the_next_request_uses_a_new_connection(tls: str | None, kind: str) -> None:
    for name in ("half_body_hang", "rst_after_read", "huge_201", "junk_status", "endless_100_continue", "half_headers"):
        timeout = DEADLINE if name in NEEDS_THE_DEADLINE else 10.0
        with FaultServer(nth(1, name), tls=tls) as server:
            first, second = post_all(kind, server.url, SMALL, SMALL, timeout=timeout)
        assert (judge(first).verdict, judge(second).verdict) == (Verdict.UNKNOWN, Verdict.ACCEPTED), name


@both
def test_a_late_answer_is_discarded(kind: str) -> None:
    with FaultServer(
        nth(1, FAULTS["answer_after_deadline"].using(delay=DEADLINE + 0.05), otherwise="status_400")
    ) as server:
        found = post_all(kind, server.url, SMALL, *[SMALL] * 4, timeout=DEADLINE, pause=0.03)
    assert [judge(evidence).verdict for evidence in found] == [Verdict.UNKNOWN] + [Verdict.REFUSED] * 4


# --- limits -----------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("name", ["drip_answer", "endless_100_continue", "hang_after_read", "half_body_hang"])
def test_the_deadline_applies_to_dripping_answers(name: str, kind: str) -> None:
    with FaultServer(name) as server:
        [evidence] = post_all(kind, server.url, SMALL, timeout=DEADLINE)
    assert DEADLINE * 0.9 <= evidence.elapsed_s < DEADLINE + 1.0
    assert judge(evidence).verdict is Verdict.UNKNOWN


@both
@pytest.mark.parametrize("flood", ["body", "header", "headers", "informational", "chunk", "trailers"])
def test_memory_is_bounded_for_endless_answers(flood: str, kind: str) -> None:
    piece = {
        "body": b"x" * 65536,
        "header": b"x" * 65536,
        "headers": b"X-Padding: " + b"x" * 90 + b"\r\n",
        "informational": b"HTTP/1.1 100 Continue\r\nX-Padding: " + b"x" * 90 + b"\r\n\r\n",
        "chunk": b"10000;" + b"x" * 50 + b"\r\n" + b"x" * 65536 + b"\r\n",
        "trailers": b"X-Padding: " + b"x" * 90 + b"\r\n",
    }[flood]
    head = {
        "body": b"HTTP/1.1 201 Created\r\nContent-Length: 99999999999\r\n\r\n",
        "header": b"HTTP/1.1 201 Created\r\nX-Padding: ",
        "headers": b"HTTP/1.1 201 Created\r\n",
        "informational": b"",
        "chunk": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n",
        "trailers": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    }[flood]

    def pour(turn: Turn) -> None:
        turn.accept()
        turn.send(head)
        block = piece * (65536 // len(piece) + 1)
        for _ in range(400):
            turn.send(block)
        turn.wire.reset()

    with FaultServer(Fault(f"flood_{flood}", "F26", "read", True, "unknown", pour)) as server:
        tracemalloc.start()
        [evidence] = post_all(kind, server.url, SMALL, timeout=2.0)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert judge(evidence).verdict is Verdict.UNKNOWN, evidence.status
    assert len(evidence.body) <= MAX_ANSWER_BYTES + (1 << 18)
    assert peak < 16 * MAX_ANSWER_BYTES


@both
def test_an_answer_of_exactly_the_maximum_size_is_read(kind: str) -> None:
    frame = len(json.dumps(success("d", padding="")))

    def answer(size: int) -> Fault:
        def play(turn: Turn) -> None:
            turn.answer(http_answer(201, success(turn.accept("d"), padding="x" * (size - frame))))

        return Fault("sized", "F48", "answer", True, "accepted", play)

    for size, verdict in ((MAX_ANSWER_BYTES, Verdict.ACCEPTED), (MAX_ANSWER_BYTES + 1, Verdict.UNKNOWN)):
        with FaultServer(answer(size)) as server:
            [evidence] = post_all(kind, server.url, SMALL)
        assert judge(evidence).verdict is verdict


@both
def test_descriptors_beyond_a_thousand_work(kind: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1400:
        pytest.skip("this system allows too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1400), hard))
    held: list[socket.socket] = []
    try:
        held.extend(socket.socket() for _ in range(1100))
        with FaultServer("ok") as server:
            found = post_all(kind, server.url, *[SMALL] * 3)
            assert len(server.ledger.connections) == 1
    finally:
        for each in held:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [judge(evidence).verdict for evidence in found] == [Verdict.ACCEPTED] * 3


@both
def test_running_out_of_descriptors_proves_that_nothing_was_sent(kind: str) -> None:
    async def go(url: str) -> Evidence:
        sender = client(kind, url)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = socket.socket()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno() + 1, limits[1]))
        try:
            return await sender.post(SMALL)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            lowest.close()
            await sender.aclose()

    evidence = asyncio.run(go("http://127.0.0.1:9"))
    assert word(judge(evidence)) == "unsent", evidence


# --- cancellation -----------------------------------------------------------------------------------------------------


@both
@either_scheme
def test_a_cancelled_post_raises_and_closes_its_connection(tls: str | None, kind: str) -> None:
    async def go(server: FaultServer) -> None:
        sender = client(kind, server.url)
        task = asyncio.create_task(sender.post(SMALL))
        await asyncio.to_thread(server.ledger.wait, lambda ledger: bool(ledger.accepted), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await sender.aclose()
        assert await asyncio.to_thread(
            server.ledger.wait, lambda ledger: all(each.closed for each in ledger.connections), 5
        )

    with FaultServer("hang_after_read", tls=tls) as server:
        asyncio.run(go(server), debug=True)
        assert len(server.ledger.accepted) == 1


@both
def test_the_loop_reports_no_unretrieved_exception(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[object] = []

    async def go(url: str, seconds: float) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context))
        sender = client(kind, url, timeout=seconds)
        for body in (SMALL, LARGE, SMALL):
            await sender.post(body)
        await sender.aclose()
        await asyncio.sleep(0.01)

    for name in ("rst_on_accept", "fin_mid_body", "rst_mid_body", "early_413_rst", "half_body_rst", "junk_status"):
        with FaultServer(name) as server:
            asyncio.run(go(server.url, 0.5))
    with FaultServer("hang_after_read") as server:
        asyncio.run(go(server.url, DEADLINE))
    assert heard == []
    assert caplog.records == []


# --- HTTP details -----------------------------------------------------------------------------------------------------


def test_the_wire_writes_the_request_that_httpx_writes() -> None:
    heads: dict[str, list[str]] = {}

    def keep(turn: Turn) -> None:
        heads[kind] = [f"{turn.head.method} {turn.head.target}", *sorted(map(str, turn.head.headers.items()))]
        turn.answer(http_answer(201, success(turn.accept())))

    with FaultServer(Fault("keep", "F29", "answer", True, "accepted", keep)) as server:
        for kind in TRANSPORTS:
            post_all(kind, server.url, SMALL)
    assert heads["httpx"] == heads["wire"]
    assert f"('authorization', 'Bearer {KEY}')" in heads["wire"]
    assert "('accept-encoding', 'identity')" in heads["wire"]


@both
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\n%s",
        b"HTTP/1.1 201 Created\r\nContent-Length: -1\r\n\r\n%s",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 50\r\n\r\n%s",
        b"HTTP/1.1 201 Created\r\nContent-Length : 50\r\n\r\n%s",
        b"HTTP/2.0 201 Created\r\nContent-Length: 50\r\n\r\n%s",
        b"HTTP/1.1 2O1 Created\r\nContent-Length: 50\r\n\r\n%s",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n%s",
        b"ICY 201 OK\r\nContent-Length: 50\r\n\r\n%s",
    ],
)
def test_invalid_http_is_never_accepted(answer: bytes, kind: str) -> None:
    def play(turn: Turn) -> None:
        turn.read_whole()
        turn.send(answer % json.dumps(success("0" * 32))[:-1].encode() + b"}")
        turn.wire.finish()

    with FaultServer(Fault("unsound", "F26", "read", False, "unknown", play)) as server:
        [evidence] = post_all(kind, server.url, SMALL)
    assert judge(evidence).verdict is Verdict.UNKNOWN, evidence


@both
def test_http_1_0_is_supported(kind: str) -> None:
    def play(turn: Turn) -> None:
        turn.send(http_answer(201, success(turn.accept()), length=False).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        turn.wire.goodbye()

    with FaultServer(Fault("old", "F29", "answer", True, "accepted", play)) as server:
        found = post_all(kind, server.url, SMALL, SMALL)
    assert [judge(evidence).verdict for evidence in found] == [Verdict.ACCEPTED] * 2


# --- damaged answers over real sockets --------------------------------------------------------------------------------


@both
@either_scheme
def test_damaged_answers_never_forge_a_verdict(tls: str | None, kind: str) -> None:
    """Compare with what the server did: a refusal must never look accepted, and an accepted batch never retryable."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)

    def refuse(turn: Turn) -> None:
        turn.read_whole()
        status = rng.choice([400, 429, 500, 503])
        turn.answer(mutate(http_answer(status, {"message": "Bad syntax"}), rng, keep_status_line=True))
        turn.wire.finish()

    def take(turn: Turn) -> None:
        turn.answer(mutate(http_answer(201, success(turn.accept())), rng, keep_status_line=True))
        turn.wire.finish()

    for play, accepts in ((refuse, False), (take, True)):
        with FaultServer(Fault("damaged", "F26", "read", accepts, "unknown", play), tls=tls) as server:
            found = post_all(kind, server.url, *[SMALL] * 60, timeout=2.0)
            assert 30 * accepts <= len(server.ledger.accepted) <= 60 * accepts  # some meet a connection that ends
        for evidence in found:
            outcome = judge(evidence)
            assert outcome.may_send_again is False if accepts else outcome.verdict is not Verdict.ACCEPTED, evidence


# --- settings ---------------------------------------------------------------------------------------------------------


def test_the_private_names_that_show_surplus_bytes_still_exist() -> None:
    """``PlainTransport.surplus`` reads them; without them, every connection would be closed after one answer."""

    async def go(url: str, count: int) -> tuple[list[bool], bool]:
        transport, seen = PlainTransport(ssl.create_default_context(), None), []
        target = Target.of(url, Credential.check(KEY), timeout_s=5)
        for _ in range(count):
            assert await transport.exchange(target, SMALL, Trace())
            seen.append(transport.surplus())
            for connection in transport._connections():
                assert isinstance(connection._h11_state.trailing_data[0], bytes)
        await transport.aclose()
        return seen, transport.is_mixed_up

    with FaultServer("ok") as server:
        assert asyncio.run(go(server.url, 2)) == ([False, False], False)
        assert len(server.ledger.connections) == 1
    with FaultServer("desync_201_201") as server:
        assert asyncio.run(go(server.url, 1)) == ([False], True)


def test_unknown_surplus_counts_as_surplus() -> None:
    transport = PlainTransport(ssl.create_default_context(), None)
    transport._opened = object()  # type: ignore[assignment]
    assert transport.surplus() is True


def test_tls_is_verified_and_modern_and_logs_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "secrets"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "foreign.pem"))
    context = tls_context(None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.keylog_filename is None
    transports.cache_clear()
    with FaultServer("ok", tls="good") as server:
        for kind in TRANSPORTS:
            post_all(kind, server.url, SMALL)
        assert len(server.ledger.accepted) == 2
    transports.cache_clear()
    written = (tmp_path / "secrets").read_text() if (tmp_path / "secrets").exists() else ""
    assert [line for line in written.splitlines() if not line.startswith("#")] == []


def test_an_invalid_certificate_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for path in (tmp_path / "empty.pem", tmp_path / "missing.pem"):
        with pytest.raises(ConfigError, match="cannot be read as certificates"):
            tls_context(str(path))


def test_which_transport_is_chosen() -> None:
    assert isinstance(transport_factory(HttpSettings())(), WireTransport)
    assert isinstance(transport_factory(HttpSettings(transport="wire"))(), WireTransport)
    assert isinstance(transport_factory(HttpSettings(transport="httpx"))(), PlainTransport)
    assert isinstance(transport_factory(HttpSettings(proxy="http://127.0.0.1:9"))(), PlainTransport)
    with pytest.raises(ConfigError, match="cannot use a proxy"):
        transport_factory(HttpSettings(proxy="http://127.0.0.1:9", transport="wire"))


def test_a_proxy_that_refuses_connect_proves_that_nothing_was_sent() -> None:
    async def go(proxy: str) -> Evidence:
        credential = Credential.check(KEY)
        target = Target.of("https://127.0.0.1:9/campaigns/trigger/send", credential, timeout_s=5)
        sender = HttpClient(target, credential, transport_factory(HttpSettings(proxy=proxy))())
        evidence = await sender.post(SMALL)
        await sender.aclose()
        return evidence

    with FaultServer("proxy_refuses_connect") as server:
        evidence = asyncio.run(go(server.url))
        assert [request.method for request in server.ledger.requests] == ["CONNECT"]
    assert (word(judge(evidence)), evidence.error) == ("unsent", "ProxyError")


@both
def test_the_environments_proxies_are_not_used(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer("ok") as proxy, FaultServer("ok") as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        [evidence] = post_all(kind, server.url, SMALL)
        assert proxy.ledger.connections == []
    assert judge(evidence).verdict is Verdict.ACCEPTED


def test_the_default_install_posts_through_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    posted = []
    handle = httpx.AsyncHTTPTransport.handle_async_request

    async def seen(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        posted.append((request.method, str(request.url)))
        return await handle(transport, request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", seen)
    with FaultServer("ok") as server:
        [evidence] = post_all("httpx", server.url, SMALL)
        assert posted == [("POST", f"{server.url}/campaigns/trigger/send")]
    assert judge(evidence).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_many_clients_share_one_tls_context(transport: str) -> None:
    first, second = (transports(transport)() for _ in range(2))
    assert vars(first)["_context"] is vars(second)["_context"]


def test_certificates_are_read_only_for_tls() -> None:
    """A server without TLS is on this machine. A bundle that is configured is read all the same, and may be refused."""
    made = transport_factory(HttpSettings(transport="httpx"), is_plain=True)()
    context: ssl.SSLContext = vars(made)["_context"]
    assert context.get_ca_certs() == []
    assert context.verify_mode is ssl.CERT_REQUIRED
    through_proxy = transport_factory(HttpSettings(proxy="https://127.0.0.1:9"), is_plain=True)()
    assert vars(through_proxy)["_context"].get_ca_certs()
    with pytest.raises(ConfigError, match="cannot be read as certificates"):
        transport_factory(HttpSettings(ca_bundle="missing.pem"), is_plain=True)


def test_a_connection_that_has_closed_behind_its_last_byte_is_closed_again_in_peace() -> None:
    """asyncio raises AttributeError when such a transport is aborted."""

    async def go() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            made, connection = await loop.create_connection(_Connection, *listener.getsockname())
            other, _ = listener.accept()
            with other:
                made.write(LARGE)
                made.close()
                while not connection._is_lost:
                    await asyncio.wait_for(loop.run_in_executor(None, other.recv, 1 << 20), 10)
            connection.close()

    asyncio.run(go())
