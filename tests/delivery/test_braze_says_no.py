"""Braze's own ways of saying that nothing was sent: each stops the run early, and no row is called accepted."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.delivery.breakers import Unreached
from bulk_sender.http.bounds import CONNECT_TIMEOUT_S
from bulk_sender.http.evidence import Reach
from bulk_sender.pace.backoff import WAITS, Waits
from tests.faults import Fault, FaultServer, Plan, Turn, by_body, http_answer, refusing_port, success, until
from tests.kit.row_errors import named, telling
from tests.kit.running import Run, compare, ids, read_run, send
from tests.kit.target import KEY

PAUSED = "The Canvas is paused. Resume the Canvas to ensure trigger requests will take effect."


def answering(status: int, body: Callable[[str], dict[str, Any]] | dict[str, Any]) -> Fault:
    """A server that refuses each request with this answer, and takes nothing."""

    def play(turn: Turn) -> None:
        turn.read_whole()
        turn.answer(http_answer(status, body("d" * 32) if callable(body) else body))

    return Fault(f"answers {status}", "F36", "answer", False, "refused", play)


def sent(folder: Path, plan: Plan, size: int, **delivery: Any) -> tuple[Run, FaultServer]:
    with FaultServer(plan) as server:
        run = send(folder, server.url, size, **delivery)
    compare(run, server.ledger, size)
    return run, server


NOTICES = {
    "as documented": lambda dispatch: {"dispatch_id": dispatch, "message": "success", "notice": PAUSED},
    "with errors": lambda dispatch: {**success(dispatch), "notice": PAUSED, "errors": ["minor"]},
    "without an id": lambda _: {"message": "success", "notice": PAUSED},
}


@pytest.mark.parametrize("transport", ["httpx", "wire"])
@pytest.mark.parametrize("name", NOTICES)
def test_a_paused_campaign_stops_the_run_after_the_requests_in_flight(
    name: str, transport: str, tmp_path: Path
) -> None:
    run, server = sent(tmp_path, answering(201, NOTICES[name]), 5000, concurrency=4, transport=transport)
    assert (run.summary.state, run.summary.exit_code, run.summary.accepted) == ("stopped", 3, 0)
    assert len(server.ledger.requests) <= 4
    assert run.summary.failed == 50 * len(server.ledger.requests)
    assert PAUSED in (run.summary.reason or "")
    failed = [row for row in run.rows.values() if row["status"] == "failed"]
    assert {row["error_code"] for row in failed} == {"not_live"}


def test_a_run_of_one_request_to_a_paused_campaign_is_stopped_too(tmp_path: Path) -> None:
    run, server = sent(tmp_path, answering(201, NOTICES["as documented"]), 30)
    assert (run.summary.state, run.summary.exit_code, run.summary.failed) == ("stopped", 3, 30)
    assert PAUSED in (run.summary.reason or "")
    assert len(server.ledger.requests) == 1


def test_once_the_campaign_is_live_a_retry_sends_exactly_the_rows_that_it_kept_back(tmp_path: Path) -> None:
    with FaultServer(until(answering(201, NOTICES["as documented"]), count=1, then="ok")) as server:
        run = send(tmp_path, server.url, 150, run_id="paused", concurrency=1)
        assert (run.summary.failed, run.summary.not_sent, run.summary.exit_code) == (50, 100, 3)
        again = bs.retry("paused", failed=True, runs_dir=tmp_path / "runs", environment={"BRAZE_API_KEY": KEY})
        compare(read_run(run.folder, again), server.ledger, 150)
    assert (again.accepted, again.failed, again.exit_code) == (150, 0, 0)
    assert sorted(server.ledger.accepted_ids()) == ids(150)


def test_a_text_that_mentions_the_campaign_concerns_its_row_only(tmp_path: Path) -> None:
    text = {"message": "recipients[3].trigger_properties.campaign must be a string"}
    odd = by_body(
        lambda body: any(one["external_user_id"] == "user-00003" for one in body["recipients"]), answering(400, text)
    )
    run, _ = sent(tmp_path, odd, 250, concurrency=2)
    assert (run.summary.state, run.summary.accepted, run.summary.failed) == ("finished", 249, 1)
    assert run.rows["user-00003"]["error"] == text["message"]


@pytest.mark.parametrize("transport", ["httpx", "wire"])
def test_a_request_that_braze_refuses_whatever_is_in_it_costs_a_handful_of_requests(
    transport: str, tmp_path: Path
) -> None:
    text = {"error": "message body does not match declared format"}
    run, server = sent(tmp_path, answering(400, text), 20_000, concurrency=8, transport=transport)
    assert (run.summary.state, run.summary.exit_code) == ("stopped", 3)
    assert len(server.ledger.requests) <= 8 + 8
    assert run.summary.failed <= 1
    assert text["error"] in (run.summary.reason or "")


@pytest.mark.parametrize("transport", ["httpx", "wire"])
def test_a_refused_content_type_stops_the_run_at_once(transport: str, tmp_path: Path) -> None:
    plan = answering(415, {"message": "Unsupported Media Type"})
    run, server = sent(tmp_path, plan, 1000, concurrency=4, transport=transport)
    assert (run.summary.state, run.summary.exit_code, run.summary.not_sent) == ("stopped", 3, 1000)
    assert len(server.ledger.requests) <= 4


def test_a_run_whose_first_connection_never_works_ends(tmp_path: Path) -> None:
    quick = Waits(backoff_base_s=0.05, backoff_cap_s=0.2, unreached_s=0.5)
    with refusing_port() as url:
        run = send(tmp_path, url, 500, waits=quick, attempts=100, breaker=1000)
    assert (run.summary.state, run.summary.exit_code, run.summary.not_sent) == ("stopped", 3, 500)
    assert "cannot connect to Braze (no connection (ConnectError))" in (run.summary.reason or "")


def test_two_minutes_are_enough_to_give_up_a_first_connection() -> None:
    """The pauses and a connection's own time-out never add up to more."""
    clock = itertools.accumulate(itertools.repeat(WAITS.unreached_cap_s + CONNECT_TIMEOUT_S))
    elapsed = 0.0

    def now() -> float:
        nonlocal elapsed
        elapsed = next(clock)
        return elapsed

    breaker = Unreached(WAITS.unreached_s, clock=now)
    outcome = Outcome(Verdict.UNSENT, message="no connection")
    first = elapsed
    while not breaker.record(outcome):
        pass
    assert elapsed - first <= 120


def test_a_connection_that_has_worked_once_is_waited_for() -> None:
    breaker = Unreached(0.0)
    assert breaker.record(Outcome(Verdict.UNKNOWN, reach=Reach.BODY_SENT)) == ""
    assert breaker.record(Outcome(Verdict.UNSENT, message="no connection")) == ""


def test_a_row_that_braze_names_with_an_error_is_unknown_and_no_other_row(tmp_path: Path) -> None:
    with FaultServer(until(telling(named(16)), count=1, then="ok")) as server:
        run = send(tmp_path, server.url, 150, run_id="r", concurrency=1)
        compare(run, server.ledger, 150)
        assert (run.summary.accepted, run.summary.unknown, run.summary.requests) == (149, 1, 3)
        assert (run.summary.exit_code, run.summary.accepted_with_errors) == (1, 0)
        row = run.rows["user-00017"]
        assert (row["status"], row["error_code"], row["attempts"]) == ("unknown", "recipient_error", "1")
        assert row["error"] == "locale is not valid; likely not accepted"
        assert row["dispatch_id"] == run.rows["user-00001"]["dispatch_id"] != ""
        others = [one for name, one in run.rows.items() if name != "user-00017"]
        assert {(one["status"], one["error"], one["http_status"], one["attempts"]) for one in others} == {
            ("accepted", "", "201", "1")
        }
        [whole, part] = bs.explain("r", 17, runs_dir=tmp_path / "runs")["batches"]
        assert (whole["size"], part["size"], part["parent"]) == (50, 1, whole["id"])
        assert part["attempts"][0]["body_sha256"] == ""
        requests = len(server.ledger.requests)
        again = bs.retry("r", unknown=True, runs_dir=tmp_path / "runs", environment={"BRAZE_API_KEY": KEY})
        assert [one.external_user_ids for one in server.ledger.requests[requests:]] == [("user-00017",)]
    assert (again.accepted, again.unknown, again.requests) == (150, 0, 4)
    assert read_run(run.folder, again).rows["user-00017"]["attempts"] == "2"


@pytest.mark.parametrize(
    "error",
    ["minor", named(50), named(-1), named(True), named("3"), named(3, array="attachments"), {"type": "minor"}, 7],
    ids=str,
)
def test_an_error_that_names_no_row_is_counted_and_its_rows_stay_accepted(error: Any, tmp_path: Path) -> None:
    with FaultServer(until(telling(error), count=1, then="ok")) as server:
        run = send(tmp_path, server.url, 120, concurrency=1)
    assert (run.summary.accepted, run.summary.exit_code, run.summary.accepted_with_errors) == (120, 0, 50)
    assert run.summary.to_dict()["accepted_with_errors"] == 50
    assert run.rows["user-00001"]["error_code"] == "accepted_with_errors"
    assert "Errors beside success" in (run.folder / "report.html").read_text(encoding="utf-8")


def test_errors_of_both_kinds_in_one_answer_are_kept_apart(tmp_path: Path) -> None:
    both = telling("one general remark", named(0, "first"), named(0, "second"), named(2, "alike"), named(3, "alike"))
    with FaultServer(both) as server:
        run = send(tmp_path, server.url, 5)
    assert {name: (row["status"], row["error"]) for name, row in run.rows.items()} == {
        "user-00001": ("unknown", "first; second; likely not accepted"),
        "user-00002": ("accepted", "one general remark"),
        "user-00003": ("unknown", "alike; likely not accepted"),
        "user-00004": ("unknown", "alike; likely not accepted"),
        "user-00005": ("accepted", "one general remark"),
    }
    assert (run.summary.requests, run.summary.accepted_with_errors) == (1, 2)
    assert run.rows["user-00003"]["batch"] == run.rows["user-00004"]["batch"], "alike neighbours are decided together"


def test_a_request_of_one_row_that_is_named_is_unknown_as_a_whole(tmp_path: Path) -> None:
    with FaultServer(telling(named(0))) as server:
        run = send(tmp_path, server.url, 1)
    assert (run.summary.unknown, run.summary.batches, run.summary.requests) == (1, 1, 1)
    assert run.rows["user-00001"]["error"] == "locale is not valid; likely not accepted"


def test_a_run_in_which_every_request_names_most_of_its_rows_stops(tmp_path: Path) -> None:
    with FaultServer(telling(*(named(index) for index in range(40)))) as server:
        run = send(tmp_path, server.url, 5000, concurrency=2)
    assert (run.summary.state, run.summary.exit_code) == ("stopped", 3)
    assert "named with an error" in (run.summary.reason or "")
    assert run.summary.not_sent > 3000


def test_a_dispatch_id_given_twice_takes_back_the_rows_that_were_accepted_under_it(tmp_path: Path) -> None:
    def play(turn: Turn) -> None:
        turn.read_whole()
        errors = [named(3)] if turn.index == 1 else []
        turn.answer(http_answer(201, success("e" * 32, errors=errors)))

    with FaultServer(Fault("repeats an id", "F10", "answer", True, "accepted", play)) as server:
        run = send(tmp_path, server.url, 150, concurrency=1)
    assert (run.summary.accepted, run.summary.unknown, run.summary.not_sent) == (0, 100, 50)
