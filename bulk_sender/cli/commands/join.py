"""``join``: one more process for a run whose journal is in PostgreSQL."""

from __future__ import annotations

from typing import Annotated

import typer

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.loading import loading
from bulk_sender.cli.options import (
    LOG_FORMATS,
    RUNS_DIR,
    AsJson,
    Concurrency,
    LogFormat,
    MetricsFile,
    Quiet,
    Rate,
    Run,
    RunsDir,
    located,
    one_of,
    settings,
)


def join(
    run: Run,
    until_finished: Annotated[
        bool,
        typer.Option("--until-finished", help="Wait for the run to begin, and after a stop until somebody resumes it."),
    ] = False,
    runs_dir: RunsDir = RUNS_DIR,
    rate: Rate = None,
    concurrency: Concurrency = None,
    metrics_file: MetricsFile = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    log_format: LogFormat = "text",
) -> None:
    """Help to send a run that another process has started: its journal has to be in PostgreSQL."""
    run, runs_dir = located(run, runs_dir)
    terminal.set_up(quiet=quiet, log_format=one_of(log_format, LOG_FORMATS, "--log-format"))
    with loading():
        import bulk_sender as bs
        from bulk_sender.cli.console.watch import Session
        from bulk_sender.cli.environment import take_environment

        begin = bs.join_async
    plain = settings(rate=rate, concurrency=concurrency)

    session = Session(yes=True, helps=True)
    code = session.deliver(
        lambda: begin(
            run,
            until_finished=until_finished,
            watch=session.watch(metrics_file),
            runs_dir=runs_dir,
            environment=take_environment(),
            **plain,
        ),
        nothing="had nothing left to send.",
        as_json=as_json,
    )
    raise typer.Exit(code)
