"""The queue between worklist and workers."""

from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import polars as pl

from bulk_sender.delivery.feed import Feed
from bulk_sender.delivery.work import Work
from bulk_sender.journal.records import Batch
from bulk_sender.planning.batches import Payload

PAYLOAD = Payload.of(pl.Series(["{}"]))


def work(number: int) -> Work:
    return Work(Batch(number, 1, number, 1), PAYLOAD)


def test_each_batch_is_taken_once_and_in_order_by_many_workers() -> None:
    async def go() -> list[int]:
        feed, taken = Feed(4), []

        async def worker() -> None:
            while (item := await feed.take()) is not None:
                taken.append(item.batch.id)
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(worker)
            for number in range(50):
                await feed.put(work(number))
            feed.end()
        return taken

    assert asyncio.run(go()) == list(range(50))


def test_no_more_wait_than_allowed_and_the_writer_goes_on_when_half_are_taken() -> None:
    async def go() -> list[int]:
        feed, put = Feed(4), [0]

        async def write() -> None:
            for number in range(8):
                await feed.put(work(number))
                put[0] += 1

        seen = []
        async with anyio.create_task_group() as group:
            group.start_soon(write)
            for _ in range(6):
                await anyio.sleep(0.001)
                seen.append(put[0])
                assert feed.take_at_once() is not None
            group.cancel_scope.cancel()
        return seen

    assert asyncio.run(go()) == [3, 3, 5, 5, 7, 7]


def test_the_last_batches_are_taken_after_the_end() -> None:
    async def go() -> list[bool]:
        feed = Feed(4)
        await feed.put(work(1))
        feed.end()
        return [await feed.take() is not None, await feed.take() is not None]

    assert asyncio.run(go()) == [True, False]


def test_a_writer_goes_on_when_nobody_takes_any_more() -> None:
    async def go() -> None:
        feed = Feed(2)
        async with anyio.create_task_group() as group:
            group.start_soon(feed.put, work(1))
            group.start_soon(feed.put, work(2))
            await anyio.sleep(0.001)
            feed.abandon()
        for number in range(5):
            await feed.put(work(number))

    asyncio.run(asyncio.wait_for(go(), 10))


def test_a_worker_that_waits_ends_with_the_feed() -> None:
    async def go() -> None:
        feed = Feed(2)
        async with anyio.create_task_group() as group:
            group.start_soon(feed.take)
            await anyio.sleep(0.001)
            feed.end()

    asyncio.run(asyncio.wait_for(go(), 10))
