"""``resume`` and ``retry``: send what a run has left, or send rows again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulk_sender.cli.continuing import Continuing
from bulk_sender.cli.options import (
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
    refuse_half_an_engine,
    which_of,
)

if TYPE_CHECKING:
    from bulk_sender.cli.console.watch import Session


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
    command = Continuing("resume", run, runs_dir, rate, concurrency, metrics_file, as_json, quiet, log_format)
    _ready_to_send(command, yes)
    refuse_half_an_engine(on, workers, address)
    command.deliver(
        lambda session: {"take_over": take_over, **_guards(session, again, not_after, max_duration)},
        through=lambda alone: begin_on(on, alone, workers, address),
        nothing="was finished before. Nothing was sent now.",
        yes=yes,
        resumes=True,
    )


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
    command = Continuing("retry", run, runs_dir, rate, concurrency, metrics_file, as_json, quiet, log_format)
    _ready_to_send(command, yes)
    wanted = " or ".join(name for name, is_wanted in (("failed", failed), ("unknown", unknown)) if is_wanted)
    wanted = f"{wanted} row" if from_ is None else "row to send again"
    which = which_of(rows, batch, likely, from_)
    command.deliver(
        lambda session: {
            "failed": failed,
            "unknown": unknown,
            "which": which,
            "why": why,
            **_guards(session, again, not_after, max_duration),
        },
        nothing=f"has no {wanted}. Nothing was sent.",
        yes=yes,
    )


def _ready_to_send(command: Continuing, yes: bool) -> None:
    from bulk_sender.cli.console.questions import must_be_able_to_ask

    command.set_up()
    must_be_able_to_ask(yes, command.command)


def _guards(session: Session, again: bool, not_after: str | None, max_duration: str | None) -> dict[str, Any]:
    import bulk_sender as bs

    guards = bs.Guards(
        not_after=not_after,
        max_duration=max_duration,
        again=again,
        confirm=session.confirm,
        confirm_again=session.confirm_again,
    )
    return {"guards": guards}
