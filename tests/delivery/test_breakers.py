"""Circuit breaker for refused rows: too many permanent refusals stop a run; a few, or temporary ones, do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bulk_sender as bs
from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.delivery import breakers as room
from bulk_sender.delivery.breakers import FEWEST_BATCHES, RECENT_BATCHES, Fate, Refusals
from bulk_sender.delivery.policy import Action, NextStep
from bulk_sender.journal.records import SPLIT, Status
from tests.faults import Fault, FaultServer, Turn, by_body, every, http_answer
from tests.kit.running import compare, read_run, send, settings, write_input
from tests.kit.target import KEY

# --- unit tests -------------------------------------------------------------------------------------------------------


def fate(accepted: int, refused: int, words: str = "no such user") -> Fate:
    return Fate(accepted, refused, [(words, 1)] * refused)


def test_the_share_counts_rows_regardless_of_how_batches_were_split() -> None:
    refusals = Refusals(0.5)
    assert {refusals.record(fate(24, 26)) for _ in range(FEWEST_BATCHES - 1)} == {""}
    reason = refusals.record(fate(24, 26))
    assert reason.startswith(
        "Braze permanently refused 520 of the 1,000 recipients in the last 20 batches, 520 of them with the message "
        "'no such user'; that is more than delivery.max_failed_share = 0.5 allows."
    )
    assert "results" in reason


def test_exactly_the_share_is_allowed() -> None:
    refusals = Refusals(0.5)
    assert {refusals.record(fate(25, 25)) for _ in range(200)} == {""}


def test_one_bad_row_per_batch_does_not_stop_the_run_although_most_requests_are_refused() -> None:
    refusals = Refusals(0.1)
    assert {refusals.record(fate(49, 1)) for _ in range(200)} == {""}


def test_only_the_latest_batches_count() -> None:
    refusals = Refusals(0.5)
    for _ in range(1000):
        assert refusals.record(fate(50, 0)) == ""
    reasons = [refusals.record(fate(0, 50)) for _ in range(26)]
    assert reasons[:25] == [""] * 25
    assert "1,300 of the 2,500 recipients in the last 50 batches" in reasons[25]


def test_a_share_of_one_disables_it_and_a_share_of_zero_allows_no_refusal() -> None:
    off, strict = Refusals(1.0), Refusals(0.0)
    assert {off.record(fate(0, 50)) for _ in range(200)} == {""}
    assert {strict.record(fate(50, 0)) for _ in range(200)} == {""}
    assert strict.record(fate(49, 1)) != ""


def test_only_permanent_refusals_by_braze_are_counted() -> None:
    def one(status: str, verdict: Verdict, action: Action = Action.DONE) -> tuple[int, int]:
        found = Fate()
        found.add(NextStep(status, action), Outcome(verdict, message="m"), 7)
        return found.accepted, found.refused

    assert one(Status.ACCEPTED, Verdict.ACCEPTED) == (7, 0)
    assert one(Status.FAILED, Verdict.REFUSED) == (0, 7)
    assert one(Status.FAILED, Verdict.TOO_LARGE) == (0, 7)
    assert one(Status.FAILED, Verdict.UNSENT) == (0, 0), "a 5XX on every attempt says nothing about the rows"
    assert one(Status.UNKNOWN, Verdict.UNKNOWN) == (0, 0)
    assert one(Status.NOT_SENT, Verdict.THROTTLED, Action.AGAIN_AFTER_RESET) == (0, 0)
    assert one(SPLIT, Verdict.REFUSED, Action.SPLIT) == (0, 0), "its parts are"
    assert one(Status.NOT_SENT, Verdict.REFUSED, Action.STOP) == (0, 0)


def test_a_batch_without_an_answer_does_not_count_in_the_window() -> None:
    refusals = Refusals(0.5)
    for _ in range(FEWEST_BATCHES - 1):
        refusals.record(fate(0, 50))
    assert {refusals.record(Fate()) for _ in range(100)} == {""}
    assert refusals.record(fate(50, 0)) != ""


def test_a_message_that_occurs_only_once_is_left_out_because_it_may_quote_a_row() -> None:
    refusals = Refusals(0.5)
    reasons = [refusals.record(fate(0, 1, f"no user sample-{number}")) for number in range(FEWEST_BATCHES)]
    assert "20 of the 20 recipients" in reasons[-1]
    assert "sample-" not in reasons[-1]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=150), st.floats(0, 1))
def test_it_stops_exactly_when_the_share_in_the_window_exceeds_the_maximum(
    batches: list[tuple[int, int]], most: float
) -> None:
    refusals, seen = Refusals(most), []
    for accepted, refused in batches:
        stopped = bool(refusals.record(fate(accepted, refused)))
        if not accepted + refused:
            assert not stopped
            continue
        seen.append((accepted, refused))
        window = seen[-RECENT_BATCHES:]
        total = sum(map(sum, window))
        assert stopped == (len(window) >= FEWEST_BATCHES and sum(refused for _, refused in window) > most * total)


# --- in a run ---------------------------------------------------------------------------------------------------------


def number(recipient: dict[str, str]) -> int:
    return int(recipient["external_user_id"].rpartition("-")[2])


def refusal(status: int, *, quoting: bool = False) -> Fault:
    """Return a refusal: a 409 refuses the whole request; after a 400 it is halved until single rows are refused."""

    def refuse(turn: Turn) -> None:
        turn.read_whole()
        first = turn.json["recipients"][0]["external_user_id"]
        turn.answer(http_answer(status, {"message": f"{first} is not allowed" if quoting else "not allowed here"}))

    return Fault("refusal", "F36", "answer", False, "refused", refuse)


def two_of_three_batches(body: Any) -> bool:
    return (number(body["recipients"][0]) // 50) % 3 != 0


def test_a_run_that_is_refused_too_often_stops_with_correct_results_and_can_be_resumed(tmp_path: Path) -> None:
    size = 2000
    with FaultServer(by_body(two_of_three_batches, refusal(409))) as server:
        # One request at a time: in another order, five refusals in a row would trip the circuit first.
        run = send(tmp_path, server.url, size, run_id="a", concurrency=1)
        compare(run, server.ledger, size)
        summary = run.summary
        assert (summary.state, summary.exit_code, summary.unknown) == ("stopped", 3, 0)
        assert 20 <= summary.requests < 24, "twenty batches, and the requests in flight"
        assert summary.failed + summary.accepted == 50 * summary.requests
        assert summary.not_sent
        for told in (
            "permanently refused",
            "recipients in the last 20 batches",
            "'not allowed here'",
            "max_failed_share = 0.5",
        ):
            assert told in (summary.reason or "")
        again = bs.send(
            write_input(tmp_path, size),
            config=settings(server.url, max_failed_share=1, breaker=100),
            run_id="a",
            runs_dir=tmp_path / "runs",
            environment={"BRAZE_API_KEY": KEY},
        )
        finished = read_run(run.folder, again)
        compare(finished, server.ledger, size)
    assert (again.state, again.exit_code) == ("finished", 1)
    assert (again.accepted, again.failed) == (700, 1300)


@pytest.mark.parametrize(("kept", "state"), [(2, "finished"), (3, "stopped")])
def test_single_refused_rows_in_accepted_batches_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int, state: str
) -> None:
    """The request circuit does not detect this, because each batch has accepted rows."""
    monkeypatch.setattr(room, "FEWEST_BATCHES", 2)
    odd = by_body(lambda body: any(number(one) % kept for one in body["recipients"]), refusal(400))
    with FaultServer(odd) as server:
        run = send(tmp_path, server.url, 150, concurrency=1)
        compare(run, server.ledger, 150)
    assert run.summary.state == state
    assert run.summary.failed == (75 if kept == 2 else 67)
    assert run.summary.not_sent == (0 if kept == 2 else 50)


def test_the_reason_quotes_no_row(tmp_path: Path) -> None:
    with FaultServer(by_body(two_of_three_batches, refusal(409, quoting=True))) as server:
        run = send(tmp_path, server.url, 1500, concurrency=1)
    assert run.summary.state == "stopped"
    assert "permanently refused" in (run.summary.reason or "")
    assert "user-" not in (run.summary.reason or "")


def test_temporary_refusals_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "FEWEST_BATCHES", 2)
    with FaultServer(every(2, "ok", otherwise="json_503")) as server:
        run = send(tmp_path, server.url, 300, max_failed_share=0.0, concurrency=1)
        compare(run, server.ledger, 300)
    assert (run.summary.state, run.summary.accepted) == ("finished", 300)
