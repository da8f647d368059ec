"""What a worker knows of its connection."""

from __future__ import annotations

import random
from typing import cast

import anyio

from bulk_sender.delivery.worker import Answering, Worker
from bulk_sender.http.client import Client
from bulk_sender.http.evidence import Evidence, Reach
from bulk_sender.journal.answers import AttemptRef
from bulk_sender.pace.concurrency import SLACK_S
from bulk_sender.pace.slot import Slot


def worker(answering: Answering) -> Worker:
    return Worker(cast(Client, None), Slot(anyio.CapacityLimiter(1)), answering)


def answer(elapsed_s: float, connection: int = 1) -> Evidence:
    return Evidence(Reach.ANSWERED, 201, elapsed_s=elapsed_s, connection=connection)


def test_an_answer_is_awaited_as_long_as_the_slowest_of_all_connections_took() -> None:
    """Behind a stray answer, the answers of its own connection look quick."""
    answering = Answering()
    slow, quick = worker(answering), worker(answering)
    slow.used(answer(0.3), [])
    quick.used(answer(0.002), [])
    assert (slow.wait_s, quick.wait_s) == (0.0, 0.0), "a connection with one answer has mixed up none"
    quick.used(answer(0.001), [])
    assert quick.wait_s == 0.3 + SLACK_S
    slow.used(answer(20.0), [])
    assert quick.wait_s == 1.0, "at most one second"
    quick.used(answer(0.002, connection=2), [])
    assert quick.wait_s == 0.0, "a new connection"


def test_a_single_slow_answer_is_forgotten() -> None:
    busy = worker(Answering())
    rng = random.Random(1)
    busy.used(answer(0.9), [])
    for _ in range(100):
        busy.used(answer(rng.uniform(0.001, 0.01)), [])
    assert busy.wait_s <= 0.01 + SLACK_S


def test_a_batch_that_was_split_is_not_taken_back() -> None:
    """Its halves have taken its place. What they are depends on their own answers."""
    busy = worker(Answering())
    busy.used(answer(0.1), [AttemptRef(batch=1, attempt=1)])
    busy.used(answer(0.1), [AttemptRef(batch=2, attempt=2)])
    busy.split(2)
    assert busy.take_back() == [AttemptRef(batch=1, attempt=1)]
