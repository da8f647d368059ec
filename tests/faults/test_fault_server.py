"""Tests of the fault server: the ledger is correct, scripts are exact, and nothing hangs."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.faults import (
    FAULTS,
    Fault,
    FaultServer,
    Ledger,
    Script,
    Turn,
    always,
    by_body,
    by_head,
    every,
    first_with,
    http_answer,
    nth,
    nth_on_connection,
    poison,
    random_mix,
    read_ledger,
    sequence,
    until,
)
from tests.faults.probe import SMALL, Evidence, post, post_once, transport

PATIENCE = 0.25


def batch(*names: str) -> bytes:
    return json.dumps({"recipients": [{"external_user_id": name} for name in names]}).encode()


SLOW = {"stop_reading", "stall_mid_body", "hang_after_read", "stall_after_status_line", "half_body_hang"}
DRIPPING = {"drip_answer", "endless_100_continue"}
QUICKER: dict[str, dict[str, float]] = {
    "answer_after_deadline": {"delay": 10 * PATIENCE},
    "gzip_bomb": {"megabytes": 2},
}


def quick(fault: Fault) -> tuple[Fault, float, float]:
    """Return the fault, a time-out per step and a total one; they are short only for faults that never end."""
    if fault.name in QUICKER:
        quicker = fault.using(**QUICKER[fault.name])
        return quicker, PATIENCE if "delay" in QUICKER[fault.name] else 5, 5
    if fault.name in SLOW:
        return fault, PATIENCE, 5
    return fault, 5, 2 * PATIENCE if fault.name in DRIPPING else 10


# --- the catalogue -------------------------------------------------------------------------------


def judged(seen: Evidence) -> str:
    """Return a careful client's verdict on the evidence: a short, independent version of the policy."""
    if seen.raised:
        return "unknown" if seen.headers_started else "unsent"
    status = seen.status or 0
    try:
        content = json.loads(seen.content)
    except (ValueError, RecursionError):
        content = None
    message = content.get("message") or content.get("error") if isinstance(content, dict) else None
    if len(seen.content) > 1 << 20:
        return "unknown"
    if (status in (200, 201) and message == "success") or (status == 202 and message == "queued"):
        return "accepted"
    if status in (401, 403, 404, 415, 307, 308) or message == "Invalid Campaign ID":
        return "stop"
    if status == 429:
        return "throttled"
    if status in (500, 503) and isinstance(message, str):
        return "refused"
    return "refused" if 400 <= status < 500 and status != 408 else "unknown"


@pytest.mark.parametrize(
    ("fault", "tls"),
    [
        pytest.param(fault, tls, id=f"{name}-{tls or 'plain'}")
        for name, fault in FAULTS.items()
        for tls in (None, "good")
        # those that last go over plain TCP only: waiting is the same, and the suite has to stay short
        if tls is None or name not in SLOW | DRIPPING
    ],
)
def test_each_fault_accepts_and_looks_as_declared(fault: Fault, tls: str | None, tmp_path: Path) -> None:
    file = tmp_path / "ledger.ndjson"
    played, patience, deadline = quick(fault)
    with FaultServer(played, tls=tls, ledger_file=file) as server:
        client = server.client_context() if tls else None
        seen = post_once(server.url, tls=client, patience=patience, deadline=deadline)
        server.ledger.wait(lambda ledger: bool(ledger.accepted), 2 * fault.accepts)
    assert fault.allows(judged(seen)), seen
    assert len(server.ledger.requests) == 1
    assert [entry.external_user_ids for entry in server.ledger.accepted] == [("user-1",)] * fault.accepts
    assert read_ledger(file) == server.ledger.accepted


def test_every_catalogue_row_that_concerns_a_request_has_a_fault() -> None:
    elsewhere = {
        *("F01", "F02", "F03", "F04", "F05", "F06"),  # addresses, TLS modes, the client's own pool
        *("F11", "F25", "F27"),  # a larger body, a TLS mode, go_dark()
        *("F39", "F49"),  # a larger body, any fault for ever
    }
    wanted = {f"F{number:02}" for number in range(1, 51)}
    assert wanted - elsewhere <= {fault.id for fault in FAULTS.values()}


def test_twins_send_the_same_answer_but_only_one_accepts() -> None:
    for name in [name for name in FAULTS if name.startswith("accepted_")]:
        twin = FAULTS[name.removeprefix("accepted_")]
        assert FAULTS[name].accepts is not twin.accepts
        assert FAULTS[name].expect == twin.expect


# --- the ledger ----------------------------------------------------------------------------------


def raw_post(server: FaultServer, body: bytes = SMALL) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    client.sendall(b"POST /campaigns/trigger/send HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return client


def test_the_line_is_on_disk_before_the_first_byte_of_the_answer(tmp_path: Path) -> None:
    file = tmp_path / "ledger.ndjson"
    written: list[int] = []

    def watched(turn: Turn) -> None:
        send = turn.wire.send

        def spying(data: bytes) -> None:
            written.append(len(read_ledger(file)))
            send(data)

        turn.wire.send = spying  # type: ignore[method-assign]
        FAULTS["ok"].play(turn)

    with FaultServer(Fault("watched", "", "answer", True, "accepted", watched), ledger_file=file) as server:
        assert post_once(server.url).status == 201
    assert written == [1]


def test_a_line_contains_what_was_accepted(tmp_path: Path) -> None:
    file = tmp_path / "ledger.ndjson"
    with FaultServer(every(9, "status_429"), ledger_file=file, fsync=True) as server:
        seen = post_once(server.url, batch("a", "b", "a"))
    [entry] = read_ledger(file)
    assert entry.external_user_ids == ("a", "b", "a")
    assert entry.recipients == 3
    assert entry.dispatch_id == json.loads(seen.content)["dispatch_id"]
    assert (entry.script, entry.fault) == ("every(9, status_429)", "ok")
    assert (entry.connection, entry.request, entry.target) == (1, 1, "/campaigns/trigger/send")
    assert [entry.body_sha256] == server.ledger.bodies
    assert server.ledger.accepted_ids() == {"a": 2, "b": 1}


def test_the_ledger_survives_a_killed_server_and_skips_an_incomplete_line(tmp_path: Path) -> None:
    file = tmp_path / "ledger.ndjson"
    program = (
        "import sys, time; from pathlib import Path; from tests.faults import FaultServer\n"
        "with FaultServer('hang_after_read', ledger_file=Path(sys.argv[1])) as server:\n"
        "    print(server.port, flush=True); time.sleep(20)"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
            assert post_once(url, batch("a"), patience=PATIENCE).raised == "ReadTimeout"
        finally:
            process.kill()
    with file.open("a") as torn:
        torn.write('{"time": 1, "conn')
    assert [entry.external_user_ids for entry in read_ledger(file)] == [("a",)]


def test_an_incomplete_request_cannot_be_accepted() -> None:
    ledger = Ledger()
    ledger.saw(1, 1, 1, received=3)
    with pytest.raises(AssertionError):
        ledger.accept(1, b"abc", "id", "ok")
    ledger.read_whole(1, 1, 1, b"abc")
    ledger.accept(1, b"abc", "id", "ok")
    with pytest.raises(AssertionError):
        ledger.accept(1, b"abc", "id", "ok")


def test_a_client_that_disconnects_within_its_body_is_recorded_and_not_accepted() -> None:
    with FaultServer("ok") as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf")
        client.close()
        assert server.ledger.wait(lambda ledger: any(c.closed for c in ledger.connections), 30)
    [seen] = server.ledger.requests
    assert (seen.complete, seen.accepted, server.ledger.bodies) == (False, False, [])


def test_a_stalled_body_is_read_to_the_exact_byte() -> None:
    with FaultServer(FAULTS["stall_mid_body"].using(size=123)) as server, raw_post(server):
        assert server.ledger.wait(lambda ledger: any(seen.received for seen in ledger.requests), 30)
        assert server.ledger.wait(lambda ledger: ledger.requests[0].received >= 123, 30)
        assert server.ledger.requests[0].received == 123


# --- scripts -------------------------------------------------------------------------------------


def plays(script: Script, count: int) -> list[str]:
    turns = [cast(Turn, SimpleNamespace(index=index, nth=index)) for index in range(1, count + 1)]
    return [script(turn).name for turn in turns]


def test_scripts_count_from_one() -> None:
    assert plays(always("ok_200"), 2) == ["ok_200", "ok_200"]
    assert plays(nth(2, "json_503"), 3) == ["ok", "json_503", "ok"]
    assert plays(nth_on_connection(2, "json_503"), 3) == ["ok", "json_503", "ok"]
    assert plays(every(2, "json_503", otherwise="ok_200"), 4) == ["ok_200", "json_503"] * 2
    assert plays(sequence("json_503", "status_429", then="ok_200"), 4) == [
        *("json_503", "status_429"),
        *("ok_200", "ok_200"),
    ]


def test_scripts_nest() -> None:
    script = sequence("json_503", then=every(2, FAULTS["status_429"]))
    assert plays(script, 4) == ["json_503", "status_429", "ok", "status_429"]
    assert script.name == "sequence(json_503)"


def test_until_ends_at_a_count_an_event_or_a_time() -> None:
    assert plays(until("json_503", count=2), 3) == ["json_503", "json_503", "ok"]
    over = threading.Event()
    script = until("json_503", event=over)
    assert plays(script, 1) == ["json_503"]
    over.set()
    assert plays(script, 1) == ["ok"]
    assert plays(until("json_503", seconds=60), 1) == ["json_503"]
    assert plays(until("json_503", seconds=0), 1) == ["ok"]
    with pytest.raises(ValueError, match="until what"):
        until("json_503")


def test_a_random_mix_depends_on_seed_and_number_alone() -> None:
    weights = {"ok": 3, "json_503": 1, "status_429": 0}
    drawn = plays(random_mix(7, weights), 200)
    assert drawn == plays(random_mix(7, weights), 200)
    assert drawn != plays(random_mix(8, weights), 200)
    assert 20 < drawn.count("json_503") < 90
    assert "status_429" not in drawn


def test_an_unknown_fault_is_refused_when_the_script_is_made() -> None:
    with pytest.raises(KeyError, match="no fault named"):
        nth(1, "no_such_fault")


def test_a_poison_row_fails_only_the_batches_that_contain_it() -> None:
    with FaultServer(poison("bad")) as server:
        statuses = [post_once(server.url, batch(*names)).status for names in [("a", "bad"), ("a",), ("bad",)]]
    assert statuses == [400, 201, 400]
    assert server.ledger.accepted_ids() == {"a": 1}


def test_only_the_first_request_with_a_recipient_gets_the_fault() -> None:
    with FaultServer(first_with("bad", "status_400", then="json_503")) as server:
        statuses = [post_once(server.url, batch(*names)).status for names in [("a",), ("a", "bad"), ("bad",)]]
    assert statuses == [503, 400, 503]


def test_a_script_may_look_at_head_and_body() -> None:
    script = by_head(
        lambda head: head.headers.get("x-try") == "1",
        "json_503",
        otherwise=by_body(lambda body: body is None, "status_400"),
    )
    with FaultServer(script) as server:
        assert post_once(server.url, headers={"X-Try": "1"}).status == 503
        assert post_once(server.url, b"not JSON").status == 400
        assert post_once(server.url).status == 201


def test_a_connection_without_a_request_uses_up_no_number() -> None:
    with FaultServer(nth(1, "status_422")) as server:
        socket.create_connection(("127.0.0.1", server.port)).close()
        assert server.ledger.wait(lambda ledger: any(c.closed for c in ledger.connections), 30)
        assert post_once(server.url).status == 422
    assert [seen.index for seen in server.ledger.requests] == [1]


def test_numbers_stay_exact_under_many_connections() -> None:
    async def all_at_once(url: str) -> list[Evidence]:
        async with transport() as over:
            return await asyncio.gather(*(post(over, url, batch(f"u{n}"), patience=5) for n in range(60)))

    with FaultServer(every(3, "status_422")) as server:
        seen = asyncio.run(all_at_once(server.url))
    assert sorted(one.status or 0 for one in seen) == [201] * 40 + [422] * 20
    assert [one.index for one in server.ledger.requests] == list(range(1, 61))
    assert set(server.ledger.accepted_ids().values()) == {1}


# --- the server itself ---------------------------------------------------------------------------


def test_an_answer_keeps_the_connection_unless_a_side_closes_it() -> None:
    async def three(url: str, headers: dict[str, str]) -> None:
        async with transport() as over:
            for _ in range(3):
                assert (await post(over, url, headers=headers)).status == 201

    for script, headers, connections in [
        ("ok", {}, 1),
        ("ok_chunked", {}, 1),
        ("ok_closing", {}, 3),
        ("ok", {"Connection": "close"}, 3),
    ]:
        with FaultServer(script) as server:
            asyncio.run(three(server.url, headers))
        assert len(server.ledger.connections) == connections


def test_going_dark_resets_open_connections_and_refuses_new_ones() -> None:
    with FaultServer("ok") as server:
        with raw_post(server) as client:
            assert client.recv(1) == b"H"
            server.go_dark()
            with pytest.raises(ConnectionResetError):
                while client.recv(65536):
                    pass
        assert post_once(server.url).raised == "ConnectError"
        server.listen()
        assert post_once(server.url).status == 201


@pytest.mark.parametrize("tls", [None, "good", "silent_handshake"])
@pytest.mark.parametrize("fault", ["hang_after_read", "stop_reading", "ok"])
def test_closing_ends_every_wait_immediately(fault: str, tls: str | None) -> None:
    with FaultServer(fault, tls=tls, patience=60) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        assert server.ledger.wait(lambda ledger: bool(ledger.connections), 30)
        began = time.monotonic()
    assert time.monotonic() - began < 20
    client.close()


def test_closing_ends_an_answer_that_no_client_reads() -> None:
    with FaultServer(FAULTS["huge_201"].using(size=30_000_000), patience=60) as server:
        client = raw_post(server)
        assert server.ledger.wait(lambda ledger: bool(ledger.accepted), 30)
        began = time.monotonic()
    assert time.monotonic() - began < 20
    client.close()


def test_a_bug_in_a_fault_fails_the_test_that_used_it() -> None:
    def broken(turn: Turn) -> None:
        raise ZeroDivisionError

    with (
        pytest.raises(ExceptionGroup, match="broke down") as caught,
        FaultServer(Fault("broken", "", "answer", False, "unknown", broken)) as server,
    ):
        post_once(server.url)
    assert caught.group_contains(ZeroDivisionError)


@pytest.mark.parametrize("status", [307, 308, 302])
def test_a_redirect_points_where_the_test_wants(status: int) -> None:
    with FaultServer("ok") as elsewhere:
        fault = FAULTS[f"redirect_{status}"].using(location=elsewhere.url)
        with FaultServer(fault) as server:
            assert post_once(server.url).status == status
        assert elsewhere.ledger.connections == []


def test_a_server_that_speaks_only_h2_refuses_http_1_and_detects_clients_that_agree() -> None:
    with FaultServer("ok", tls="h2_only") as server:
        assert post_once(server.url, tls=server.client_context()).raised == "ConnectError"
        context = server.client_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
        ):
            assert client.selected_alpn_protocol() == "h2"
        assert server.ledger.wait(lambda ledger: all(c.closed for c in ledger.connections), 30)
    assert [connection.alpn for connection in server.ledger.connections] == [None, "h2"]


def test_a_refused_key_is_quoted_in_the_answer() -> None:
    with FaultServer("status_401") as server:
        seen = post_once(server.url, headers={"Authorization": "Bearer not-a-real-key"})
    assert b"not-a-real-key" in seen.content


def test_a_smaller_receive_buffer_makes_smaller_requests_get_stuck() -> None:
    with FaultServer("stop_reading", receive_buffer=4096) as server:
        seen = post_once(server.url, b"x" * 6_000_000, patience=PATIENCE)
    assert (seen.raised, seen.body_complete) == ("WriteTimeout", False)


def test_answers_are_well_formed() -> None:
    answer = http_answer(201, {"message": "success"}, {"X-One": "1"})
    head, _, body = answer.partition(b"\r\n\r\n")
    fields: dict[str, Any] = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert int(fields["Content-Length"]) == len(body)
    assert fields["X-One"] == "1"
    assert {"Date", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= set(fields)
