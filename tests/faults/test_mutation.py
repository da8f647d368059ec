"""Tests of random damage: it always changes the answer, is repeatable, and never fails."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults import FAULTS, FaultServer, http_answer, mutate, success
from tests.faults.probe import Evidence, post, transport


@given(st.binary(min_size=1, max_size=300), st.integers(), st.booleans())
def test_a_mutation_always_differs_and_the_same_seed_gives_the_same_one(answer: bytes, seed: int, keep: bool) -> None:
    once = mutate(answer, random.Random(seed), keep_status_line=keep)
    assert once != answer
    assert once == mutate(answer, random.Random(seed), keep_status_line=keep)


@given(st.integers())
def test_the_status_line_can_be_kept(seed: int) -> None:
    answer = http_answer(201, success("d" * 32))
    assert mutate(answer, random.Random(seed), keep_status_line=True).startswith(b"HTTP/1.1 201 Created\r\n")


def test_every_kind_of_damage_comes_up() -> None:
    answer = http_answer(201, success("d" * 32))
    spoilt = [mutate(answer, random.Random(seed)) for seed in range(300)]
    assert any(len(one) < len(answer) // 2 for one in spoilt)
    assert any(len(one) > len(answer) for one in spoilt)
    assert any(len(one) == len(answer) for one in spoilt)
    assert any(one.count(b"Content-Length") > 1 for one in spoilt)
    assert any(not one.startswith(b"HTTP/1.1 201") for one in spoilt)


@pytest.mark.parametrize("name", ["damaged_201", "damaged_400", "damaged_429"])
def test_every_post_ends_despite_damaged_answers(name: str) -> None:
    async def many(url: str) -> list[Evidence]:
        async with transport() as over:
            return await asyncio.gather(
                *(post(over, url, b'{"n": %d}' % n, headers={"Connection": "close"}) for n in range(60))
            )

    with FaultServer(FAULTS[name].using(seed=1)) as server:
        seen = asyncio.run(many(server.url))
    assert len(server.ledger.accepted) == 60 * FAULTS[name].accepts
    assert any(one.raised for one in seen)
    assert any(not one.raised for one in seen)
