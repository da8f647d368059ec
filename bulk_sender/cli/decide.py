"""``resume``, ``retry`` and ``resolve``: what becomes of a run that left something open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bulk_sender.cli import completion
from bulk_sender.cli.options import (
    LOG_FORMATS,
    RUNS_DIR,
    AsJson,
    Concurrency,
    LogFormat,
    MetricsFile,
    NotAfter,
    Quiet,
    Rate,
    Run,
    RunsDir,
    Why,
    Yes,
    one_of,
    overrides,
)
from bulk_sender.cli.terminal import terminal

if TYPE_CHECKING:
    from bulk_sender.results.doubts import Doubt

VERDICTS = ("accepted", "failed")


def resume(
    run: Run,
    runs_dir: RunsDir = RUNS_DIR,
    rate: Rate = None,
    concurrency: Concurrency = None,
    not_after: NotAfter = None,
    metrics_file: MetricsFile = None,
    yes: Yes = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    log_format: LogFormat = "text",
) -> None:
    """Go on with a stopped run: what was not sent is sent, what is in doubt stays as it is."""
    _ready_to_send("resume", yes, quiet, log_format)
    settings = overrides(rate=rate, concurrency=concurrency)

    from bulk_sender import api
    from bulk_sender.cli.key import take_environment
    from bulk_sender.cli.watch import Watch

    watch = Watch(yes=yes)
    code = watch.deliver(
        lambda: api.resume_async(
            run,
            runs_dir=runs_dir,
            overrides=settings,
            not_after=not_after,
            metrics_file=metrics_file,
            environment=take_environment(),
            **watch.handles(),
        ),
        nothing="has been finished before: nothing was sent now.",
        as_json=as_json,
    )
    raise typer.Exit(code)


def retry(
    run: Run,
    failed: Annotated[bool, typer.Option("--failed", help="Rows that Braze refused.")] = False,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Rows in doubt: whoever got the message already gets it once more.")
    ] = False,
    why: Why = "",
    runs_dir: RunsDir = RUNS_DIR,
    rate: Rate = None,
    concurrency: Concurrency = None,
    not_after: NotAfter = None,
    metrics_file: MetricsFile = None,
    yes: Yes = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    log_format: LogFormat = "text",
) -> None:
    """Send failed rows, unknown rows, or both again, as a further pass of the same run."""
    _ready_to_send("retry", yes, quiet, log_format)
    settings = overrides(rate=rate, concurrency=concurrency)

    from bulk_sender import api
    from bulk_sender.cli.key import take_environment
    from bulk_sender.cli.watch import Watch

    wanted = " or ".join(name for name, is_wanted in (("failed", failed), ("unknown", unknown)) if is_wanted)
    watch = Watch(yes=yes)
    code = watch.deliver(
        lambda: api.retry_async(
            run,
            failed=failed,
            unknown=unknown,
            why=why,
            runs_dir=runs_dir,
            overrides=settings,
            not_after=not_after,
            metrics_file=metrics_file,
            environment=take_environment(),
            **watch.handles(),
        ),
        nothing=f"has no {wanted} row: nothing was sent.",
        as_json=as_json,
    )
    raise typer.Exit(code)


def _ready_to_send(command: str, yes: bool, quiet: bool, log_format: str) -> None:
    from bulk_sender.cli.questions import must_be_able_to_ask

    terminal.set_up(quiet=quiet, log_format=one_of(log_format, LOG_FORMATS, "--log-format"))
    must_be_able_to_ask(yes, command)


def resolve(
    run: Run,
    verdict: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="accepted|failed",
            help="What the unknown rows are from now on.",
            autocompletion=completion.among(VERDICTS),
        ),
    ],
    why: Why = "",
    runs_dir: RunsDir = RUNS_DIR,
    yes: Yes = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Record your verdict on a run's unknown rows, without sending anything.

    Exits as the run stands then: 0, 1 when rows were rejected, failed or unknown, 3 when there is more to send.
    """
    from bulk_sender.cli.questions import Question, must_be_able_to_ask

    terminal.set_up(quiet=quiet)
    one_of(verdict, VERDICTS, "--as")
    must_be_able_to_ask(yes, "resolve")

    from bulk_sender import api
    from bulk_sender.cli import messages
    from bulk_sender.cli.watch import standing_code
    from bulk_sender.cli.wording import several
    from bulk_sender.results.origin import Origin

    def confirm(evidence: tuple[Doubt, ...]) -> bool:
        rows = sum(doubt.rows for doubt in evidence)
        terminal.say([f"{several(rows, 'unknown row')} of run {run}, and what is known of them:"], always=not yes)
        terminal.say([*messages.doubts(evidence, terminal.width), ""], always=not yes)
        return yes or Question().ask(f"Record {several(rows, 'row')} as {verdict}?")

    count, summary = api.resolve(run, verdict=verdict, why=why, runs_dir=runs_dir, confirm=confirm)
    told = f"{several(count, 'row')} recorded as {verdict}." if count else "No row is unknown: nothing to resolve."
    terminal.say([told, ""])
    terminal.say(messages.summary(summary, terminal.width, Origin.behind(summary)))
    if as_json:
        terminal.json(summary.to_dict())
    raise typer.Exit(standing_code(summary))
