"""Send an input as a new run, or resume the run of that name."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import anyio

from bulk_sender import journal as journals
from bulk_sender.braze.endpoint import endpoint, unaddressed
from bulk_sender.config.model import Config
from bulk_sender.errors import BulkSenderError, GuardrailError, InputError
from bulk_sender.eventloop import blocking, in_thread
from bulk_sender.http.credential import Credential
from bulk_sender.journal.store import RunRef
from bulk_sender.planning.digest import BodyDigest
from bulk_sender.planning.limits import REFUSED_HINT
from bulk_sender.planning.prepared import InputLike, PreparedInput, no_rows, refuse_empty
from bulk_sender.planning.report import CheckReport, examined
from bulk_sender.reading.spool import FOLDER as SPOOLED
from bulk_sender.reading.spool import Spool
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.caller import Caller
from bulk_sender.run.canary import Canary
from bulk_sender.run.catalogue import refuse_gone, refuse_missing_folder, told
from bulk_sender.run.execution import execute
from bulk_sender.run.facts import new_facts
from bulk_sender.run.folder import new_run_id, remove_inputs_left_over, run_folder, settle_journals
from bulk_sender.run.input_again import GivenAgain
from bulk_sender.run.newcomer import NewRun
from bulk_sender.run.options import (
    Guards,
    RunName,
    Sandbox,
    SendSettings,
    Watch,
    guarded,
    named,
    refuse_unknown,
    rehearsal,
    watching,
)
from bulk_sender.run.preview import preview
from bulk_sender.run.reopening import refuse_held, reopened
from bulk_sender.run.settings import ConfigLike, config_of, environment_of, overrides_of, spelled
from bulk_sender.run.stages import Stages
from bulk_sender.run.target import credential_for

if TYPE_CHECKING:
    from bulk_sender.planning.plan_file import PlanFile

_SMALL_BYTES = 16 << 20


async def send_async(
    source: InputLike,
    config: ConfigLike = None,
    *,
    run: RunName = RunName(),
    guards: Guards = Guards(),
    watch: Watch = Watch(),
    sandbox: Sandbox | bool | None = None,
    **plain: Unpack[SendSettings],
) -> Summary:
    """Send an input, or resume (or just report) the run of that name if it exists.

    ``source``: paths, folders, globs, URLs or ``-``, one or several; or a frame of polars, pandas or Arrow.

    ``config``: a TOML file's path, a table or a ``Config``. ``BRAZE_ENDPOINT`` of the environment overrides it, and
    plain keywords override both: ``campaign_id`` or ``canvas_id``, ``endpoint`` (the instance's REST address),
    ``limit`` (the first N rows), ``sheet`` (of a workbook), ``rate`` (``"250000/hour"``), ``concurrency`` (maximum
    parallel requests), and in ``overrides`` any other key of the configuration, dotted:
    ``{"delivery.attempts": 3}``. The key comes from ``BRAZE_API_KEY`` or ``BRAZE_API_KEY_FILE`` of ``environment``
    (default: that of the process).

    ``run``: name, folder and format of the results; ``run_id`` and ``runs_dir`` are short for its first two. The same
    call with the same name resumes the run instead of sending twice. ``run_id_for`` makes a name of an orchestrator's
    ids. ``guards``: limits that refuse a send, a canary, and the confirmation prompt. ``watch``: callbacks, and the
    handle that stops the run; ``on_progress`` is short for its callback. ``sandbox``: True or a ``Sandbox`` sends to a
    simulated Braze inside this process, without a key.

    Cancelling the task that awaits this makes requests in flight ``unknown``, writes results and summary, and raises
    ``CancelledError``. Raises BulkSenderError for trouble before anything is sent. Later trouble is in the summary's
    ``state`` and ``reason``.
    """
    refuse_unknown("send", SendSettings, plain, "run", "guards", "watch", "sandbox")
    run, guards, watch = named(run, plain), guarded(guards, plain), watching(watch, plain)
    rehearsed = rehearsal(sandbox)
    settings, environment = config_of(config, plain, rehearsed), environment_of(plain)
    caller = Caller.of(guards, watch, plain).observed(settings, environment)
    given = spelled(config, overrides_of(plain))
    async with caller.telling_refusals("send", run.id, settings, rehearsal=rehearsed is not None):
        credential = credential_for(rehearsed, environment)
        return await _send(source, settings, given, run, rehearsed, credential, caller)


send = blocking(send_async)


async def _send(
    source: InputLike,
    settings: Config,
    given: dict[str, str] | None,
    run: RunName,
    rehearsed: Sandbox | None,
    credential: Credential,
    caller: Caller,
) -> Summary:
    """Send as a new run, or resume or report the run of that name. ``given``: options that send the same way."""
    guards = caller.guards
    endpoint(settings.braze, settings.message)  # fail on a bad endpoint before reading the input
    plan_file = _approved(guards)
    folder = run_folder(Path(run.folder), run.id or new_run_id())
    settle_journals(folder.parent, settings)
    ref = RunRef.at(folder)
    if run.must_exist:
        refuse_missing_folder(folder.parent)
    refuse_gone(ref)
    refuse_held(ref)
    await anyio.to_thread.run_sync(remove_inputs_left_over, folder.parent)
    if not journals.exists(ref):  # a finished run is reported at any time
        caller.refuse_late(settings)
        caller = await caller.looking_ahead(settings, credential, rehearsed)
    with Spool(folder.parent) as spool:
        try:
            prepared = await in_thread(PreparedInput.open, source, settings, spool)
        except InputError as error:
            raise _with_stored_rows(error, ref) from None
        hashed = Stages(caller.watch).hashing(prepared.source)
        identity = await anyio.to_thread.run_sync(prepared.source.identify, hashed)
        paths = [_lasting(path, spool) for path in prepared.source.paths]
        facts = new_facts(
            settings,
            rehearsed,
            files=list(zip(identity, paths, strict=True)),
            format=run.result_format,
            plan=plan_file.bodies_sha256 if plan_file is not None else "",
            given=given,
            exclude=guards.exclude,
            target_name=caller.preflight.name,
            layout=prepared.source.layout,
        )
        if plan_file is not None:
            plan_file.refuse_other_terms(identity, settings, guards.canary, sandbox=rehearsed is not None)
        if journals.exists(ref):
            with reopened(ref, facts) as existing:
                if (summary := existing.finished()) is not None:
                    return summary
                again = GivenAgain(prepared.source.paths, spool)
                return await existing.resume("send", settings, credential, caller, plan=facts.plan, given=again)
        newcomer = await anyio.to_thread.run_sync(NewRun.of, ref, facts, prepared, guards, spool)
        prepared, recipients = await _agreed(newcomer, source, caller, plan_file)
        await anyio.to_thread.run_sync(spool.sync)
        with newcomer.created(guards, spool) as journal:
            if spool.settled is not None:
                prepared = prepared.moved(*spool.settled)
            canary = Canary(guards.canary)
            return await execute(
                *("send", journal, newcomer.facts, settings, credential, caller, prepared),
                canary=canary,
                recipients=recipients,
            )


def _approved(guards: Guards) -> PlanFile | None:
    """Return the plan file that the send has to match. Raises ConfigError."""
    if guards.plan_file is None:
        return None
    from bulk_sender.planning.plan_file import PlanFile  # here: few sends have one

    return PlanFile.read(Path(guards.plan_file))


def _with_stored_rows(error: InputError, ref: RunRef) -> InputError:
    """Add to the hint that the run of that name, if there is one, can send without its input what it has stored."""
    with suppress(BulkSenderError), journals.read(ref) as journal:
        if journal.has_unsent():
            stored = f"bulk-sender resume {ref.name} sends the rows that the run has stored"
            error.hint = "; ".join(filter(None, (error.hint, stored)))
    return error


def _lasting(path: Path, spool: Spool) -> str:
    """Return the path to record so that a resumed run finds the file."""
    return f"{SPOOLED}/{path.name}" if path.parent == spool.folder else str(path.absolute())


async def _agreed(
    newcomer: NewRun, source: InputLike, caller: Caller, plan_file: PlanFile | None
) -> tuple[PreparedInput, int | None]:
    """Check every guard of a new run and ask the caller.

    Return the input, bound to its plan file if there is one, and how many recipients it has, if they were counted.
    """
    guards, facts, prepared = caller.guards, newcomer.facts, newcomer.prepared
    config = prepared.config
    newcomer.refuse_repeat(guards)
    is_small = sum(item.size for item in facts.input) <= _SMALL_BYTES
    asks = guards.confirm_again if newcomer.earlier.lately and not guards.again else guards.confirm
    asks_with_count = asks is not None and (guards.count_first or is_small or bool(newcomer.earlier.lately))
    found: dict[str, Any]
    if plan_file is not None or guards.limits(config.guard) or asks_with_count:
        bodies = BodyDigest(unaddressed(config.braze, config.message)) if plan_file is not None else None
        report = await anyio.to_thread.run_sync(_counted, prepared, source, caller, bodies)
        if plan_file is not None and bodies is not None:
            plan_file.refuse_other_outcome(report)
            prepared = prepared.approved(bodies)
        found = {"recipients": report.valid, "report": report}
    else:
        await anyio.to_thread.run_sync(refuse_empty, prepared, source)
        found = {"recipients": None, "unused": prepared.mapping.unused, "notes": tuple(prepared.notes)}
        if (comparison := prepared.compared_with(caller.preflight.details)) is not None:
            found["fit"] = comparison.result
    found |= {"repeats": tuple(map(told, newcomer.earlier.lately))}
    await caller.agree(lambda: preview(newcomer.run.folder, facts, config, **found), config, asks)
    return prepared, found["recipients"]


def _counted(prepared: PreparedInput, source: InputLike, caller: Caller, bodies: BodyDigest | None) -> CheckReport:
    """Plan the whole input before sending. ``bodies`` digests what would be sent."""
    guards = caller.guards
    details = caller.preflight.details
    report = examined(prepared, Stages(caller.watch).counting, canary=guards.canary, bodies=bodies, details=details)
    if not report.rows:
        raise no_rows(prepared, source)
    if refusal := report.refusal(guards.limits(prepared.config.guard)):
        raise GuardrailError(refusal, hint=REFUSED_HINT)
    return report
