"""Whoever started a run: what they allow, what they are asked before it, and what they are told while it goes."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio

from bulk_sender.braze.endpoint import endpoint
from bulk_sender.config.hours import Window
from bulk_sender.config.model import Config
from bulk_sender.errors import GuardrailError
from bulk_sender.http.credential import Credential
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.store import RunWriter
from bulk_sender.observe.events import Progress
from bulk_sender.observe.observers import Observers, observers_for
from bulk_sender.planning.prepared import Opened
from bulk_sender.reading.spool import FOLDER as SPOOLED
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.control import Control
from bulk_sender.run.deadline import refuse_late
from bulk_sender.run.execution import Delivery
from bulk_sender.run.preview import Preview
from bulk_sender.run.target import place


@dataclass(frozen=True, slots=True)
class Supervision:
    """What the caller holds in hand while a run is under way."""

    confirm: Callable[[Preview], bool] | None = None
    control: Control | None = None
    on_progress: Callable[[Progress], None] | None = None
    on_rows: Callable[[int], None] | None = None
    hold_after: int | None = None
    on_hold: Callable[[Progress], Awaitable[bool]] | None = None
    metrics_file: str | Path | None = None
    not_after: datetime | None = None
    observers: Observers = field(default_factory=Observers)

    def of(self, settings: Config, environment: Mapping[str, str]) -> Supervision:
        """With all who are to be told. Raises ConfigError when one can't be."""
        observers = observers_for(settings, environment, on_progress=self.on_progress, metrics_file=self.metrics_file)
        return replace(self, observers=observers)

    def refuse_late(self, settings: Config) -> None:
        """Raises GuardrailError when the first request could leave only after ``not_after``."""
        now, window = datetime.now(UTC), settings.delivery.window
        wait_s = Window.parse(window).wait_s(now) if window else 0.0
        refuse_late(self.not_after, now + timedelta(seconds=wait_s))

    async def agree(self, about: Callable[[], Preview]) -> None:
        """Ask, in a thread: whoever answers may take their time. Raises GuardrailError for a no.

        ``about`` is called only if there is somebody to ask: of a long run it takes a while to say how it stands.
        """
        if self.confirm is not None and not await anyio.to_thread.run_sync(self.confirm, about()):
            raise GuardrailError("not confirmed: nothing was sent")

    async def deliver(
        self,
        journal: RunWriter,
        facts: Facts,
        settings: Config,
        credential: Credential,
        opened: Opened | None,
        command: str,
    ) -> Summary:
        """Send what the run has left. ``opened``: its input, None when that was read to its end before."""
        self.refuse_late(settings)  # reading and asking may have taken hours
        delivery = Delivery(
            journal,
            facts,
            settings,
            self.control or Control(),
            self.observers,
            hold_after=self.hold_after,
            on_hold=self.on_hold,
        )
        async with place(settings, facts.sandbox, endpoint) as target:
            summary = await delivery.run(command, target, credential, opened)
        if delivery.worklist.plan_complete:  # every row is in the journal: people's data need not lie about twice
            shutil.rmtree(journal.run.folder / SPOOLED, ignore_errors=True)
        return summary
