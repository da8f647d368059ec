"""The batches of a run that one process has to send, as its sender sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.delivery.stopping import Stopping
from bulk_sender.delivery.work import Work
from bulk_sender.journal.writer import JournalWriter
from bulk_sender.planning.prepared import PreparedInput


class Worklist(Protocol):
    """What one process has to send, and how far the input is read.

    ``rows``: rows of the run read so far. ``verdicts``: rows that this process planned, by verdict.
    ``plan_complete``: whether every row is in a chunk.
    """

    rows: int
    verdicts: Counter[str]
    plan_complete: bool

    def planning(
        self, writer: JournalWriter, stopping: Stopping, target: Endpoint, opened: PreparedInput | None
    ) -> AbstractAsyncContextManager[None]:
        """Plan the rest of the input beside the block where that is possible; its end waits for the plan.

        Without ``opened`` nothing is planned.
        """
        ...

    def batches(
        self, writer: JournalWriter, stopping: Stopping, target: Endpoint, opened: PreparedInput | None
    ) -> AsyncGenerator[Work | None]:
        """Yield the batches, and None where the run is to be held after its canary. Inside ``planning``."""
        ...

    async def close(self, writer: JournalWriter) -> None:
        """Leave to others what was not sent. Behind the last outcome of this process."""
        ...
