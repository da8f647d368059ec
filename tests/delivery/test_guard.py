"""Guard before each POST: what it allows, and what stops a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.delivery.guard import Guard
from bulk_sender.journal.records import Batch

GOOD = Endpoint("", b'{"campaign_id":"c","broadcast":false,"recipients":[', b"]}")
TAKEN = (Verdict.ACCEPTED, Verdict.UNKNOWN)


def batch(number: int = 1, size: int = 50) -> Batch:
    return Batch(number, 1, 0, size)


def guard(*batches: Batch, endpoint: Endpoint = GOOD) -> Guard:
    made = Guard(endpoint)
    for each in batches:
        made.planned(each)
    return made


@pytest.mark.parametrize(
    "head",
    [
        b'{"campaign_id":"c","broadcast":true,"recipients":[',
        b'{"campaign_id":"c","recipients":[',
        b'{"campaign_id":"c","broadcast":null,"recipients":[',
        b'{"broadcast":false,"campaign_id":"c","broadcast":true,"recipients":[',
        b'{"campaign_id":"c","trigger_properties":{"broadcast":false},"recipients":[',
        b'{"campaign_id":"c","broadcast":false,"others":[',
    ],
)
def test_only_a_request_with_recipients_is_allowed(head: bytes) -> None:
    made = guard(batch(), endpoint=Endpoint("", head, b"]}"))
    assert made.refuses(batch()) == "a request without broadcast = false was about to leave"


def test_a_property_named_broadcast_is_not_a_broadcast() -> None:
    head = b'{"campaign_id":"c","broadcast":false,"trigger_properties":{"broadcast":true},"recipients":['
    assert guard(batch(), endpoint=Endpoint("", head, b"]}")).refuses(batch()) == ""


@pytest.mark.parametrize(("size", "refused"), [(0, True), (1, False), (50, False), (51, True)])
def test_only_one_to_fifty_recipients_are_allowed(size: int, refused: bool) -> None:
    assert bool(guard(batch(size=size)).refuses(batch(size=size))) is refused


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_batch_may_be_sent_again_only_if_proven_not_accepted(verdict: Verdict) -> None:
    made = guard(batch())
    assert made.refuses(batch()) == ""
    assert "again" in made.refuses(batch()), "while it is in flight"
    made.ended(batch(), Outcome(verdict))
    assert bool(made.refuses(batch())) is (verdict in TAKEN)


def test_the_halves_of_a_refused_batch_stay_within_the_plan() -> None:
    made = guard(batch())
    made.refuses(batch())
    made.ended(batch(), Outcome(Verdict.REFUSED))
    assert [made.refuses(half) for half in batch().halves(2, 3, 1)] == ["", ""]
    assert made.refuses(batch(4, 1)) == "more recipients than the 50 planned were about to be sent"


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 50), st.sampled_from(list(Verdict))), max_size=40))
def test_never_more_recipients_are_accepted_than_planned(steps: list[tuple[int, int, Verdict]]) -> None:
    made = guard(*(batch(number, 20) for number in range(1, 4)))
    taken: dict[int, int] = {}
    for number, size, verdict in steps:
        each = batch(number, size)
        if made.refuses(each) == "":
            assert number not in taken
            made.ended(each, Outcome(verdict))
            if verdict in TAKEN:
                taken[number] = size
    assert sum(taken.values()) <= 60
