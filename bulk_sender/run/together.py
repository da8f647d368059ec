"""One process of a run among others: it stops when they do, says why it stops, and waits for them at the end."""

from __future__ import annotations

from contextlib import suppress

import anyio

from bulk_sender.delivery.stopping import Stopping
from bulk_sender.errors import JournalError
from bulk_sender.journal.store import RunWriter, Team

_LOOK_S = 0.1
_WAIT_S = 0.2


class Together:
    """``leads``: whether this process started or resumed the run, so that its stop is everybody's."""

    def __init__(self, journal: RunWriter, team: Team, *, leads: bool) -> None:
        self.leads = leads
        self._journal, self._team = journal, team
        self._is_told = False

    async def watch(self, stopping: Stopping) -> None:
        """Stop when another process has told all to, and tell them when this one stops for a cause of all."""
        while True:
            stopping.stop(self._team.stopped)
            await self.tell(stopping)
            await anyio.sleep(_LOOK_S)

    async def tell(self, stopping: Stopping) -> None:
        """Tell the others once why this process stops. That it was lost, or ended by a signal, is its own affair."""
        stopped = stopping.stopped
        if stopped is None or self._is_told or self._journal.lost is not None or (stopped.signal and not self.leads):
            return
        self._is_told = True
        reason = f"the process that started it was stopped ({stopped.reason})" if stopped.signal else stopped.reason
        if not self._team.stopped:
            with suppress(JournalError):
                await anyio.to_thread.run_sync(self._team.stop, reason)

    async def wait_for_others(self, stopping: Stopping) -> None:
        """Wait until every other process has left or was given up, if this one leads: it closes the run."""
        await self.tell(stopping)
        with suppress(JournalError):
            while self.leads and self._journal.lost is None and not stopping.is_late():
                left = await anyio.to_thread.run_sync(self._team.left)
                if not left.others:
                    return
                await anyio.sleep(_WAIT_S)
