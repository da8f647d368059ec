"""Going on with a run that has begun: the same send again, a resumption, or rows sent once more."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio

from bulk_sender import journal as journals
from bulk_sender.braze.endpoint import unaddressed
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError, GuardrailError, RunMismatchError
from bulk_sender.eventloop import blocking
from bulk_sender.http.credential import Credential
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.records import RESEND
from bulk_sender.journal.store import RunRef, RunWriter
from bulk_sender.observe.events import Progress
from bulk_sender.operations.resolve import decide, refuse_broadcast
from bulk_sender.planning.prepared import Opened
from bulk_sender.reporting.account import refresh_files
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.caller import Supervision
from bulk_sender.run.control import Control
from bulk_sender.run.deadline import moment_of
from bulk_sender.run.folder import run_folder
from bulk_sender.run.preview import Preview, preview_of_rest
from bulk_sender.run.reopening import bodies_of_run, check_input_unchanged
from bulk_sender.run.settings import load_config
from bulk_sender.run.standing import ended, standing
from bulk_sender.run.target import credential_for


async def resume_async(
    run: str,
    *,
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    confirm: Callable[[Preview], bool] | None = None,
    control: Control | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    metrics_file: str | Path | None = None,
    not_after: datetime | str | None = None,
) -> Summary:
    """Go on with a stopped run. ``overrides`` may change how it is delivered, never what."""
    watch = Supervision(confirm, control, on_progress, metrics_file=metrics_file, not_after=moment_of(not_after))
    with journals.open(RunRef.at(run_folder(Path(runs_dir), run))) as journal:
        summary = ended(journal)
        if summary is not None and summary.state == "finished":
            return refresh_files(journal, summary)
        refuse_broadcast(journal)
        return await _go_on(journal, "resume", overrides, environment, watch)


async def retry_async(
    run: str,
    *,
    failed: bool = False,
    unknown: bool = False,
    why: str = "",
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    confirm: Callable[[Preview], bool] | None = None,
    control: Control | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    metrics_file: str | Path | None = None,
    not_after: datetime | str | None = None,
) -> Summary:
    """Decide to send failed or unknown rows again, and send them, as a further pass of the same run.

    Rows that are not sent yet go out too. Without any row of the wanted statuses nothing is done.
    """
    wanted = [name for name, is_wanted in (("failed", failed), ("unknown", unknown)) if is_wanted]
    if not wanted:
        raise ConfigError(
            "nothing to retry: give --failed, --unknown, or both", hint="bulk-sender status RUN shows what there is"
        )
    watch = Supervision(confirm, control, on_progress, metrics_file=metrics_file, not_after=moment_of(not_after))
    with journals.open(RunRef.at(run_folder(Path(runs_dir), run))) as journal:
        refuse_broadcast(journal)
        counted = journal.counts()
        again = {name: rows for name in wanted if (rows := counted.of(name))}
        if not again:
            return standing(journal)
        return await _go_on(journal, "retry", overrides, environment, watch, again=again, why=why)


resume = blocking(resume_async)
retry = blocking(retry_async)


async def reattach(
    folder: Path,
    facts: Facts,
    settings: Config,
    credential: Credential,
    watch: Supervision,
) -> Summary:
    """A run of that name exists: the same input and configuration make this a repetition, anything else a mistake."""
    with journals.open(RunRef.at(folder)) as journal:
        earlier = journal.facts()
        if different := earlier.difference(facts):
            raise RunMismatchError(
                f"run {folder.name!r} exists, with another {', '.join(different)}",
                hint="choose another --run-id, or give what the run was started with",
            )
        summary = ended(journal)
        if summary is not None and summary.state == "finished":
            return refresh_files(journal, summary)
        opened = await _open_again(journal, earlier, settings, watch, facts.plan)
        await watch.agree(lambda: preview_of_rest(journal, earlier, settings))
        return await watch.deliver(journal, earlier, settings, credential, opened, "send")


async def _go_on(
    journal: RunWriter,
    command: str,
    overrides: Mapping[str, Any] | None,
    environment: Mapping[str, str] | None,
    watch: Supervision,
    *,
    again: Mapping[str, int] | None = None,
    why: str = "",
) -> Summary:
    """Deliver what a run has left, and rows to send ``again`` (by status); decided on only when all else is sound."""
    facts = journal.facts()
    settings = load_config(facts.revived(), overrides)
    if different := facts.difference(replace(facts, settings=settings.frozen_settings())):
        raise RunMismatchError(f"{', '.join(different)} can't be changed for a run that has begun")
    environment = os.environ if environment is None else environment
    credential = credential_for(facts.sandbox, environment)
    watch = watch.of(settings, environment)
    watch.refuse_late(settings)
    opened = await _open_again(journal, facts, settings, watch)
    await watch.agree(lambda: preview_of_rest(journal, facts, settings, again))
    if again:
        decide(journal, list(again), RESEND, why or command)
    return await watch.deliver(journal, facts, settings, credential, opened, command)


async def _open_again(
    journal: RunWriter, facts: Facts, settings: Config, watch: Supervision, plan: str = ""
) -> Opened | None:
    """The input as far as it is still needed. ``plan``: the digest of a plan that all bodies have to agree with.

    A run that was started with a plan is held to it also by whoever resumes it without.
    """
    complete = journal.is_plan_complete()
    await anyio.to_thread.run_sync(lambda: check_input_unchanged(facts, journal.run.folder, needed=not complete))
    opened = None if complete else await anyio.to_thread.run_sync(Opened.again, facts, journal.run.folder, settings)
    agreed = plan or facts.plan
    if not agreed or (complete and agreed == facts.plan):  # what is in the journal was held to it when it was planned
        return opened
    bodies = await anyio.to_thread.run_sync(
        bodies_of_run, journal, unaddressed(settings), opened, watch.hold_after, watch.on_rows
    )
    if bodies.sha256 != agreed:
        raise GuardrailError(
            f"the requests of run {journal.run.name!r}, those it has sent and those it has left, are not those of "
            f"its plan (SHA-256 {bodies.sha256[:12]}…, in the plan {agreed[:12]}…): nothing more was sent",
            hint="repeat the send that began it, with its --plan and --canary and by the same release",
        )
    return opened.approved(bodies) if opened is not None else None
