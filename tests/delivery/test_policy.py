"""Delivery policy: ``next_step`` as a table, and the circuit that stops a failing run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.delivery.breakers import Circuit
from bulk_sender.delivery.policy import Action, NextStep, next_step
from bulk_sender.journal.records import SPLIT, Status

V, A = Verdict, Action
KEY = "Braze refused the key (m): it is wrong, lacks a permission, or belongs to another instance"
TARGET = "Braze does not know the campaign, Canvas or path (m)"
ELSEWHERE = "the endpoint redirects elsewhere; it is not a Braze REST host"
CERTIFICATE = "the endpoint's certificate cannot be trusted"
HOST = "the endpoint's name cannot be resolved"
REPEATED = "Braze returned one dispatch_id for two batches (m); both are unknown"
FORM = "Braze does not accept the form of the request (m)"
NOT_LIVE = "Braze sends nothing: m"
GONE = "cannot reach Braze (m)"

TABLE: list[tuple[Outcome, int, int, str, Action, str]] = [
    # outcome, size, attempts (of 3), status, action, reason
    (Outcome(V.ACCEPTED, http_status=201), 50, 1, "accepted", A.DONE, ""),
    (Outcome(V.ACCEPTED, http_status=201), 1, 3, "accepted", A.DONE, ""),
    (Outcome(V.UNKNOWN, message="m"), 50, 1, "unknown", A.DONE, ""),
    (Outcome(V.UNKNOWN, message="m", stop="redirect"), 50, 1, "unknown", A.STOP, ELSEWHERE),
    (Outcome(V.UNKNOWN, message="m", stop="repeated"), 50, 1, "unknown", A.STOP, REPEATED),
    (Outcome(V.THROTTLED, http_status=429), 50, 1, "not_sent", A.AGAIN_AFTER_RESET, ""),
    (Outcome(V.THROTTLED, http_status=429), 50, 99, "not_sent", A.AGAIN_AFTER_RESET, ""),
    (Outcome(V.TOO_LARGE, http_status=413), 50, 1, "split", A.SPLIT, ""),
    (Outcome(V.TOO_LARGE, http_status=413), 2, 3, "split", A.SPLIT, ""),
    (Outcome(V.TOO_LARGE, http_status=413), 1, 1, "failed", A.DONE, ""),
    (Outcome(V.UNSENT, message="m", stop="certificate"), 50, 1, "not_sent", A.STOP, CERTIFICATE),
    (Outcome(V.UNSENT, message="m", stop="host"), 50, 1, "not_sent", A.STOP, HOST),
    (Outcome(V.UNSENT, message="m"), 50, 1, "not_sent", A.AGAIN, ""),
    (Outcome(V.UNSENT, message="m"), 50, 2, "not_sent", A.AGAIN, ""),
    (Outcome(V.UNSENT, message="m"), 50, 3, "not_sent", A.STOP, GONE),
    (Outcome(V.UNSENT, message="m"), 50, 4, "not_sent", A.STOP, GONE),
    (Outcome(V.UNSENT, http_status=503), 50, 2, "not_sent", A.AGAIN, ""),
    (Outcome(V.UNSENT, http_status=503), 50, 3, "failed", A.DONE, ""),
    (Outcome(V.REFUSED, message="m", http_status=401, stop="authorization"), 50, 1, "not_sent", A.STOP, KEY),
    (Outcome(V.REFUSED, message="m", http_status=404, stop="target"), 50, 1, "not_sent", A.STOP, TARGET),
    (Outcome(V.REFUSED, message="m", http_status=400, stop="target"), 1, 1, "not_sent", A.STOP, TARGET),
    (Outcome(V.REFUSED, message="m", http_status=307, stop="redirect"), 50, 1, "not_sent", A.STOP, ELSEWHERE),
    (Outcome(V.REFUSED, http_status=400), 50, 1, "split", A.SPLIT, ""),
    (Outcome(V.REFUSED, http_status=422), 2, 3, "split", A.SPLIT, ""),
    (Outcome(V.REFUSED, http_status=400), 1, 1, "failed", A.DONE, ""),
    (Outcome(V.REFUSED, http_status=422), 1, 1, "failed", A.DONE, ""),
    (Outcome(V.REFUSED, http_status=405), 50, 1, "failed", A.DONE, ""),
    (Outcome(V.REFUSED, message="m", http_status=415, stop="request"), 50, 1, "not_sent", A.STOP, FORM),
    (Outcome(V.REFUSED, message="m", http_status=201, stop="not_live"), 50, 1, "failed", A.STOP, NOT_LIVE),
    (Outcome(V.REFUSED, message="m", http_status=201, stop="not_live"), 1, 3, "failed", A.STOP, NOT_LIVE),
    (Outcome(V.UNKNOWN, message="m", http_status=201, stop="not_live"), 50, 1, "unknown", A.STOP, NOT_LIVE),
]


@pytest.mark.parametrize(("outcome", "size", "attempts", "status", "action", "reason"), TABLE)
def test_the_next_step_for_an_outcome(
    outcome: Outcome, size: int, attempts: int, status: str, action: Action, reason: str
) -> None:
    assert next_step(outcome, size=size, attempts=attempts, most=3) == NextStep(status, action, reason)


def test_a_name_that_stops_resolving_after_the_host_was_reached_is_an_outage() -> None:
    outcome = Outcome(V.UNSENT, message="m", stop="host")
    assert next_step(outcome, size=50, attempts=1, most=3, reached=True) == NextStep("not_sent", A.AGAIN)
    assert next_step(outcome, size=50, attempts=3, most=3, reached=True) == NextStep("not_sent", A.STOP, GONE)


def test_having_reached_the_host_changes_no_other_step() -> None:
    outcome = Outcome(V.UNSENT, message="m", stop="certificate")
    assert next_step(outcome, size=50, attempts=1, most=3, reached=True).reason == CERTIFICATE


OUTCOMES = st.builds(
    Outcome,
    st.sampled_from(list(Verdict)),
    message=st.text(max_size=5),
    http_status=st.none() | st.sampled_from([201, 400, 401, 404, 405, 413, 422, 429, 500, 503]),
    stop=st.sampled_from(["", "authorization", "target", "redirect", "certificate", "host", "repeated"]),
)


@given(OUTCOMES, st.integers(1, 50), st.integers(1, 10), st.integers(1, 10), st.booleans())
def test_only_requests_proven_not_accepted_are_sent_again(
    outcome: Outcome, size: int, attempts: int, most: int, reached: bool
) -> None:
    step = next_step(outcome, size=size, attempts=attempts, most=most, reached=reached)
    again = step.action in (A.AGAIN, A.AGAIN_AFTER_RESET, A.SPLIT) or step.status == Status.NOT_SENT
    assert outcome.may_send_again or not again
    assert (step.status == Status.ACCEPTED) == (outcome.verdict is V.ACCEPTED)
    assert (step.status == Status.UNKNOWN) == (outcome.verdict is V.UNKNOWN)
    assert (step.action is A.STOP) == bool(step.reason)
    assert (step.status == SPLIT) == (step.action is A.SPLIT)
    assert step.action is not A.SPLIT or size > 1


# --- the circuit ------------------------------------------------------------------------------------------------------

LOST = (NextStep(Status.UNKNOWN, A.DONE), V.UNKNOWN)
FAILED = (NextStep(Status.FAILED, A.DONE), V.REFUSED)
TAKEN = (NextStep(Status.ACCEPTED, A.DONE), V.ACCEPTED)
AGAIN = (NextStep(Status.NOT_SENT, A.AGAIN), V.UNSENT)
WAIT = (NextStep(Status.NOT_SENT, A.AGAIN_AFTER_RESET), V.THROTTLED)
PARTS = (NextStep(SPLIT, A.SPLIT), V.REFUSED)


def test_enough_lost_requests_in_a_row_stop_the_run() -> None:
    circuit = Circuit(5)
    assert [circuit.record(*found) for found in (LOST, FAILED, LOST, LOST)] == [""] * 4
    assert circuit.record(*LOST) == "5 requests in a row failed or got no answer"


def test_a_success_resets_the_count() -> None:
    circuit = Circuit(5)
    for found in (LOST, LOST, LOST, LOST, TAKEN, LOST, LOST, LOST, LOST):
        assert circuit.record(*found) == ""
    assert circuit.record(*LOST) != ""


def test_throttling_and_splitting_do_not_count() -> None:
    circuit = Circuit(1)
    for found in (WAIT, PARTS, WAIT, PARTS) * 5:
        assert circuit.record(*found) == ""
    assert (circuit.failures, circuit.half_open) == (0, False)


def test_after_three_failures_it_is_half_open_until_a_success() -> None:
    circuit = Circuit(10)
    for expected, found in ((False, AGAIN), (False, LOST), (True, AGAIN), (False, TAKEN)):
        circuit.record(*found)
        assert circuit.half_open is expected
    assert circuit.failures == 0


def test_retried_requests_open_it_but_never_stop_the_run() -> None:
    circuit = Circuit(5)
    assert {circuit.record(*AGAIN) for _ in range(100)} == {""}
    assert circuit.half_open
    assert (circuit.failures, circuit.unsent, circuit.lost) == (100, 100, 0)


@pytest.mark.parametrize(("most", "lost"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 3), (6, 3), (9, 3)])
def test_a_short_circuit_probes_before_it_stops(most: int, lost: int) -> None:
    circuit = Circuit(most)
    opened = []
    for _ in range(lost):
        opened.append(circuit.half_open)
        circuit.record(*LOST)
    assert opened == [False] * lost
    assert circuit.half_open


def test_losing_half_of_a_window_stops_the_run_however_they_are_spread() -> None:
    circuit = Circuit(5)
    reasons = [circuit.record(*found) for _ in range(20) for found in (TAKEN, LOST)]
    assert reasons[:-1] == [""] * 39
    assert reasons[-1] == "20 of the last 40 requests failed or got no answer"


def test_losing_less_than_half_of_a_window_never_stops_the_run() -> None:
    circuit = Circuit(5)
    assert {circuit.record(*found) for _ in range(200) for found in (TAKEN, LOST, TAKEN)} == {""}


def test_a_batch_whose_parts_are_all_lost_counts_once() -> None:
    circuit = Circuit(2)
    assert circuit.lost_one() == ""
    assert circuit.lost == 1
    assert circuit.lost_one() == "2 requests in a row failed or got no answer"
