"""Sending an input as a run of its own, or going on with the run of that name."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio

from bulk_sender import journal as journals
from bulk_sender.braze.endpoint import endpoint as endpoint_of
from bulk_sender.braze.endpoint import unaddressed
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.errors import GuardrailError, RunHeldError
from bulk_sender.eventloop import blocking
from bulk_sender.journal.facts import Facts, Format
from bulk_sender.journal.store import RunRef
from bulk_sender.observe.events import Progress
from bulk_sender.operations.resume import reattach
from bulk_sender.planning.digest import Bodies
from bulk_sender.planning.plan_file import SavedPlan
from bulk_sender.planning.prepared import Input, Opened, no_rows, refuse_empty
from bulk_sender.planning.report import CheckReport, examined, too_many
from bulk_sender.reading.spool import FOLDER as SPOOLED
from bulk_sender.reading.spool import Spool
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.caller import Supervision
from bulk_sender.run.control import Control
from bulk_sender.run.deadline import moment_of
from bulk_sender.run.facts import create
from bulk_sender.run.folder import new_run_id, run_folder
from bulk_sender.run.preview import Preview, preview
from bulk_sender.run.settings import ConfigLike, from_surroundings, spelled, with_plain
from bulk_sender.run.target import credential_for
from bulk_sender.text.times import now

_SMALL_BYTES = 16 << 20


async def send_async(
    source: Input,
    *,
    config: ConfigLike = None,
    campaign_id: str | None = None,
    canvas_id: str | None = None,
    endpoint: str | None = None,
    limit: int | None = None,
    rate: str | None = None,
    concurrency: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    run_id: str | None = None,
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
    max_recipients: int | None = None,
    not_after: datetime | str | None = None,
    result_format: Format = "csv",
    sandbox: bool = False,
    weather: str = "calm",
    environment: Mapping[str, str] | None = None,
    confirm: Callable[[Preview], bool] | None = None,
    control: Control | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_rows: Callable[[int], None] | None = None,
    count_first: bool = True,
    hold_after: int | None = None,
    on_hold: Callable[[Progress], Awaitable[bool]] | None = None,
    metrics_file: str | Path | None = None,
    plan: str | Path | None = None,
) -> Summary:
    """Send an input, or go on with (or just report) the run named ``run_id`` when it exists.

    What is sent: ``config`` (a TOML file's path, a table or a ``Config``), over it ``BRAZE_ENDPOINT`` of the
    environment, over that the plain arguments: ``campaign_id`` or ``canvas_id``, ``endpoint`` (the instance's REST
    address), ``limit`` (the first N rows), ``rate`` (``"250000/hour"``), ``concurrency`` (requests under way at
    most), and in ``overrides`` any other key of the configuration, dotted: ``{"delivery.attempts": 3}``. The key
    comes from ``BRAZE_API_KEY`` or ``BRAZE_API_KEY_FILE`` of ``environment`` (default: the process's own).

    The run: ``run_id`` names it (default: a new name), so that the same call again goes on with it instead of sending
    again; ``run_id_for`` makes one of an orchestrator's ids. Its folder is made in ``runs_dir``. ``result_format`` is
    ``csv``, ``parquet`` or ``ndjson``. ``sandbox`` sends to a Braze of its own inside this process, with a
    ``weather``; no key needed.

    Guards: ``plan``, a file that ``check`` wrote: the input is planned whole first, and unless each request is the
    plan's, byte for byte, GuardrailError says what differs and nothing is sent. ``max_recipients``. ``not_after``, a
    moment (a ``datetime``, or text such as ``"18:00 Europe/Paris"``) after which the run does not begin or go on.
    ``confirm``, asked before the first POST with a full count of the input (without ``count_first``: of an input of
    up to 16 MB; a larger one is not read twice). ``hold_after``: when this many rows are settled, ``on_hold`` is
    asked whether the rest goes out, too; without it, or after a no, the run stops there and ``resume_async`` goes on
    with it.

    Watching: ``on_progress`` is called in the event loop, four times a second and at the end; should it raise, that
    is logged, it isn't called again, and the run goes on. ``on_rows`` (rows counted so far) and ``confirm`` are called
    in a thread. ``metrics_file`` is written for node_exporter. ``control`` stops the run in order.

    Cancelling the task that awaits this leaves what is in flight ``unknown``, writes results and summary, and raises
    ``CancelledError``. Raises BulkSenderError for whatever stands in the way before anything is sent; trouble after
    that is in the summary's ``state`` and ``reason``.
    """
    environment = os.environ if environment is None else environment
    plain = with_plain(
        overrides,
        campaign_id=campaign_id,
        canvas_id=canvas_id,
        endpoint=endpoint,
        limit=limit,
        rate=rate,
        concurrency=concurrency,
    )
    weather = weather if sandbox else ""
    settings = from_surroundings(config, plain, environment, weather)
    credential = credential_for(weather, environment)
    endpoint_of(settings)  # what is wrong with it shall be said before the input is read
    agreed = SavedPlan.read(Path(plan)) if plan is not None else None
    watch = Supervision(
        confirm, control, on_progress, on_rows, hold_after, on_hold, metrics_file, moment_of(not_after)
    ).of(settings, environment)
    folder = run_folder(Path(runs_dir), run_id or new_run_id())
    _refuse_held(folder)
    if not journals.exists(RunRef.at(folder)):  # a finished run is only reported, at any time
        watch.refuse_late(settings)
    with Spool(folder.parent) as spool:
        opened = await anyio.to_thread.run_sync(Opened.open, source, settings, spool)
        identity = await anyio.to_thread.run_sync(opened.source.identify)
        facts = Facts(
            settings=settings.frozen_settings(),
            config=settings.model_dump_json(exclude_unset=True),
            input=identity,
            paths=tuple(_lasting(path, spool) for path in opened.source.paths),
            sandbox=weather,
            format=result_format,
            created_at=now(),
            plan=agreed.bodies_sha256 if agreed is not None else "",
            given=spelled(config, plain),
        )
        if agreed is not None:
            agreed.refuse_other_terms(identity, settings, hold_after, sandbox=sandbox)
        if journals.exists(RunRef.at(folder)):
            return await reattach(folder, facts, settings, credential, watch)
        is_small = sum(item.size for item in identity) <= _SMALL_BYTES
        if agreed is not None or max_recipients is not None or (confirm is not None and (count_first or is_small)):
            bodies = Bodies(unaddressed(settings)) if agreed is not None else None
            report = await anyio.to_thread.run_sync(_count, opened, source, max_recipients, watch, bodies)
            if agreed is not None and bodies is not None:
                agreed.refuse_other_outcome(report)
                opened = opened.approved(bodies)
            await watch.agree(lambda: preview(folder, facts, settings, recipients=report.valid, report=report))
        else:
            await anyio.to_thread.run_sync(refuse_empty, opened, source)
            unused = opened.mapping.unused
            await watch.agree(lambda: preview(folder, facts, settings, recipients=None, unused=unused))
        watch.refuse_late(settings)
        with create(RunRef.at(folder), facts) as journal:
            if (spooled := spool.settle(folder / SPOOLED)) is not None:
                opened.source.moved(spooled, folder / SPOOLED)
            return await watch.deliver(journal, facts, settings, credential, opened, "send")


send = blocking(send_async)


def _lasting(path: Path, spool: Spool) -> str:
    """Where a file will be found by whoever resumes the run."""
    return f"{SPOOLED}/{path.name}" if path.parent == spool.folder else str(path.absolute())


def _refuse_held(folder: Path) -> None:
    """Tell at once that another process is on it, before a large input is read. Opening the journal decides."""
    held_by = journals.holder(RunRef.at(folder))
    if held_by is not None:
        raise RunHeldError(
            f"run {folder.name!r} is held by {held_by}", hint="wait for it to end, or stop it, then run this again"
        )


def _count(
    opened: Opened,
    source: Input,
    max_recipients: int | None,
    watch: Supervision,
    bodies: Bodies | None,
) -> CheckReport:
    """Count before sending, for whoever has to agree; ``bodies`` takes in what would be sent."""
    report = examined(opened, watch.on_rows, hold_after=watch.hold_after, bodies=bodies)
    if not report.rows:
        raise no_rows(source)
    if refusal := too_many(report, max_recipients):
        raise GuardrailError(refusal, hint="check the file, or raise the limit")
    return report
