"""Whole runs against the fault server: its ledger is compared with the run's results, row by row.

In every test no row is lost or accepted twice. No row is reported as accepted that the server did not accept, or as
refused or not sent that it did.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import bulk_sender as bs
from bulk_sender.braze.answer import Verdict
from bulk_sender.delivery import breakers
from bulk_sender.delivery.attempt import Attempted
from bulk_sender.delivery.turns import Turns
from bulk_sender.pace.slot import Slot
from tests.faults import (
    FAULTS,
    Fault,
    FaultServer,
    Plan,
    Turn,
    always,
    by_body,
    every,
    http_answer,
    nth,
    poison,
    random_mix,
    refusing_port,
    sequence,
    success,
    unresolvable,
    until,
)
from tests.faults.script import script_of
from tests.kit.running import QUICK, Crowd, Run, compare, read_run, send
from tests.kit.target import KEY


def sent(
    folder: Path, plan: Plan, size: int = 200, *, tls: str | None = None, **delivery: object
) -> tuple[Run, FaultServer]:
    with FaultServer(plan, tls=tls) as server:
        run = send(folder, server.url, size, **delivery)
    compare(run, server.ledger, size)
    return run, server


# --- one fault in a run -----------------------------------------------------------------------------------------------

DEADLINE = 0.8
NEEDS_THE_DEADLINE = {
    *("stop_reading", "stall_mid_body", "hang_after_read", "stall_after_status_line", "half_body_hang"),
    *("drip_answer", "endless_100_continue", "answer_after_deadline"),
}
MIXED_UP = {"desync_429_201", "desync_201_201", "stray_201_while_idle"}
"""Unasked bytes on a connection: all that it answered is unknown, and the run stops."""
STAYS_IDLE = {"rate": "1/second", "concurrency": 1}
"""Leaves a connection without a request for long enough that what arrives meanwhile belongs to no request."""
LIES = {
    # on a kept connection the answer arrives after the request, so no client can detect the lie
    "early_response_before_request",
    # Braze documents that nothing was sent, so a sender that trusts this must send again
    *("accepted_json_500", "accepted_json_503", "accepted_error_503"),
}
STATUS_OF = {"accepted": {"accepted"}, "throttled": {"accepted"}, "unsent": {"accepted"}, "unknown": {"unknown"}}
STATUS_OF |= {"refused": {"accepted", "failed"}, "stop": {"not_sent", "unknown"}}


@pytest.mark.parametrize("transport", ["wire", "httpx"])
@pytest.mark.parametrize("name", [name for name in FAULTS if name not in LIES])
def test_one_fault_in_a_run_affects_only_its_batch(name: str, transport: str, tmp_path: Path) -> None:
    fault = FAULTS[name].using(delay=4.0) if name == "answer_after_deadline" else FAULTS[name]
    fault = fault.using(megabytes=2) if name == "gzip_bomb" else fault
    timeout = DEADLINE if name in NEEDS_THE_DEADLINE else 10.0
    pace = STAYS_IDLE if name == "stray_201_while_idle" else {"concurrency": 2}
    run, server = sent(tmp_path, nth(3, fault), transport=transport, timeout=timeout, **pace)
    struck = {seen.external_user_ids for seen in server.ledger.requests if seen.fault == fault.name}
    rows = {status for names in struck for status in (run.rows[each]["status"] for each in names)}
    allowed = set().union(*(STATUS_OF[word] for word in (fault.expect, *fault.also)))
    assert rows <= allowed, run.summary
    if name in MIXED_UP:
        assert (run.summary.state, run.summary.exit_code) == ("stopped", 3)
        assert "no request had asked for" in run.summary.reason
        assert run.summary.unknown >= 50
    elif fault.expect == "stop":
        assert (run.summary.state, run.summary.exit_code) == ("stopped", 3)
    elif fault.id != "F45":
        assert run.summary.state == "finished"
        assert run.summary.accepted >= 150


@pytest.mark.parametrize("name", ["json_503", "accepted_json_503", "json_500", "accepted_json_500"])
def test_a_documented_server_error_is_unknown_with_server_errors_hold(name: str, tmp_path: Path) -> None:
    run, server = sent(tmp_path, nth(3, name), server_errors="hold")
    assert (run.summary.unknown, run.summary.exit_code) == (50, 1)
    assert len(server.ledger.requests) == 4


@pytest.mark.parametrize("name", ["json_503", "json_500"])
def test_a_documented_server_error_is_retried(name: str, tmp_path: Path) -> None:
    run, server = sent(tmp_path, nth(3, name))
    assert (run.summary.accepted, run.summary.exit_code) == (200, 0)
    assert len(server.ledger.requests) == 5
    assert sorted(int(row["attempts"]) for row in run.rows.values()) == [1] * 150 + [2] * 50


def test_a_persistent_server_error_is_failed_after_all_attempts(tmp_path: Path) -> None:
    run, server = sent(tmp_path, "json_503", 100, attempts=3, concurrency=1)
    assert (run.summary.failed, run.summary.exit_code) == (100, 1)
    assert len(server.ledger.requests) == 6
    assert {row["http_status"] for row in run.rows.values()} == {"503"}


# --- many faults ------------------------------------------------------------------------------------------------------

NASTY = [
    *("rst_after_read", "fin_after_read", "half_body_fin", "rst_mid_body", "malformed_201", "html_502"),
    *("status_429", "json_503", "status_400", "desync_429_201", "accepted_html_504", "junk_status"),
]


@pytest.mark.parametrize("transport", ["httpx", "wire"])
@pytest.mark.parametrize("name", NASTY)
def test_a_repeated_fault(name: str, transport: str, tmp_path: Path) -> None:
    sent(tmp_path, every(4, name), 600, transport=transport)


WEIGHTS = dict.fromkeys(NASTY, 1.0) | {
    "ok": 30.0,
    "desync_201_201": 1.0,
    "keepalive_close_race": 1.0,
    "keepalive_close_race_unread": 1.0,
    "accepted_html_500": 1.0,
    "status_413": 1.0,
    "ok_closing": 2.0,
    "slow_link_201": 1.0,
    "damaged_201": 1.0,
    "damaged_429": 1.0,
    "no_dispatch_id_201": 1.0,
}


@pytest.mark.parametrize("number", range(12))
def test_a_random_mix_of_faults(number: int, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    transport, tls = ("httpx", "wire")[number % 2], (None, "good")[number // 2 % 2]
    sent(tmp_path, random_mix(seed, WEIGHTS), 1000, transport=transport, tls=tls, concurrency=6, breaker=8)


def test_a_run_resumed_through_many_faults_ends_with_results_that_match_the_ledger(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    with FaultServer(random_mix(seed, {**WEIGHTS, "ok": 6.0})) as server:
        run = send(tmp_path, server.url, 1500, run_id="storm", breaker=2)
        for _ in range(40):
            compare(run, server.ledger, 1500)
            if run.summary.state == "finished":
                break
            summary = bs.resume("storm", runs_dir=tmp_path / "runs", environment={"BRAZE_API_KEY": KEY}, waits=QUICK)
            run = read_run(run.folder, summary)
        compare(run, server.ledger, 1500)


# --- outages: the circuit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rst_after_read", "fin_after_read", "html_502", "empty_object_201", "malformed_201"])
def test_an_outage_leaves_few_batches_unknown(name: str, tmp_path: Path) -> None:
    run, server = sent(tmp_path, name, 3000, concurrency=4, breaker=5)
    assert (run.summary.state, run.summary.exit_code) == ("stopped", 3)
    assert 5 * 50 <= run.summary.unknown <= (4 + 5) * 50
    assert len(server.ledger.requests) * 50 == run.summary.unknown
    assert "in a row failed or got no answer" in (run.summary.reason or "")


def test_failures_with_occasional_successes_stop_the_run(tmp_path: Path) -> None:
    run, _ = sent(tmp_path, every(2, "rst_after_read"), 5000, concurrency=1)
    assert run.summary.state == "stopped"
    assert run.summary.unknown <= 30 * 50
    assert "of the last 40 requests" in (run.summary.reason or "")


def test_a_half_open_circuit_allows_one_request_at_a_time(tmp_path: Path) -> None:
    crowd = Crowd()
    run, _ = sent(tmp_path, crowd.watching(FAULTS["html_502"]), 3000, concurrency=6, breaker=12)
    assert run.summary.state == "stopped"
    assert max(crowd.seen[:6]) > 1
    assert set(crowd.seen[3 + 6 :]) == {1}, crowd.seen
    assert len(crowd.seen) == 12


def test_a_half_open_circuit_closes_after_a_success(tmp_path: Path) -> None:
    crowd = Crowd()
    plan = until(crowd.watching(FAULTS["json_503"]), count=12, then=crowd.watching(FAULTS["ok"]))
    run, _ = sent(tmp_path, plan, 2000, concurrency=6)
    assert (run.summary.accepted, run.summary.exit_code) == (2000, 0)
    assert max(crowd.seen[-20:]) > 1


def test_a_temporary_network_outage_loses_no_rows(tmp_path: Path) -> None:
    with FaultServer(FAULTS["slow_link_201"].using(latency=0.01, slice_size=1000)) as server:
        gone = threading.Event()

        def outage() -> None:
            server.ledger.wait(lambda ledger: len(ledger.accepted) >= 8, 60)
            server.go_dark()
            gone.set()
            time.sleep(0.1)
            server.listen()

        thread = threading.Thread(target=outage)
        thread.start()
        run = send(tmp_path, server.url, 2000, attempts=100, breaker=10)
        thread.join()
    compare(run, server.ledger, 2000)
    assert gone.is_set()
    assert run.summary.state == "finished"
    assert run.summary.unknown <= 4 * 50
    assert run.summary.failed == 0


# --- refusals that concern the whole run ------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["httpx", "wire"])
@pytest.mark.parametrize(
    "name", ["status_401", "status_403", "status_404", "campaign_400", "redirect_307", "redirect_308"]
)
def test_a_refused_key_or_campaign_stops_the_run_immediately(name: str, transport: str, tmp_path: Path) -> None:
    run, server = sent(tmp_path, name, 3000, concurrency=4, transport=transport)
    assert (run.summary.state, run.summary.exit_code, run.summary.not_sent) == ("stopped", 3, 3000)
    assert len(server.ledger.requests) <= 4
    assert run.summary.reason


def test_a_campaign_that_disappears_stops_the_run(tmp_path: Path) -> None:
    run, server = sent(tmp_path, until("ok", count=10, then="campaign_400"), 3000, concurrency=4)
    assert (run.summary.state, run.summary.accepted) == ("stopped", 500)
    assert len(server.ledger.requests) <= 14


def test_a_redirect_is_not_followed_and_the_key_not_forwarded(tmp_path: Path) -> None:
    for status in (301, 302, 303, 307, 308):
        with FaultServer("ok") as elsewhere:
            moved = FAULTS[f"redirect_{status}"].using(location=f"{elsewhere.url}/campaigns/trigger/send")
            run, server = sent(tmp_path, moved, 500, concurrency=2)
            assert elsewhere.ledger.connections == []
        assert run.summary.exit_code == 3
        assert len(server.ledger.requests) <= 2


@pytest.mark.parametrize("transport", ["httpx", "wire"])
def test_rows_are_not_sent_if_nothing_listens(transport: str, tmp_path: Path) -> None:
    with refusing_port() as url:
        run = send(tmp_path, url, 500, attempts=2, transport=transport)
    assert (run.summary.exit_code, run.summary.not_sent) == (3, 500)
    assert "cannot reach Braze" in (run.summary.reason or "")


def test_an_unknown_host_stops_the_run_immediately(tmp_path: Path) -> None:
    with unresolvable() as url:
        run = send(tmp_path, url.replace("http:", "https:"), 500)
    assert (run.summary.exit_code, run.summary.not_sent) == (3, 500)
    assert run.summary.requests <= 4
    assert "resolved" in (run.summary.reason or "")


@pytest.mark.parametrize("transport", ["httpx", "wire"])
@pytest.mark.parametrize("tls", ["expired", "self_signed", "unknown_authority", "wrong_host"])
def test_an_untrusted_certificate_stops_the_run_immediately(tls: str, transport: str, tmp_path: Path) -> None:
    run, server = sent(tmp_path, "ok", 500, tls=tls, transport=transport)
    assert (run.summary.exit_code, run.summary.not_sent) == (3, 500)
    assert server.ledger.requests == []
    assert len(server.ledger.connections) <= 4
    assert "certificate cannot be trusted" in (run.summary.reason or "")


def test_the_environments_proxies_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer("ok") as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for transport in ("httpx", "wire"):
            run, _ = sent(tmp_path, "ok", 100, transport=transport)
            assert run.summary.exit_code == 0
        assert proxy.ledger.connections == []


# --- one row spoils a batch, or a batch is too large ------------------------------------------------------------------


@pytest.mark.parametrize("row", [1, 17, 25, 26, 50])
def test_a_row_that_fails_its_batch_is_isolated(row: int, tmp_path: Path) -> None:
    spoilt = f"user-{row:05}"
    run, server = sent(tmp_path, poison(spoilt), 150, concurrency=1)
    assert run.of("failed") == {spoilt}
    assert (run.summary.accepted, run.summary.exit_code) == (149, 1)
    assert len(server.ledger.requests) <= 3 + 12
    assert run.rows[spoilt]["http_status"] == "400"
    assert run.rows[spoilt]["error"]


def test_several_rows_that_fail_their_batches_are_isolated(tmp_path: Path) -> None:
    spoilt = {"user-00003", "user-00004", "user-00049", "user-00120"}
    run, _ = sent(tmp_path, poison(*spoilt), 300)
    assert run.of("failed") == spoilt
    assert run.summary.accepted == 296


def test_a_request_whose_parts_are_all_refused_alike_stops_the_run(tmp_path: Path) -> None:
    run, server = sent(tmp_path, "status_400", 3000, concurrency=2)
    assert (run.summary.state, run.summary.accepted) == ("stopped", 0)
    assert len(server.ledger.requests) <= 2 * 40


@pytest.mark.parametrize("most", [1, 12, 30])
def test_a_batch_that_is_too_large_is_halved_until_it_fits(most: int, tmp_path: Path) -> None:
    plan = by_body(lambda body: len(body["recipients"]) > most, "status_413")
    run, server = sent(tmp_path, plan, 60, concurrency=2, breaker=100)
    assert (run.summary.accepted, run.summary.exit_code) == (60, 0)
    assert max(entry.recipients for entry in server.ledger.accepted) <= most


def test_a_single_row_that_is_too_large_is_failed(tmp_path: Path) -> None:
    run, _ = sent(tmp_path, poison("user-00007", fault="status_413"), 100)
    assert run.of("failed") == {"user-00007"}


# --- 429 --------------------------------------------------------------------------------------------------------------

THROTTLED = [name for name, fault in FAULTS.items() if fault.expect == "throttled" and not name.startswith("damaged")]


@pytest.mark.parametrize("name", THROTTLED)
def test_a_429_of_any_kind_does_not_count_as_an_attempt(name: str, tmp_path: Path) -> None:
    run, server = sent(tmp_path, sequence(name, "ok", name), 200, attempts=1)
    assert (run.summary.accepted, run.summary.exit_code) == (200, 0)
    assert 5 <= len(server.ledger.requests) <= 6


def test_a_429_pauses_all_workers_once(tmp_path: Path) -> None:
    at: list[float] = []
    wave = threading.Barrier(4)  # all four are in flight before the first is answered

    def refuse(turn: Turn) -> None:
        turn.read_whole()
        at.append(time.monotonic())
        with suppress(threading.BrokenBarrierError):
            wave.wait(5)
        turn.answer(http_answer(429, {"message": "Rate limit exceeded"}, {"Retry-After": "1"}))

    def take(turn: Turn) -> None:
        at.append(time.monotonic())
        turn.answer(http_answer(201, success(turn.accept())))

    throttle = Fault("throttle", "F40", "answer", False, "throttled", refuse)
    timed = Fault("timed", "F29", "answer", True, "accepted", take)
    run, _ = sent(tmp_path, until(throttle, count=4, then=timed), 1000, attempts=1, concurrency=4)
    assert run.summary.exit_code == 0
    gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert sum(gap > 0.5 for gap in gaps) == 1, "one pause for the whole wave"
    assert 0.9 < max(gaps) < 2.5


def test_the_retry_budget_limits_retries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breakers, "FEWEST_RETRIES", 20)
    run, server = sent(tmp_path, "json_503", 300, attempts=100, retry_budget=0.0, concurrency=3)
    assert (run.summary.state, run.summary.not_sent) == ("stopped", 300)
    assert 20 <= len(server.ledger.requests) <= 25
    assert "had to be repeated" in (run.summary.reason or "")


# --- one dispatch_id for two batches ----------------------------------------------------------------------------------


def test_a_repeated_dispatch_id_makes_both_batches_unknown_and_stops_the_run(tmp_path: Path) -> None:
    run, server = sent(
        tmp_path, sequence("ok", "repeated_dispatch_id", "ok", "repeated_dispatch_id"), 500, concurrency=1
    )
    assert (run.summary.state, run.summary.exit_code) == ("stopped", 3)
    assert (run.summary.accepted, run.summary.unknown, run.summary.not_sent) == (100, 100, 300)
    assert len(server.ledger.requests) == 4
    doubtful = {
        name for entry in server.ledger.accepted if entry.dispatch_id == "d" * 32 for name in entry.external_user_ids
    }
    assert run.of("unknown") == doubtful
    assert "one dispatch_id for two batches" in (run.summary.reason or "")
    told = bs.explain(run.summary.run_id, 51, runs_dir=tmp_path / "runs")
    assert "bulk-sender" in str(told), "who made it unknown, and why"
    count, summary = bs.resolve(run.summary.run_id, verdict="accepted", runs_dir=tmp_path / "runs")
    assert (count, summary.accepted, summary.unknown) == (100, 200, 0), "unknown is not a verdict: the operator decides"


def test_a_dispatch_id_is_remembered_across_a_resume(tmp_path: Path) -> None:
    with FaultServer(sequence("repeated_dispatch_id", "status_401", "ok", "repeated_dispatch_id")) as server:
        run = send(tmp_path, server.url, 300, run_id="again", concurrency=1)
        assert run.summary.accepted == 50
        summary = bs.resume("again", runs_dir=tmp_path / "runs", environment={"BRAZE_API_KEY": KEY}, waits=QUICK)
        run = read_run(run.folder, summary)
    compare(run, server.ledger, 300)
    assert (summary.state, summary.accepted, summary.unknown, summary.not_sent) == ("stopped", 50, 100, 150)


# --- the key ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["httpx", "wire"])
def test_the_key_appears_in_no_file_and_on_no_stream(
    transport: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    escaped = "".join(f"\\u{ord(character):04x}" for character in KEY)

    def quote(turn: Turn) -> None:
        turn.read_whole()
        said = f'{{"message": "no such key: {KEY} {escaped}", "errors": ["{KEY}"]}}'
        turn.answer(http_answer(400, said.encode()))

    def praise(turn: Turn) -> None:
        turn.answer(http_answer(201, success(turn.accept(), errors=[{"key": KEY}, f"Bearer {KEY}"])))

    quoting = Fault("quoting", "F36", "answer", False, "refused", quote)
    praising = Fault("praising", "F30", "answer", True, "accepted", praise)
    for plan in (sequence(quoting, praising, "rst_after_read", "junk_status"), always("status_401"), quoting):
        sent(tmp_path, plan, 200, transport=transport)
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes(), file
    streams = capfd.readouterr()
    assert KEY not in streams.out + streams.err + caplog.text
    journals = list(tmp_path.rglob("journal.sqlite"))
    assert len(journals) == 3
    assert any(b"***" in file.read_bytes() for file in tmp_path.rglob("results.csv"))


def test_a_paced_run_has_few_requests_in_flight_when_the_server_stops_answering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers waiting for the rate limit are not in flight, so the limit and the number of unknown rows stay low.

    On a busy machine answers are read late, so more are in flight and allowed. Silence adds two at most: the last
    requests to be answered may have overtaken others.
    """
    allowed = [6]
    adjust = Turns.adjust

    def noted(turns: Turns, ended: Attempted, slot: Slot) -> None:
        adjust(turns, ended, slot)
        if ended.outcome.verdict is Verdict.ACCEPTED:
            allowed.append(turns.at_once + 2)

    monkeypatch.setattr(Turns, "adjust", noted)
    silent = until("ok", count=150, then=FAULTS["hang_after_read"])
    with FaultServer(silent) as server:
        run = send(tmp_path, server.url, 50 * 250, rate="100/second", concurrency=32, timeout=1.0)
        compare(run, server.ledger, 50 * 250)
    assert run.statuses["accepted"] == 50 * 150
    assert max(allowed) < 32, "the limit followed what was in flight"
    assert run.statuses["unknown"] <= 50 * max(6, allowed[-1])


# --- a connection that mixes answers up (F24) -------------------------------------------------------------------------


def honest_but(late_s: float) -> Fault:
    """Refuse each batch once, then take it, and put one stray 201 behind each connection's first answer."""
    refused: set[bytes] = set()

    def play(turn: Turn) -> None:
        if turn.body in refused:
            turn.answer(http_answer(201, success(turn.accept())))
        else:
            refused.add(turn.body)
            turn.answer(http_answer(503, {"message": "Service unavailable"}))
        if turn.nth == 1:
            turn.wire.hang(late_s)
            turn.send(http_answer(201, success(f"{turn.index:032x}")))

    return Fault("honest_but", "F24", "answer", False, "unknown", play)


@pytest.mark.parametrize("transport", ["wire", "httpx"])
@pytest.mark.parametrize("late_s", [0.0, 0.0005, 0.002, 0.005, 0.02])
def test_a_late_stray_answer_puts_its_connection_in_doubt_and_stops_the_run(
    late_s: float, transport: str, tmp_path: Path
) -> None:
    with FaultServer(always(honest_but(late_s))) as server:
        run = send(tmp_path, server.url, 3000, transport=transport, concurrency=4)
    compare(run, server.ledger, 3000)
    assert (run.summary.state, run.summary.exit_code) == ("stopped", 3)
    assert "no request had asked for" in run.summary.reason
    doubted = [row["error"] for row in run.rows.values() if row["status"] == "unknown"]
    assert any("no request had asked for" in error for error in doubted)


@pytest.mark.parametrize("transport", ["wire", "httpx"])
def test_a_batch_refused_by_a_stray_400_is_not_sent_again_by_a_resume(transport: str, tmp_path: Path) -> None:
    """The server takes the batch. It was to be split, but its halves never left: the whole is in doubt."""

    def play(turn: Turn) -> None:
        turn.read_whole()
        turn.wire.hang(0.1)
        turn.answer(http_answer(201, success(turn.accept())))
        if turn.nth == 1:
            turn.wire.hang(0.05)
            turn.send(http_answer(400, {"message": "recipients are wrong"}))

    with FaultServer(always(Fault("stray_400", "F24", "answer", True, "accepted", play))) as server:
        run = send(tmp_path, server.url, 150, run_id="again", transport=transport, concurrency=1)
        compare(run, server.ledger, 150)
        assert (run.summary.state, run.summary.unknown, run.summary.not_sent) == ("stopped", 100, 50)
        server.script = script_of("ok")
        summary = bs.resume("again", runs_dir=tmp_path / "runs", environment={"BRAZE_API_KEY": KEY}, waits=QUICK)
        run = read_run(run.folder, summary)
    compare(run, server.ledger, 150)
    assert (summary.accepted, summary.unknown) == (50, 100)


@pytest.mark.parametrize("transport", ["wire", "httpx"])
def test_without_keepalive_a_late_stray_answer_does_no_harm(transport: str, tmp_path: Path) -> None:
    with FaultServer(always(honest_but(0.002))) as server:
        run = send(tmp_path, server.url, 1000, transport=transport, concurrency=4, keepalive=False)
    compare(run, server.ledger, 1000)
    assert (run.summary.accepted, run.summary.exit_code) == (1000, 0)
    assert len(server.ledger.connections) == len(server.ledger.requests)


def test_a_connection_is_replaced_before_it_carries_too_much(tmp_path: Path) -> None:
    run, server = sent(tmp_path, "ok", 50 * 250, concurrency=1)
    assert run.summary.accepted == 50 * 250
    assert len(server.ledger.connections) == 3
