"""``resume`` and ``retry``: send what a run has left, or send rows again."""

from __future__ import annotations

from typing import Annotated

import typer

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.loading import loading
from bulk_sender.cli.options import (
    LOG_FORMATS,
    RUNS_DIR,
    Address,
    Again,
    AsJson,
    Batches,
    Concurrency,
    From,
    Likely,
    LogFormat,
    MaxDuration,
    MetricsFile,
    NotAfter,
    On,
    Quiet,
    Rate,
    Rows,
    Run,
    RunsDir,
    Why,
    Workers,
    Yes,
    begin_on,
    located,
    one_of,
    refuse_half_an_engine,
    settings,
    which_of,
)


def resume(
    run: Run,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Shut out processes that still have the run (journal in PostgreSQL): their open rows become unknown.",
        ),
    ] = False,
    runs_dir: RunsDir = RUNS_DIR,
    rate: Rate = None,
    concurrency: Concurrency = None,
    again: Again = False,
    not_after: NotAfter = None,
    max_duration: MaxDuration = None,
    on: On = None,
    workers: Workers = None,
    address: Address = None,
    metrics_file: MetricsFile = None,
    yes: Yes = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    log_format: LogFormat = "text",
) -> None:
    """Resume a stopped run: send the unsent rows, and leave unknown rows as they are."""
    run, runs_dir = located(run, runs_dir)
    _ready_to_send("resume", yes, quiet, log_format)
    refuse_half_an_engine(on, workers, address)
    with loading():
        import bulk_sender as bs
        from bulk_sender.cli.console.watch import Session
        from bulk_sender.cli.environment import take_environment

        begin = begin_on(on, bs.resume_async, workers, address)
    plain = settings(rate=rate, concurrency=concurrency)

    session = Session(yes=yes, resumes=True)
    code = session.deliver(
        lambda: begin(
            run,
            take_over=take_over,
            guards=bs.Guards(
                not_after=not_after,
                max_duration=max_duration,
                again=again,
                confirm=session.confirm,
                confirm_again=session.confirm_again,
            ),
            watch=session.watch(metrics_file),
            runs_dir=runs_dir,
            environment=take_environment(),
            **plain,
        ),
        nothing="was finished before. Nothing was sent now.",
        as_json=as_json,
    )
    raise typer.Exit(code)


def retry(
    run: Run,
    failed: Annotated[bool, typer.Option("--failed", help="Rows that Braze refused.")] = False,
    unknown: Annotated[
        bool,
        typer.Option("--unknown", help="Unknown rows: anyone who already received the message will receive it again."),
    ] = False,
    rows: Rows = None,
    batch: Batches = None,
    likely: Likely = None,
    from_: From = None,
    why: Why = "",
    runs_dir: RunsDir = RUNS_DIR,
    rate: Rate = None,
    concurrency: Concurrency = None,
    again: Again = False,
    not_after: NotAfter = None,
    max_duration: MaxDuration = None,
    metrics_file: MetricsFile = None,
    yes: Yes = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    log_format: LogFormat = "text",
) -> None:
    """Send failed rows, unknown rows, or both again, in the same run: all of them, or some."""
    run, runs_dir = located(run, runs_dir)
    _ready_to_send("retry", yes, quiet, log_format)
    with loading():
        import bulk_sender as bs
        from bulk_sender.cli.console.watch import Session
        from bulk_sender.cli.environment import take_environment

        begin = bs.retry_async
    which = which_of(rows, batch, likely, from_)
    plain = settings(rate=rate, concurrency=concurrency)

    wanted = " or ".join(name for name, is_wanted in (("failed", failed), ("unknown", unknown)) if is_wanted)
    wanted = f"{wanted} row" if from_ is None else "row to send again"
    session = Session(yes=yes)
    code = session.deliver(
        lambda: begin(
            run,
            failed=failed,
            unknown=unknown,
            which=which,
            why=why,
            guards=bs.Guards(
                not_after=not_after,
                max_duration=max_duration,
                again=again,
                confirm=session.confirm,
                confirm_again=session.confirm_again,
            ),
            watch=session.watch(metrics_file),
            runs_dir=runs_dir,
            environment=take_environment(),
            **plain,
        ),
        nothing=f"has no {wanted}. Nothing was sent.",
        as_json=as_json,
    )
    raise typer.Exit(code)


def _ready_to_send(command: str, yes: bool, quiet: bool, log_format: str) -> None:
    from bulk_sender.cli.console.questions import must_be_able_to_ask

    terminal.set_up(quiet=quiet, log_format=one_of(log_format, LOG_FORMATS, "--log-format"))
    must_be_able_to_ask(yes, command)
