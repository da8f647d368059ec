"""``join``: one more process for a run whose journal is in PostgreSQL."""

from __future__ import annotations

from typing import Annotated

import typer

from bulk_sender.cli.continuing import Continuing
from bulk_sender.cli.options import (
    RUNS_DIR,
    AsJson,
    Concurrency,
    LogFormat,
    MetricsFile,
    Quiet,
    Rate,
    Run,
    RunsDir,
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
    command = Continuing("join", run, runs_dir, rate, concurrency, metrics_file, as_json, quiet, log_format)
    command.set_up()
    command.deliver(
        lambda _: {"until_finished": until_finished}, nothing="had nothing left to send.", yes=True, helps=True
    )
