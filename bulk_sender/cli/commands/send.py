"""``send``: send an input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bulk_sender.cli import completion
from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.loading import loading
from bulk_sender.cli.options import (
    FORMATS,
    LOG_FORMATS,
    RUNS_DIR,
    Address,
    Again,
    AsJson,
    CampaignId,
    Canary,
    CanvasId,
    Concurrency,
    ConfigFile,
    Database,
    Endpoint,
    Exclude,
    Inputs,
    Limit,
    LogFormat,
    MaxDuration,
    MaxRecipients,
    MaxRejected,
    MetricsFile,
    MinRecipients,
    NotAfter,
    On,
    Quiet,
    Rate,
    RunsDir,
    Sheet,
    Workers,
    Yes,
    begin_on,
    inputs_of,
    one_of,
    refuse_half_an_engine,
    settings,
)

if TYPE_CHECKING:
    from bulk_sender.config.amount import Amount


def send(
    inputs: Inputs,
    database: Database = None,
    config: ConfigFile = None,
    campaign_id: CampaignId = None,
    canvas_id: CanvasId = None,
    endpoint: Endpoint = None,
    run_id: Annotated[
        str | None,
        typer.Option(
            "--run-id",
            metavar="ID",
            help="Name of the run. The same command again resumes it.",
            autocompletion=completion.runs,
        ),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
    sheet: Sheet = None,
    limit: Limit = None,
    exclude: Exclude = None,
    again: Again = False,
    min_recipients: MinRecipients = None,
    max_recipients: MaxRecipients = None,
    max_rejected: MaxRejected = None,
    tolerate: Annotated[
        str | None,
        typer.Option(
            "--tolerate",
            metavar="rejected[:P%]",
            help="Exit with 0 in spite of rejected rows: any number of them, or up to this share.",
            show_default=False,
        ),
    ] = None,
    not_after: NotAfter = None,
    max_duration: MaxDuration = None,
    rate: Rate = None,
    concurrency: Concurrency = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="csv|parquet|ndjson|xlsx",
            help="Format of the results.",
            autocompletion=completion.among(FORMATS),
        ),
    ] = "csv",
    canary: Canary = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            metavar="FILE",
            help="Send exactly what this plan file says, or nothing if one byte would differ.",
            show_default=False,
        ),
    ] = None,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Use the built-in simulated Braze; needs no key.")] = False,
    weather: Annotated[
        str | None,
        typer.Option(
            "--weather",
            metavar="NAME",
            help="What the simulated Braze does wrong: calm (nothing), slow, throttled, lost-answers, outage or storm.",
            autocompletion=completion.weathers,
        ),
    ] = None,
    on: On = None,
    workers: Workers = None,
    address: Address = None,
    metrics_file: MetricsFile = None,
    yes: Yes = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    log_format: LogFormat = "text",
) -> None:
    """Validate the input, show what is about to be sent, ask for confirmation, send, and write the results.

    With --run-id the same command can be repeated safely: it reports a finished run, and resumes a stopped one.
    """
    from bulk_sender.cli.console.questions import must_be_able_to_ask
    from bulk_sender.errors import ConfigError

    terminal.set_up(quiet=quiet, log_format=one_of(log_format, LOG_FORMATS, "--log-format"))
    must_be_able_to_ask(yes, "send")
    source = inputs_of(inputs, database)
    one_of(format_, FORMATS, "--format")
    if weather is not None and not sandbox:
        raise ConfigError("--weather needs --sandbox", hint="add --sandbox")
    refuse_half_an_engine(on, workers, address)
    with loading():
        import bulk_sender as bs
        from bulk_sender.cli.console.watch import Session
        from bulk_sender.cli.environment import take_environment

        begin = begin_on(on, bs.send_async, workers, address)
    tolerated = _tolerated(tolerate)
    plain = settings(
        campaign_id=campaign_id,
        canvas_id=canvas_id,
        endpoint=endpoint,
        sheet=sheet,
        limit=limit,
        rate=rate,
        concurrency=concurrency,
    )
    session = Session(yes=yes, canary=canary, tolerated=tolerated)
    is_named = run_id is not None and runs_dir != RUNS_DIR
    code = session.deliver(
        lambda: begin(
            source,
            config,
            run=bs.RunName(id=run_id, folder=runs_dir, must_exist=is_named, result_format=format_),  # type: ignore[arg-type]
            guards=bs.Guards(
                min_recipients=min_recipients,
                max_recipients=max_recipients,
                max_rejected=max_rejected,
                again=again,
                confirm_again=session.confirm_again,
                exclude=exclude or (),
                max_duration=max_duration,
                not_after=not_after,
                plan_file=plan,
                canary=canary,
                confirm=session.confirm,
                count_first=not yes,
            ),
            watch=session.watch(metrics_file),
            sandbox=bs.Sandbox(weather=weather or "calm") if sandbox else None,
            environment=take_environment(),
            **plain,
        ),
        nothing="was finished before, with this input. Nothing was sent now.",
        as_json=as_json,
    )
    raise typer.Exit(code)


def _tolerated(text: str | None) -> Amount | None:
    """Return how many rejected rows are no trouble; None: not one. Raises ConfigError."""
    from bulk_sender.config.amount import Amount
    from bulk_sender.errors import ConfigError

    if text is None:
        return None
    what, _, amount = text.partition(":")
    try:
        if what != "rejected":
            raise ValueError(f"{what!r} cannot be tolerated, only rejected rows can")
        return Amount.parse(amount or "100%")
    except ValueError as error:
        raise ConfigError(
            f"--tolerate: {error}", hint="write --tolerate rejected, or --tolerate rejected:0.1%"
        ) from None
