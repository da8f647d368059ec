"""The worker pool: each worker takes a batch and delivers it, until there are none left or the run stops."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AsyncExitStack

import anyio

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.config.model import DeliveryConfig
from bulk_sender.delivery.attempt import Attempted, Attempts
from bulk_sender.delivery.breakers import Breakers
from bulk_sender.delivery.feed import Feed
from bulk_sender.delivery.guard import Guard
from bulk_sender.delivery.splitting import Batches
from bulk_sender.delivery.stopping import Stopping
from bulk_sender.delivery.turns import Turns
from bulk_sender.delivery.work import Tally, Work
from bulk_sender.delivery.worker import Answering, Worker
from bulk_sender.http.client import Client
from bulk_sender.journal.writer import JournalWriter
from bulk_sender.pace.backoff import WAITS, Waits
from bulk_sender.pace.limiter import Pace
from bulk_sender.pace.slot import Slot


class Sender:
    """Sends the batches of one run, in one event loop.

    ``stopping.stop`` may be called at any time. ``tally`` counts what this process did.
    """

    def __init__(
        self,
        writer: JournalWriter,
        endpoint: Endpoint,
        new_client: Callable[[], Client],
        pace: Pace,
        config: DeliveryConfig,
        *,
        waits: Waits = WAITS,
        rng: random.Random | None = None,
        on_attempt: Callable[[Attempted], None] | None = None,
    ) -> None:
        """``new_client`` opens a worker's own connection; ``on_attempt`` is called with each attempt that ended."""
        rng = rng or random.Random()
        breakers = Breakers(config, waits)
        guard = Guard(endpoint, broadcast=writer.journal.facts().broadcast)
        self.stopping = Stopping()
        self.tally = Tally()
        self.pace = pace
        self.attempts = Attempts(writer, guard, pace, self.stopping, self.tally, config, on_attempt)
        self.turns = Turns(
            pace,
            breakers.circuit,
            self.stopping,
            most=config.concurrency,
            attempts=config.attempts,
            waits=waits,
            rng=rng,
        )
        self.batches = Batches(
            writer,
            endpoint,
            self.attempts,
            self.turns,
            breakers,
            guard,
            self.stopping,
            self.tally,
        )
        self._new_client = new_client
        self._workers = config.concurrency
        self._answering = Answering()

    async def run(self, feed: Feed) -> None:
        """Deliver until the feed ends or the run stops."""
        try:
            async with AsyncExitStack() as stack, anyio.create_task_group() as watching:
                watching.start_soon(self.turns.watch)
                async with anyio.create_task_group() as workers:
                    for _ in range(self._workers):
                        client = self._new_client()
                        stack.push_async_callback(client.aclose)
                        workers.start_soon(self._work, client, feed)
                watching.cancel_scope.cancel()
        finally:
            feed.abandon()

    async def _work(self, client: Client, feed: Feed) -> None:
        with self.turns.slot() as slot:
            worker = Worker(client, slot, self._answering)
            while not self.stopping.is_set and (item := await self._next(slot, feed)) is not None:
                if not self.stopping.is_set:
                    is_settled = await self.batches.deliver(worker, item)
                    if item.ended is not None:
                        item.ended(is_settled)
            slot.release()
            await self.attempts.is_silent(worker)
        await client.aclose()  # another worker may need its descriptor

    async def _next(self, slot: Slot, feed: Feed) -> Work | None:
        """Return the next batch, or None after the last, or when the run stopped first."""
        item = feed.take_at_once()
        if item is None:
            slot.release()
            with self.stopping.cutting_short():
                item = await feed.take()
        return item
