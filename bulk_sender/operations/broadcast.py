"""One broadcast from configuration to summary, journalled like a run: it is one without rows.

Its journal holds one chunk of no rows and one batch of no recipients. So intent, outcome, recovery, decisions and
the promise that goes with them are those of any other batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import polars as pl

from bulk_sender import journal as journals
from bulk_sender.braze.endpoint import broadcast_endpoint
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.config.model import Config
from bulk_sender.delivery.broadcast import BroadcastPreview, demand_confirmation, preview
from bulk_sender.errors import GuardrailError, RunMismatchError
from bulk_sender.eventloop import blocking
from bulk_sender.http.credential import Credential
from bulk_sender.journal.chunks import chunk_record
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.records import Batch, PlanComplete, Record
from bulk_sender.journal.store import RunRef, RunWriter
from bulk_sender.observe.events import Progress
from bulk_sender.observe.observers import Observers, observers_for
from bulk_sender.planning.batches import Planned
from bulk_sender.planning.plan import ROWS
from bulk_sender.reading.chunk import Position
from bulk_sender.reporting.account import refresh_files
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.control import Control
from bulk_sender.run.execution import Delivery
from bulk_sender.run.facts import create
from bulk_sender.run.folder import new_run_id, run_folder
from bulk_sender.run.settings import ConfigLike, from_surroundings
from bulk_sender.run.standing import ended
from bulk_sender.run.target import credential_for, place
from bulk_sender.text.times import now


def preview_broadcast(
    config: ConfigLike = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    sandbox: bool = False,
    environment: Mapping[str, str] | None = None,
) -> BroadcastPreview:
    """Whom a broadcast would reach, and its request, without sending. Raises ConfigError."""
    environment = os.environ if environment is None else environment
    return preview(from_surroundings(config, overrides, environment, "calm" if sandbox else ""))


async def broadcast_async(
    config: ConfigLike = None,
    *,
    confirm_campaign: str | None,
    overrides: Mapping[str, Any] | None = None,
    run_id: str | None = None,
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
    sandbox: bool = False,
    weather: str = "calm",
    environment: Mapping[str, str] | None = None,
    confirm: Callable[[BroadcastPreview], bool] | None = None,
    control: Control | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Send one request to the campaign's whole segment, or to those in it who match ``message.audience``.

    ``confirm_campaign`` has to be the campaign's (or Canvas') id. ``confirm`` is asked before the POST, in a thread;
    without it nothing is asked. A run of that ``run_id`` which has come to an outcome, be it unknown, is only
    reported; one that was proved unsent is gone on with. What became of the request is the summary's ``broadcast``.

    Raises BulkSenderError for whatever stands in the way before anything is sent.
    """
    environment = os.environ if environment is None else environment
    weather = weather if sandbox else ""
    settings = from_surroundings(config, overrides, environment, weather)
    credential = credential_for(weather, environment)
    shown = preview(settings)
    demand_confirmation(settings, confirm_campaign)
    observers = observers_for(settings, environment, on_progress=on_progress)
    facts = Facts(
        settings=settings.frozen_settings(),
        config=settings.model_dump_json(exclude_unset=True),
        input=(),
        paths=(),
        sandbox=weather,
        format="csv",
        created_at=now(),
        broadcast=True,
    )
    run = RunRef.at(run_folder(Path(runs_dir), run_id or new_run_id()))
    if not journals.exists(run):
        await _ask(confirm, shown)
        with create(run, facts) as journal:
            return await _deliver(journal, facts, settings, credential, control, observers)
    with journals.open(run) as journal:
        earlier = journal.facts()
        if different := earlier.difference(facts):
            raise RunMismatchError(
                f"run {run.name!r} exists, with another {', '.join(different)}",
                hint="choose another --run-id, or give what the run was started with",
            )
        finished = ended(journal)
        if finished is not None and finished.state == "finished":
            return refresh_files(journal, finished)
        if journal.has_unsent() or not journal.is_plan_complete():
            await _ask(confirm, shown)
        return await _deliver(journal, earlier, settings, credential, control, observers)


broadcast = blocking(broadcast_async)


async def _ask(confirm: Callable[[BroadcastPreview], bool] | None, shown: BroadcastPreview) -> None:
    if confirm is not None and not await anyio.to_thread.run_sync(confirm, shown):
        raise GuardrailError("not confirmed: nothing was sent")


async def _deliver(
    journal: RunWriter,
    facts: Facts,
    settings: Config,
    credential: Credential,
    control: Control | None,
    observers: Observers,
) -> Summary:
    if not journal.is_plan_complete():
        journal.write(_plan())
    alone = settings.model_copy(update={"delivery": settings.delivery.model_copy(update={"concurrency": 1})})
    delivery = Delivery(journal, facts, alone, control or Control(), observers)
    async with place(settings, facts.sandbox, broadcast_endpoint) as target:
        return await delivery.run("broadcast", target, credential, None)


def _plan() -> Iterator[Record]:
    """The run's only batch: nobody of no rows."""
    nothing = Planned(pl.DataFrame(schema=ROWS), pl.DataFrame(schema={"\x00row": pl.UInt64}), [0], Position())
    yield chunk_record(1, nothing)
    yield Batch(1, chunk=1, first=0, size=0)
    yield PlanComplete()
