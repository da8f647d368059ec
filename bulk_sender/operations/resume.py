"""Send what a run has left, or send some of its rows again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from bulk_sender.errors import ConfigError
from bulk_sender.eventloop import blocking
from bulk_sender.journal.answers import BatchState
from bulk_sender.journal.store import RunRef
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.caller import Caller
from bulk_sender.run.choosing import RETRY, chosen, decided
from bulk_sender.run.facts import sandbox_of
from bulk_sender.run.folder import run_folder
from bulk_sender.run.options import (
    Guards,
    ResumeSettings,
    RunName,
    Watch,
    Which,
    guarded,
    named,
    refuse_unknown,
    watching,
)
from bulk_sender.run.reopening import ExistingRun, reopened
from bulk_sender.run.settings import environment_of, overrides_of
from bulk_sender.run.standing import standing
from bulk_sender.run.target import credential_for

_KEPT = ("not_after", "plan_file", "canary", "confirm", "count_first", "again", "confirm_again", "max_duration")


async def resume_async(
    run: str,
    *,
    take_over: bool = False,
    guards: Guards = Guards(),
    watch: Watch = Watch(),
    **plain: Unpack[ResumeSettings],
) -> Summary:
    """Resume a stopped run. A finished run is only reported.

    ``rate``, ``concurrency`` and ``overrides`` may change how the rest is delivered, never what. ``guards`` and
    ``watch`` mean the same as those of ``send``; ``Guards.max_recipients`` is refused with ConfigError.

    ``take_over``: shut out the processes that have the run, where its journal is in PostgreSQL. What they have in
    flight becomes ``unknown``.
    """
    refuse_unknown("resume", ResumeSettings, plain, "guards", "watch")
    guards = guarded(guards, plain)
    guards.refuse_unless("resume", *_KEPT)
    caller = Caller.of(guards, watching(watch, plain), plain)
    with reopened(_run(run, plain), take_over=take_over) as existing:
        if (summary := existing.finished()) is not None:
            return summary
        existing.refuse_broadcast()
        return await _resume(existing, "resume", caller, plain)


async def retry_async(
    run: str,
    *,
    failed: bool = False,
    unknown: bool = False,
    which: Which = Which(),
    why: str = "",
    guards: Guards = Guards(),
    watch: Watch = Watch(),
    **plain: Unpack[ResumeSettings],
) -> Summary:
    """Decide to send failed or unknown rows again, and send them as a further pass of the same run.

    ``which``: some of these rows; with ``Which.file``, the rows of both statuses with the verdict ``retry``. Rows that
    are not sent yet go out too. Without any row of the wanted statuses nothing is done. ``why`` is kept in the journal,
    with ``by``. The other arguments mean the same as those of ``resume``.
    """
    refuse_unknown("retry", ResumeSettings, plain, "guards", "watch", "which")
    guards = guarded(guards, plain)
    guards.refuse_unless("retry", *_KEPT)
    wanted = [name for name, is_wanted in (("failed", failed), ("unknown", unknown)) if is_wanted]
    if which.file is not None and wanted:
        raise ConfigError("a file of decisions names its rows by itself", hint="leave out --failed and --unknown")
    if not wanted and which.file is None:
        raise ConfigError(
            "nothing to retry: give --failed, --unknown, or both", hint="bulk-sender status RUN shows what there is"
        )
    caller = Caller.of(guards, watching(watch, plain), plain)
    with reopened(_run(run, plain)) as existing:
        existing.refuse_broadcast()
        if which.file is not None:
            again = decided(existing.journal, ("failed", "unknown"), Path(which.file), RETRY).get(RETRY, [])
        else:
            again = chosen(existing.journal, wanted, which)
        if not again:
            return standing(existing.journal)
        return await _resume(existing, "retry", caller, plain, again=again, why=why)


resume = blocking(resume_async)
retry = blocking(retry_async)


def _run(run: str, plain: Mapping[str, Any]) -> RunRef:
    return RunRef.at(run_folder(Path(named(RunName(), plain).folder), run))


async def _resume(
    existing: ExistingRun,
    command: str,
    caller: Caller,
    plain: Mapping[str, Any],
    *,
    again: Sequence[BatchState] = (),
    why: str = "",
) -> Summary:
    config, environment = existing.config(overrides_of(plain)), environment_of(plain)
    rehearsed = sandbox_of(existing.facts)
    caller = caller.observed(config, environment)
    name = existing.journal.run.name
    async with caller.telling_refusals(command, name, config, rehearsal=rehearsed is not None):
        credential = credential_for(rehearsed, environment)
        caller.refuse_late(config)
        plan = existing.plan_digest(caller.guards, config)
        return await existing.resume(command, config, credential, caller, plan=plan, again=again, why=why)
