"""``send``: send an input."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bulk_sender.cli import completion
from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import (
    FORMATS,
    LOG_FORMATS,
    RUNS_DIR,
    AsJson,
    CampaignId,
    Canary,
    CanvasId,
    Concurrency,
    ConfigFile,
    Endpoint,
    Inputs,
    Limit,
    LogFormat,
    MaxRecipients,
    MetricsFile,
    NotAfter,
    Quiet,
    Rate,
    RunsDir,
    Yes,
    one_of,
    settings,
)


def send(
    inputs: Inputs,
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
    limit: Limit = None,
    max_recipients: MaxRecipients = None,
    not_after: NotAfter = None,
    rate: Rate = None,
    concurrency: Concurrency = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="csv|parquet|ndjson",
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
    one_of(format_, FORMATS, "--format")
    if weather is not None and not sandbox:
        raise ConfigError("--weather needs --sandbox", hint="add --sandbox")
    plain = settings(
        campaign_id=campaign_id,
        canvas_id=canvas_id,
        endpoint=endpoint,
        limit=limit,
        rate=rate,
        concurrency=concurrency,
    )

    import bulk_sender as bs
    from bulk_sender.cli.console.watch import Session
    from bulk_sender.cli.environment import take_environment

    session = Session(yes=yes, canary=canary)
    code = session.deliver(
        lambda: bs.send_async(
            inputs,
            config,
            run=bs.RunName(id=run_id, folder=runs_dir, result_format=format_),  # type: ignore[arg-type]
            guards=bs.Guards(
                max_recipients=max_recipients,
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
