"""The caller's limits, confirmation prompt and progress callbacks."""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar

import anyio

from bulk_sender.config.model import Config
from bulk_sender.errors import BulkSenderError, GuardrailError, Interrupted
from bulk_sender.http.credential import Credential
from bulk_sender.observe.events import Refusal
from bulk_sender.observe.observers import Observers, observers_for
from bulk_sender.pace.backoff import WAITS, Waits
from bulk_sender.run.deadline import moment_of, refuse_late
from bulk_sender.run.options import Guards, Sandbox, Watch
from bulk_sender.run.preflight import Preflight, preflight
from bulk_sender.run.preview import Preview
from bulk_sender.run.settings import sending_hours
from bulk_sender.text.masking import without_addresses

_Shown = TypeVar("_Shown")


@dataclass(frozen=True, slots=True)
class Caller:
    """Callbacks and limits supplied by the caller."""

    guards: Guards
    watch: Watch
    deadline: datetime | None
    by: str
    """Who decides."""
    waits: Waits = WAITS
    observers: Observers = field(default_factory=Observers)
    preflight: Preflight = field(default_factory=Preflight)
    """What was found out about the target."""

    @classmethod
    def of(cls, guards: Guards, watch: Watch, plain: Mapping[str, Any]) -> Self:
        """Raises ConfigError for a deadline that cannot be read."""
        by = plain.get("by") or account()
        return cls(guards, watch, moment_of(guards.not_after), by, plain.get("waits") or WAITS)

    def observed(self, config: Config, environment: Mapping[str, str]) -> Caller:
        """Add all observers of the run. Raises ConfigError when one of them cannot work."""
        watch = self.watch
        found = observers_for(
            config.notify, environment, on_progress=watch.on_progress, metrics_file=watch.metrics_file
        )
        return replace(self, observers=found)

    @asynccontextmanager
    async def telling_refusals(
        self, command: str, run_id: str | None, config: Config, *, rehearsal: bool
    ) -> AsyncIterator[None]:
        """Tell the observers when the block refuses to send: monitoring must learn of it, too."""
        try:
            yield
        except Interrupted:
            raise
        except BulkSenderError as error:
            if error.exit_code == 2:
                kind = "canvas" if config.is_canvas else "campaign"
                message = without_addresses(str(error))
                told = Refusal(command, run_id or "", kind, config.target or "", message, 2, rehearsal)
                await self.observers.tell_refusal(told)
            raise

    async def looking_ahead(self, config: Config, credential: Credential, sandbox: Sandbox | None) -> Caller:
        """Look at the target before anything else takes time. Raises BulkSenderError when nothing could be sent."""
        return replace(self, preflight=await preflight(config, credential, sandbox, self.waits))

    def refuse_late(self, config: Config) -> None:
        """Raise GuardrailError when the first request could leave only after the deadline."""
        now, hours = datetime.now(UTC), sending_hours(config)
        refuse_late(self.deadline, now + timedelta(seconds=hours.wait_s(now) if hours else 0.0))

    async def agree(
        self, about: Callable[[], Preview], config: Config, confirm: Callable[[Preview], bool] | None
    ) -> None:
        """Ask for confirmation, then check the deadline again: reading and asking may have taken hours.

        Raises GuardrailError for a no. ``about`` is called only if there is somebody to ask: ``confirm``.
        """
        await ask(confirm, lambda: replace(about(), preflight=self.preflight))
        self.refuse_late(config)


def account() -> str:
    """Return the name of the account that this process runs as."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"


async def ask(confirm: Callable[[_Shown], bool] | None, about: Callable[[], _Shown]) -> None:
    """Ask in a thread, since an answer may take its time. Raises GuardrailError for a no."""
    if confirm is not None and not await anyio.to_thread.run_sync(confirm, about()):
        raise GuardrailError("not confirmed: nothing was sent")
