"""The public functions, the same for Python callers and the command line.

Each takes its ``config`` as a path, a table or a ``Config``, gives typed results, and raises only
``BulkSenderError`` for what can be expected to go wrong before anything is sent. Once sending has begun, trouble
ends up in the ``Summary``: its ``state``, ``reason`` and ``exit_code``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio

from bulk_sender.bridges import blocking
from bulk_sender.broadcasting import broadcast, broadcast_async, preview_broadcast
from bulk_sender.checking import CheckReport, examine
from bulk_sender.config import Config
from bulk_sender.control import Control
from bulk_sender.deadline import parse_deadline, refuse_late
from bulk_sender.delivery.credential import Credential
from bulk_sender.delivery.endpoint import Endpoint, is_known_host, request_head
from bulk_sender.delivery.endpoint import endpoint as endpoint_of
from bulk_sender.delivery.journal import JOURNAL, Journal, holder, now
from bulk_sender.delivery.records import RESEND
from bulk_sender.delivery.window import Window
from bulk_sender.errors import (
    BulkSenderError,
    ConfigError,
    GuardrailError,
    InputError,
    RunHeldError,
    RunMismatchError,
)
from bulk_sender.folder import DEFAULT_RUNS_DIR, new_run_id, run_folder, run_ids
from bulk_sender.observe import Observers, observers_for
from bulk_sender.recipients.attributes import OddValues
from bulk_sender.recipients.insights import INSIGHT_ROWS, insights
from bulk_sender.recipients.locate import Frame, Given
from bulk_sender.recipients.spool import FOLDER as SPOOLED
from bulk_sender.recipients.spool import Spool
from bulk_sender.reconciliation import Reconciliation, reconcile, reconcile_async
from bulk_sender.results import frames
from bulk_sender.results.account import refresh_files, summarize
from bulk_sender.results.doubts import Doubt, doubts
from bulk_sender.results.files import Format
from bulk_sender.results.report import REPORT, write_report
from bulk_sender.results.summary import Summary
from bulk_sender.run import (
    Delivery,
    Facts,
    Opened,
    Progress,
    check_input_unchanged,
    create,
)
from bulk_sender.settings import ConfigLike, credential_for, from_surroundings, load_config, place
from bulk_sender.verdicts import decide, ended, files, last_state, refuse_broadcast, resolve, standing

__all__ = [
    "Input",
    "Preview",
    "Reconciliation",
    "broadcast",
    "broadcast_async",
    "check",
    "explain",
    "last_state",
    "load_config",
    "preview_broadcast",
    "reconcile",
    "reconcile_async",
    "report",
    "resolve",
    "resume",
    "resume_async",
    "retry",
    "retry_async",
    "runs",
    "send",
    "send_async",
    "status",
]

Input = str | Path | Frame | Sequence[str | Path]
"""Paths, folders, globs, URLs or ``-``, one or several; or a frame of polars, pandas or Arrow."""
_SMALL_BYTES = 16 << 20
_DOTTED = {
    "campaign_id": "braze.campaign_id",
    "canvas_id": "braze.canvas_id",
    "endpoint": "braze.endpoint",
    "limit": "input.limit",
    "rate": "delivery.rate",
    "concurrency": "delivery.concurrency",
}


@dataclass(frozen=True, slots=True)
class Preview:
    """What is about to be sent, for the question before the first POST.

    A new run has a ``report`` on its whole input; one that goes on has ``standing``, what came of it so far, and
    ``again``, the rows by status that a retry would send again, with the ``doubts`` about the unknown ones.
    ``recipients`` is how many there are to send, None when the input of a stopped run was not read to its end.
    """

    run_id: str
    kind: str
    """``campaign`` or ``Canvas``."""
    target: str
    endpoint: str
    known_host: bool
    sandbox: str
    """The weather of the embedded sandbox, empty for a real send."""
    rate: str
    server_errors: str
    recipients: int | None
    report: CheckReport | None = None
    unused: tuple[str, ...] = ()
    """Columns that are not sent, when there is no ``report`` to say so."""
    standing: Summary | None = None
    again: Mapping[str, int] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True, slots=True)
class _Supervision:
    """What the caller holds in hand while a run is under way."""

    confirm: Callable[[Preview], bool] | None = None
    control: Control | None = None
    on_progress: Callable[[Progress], None] | None = None
    hold_after: int | None = None
    on_hold: Callable[[Progress], Awaitable[bool]] | None = None
    metrics_file: str | Path | None = None
    not_after: datetime | None = None
    observers: Observers = field(default_factory=Observers)

    def of(self, settings: Config, environment: Mapping[str, str]) -> _Supervision:
        """With all who are to be told. Raises ConfigError when one can't be."""
        observers = observers_for(settings, environment, on_progress=self.on_progress, metrics_file=self.metrics_file)
        return replace(self, observers=observers)

    def refuse_late(self, settings: Config) -> None:
        """Raises GuardrailError when the first request could leave only after ``not_after``."""
        now, window = datetime.now(UTC), settings.delivery.window
        wait_s = Window.parse(window).wait_s(now) if window else 0.0
        refuse_late(self.not_after, now + timedelta(seconds=wait_s))

    async def agree(self, preview: Preview) -> None:
        """Ask, in a thread: whoever answers may take their time. Raises GuardrailError for a no."""
        if self.confirm is not None and not await anyio.to_thread.run_sync(self.confirm, preview):
            raise GuardrailError("not confirmed: nothing was sent")


def _plain(overrides: Mapping[str, Any] | None, **plain: Any) -> dict[str, Any]:
    """Plain keyword arguments and ``overrides`` as one; None is skipped. Raises ConfigError."""
    if plain.get("campaign_id") is not None and plain.get("canvas_id") is not None:
        raise ConfigError("campaign_id and canvas_id are both given", hint="a run triggers one of them")
    named = {_DOTTED[name]: value for name, value in plain.items()} | dict(overrides or {})
    return {name: value for name, value in named.items() if value is not None}


def check(
    source: Input,
    *,
    config: ConfigLike = None,
    campaign_id: str | None = None,
    canvas_id: str | None = None,
    endpoint: str | None = None,
    limit: int | None = None,
    rate: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> CheckReport:
    """Everything up to the first POST, with no network, key or endpoint. Raises ConfigError, InputError.

    The arguments mean the same as those of ``send_async``.
    """
    plain = _plain(overrides, campaign_id=campaign_id, canvas_id=canvas_id, endpoint=endpoint, limit=limit, rate=rate)
    settings = load_config(config, plain)
    with Spool() as spool:
        report = _examined(Opened.open(_given(source), settings, spool), settings, on_rows)
    if not report.rows:
        raise InputError(f"{_named(source)} has no data row", hint="a header alone sends nothing")
    return report


def _examined(opened: Opened, settings: Config, on_rows: Callable[[int], None] | None = None) -> CheckReport:
    head = request_head(settings)
    target = Endpoint("", head, b"]}")
    odd = OddValues(opened.mapping)
    planned = opened.plan(target.frame_bytes, watch=odd)
    report = examine(planned, opened.mapping, settings, target.body, on_rows)
    report.warnings[:0] = [*opened.source.notes, *insights(opened.sample(INSIGHT_ROWS), opened.mapping)]
    report.warnings.extend(odd.sentences())
    return report


def _given(source: Input) -> list[Given]:
    if isinstance(source, str | Path) or not isinstance(source, Sequence):
        return [source]
    return list(source)


def _named(source: Input) -> str:
    return ", ".join(str(given) if isinstance(given, str | Path) else "the frame" for given in _given(source))


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

    Guards: ``max_recipients``; ``not_after``, a moment (a ``datetime``, or text such as ``"18:00 Europe/Paris"``)
    after which the run does not begin or go on; ``confirm``, asked before the first POST with a full count of the
    input (without ``count_first``: of an input of up to 16 MB; a larger one is not read twice). ``hold_after``: when
    this many rows are settled, ``on_hold`` is asked whether the rest goes out, too; without it, or after a no, the run
    stops there and ``resume_async`` goes on with it.

    Watching: ``on_progress`` is called in the event loop, four times a second and at the end; should it raise, that
    is logged, it isn't called again, and the run goes on. ``on_rows`` (rows counted so far) and ``confirm`` are called
    in a thread. ``metrics_file`` is written for node_exporter. ``control`` stops the run in order.

    Cancelling the task that awaits this leaves what is in flight ``unknown``, writes results and summary, and raises
    ``CancelledError``. Raises BulkSenderError for whatever stands in the way before anything is sent; trouble after
    that is in the summary's ``state`` and ``reason``.
    """
    environment = os.environ if environment is None else environment
    plain = _plain(
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
    watch = _Supervision(confirm, control, on_progress, hold_after, on_hold, metrics_file, _moment(not_after)).of(
        settings, environment
    )
    folder = run_folder(Path(runs_dir), run_id or new_run_id())
    _refuse_held(folder)
    if not (folder / JOURNAL).exists():  # a finished run is only reported, at any time
        watch.refuse_late(settings)
    with Spool(folder.parent) as spool:
        opened = await anyio.to_thread.run_sync(Opened.open, _given(source), settings, spool)
        identity = await anyio.to_thread.run_sync(opened.source.identify)
        facts = Facts(
            settings=settings.frozen_settings(),
            config=settings.model_dump_json(exclude_unset=True),
            input=identity,
            paths=tuple(_lasting(path, spool) for path in opened.source.paths),
            sandbox=weather,
            format=result_format,
            created_at=now(),
        )
        if (folder / JOURNAL).exists():
            return await _reattach(folder, facts, settings, credential, watch)
        is_small = sum(item.size for item in identity) <= _SMALL_BYTES
        if max_recipients is not None or (confirm is not None and (count_first or is_small)):
            report = await anyio.to_thread.run_sync(_count, opened, settings, source, max_recipients, on_rows)
            await watch.agree(_preview(folder, facts, settings, recipients=report.valid, report=report))
        else:
            await anyio.to_thread.run_sync(_refuse_empty, opened, source)
            unused = opened.mapping.unused
            await watch.agree(_preview(folder, facts, settings, recipients=None, unused=unused))
        watch.refuse_late(settings)
        with create(folder, facts) as journal:
            if (spooled := spool.settle(folder / SPOOLED)) is not None:
                opened.source.moved(spooled, folder / SPOOLED)
            return await _deliver(journal, facts, settings, credential, opened, "send", watch)


def _lasting(path: Path, spool: Spool) -> str:
    """Where a file will be found by whoever resumes the run."""
    return f"{SPOOLED}/{path.name}" if path.parent == spool.folder else str(path.absolute())


def _moment(not_after: datetime | str | None) -> datetime | None:
    if isinstance(not_after, str):
        return parse_deadline(not_after, datetime.now().astimezone())
    return not_after.astimezone() if not_after is not None and not_after.tzinfo is None else not_after


def _refuse_held(folder: Path) -> None:
    """Tell at once that another process is on it, before a large input is read. ``Journal.hold`` decides."""
    held_by = holder(folder)
    if held_by is not None:
        raise RunHeldError(
            f"run {folder.name!r} is held by {held_by}", hint="wait for it to end, or stop it, then run this again"
        )


def _count(
    opened: Opened,
    settings: Config,
    source: Input,
    max_recipients: int | None,
    on_rows: Callable[[int], None] | None,
) -> CheckReport:
    """Count before sending, for whoever has to agree."""
    report = _examined(opened, settings, on_rows)
    if not report.rows:
        raise InputError(f"{_named(source)} has no data row", hint="a header alone sends nothing")
    if max_recipients is not None and report.valid > max_recipients:
        raise GuardrailError(
            f"{report.valid} recipients are more than --max-recipients {max_recipients}",
            hint="check the file, or raise the limit",
        )
    return report


def _preview(folder: Path, facts: Facts, settings: Config, **found: Any) -> Preview:
    url = settings.braze.endpoint or ""
    return Preview(
        run_id=folder.name,
        kind="Canvas" if settings.is_canvas else "campaign",
        target=settings.target or "",
        endpoint=url,
        known_host=is_known_host(url),
        sandbox=facts.sandbox,
        rate=settings.delivery.rate,
        server_errors=settings.delivery.server_errors,
        **found,
    )


def _preview_of_rest(
    journal: Journal, facts: Facts, settings: Config, again: Mapping[str, int] | None = None
) -> Preview:
    so_far, again = standing(journal), again or {}
    is_known = bool(journal.fact("plan_complete"))
    return _preview(
        journal.folder,
        facts,
        settings,
        recipients=so_far.not_sent + sum(again.values()) if is_known else None,
        standing=so_far,
        again=again,
        doubts=doubts(journal) if "unknown" in again else (),
    )


def _refuse_empty(opened: Opened, source: Input) -> None:
    if next(opened.source.read(), None) is None:
        raise InputError(f"{_named(source)} has no data row", hint="a header alone sends nothing")


async def _reattach(
    folder: Path,
    facts: Facts,
    settings: Config,
    credential: Credential,
    watch: _Supervision,
) -> Summary:
    """A run of that name exists: the same input and configuration make this a repetition, anything else a mistake."""
    with Journal.hold(folder) as journal:
        earlier = Facts.of(journal)
        if different := earlier.difference(facts):
            raise RunMismatchError(
                f"run {folder.name!r} exists, with another {', '.join(different)}",
                hint="choose another --run-id, or give what the run was started with",
            )
        summary = ended(journal)
        if summary is not None and summary.state == "finished":
            return refresh_files(journal, summary)
        opened = await _open_again(journal, earlier, settings)
        await watch.agree(_preview_of_rest(journal, earlier, settings))
        return await _deliver(journal, earlier, settings, credential, opened, "send", watch)


async def _open_again(journal: Journal, facts: Facts, settings: Config) -> Opened | None:
    complete = bool(journal.fact("plan_complete"))
    await anyio.to_thread.run_sync(lambda: check_input_unchanged(facts, journal.folder, needed=not complete))
    return None if complete else await anyio.to_thread.run_sync(Opened.again, facts, journal.folder, settings)


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
    watch = _Supervision(confirm, control, on_progress, metrics_file=metrics_file, not_after=_moment(not_after))
    with Journal.hold(run_folder(Path(runs_dir), run)) as journal:
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
    watch = _Supervision(confirm, control, on_progress, metrics_file=metrics_file, not_after=_moment(not_after))
    with Journal.hold(run_folder(Path(runs_dir), run)) as journal:
        refuse_broadcast(journal)
        counted = frames.counts(journal)
        again = {name: counted[name] for name in wanted if counted[name]}
        if not again:
            return standing(journal)
        return await _go_on(journal, "retry", overrides, environment, watch, again=again, why=why)


async def _go_on(
    journal: Journal,
    command: str,
    overrides: Mapping[str, Any] | None,
    environment: Mapping[str, str] | None,
    watch: _Supervision,
    *,
    again: Mapping[str, int] | None = None,
    why: str = "",
) -> Summary:
    """Deliver what a run has left, and rows to send ``again`` (by status); decided on only when all else is sound."""
    facts = Facts.of(journal)
    settings = load_config(facts.revived(), overrides)
    if different := facts.difference(replace(facts, settings=settings.frozen_settings())):
        raise RunMismatchError(f"{', '.join(different)} can't be changed for a run that has begun")
    environment = os.environ if environment is None else environment
    credential = credential_for(facts.sandbox, environment)
    watch = watch.of(settings, environment)
    watch.refuse_late(settings)
    opened = await _open_again(journal, facts, settings)
    await watch.agree(_preview_of_rest(journal, facts, settings, again))
    if again:
        decide(journal, list(again), RESEND, why or command)
    return await _deliver(journal, facts, settings, credential, opened, command, watch)


def runs(runs_dir: str | Path = DEFAULT_RUNS_DIR) -> Iterator[Summary]:
    """The runs in a folder, oldest first; one whose journal can't be read is left out."""
    for name in run_ids(Path(runs_dir)):
        with suppress(BulkSenderError):
            yield status(name, runs_dir=runs_dir)


def status(run: str, *, runs_dir: str | Path = DEFAULT_RUNS_DIR) -> Summary:
    """How a run stands, also while it is running."""
    folder = run_folder(Path(runs_dir), run)
    with Journal.look(folder) as journal:
        held_by = holder(folder)
        if held_by is not None:
            return summarize(journal, "running", held_by, files(journal))
        return standing(journal)


def report(run: str, *, runs_dir: str | Path = DEFAULT_RUNS_DIR) -> Path:
    """Write ``report.html`` again, as the journal stands now, also while the run is going on. Returns its path."""
    summary = status(run, runs_dir=runs_dir)
    with Journal.look(run_folder(Path(runs_dir), run)) as journal:
        path = journal.folder / REPORT
        write_report(journal, summary, path)
    return path


def explain(run: str, row: int, *, runs_dir: str | Path = DEFAULT_RUNS_DIR) -> dict[str, Any]:
    """One row's whole story. Raises InputError when the run has no such row."""
    with Journal.look(run_folder(Path(runs_dir), run)) as journal:
        found = frames.explain(journal, row)
        if found is None:
            raise InputError(f"run {journal.folder.name!r} has no row {row}")
        return found


async def _deliver(
    journal: Journal,
    facts: Facts,
    settings: Config,
    credential: Credential,
    opened: Opened | None,
    command: str,
    watch: _Supervision,
) -> Summary:
    watch.refuse_late(settings)  # reading and asking may have taken hours
    delivery = Delivery(
        journal,
        facts,
        settings,
        watch.control or Control(),
        watch.observers,
        hold_after=watch.hold_after,
        on_hold=watch.on_hold,
    )
    async with place(settings, facts.sandbox, endpoint_of) as target:
        summary = await delivery.run(command, target, credential, opened)
    if delivery.plan_complete:  # every row is in the journal: people's data need not lie about twice
        shutil.rmtree(journal.folder / SPOOLED, ignore_errors=True)
    return summary


send = blocking(send_async)
resume = blocking(resume_async)
retry = blocking(retry_async)
