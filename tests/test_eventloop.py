"""Items made in a thread one ahead."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing

import anyio
import pytest

from bulk_sender.eventloop import one_ahead


def test_items_come_in_order_and_the_next_is_made_meanwhile() -> None:
    made: list[int] = []
    second = threading.Event()

    def items() -> Iterator[int]:
        for number in range(3):
            made.append(number)
            if number == 1:
                second.set()
            yield number

    async def take() -> list[int]:
        async with aclosing(one_ahead(items())) as ahead:
            first = await anext(ahead)
            assert await asyncio.to_thread(second.wait, 10), "it is made though nobody has asked for it yet"
            return [first, *[item async for item in ahead]]

    assert asyncio.run(take()) == [0, 1, 2] == made


def test_trouble_comes_in_its_turn() -> None:
    def items() -> Iterator[str]:
        yield "sound"
        raise ValueError("damaged")

    async def take() -> None:
        async with aclosing(one_ahead(items())) as ahead:
            assert await anext(ahead) == "sound"
            with pytest.raises(ValueError, match="damaged"):
                await anext(ahead)

    asyncio.run(take())


@pytest.mark.parametrize("how", ["closed", "cancelled"])
def test_nothing_is_made_any_more_when_it_is_left(how: str) -> None:
    under_way, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 0
        under_way.set()
        go_on.wait(50)
        done.set()
        yield 1

    async def take() -> None:
        async with aclosing(one_ahead(items())) as ahead:
            await anext(ahead)
            await asyncio.to_thread(under_way.wait, 10)
            asyncio.get_running_loop().call_later(0.05, go_on.set)
            if how == "cancelled":
                await anext(ahead)

    async def leave() -> None:
        with anyio.move_on_after(0.01 if how == "cancelled" else 10):
            await take()
        assert done.is_set()

    asyncio.run(leave())
