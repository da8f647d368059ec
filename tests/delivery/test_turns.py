"""Turns of a sender's workers when the server falls silent: the circuit, and the pause before a probe."""

from __future__ import annotations

import asyncio
import random
import time

import anyio

from bulk_sender.braze.answer import Verdict, judge
from bulk_sender.delivery.attempt import Attempted
from bulk_sender.delivery.breakers import Circuit
from bulk_sender.delivery.policy import Action, NextStep, next_step
from bulk_sender.delivery.stopping import Stopping
from bulk_sender.delivery.turns import Turns
from bulk_sender.http.evidence import Evidence, Reach
from bulk_sender.journal.records import Batch, Status
from bulk_sender.pace.backoff import Waits
from bulk_sender.pace.limiter import Pace

LONG = Waits(backoff_base_s=1000.0, backoff_cap_s=1000.0)
ACCEPTED = Evidence(Reach.ANSWERED, 201, body=b'{"message": "success", "dispatch_id": "1"}', elapsed_s=0.01)
TIMED_OUT = Evidence(Reach.BODY_SENT, error="ReadTimeout", elapsed_s=1.0)
NOT_CONNECTED = Evidence(Reach.NOTHING, error="ConnectTimeout", elapsed_s=1.0)


class Longest(random.Random):
    """Always the longest pause."""

    def uniform(self, a: float, b: float) -> float:
        return b


def turns(circuit: Circuit, stopping: Stopping | None = None) -> Turns:
    pace, stopping = Pace(100000.0), stopping or Stopping()
    return Turns(pace, circuit, stopping, most=4, attempts=8, waits=LONG, rng=Longest())


def ended(evidence: Evidence) -> Attempted:
    outcome = judge(evidence)
    return Attempted(Batch(1, 1, 0, 1), next_step(outcome, size=1, attempts=1, most=8), outcome, evidence, 1, ())


def after(order: str, *, first: Evidence = TIMED_OUT, second: Evidence = ACCEPTED) -> Circuit:
    """Two requests leave, ``1`` before ``2``; each ends when its number is named, ``1`` with ``first``."""

    async def go() -> Circuit:
        circuit = Circuit(10)
        all_turns = turns(circuit)
        slots = {"1": all_turns.slot(), "2": all_turns.slot()}
        await all_turns.begin(slots["1"])
        await anyio.sleep(0.002)
        await all_turns.begin(slots["2"])
        for number in order:
            all_turns.adjust(ended(first if number == "1" else second), slots[number])
        return circuit

    return asyncio.run(go())


def test_a_time_out_is_silence_only_if_nothing_that_left_later_was_answered() -> None:
    assert not after("21").half_open, "the later request was answered first: only this one hung"
    silent = after("1")
    assert (silent.silent, silent.half_open, silent.failures) == (True, True, 0)


def test_what_left_first_is_told_by_the_turns_and_not_by_the_first_bytes() -> None:
    """A commit lies in between. While it takes long, an earlier request would look like one that left later."""
    assert after("12", first=ACCEPTED, second=TIMED_OUT).silent


def test_a_connection_that_timed_out_is_no_silence() -> None:
    """Nothing was sent on it. It counts as unsent, and three in a row open the circuit by half."""
    assert not after("1", first=NOT_CONNECTED).silent


def test_silence_ends_with_an_acceptance_only() -> None:
    circuit = Circuit(10)
    circuit.silent = True
    circuit.record(NextStep(Status.NOT_SENT, Action.AGAIN), Verdict.UNSENT)
    circuit.record(NextStep(Status.UNKNOWN, Action.DONE), Verdict.UNKNOWN)
    assert circuit.half_open
    circuit.record(NextStep(Status.ACCEPTED, Action.DONE), Verdict.ACCEPTED)
    assert (circuit.silent, circuit.half_open, circuit.failures) == (False, False, 0)


def test_an_answer_ends_the_pause_before_a_probe_and_more_trouble_does_not() -> None:
    async def go() -> tuple[bool, float]:
        circuit = Circuit(100)
        circuit.silent, circuit.lost = True, 3
        all_turns, left = turns(circuit), anyio.Event()

        async def probe() -> None:
            slot = all_turns.slot()
            await all_turns.begin(slot)
            left.set()
            all_turns.end(slot)

        async with anyio.create_task_group() as group:
            group.start_soon(probe)
            await anyio.sleep(0.05)
            assert all_turns.hold_up is not None
            circuit.record(NextStep(Status.UNKNOWN, Action.DONE), Verdict.UNKNOWN)
            all_turns.close_circuit()
            await anyio.sleep(0.05)
            early, began = left.is_set(), time.monotonic()
            circuit.record(NextStep(Status.ACCEPTED, Action.DONE), Verdict.ACCEPTED)
            all_turns.close_circuit()
            with anyio.fail_after(10):
                await left.wait()
            assert all_turns.hold_up is None
            return early, time.monotonic() - began

    early, waited_s = asyncio.run(go())
    assert not early
    assert waited_s < 10


def test_a_stop_ends_the_pause_before_a_probe() -> None:
    async def go() -> None:
        circuit, stopping = Circuit(100), Stopping()
        circuit.silent, circuit.lost = True, 3
        all_turns, left = turns(circuit, stopping), anyio.Event()

        async def probe() -> None:
            slot = all_turns.slot()
            await all_turns.begin(slot)
            left.set()
            all_turns.end(slot)

        async with anyio.create_task_group() as group:
            group.start_soon(probe)
            await anyio.sleep(0.05)
            stopping.stop("enough")
            with anyio.fail_after(10):
                await left.wait()

    asyncio.run(go())


def test_one_probe_at_a_time_goes_and_the_next_one_after_its_end() -> None:
    async def go() -> list[int]:
        circuit = Circuit(100)
        circuit.silent = True
        all_turns, probes = turns(circuit), [0]

        async def probe() -> None:
            slot = all_turns.slot()
            await all_turns.begin(slot)
            probes.append(probes[-1] + 1)
            await anyio.sleep(0.01)
            probes.append(probes[-1] - 1)
            all_turns.end(slot)

        all_turns._waits = Waits(backoff_base_s=0.001, backoff_cap_s=0.001)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(probe)
        return probes

    assert asyncio.run(go()) == [0, 1, 0, 1, 0, 1, 0]


def test_a_worker_that_is_cancelled_in_the_pause_before_a_probe_lets_another_one_go() -> None:
    async def go() -> None:
        circuit = Circuit(100)
        circuit.silent = True
        all_turns = turns(circuit)
        cancelled = asyncio.ensure_future(all_turns.begin(all_turns.slot()))
        await anyio.sleep(0.01)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        all_turns._waits = Waits(backoff_base_s=0.001, backoff_cap_s=0.001)
        with anyio.fail_after(10):
            await all_turns.begin(all_turns.slot())

    asyncio.run(go())
