"""The public functions, the same for Python callers and the command line.

Each takes its ``config`` as a path, a table or a ``Config``, gives typed results, and raises only
``BulkSenderError`` for what can be expected to go wrong before anything is sent. Once sending has begun, trouble
ends up in the ``Summary``: its ``state``, ``reason`` and ``exit_code``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio

from bulk_sender.check import CheckReport, examine
from bulk_sender.config import Config
from bulk_sender.delivery.credential import Credential
from bulk_sender.delivery.endpoint import Endpoint, endpoint, is_known_host, request_head
from bulk_sender.delivery.journal import JOURNAL, Journal, holder, now
from bulk_sender.delivery.records import RESEND
from bulk_sender.errors import BulkSenderError, ConfigError, GuardrailError, InputError, RunMismatchError
from bulk_sender.folder import DEFAULT_RUNS_DIR, new_run_id, run_folder, run_ids
from bulk_sender.recipients.insights import INSIGHT_ROWS, insights
from bulk_sender.recipients.locate import Frame, Given
from bulk_sender.recipients.spool import FOLDER as SPOOLED
from bulk_sender.recipients.spool import Spool
from bulk_sender.results import frames
from bulk_sender.results.files import Format
from bulk_sender.results.summary import State, Summary
from bulk_sender.run import (
    Control,
    Delivery,
    Facts,
    Opened,
    Progress,
    check_input_unchanged,
    create,
    summarize,
    write_files,
)

Input = str | Path | Frame | Sequence[str | Path]
"""Paths, folders, globs, URLs or ``-``, one or several; or a frame of polars, pandas or Arrow."""
ConfigLike = str | Path | Mapping[str, Any] | Config | None
SANDBOX_TARGET = "sandbox-campaign"
SANDBOX_KEY = "sandbox-key"  # no secret: the sandbox takes any key


@dataclass(frozen=True, slots=True)
class Preview:
    """What a send is about to do, for the question before its first POST."""

    target: str
    kind: str
    endpoint: str
    known_host: bool
    report: CheckReport
    rate: str
    server_errors: str


def load_config(config: ConfigLike, overrides: Mapping[str, Any] | None = None) -> Config:
    """Whatever a caller gave, as a ``Config`` with ``overrides`` (dotted key → value) laid over it."""
    if isinstance(config, Config):
        raw = config.model_dump(exclude_unset=True)
        return Config.parse(_overlaid(raw, overrides), where="the configuration") if overrides else config
    if isinstance(config, Mapping):
        return Config.parse(_overlaid(dict(config), overrides), where="the configuration")
    return Config.load(config, overrides)


def _overlaid(raw: dict[str, Any], overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    laid = {table: dict(values) for table, values in raw.items()}
    for dotted, value in (overrides or {}).items():
        if value is not None:
            table, name = dotted.split(".")
            laid.setdefault(table, {})[name] = value
    return laid


def check(
    source: Input,
    *,
    config: ConfigLike = None,
    overrides: Mapping[str, Any] | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> CheckReport:
    """Everything up to the first POST, with no network. Raises ConfigError, InputError."""
    settings = load_config(config, overrides)
    with Spool() as spool:
        report = _examined(Opened.open(_given(source), settings, spool), settings, on_rows)
    if not report.rows:
        raise InputError(f"{_named(source)} has no data row", hint="a header alone sends nothing")
    return report


def _examined(opened: Opened, settings: Config, on_rows: Callable[[int], None] | None = None) -> CheckReport:
    head = request_head(settings)
    target = Endpoint("", head, b"]}")
    report = examine(opened.plan(target.frame_bytes), opened.mapping, settings, target.body, on_rows)
    report.warnings[:0] = [*opened.source.notes, *insights(opened.sample(INSIGHT_ROWS), opened.mapping)]
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
    overrides: Mapping[str, Any] | None = None,
    run_id: str | None = None,
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
    max_recipients: int | None = None,
    result_format: Format = "csv",
    sandbox: bool = False,
    weather: str = "calm",
    environment: Mapping[str, str] | None = None,
    confirm: Callable[[Preview], bool] | None = None,
    control: Control | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> Summary:
    """Send an input, or go on with (or just report) the run named ``run_id`` when it exists.

    ``confirm`` is asked before the first POST, with a full count of the input; without it nothing is asked.
    Raises BulkSenderError for whatever stands in the way before anything is sent.
    """
    environment = os.environ if environment is None else environment
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    overrides = {"braze.endpoint": environment.get("BRAZE_ENDPOINT")} | given
    settings = load_config(config, overrides)
    if sandbox:
        settings = _for_sandbox(settings)
    credential = _credential(sandbox, environment)
    target = endpoint(settings) if not sandbox else None
    folder = run_folder(Path(runs_dir), run_id or new_run_id())
    with Spool(folder.parent) as spool:
        opened = await anyio.to_thread.run_sync(Opened.open, _given(source), settings, spool)
        identity = await anyio.to_thread.run_sync(opened.source.identify)
        facts = Facts(
            settings=settings.frozen_settings(),
            config=settings.model_dump_json(exclude_unset=True),
            input=identity,
            paths=tuple(_lasting(path, spool) for path in opened.source.paths),
            sandbox=weather if sandbox else "",
            format=result_format,
            created_at=now(),
        )
        if (folder / JOURNAL).exists():
            return await _reattach(folder, facts, settings, credential, confirm, control, on_progress)
        if max_recipients is not None or confirm is not None:
            await anyio.to_thread.run_sync(_guard, opened, settings, max_recipients, confirm, on_rows)
        else:
            await anyio.to_thread.run_sync(_refuse_empty, opened, source)
        with create(folder, facts) as journal:
            if (spooled := spool.settle(folder / SPOOLED)) is not None:
                opened.source.moved(spooled, folder / SPOOLED)
            return await _deliver(journal, facts, settings, credential, opened, "send", control, on_progress, target)


def _lasting(path: Path, spool: Spool) -> str:
    """Where a file will be found by whoever resumes the run."""
    return f"{SPOOLED}/{path.name}" if path.parent == spool.folder else str(path.absolute())


def _guard(
    opened: Opened,
    settings: Config,
    max_recipients: int | None,
    confirm: Callable[[Preview], bool] | None,
    on_rows: Callable[[int], None] | None,
) -> None:
    """Count before sending, for whoever has to agree."""
    report = _examined(opened, settings, on_rows)
    if not report.rows:
        raise InputError("the input has no data row", hint="a header alone sends nothing")
    if max_recipients is not None and report.valid > max_recipients:
        raise GuardrailError(
            f"{report.valid} recipients are more than --max-recipients {max_recipients}",
            hint="check the file, or raise the limit",
        )
    if confirm is not None and not confirm(_preview(settings, report)):
        raise GuardrailError("not confirmed: nothing was sent")


def _preview(settings: Config, report: CheckReport) -> Preview:
    url = settings.braze.endpoint or ""
    return Preview(
        settings.target or "",
        "Canvas" if settings.is_canvas else "campaign",
        url,
        is_known_host(url),
        report,
        settings.delivery.rate,
        settings.delivery.server_errors,
    )


def _refuse_empty(opened: Opened, source: Input) -> None:
    if next(opened.source.read(), None) is None:
        raise InputError(f"{_named(source)} has no data row", hint="a header alone sends nothing")


def _credential(sandbox: bool, environment: Mapping[str, str]) -> Credential:
    return Credential.check(SANDBOX_KEY) if sandbox else Credential.from_environment(environment)


def _for_sandbox(settings: Config) -> Config:
    target = {} if settings.target else {"braze.campaign_id": SANDBOX_TARGET}
    return load_config(settings, {"braze.endpoint": "http://127.0.0.1", **target})


async def _reattach(
    folder: Path,
    facts: Facts,
    settings: Config,
    credential: Credential,
    confirm: Callable[[Preview], bool] | None,
    control: Control | None,
    on_progress: Callable[[Progress], None] | None,
) -> Summary:
    """A run of that name exists: the same input and configuration make this a repetition, anything else a mistake."""
    with Journal.hold(folder) as journal:
        earlier = Facts.of(journal)
        if different := earlier.difference(facts):
            raise RunMismatchError(
                f"run {folder.name!r} exists, with another {', '.join(different)}",
                hint="choose another --run-id, or give what the run was started with",
            )
        ended = _ended(journal)
        if ended is not None and ended.state == "finished":
            return ended
        opened = await _open_again(journal, earlier, settings)
        return await _deliver(journal, earlier, settings, credential, opened, "send", control, on_progress)


def _ended(journal: Journal) -> Summary | None:
    """The summary as the run last ended, or None when it never did."""
    last = journal.query("SELECT epoch, state, reason FROM ending ORDER BY epoch DESC LIMIT 1")
    if not last or last[0]["epoch"] != journal.query("SELECT max(id) AS id FROM epoch")[0]["id"]:
        return None
    if last[0]["state"] == "finished" and frames.counts(journal)["not_sent"]:
        return None  # a later decision asked for rows to be sent again
    return summarize(journal, last[0]["state"], last[0]["reason"] or None, _files(journal))


def _files(journal: Journal) -> dict[str, str]:
    kind = journal.fact("format")
    names = {
        "results": f"results.{kind}",
        "rejected": "rejected.csv",
        "journal": JOURNAL,
        "summary": "summary.json",
    }
    return {name: str(journal.folder / file) for name, file in names.items()}


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
    command: str = "resume",
    control: Control | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Go on with a stopped run. ``overrides`` may change how it is delivered, never what."""
    environment = os.environ if environment is None else environment
    with Journal.hold(run_folder(Path(runs_dir), run)) as journal:
        facts = Facts.of(journal)
        settings = load_config(facts.revived(), overrides)
        if different := facts.difference(replace(facts, settings=settings.frozen_settings())):
            raise RunMismatchError(f"{', '.join(different)} can't be changed for a run that has begun")
        ended = _ended(journal)
        if ended is not None and ended.state == "finished":
            return ended
        credential = _credential(bool(facts.sandbox), environment)
        opened = await _open_again(journal, facts, settings)
        return await _deliver(journal, facts, settings, credential, opened, command, control, on_progress)


async def retry_async(
    run: str,
    *,
    failed: bool = False,
    unknown: bool = False,
    why: str = "",
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
    **rest: Any,
) -> Summary:
    """Decide to send failed or unknown rows again, and send them, as a further pass of the same run."""
    statuses = [name for name, wanted in (("failed", failed), ("unknown", unknown)) if wanted]
    if not statuses:
        raise ConfigError("nothing to retry: give --failed, --unknown, or both")
    decide(run, statuses, RESEND, why or "retry", runs_dir=runs_dir)
    return await resume_async(run, runs_dir=runs_dir, command="retry", **rest)


def decide(
    run: str, statuses: Sequence[str], verdict: str, why: str, *, runs_dir: str | Path = DEFAULT_RUNS_DIR
) -> int:
    """Append a decision on every batch of ``statuses``. Returns the number of rows it concerns."""
    with Journal.hold(run_folder(Path(runs_dir), run)) as journal:
        marks = ",".join("?" * len(statuses))
        found = journal.query(
            f"SELECT batch, attempt, size FROM state WHERE attempt IS NOT NULL AND status IN ({marks})",
            tuple(statuses),
        )
        journal.decide([(row["batch"], row["attempt"]) for row in found], verdict, why)
        return sum(row["size"] for row in found)


def resolve(run: str, *, verdict: str, why: str = "", runs_dir: str | Path = DEFAULT_RUNS_DIR) -> tuple[int, Summary]:
    """Record the operator's verdict (``accepted`` or ``failed``) on the unknown rows, without sending."""
    count = decide(run, ["unknown"], verdict, why or "resolve", runs_dir=runs_dir)
    with Journal.hold(run_folder(Path(runs_dir), run)) as journal:
        state, reason = last_state(journal)
        return count, write_files(journal, journal.fact("format"), state, reason)


def last_state(journal: Journal) -> tuple[State, str | None]:
    """How the run stands when nobody is sending it."""
    ended = _ended(journal)
    if ended is not None:
        return ended.state, ended.reason
    left = frames.counts(journal)["not_sent"] or not journal.fact("plan_complete")
    return ("stopped", "the process ended without closing the run") if left else ("finished", None)


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
            return summarize(journal, "running", held_by, _files(journal))
        return summarize(journal, *last_state(journal), _files(journal))


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
    control: Control | None,
    on_progress: Callable[[Progress], None] | None,
    target: Endpoint | None = None,
) -> Summary:
    delivery = Delivery(journal, facts, settings, control or Control(), on_progress)
    async with _place(facts, settings, target) as place:
        summary = await delivery.run(command, place, credential, opened)
    if delivery.plan_complete:  # every row is in the journal: people's data need not lie about twice
        shutil.rmtree(journal.folder / SPOOLED, ignore_errors=True)
    return summary


@asynccontextmanager
async def _place(facts: Facts, settings: Config, target: Endpoint | None) -> AsyncIterator[Endpoint]:
    """Where the requests go: the configured endpoint, or a sandbox that lives as long as the run."""
    if not facts.sandbox:
        yield target or endpoint(settings)
        return
    from bulk_sender.sandbox import Sandbox

    async with Sandbox(weather=facts.sandbox) as sandbox:
        yield endpoint(load_config(settings, {"braze.endpoint": sandbox.url}))


def send(source: Input, **options: Any) -> Summary:
    """``send_async`` for callers without an event loop."""
    return anyio.run(lambda: send_async(source, **options))


def resume(run: str, **options: Any) -> Summary:
    """``resume_async`` for callers without an event loop."""
    return anyio.run(lambda: resume_async(run, **options))


def retry(run: str, **options: Any) -> Summary:
    """``retry_async`` for callers without an event loop."""
    return anyio.run(lambda: retry_async(run, **options))
