"""Send one request to a whole segment or audience.

A broadcast is journalled like a run: one chunk without rows, one batch without recipients. So intent, outcome,
recovery and decisions are those of any other batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import polars as pl

from bulk_sender import journal as journals
from bulk_sender.braze.endpoint import broadcast_endpoint
from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError, GuardrailError
from bulk_sender.eventloop import blocking
from bulk_sender.http.credential import Credential
from bulk_sender.journal.chunks import chunk_record
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.records import Batch, PlanComplete, Record
from bulk_sender.journal.store import RunRef, RunWriter
from bulk_sender.planning.batches import Planned
from bulk_sender.planning.plan import ROWS
from bulk_sender.reading.chunk import Position
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.caller import Caller, ask
from bulk_sender.run.catalogue import created, earlier_runs, refuse_gone, refuse_missing_folder, refuse_repeat
from bulk_sender.run.execution import execute
from bulk_sender.run.facts import new_facts
from bulk_sender.run.folder import new_run_id, run_folder, settle_journals
from bulk_sender.run.options import (
    BroadcastSettings,
    Guards,
    RunName,
    Sandbox,
    TargetSettings,
    Watch,
    guarded,
    named,
    refuse_unknown,
    rehearsal,
    watching,
)
from bulk_sender.run.preview import BroadcastPreview, broadcast_preview
from bulk_sender.run.reopening import reopened
from bulk_sender.run.settings import ConfigLike, config_of, environment_of
from bulk_sender.run.target import credential_for


def preview_broadcast(
    config: ConfigLike = None, *, sandbox: Sandbox | bool | None = None, **plain: Unpack[TargetSettings]
) -> BroadcastPreview:
    """Return whom a broadcast would reach and its request, without sending. Raises ConfigError."""
    refuse_unknown("preview_broadcast", TargetSettings, plain, "sandbox")
    settings = config_of(config, plain, rehearsal(sandbox))
    _refuse_recipients(settings)
    return broadcast_preview(settings)


async def broadcast_async(
    config: ConfigLike = None,
    *,
    confirm_campaign: str | None,
    confirm: Callable[[BroadcastPreview], bool] | None = None,
    run: RunName = RunName(),
    guards: Guards = Guards(),
    watch: Watch = Watch(),
    sandbox: Sandbox | bool | None = None,
    **plain: Unpack[BroadcastSettings],
) -> Summary:
    """Send one request to the campaign's whole segment, or to those in it who match ``message.audience``.

    ``confirm_campaign`` must be the campaign's (or Canvas') id. ``confirm`` is called in a thread before the request;
    False refuses to send. Of ``guards`` only ``not_after`` and ``again`` can be kept. The other arguments mean the same
    as those of ``send``. What happened to the request is the summary's ``broadcast``.

    A run of that name that has an outcome, even an unknown one, is only reported. One that was proved unsent is
    resumed. Raises BulkSenderError for trouble before anything is sent.
    """
    refuse_unknown("broadcast", BroadcastSettings, plain, "run", "guards", "watch", "sandbox")
    guards = guarded(guards, plain)
    guards.refuse_unless("broadcast", "not_after", "again")
    run, watch, rehearsed = named(run, plain), watching(watch, plain), rehearsal(sandbox)
    settings, environment = config_of(config, plain, rehearsed), environment_of(plain)
    credential = credential_for(rehearsed, environment)
    _refuse_recipients(settings)
    shown = broadcast_preview(settings)
    _demand_confirmation(settings, confirm_campaign)
    caller = Caller.of(guards, watch, plain).observed(settings, environment)
    ref = RunRef.at(run_folder(Path(run.folder), run.id or new_run_id()))
    settle_journals(ref.folder.parent, settings)
    if run.must_exist:
        refuse_missing_folder(ref.folder.parent)
    refuse_gone(ref)
    if not journals.exists(ref):
        caller = await caller.looking_ahead(settings, credential, rehearsed)
        shown = replace(shown, preflight=caller.preflight)
        facts = new_facts(settings, rehearsed, broadcast=True, target_name=caller.preflight.name)
        earlier = earlier_runs(ref, facts, settings)
        if not guards.again:
            refuse_repeat(earlier.lately)
        await ask(confirm, lambda: shown)
        caller.refuse_late(settings)
        with created(ref, facts, again=guards.again, known=earlier.known) as journal:
            return await _deliver(journal, facts, settings, credential, caller)
    with reopened(ref, new_facts(settings, rehearsed, broadcast=True)) as existing:
        if (summary := existing.finished()) is not None:
            return summary
        if existing.has_unsent:
            caller = await caller.looking_ahead(settings, credential, rehearsed)
            shown = replace(shown, preflight=caller.preflight)
            await ask(confirm, lambda: shown)
            caller.refuse_late(settings)
        return await _deliver(existing.journal, existing.facts, settings, credential, caller)


broadcast = blocking(broadcast_async)


def _refuse_recipients(config: Config) -> None:
    if not config.recipient.is_empty:
        raise ConfigError(
            "[recipient] maps columns, but a broadcast names no recipients",
            hint="remove [recipient] from the configuration, or use send",
        )


def _demand_confirmation(config: Config, given: str | None) -> None:
    """Raise GuardrailError unless the campaign's (or Canvas') id was repeated."""
    if given != config.target:
        raise GuardrailError(
            f"a broadcast to {config.target!r} needs that id as its confirmation"
            + (f", not {given!r}" if given else ""),
            hint=f"check the audience, then give --confirm {config.target}",
        )


async def _deliver(
    journal: RunWriter, facts: Facts, settings: Config, credential: Credential, caller: Caller
) -> Summary:
    if not journal.is_plan_complete():
        journal.write(_plan())
    alone = settings.model_copy(update={"delivery": settings.delivery.model_copy(update={"concurrency": 1})})
    return await execute("broadcast", journal, facts, alone, credential, caller, None, make=broadcast_endpoint)


def _plan() -> Iterator[Record]:
    """The run's only batch, without rows and without recipients."""
    nothing = Planned(pl.DataFrame(schema=ROWS), pl.DataFrame(schema={"\x00row": pl.UInt64}), [0], Position())
    yield chunk_record(1, nothing)
    yield Batch(1, chunk=1, first=0, size=0)
    yield PlanComplete()
