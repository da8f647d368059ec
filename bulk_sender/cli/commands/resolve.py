"""``resolve``: record a decision about unknown rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bulk_sender.cli import completion
from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import RUNS_DIR, AsJson, Quiet, Run, RunsDir, Why, Yes, located, one_of

if TYPE_CHECKING:
    from bulk_sender.journal.answers import Doubt

VERDICTS = ("accepted", "failed")


def resolve(
    run: Run,
    verdict: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="accepted|failed",
            help="New status of the unknown rows.",
            autocompletion=completion.among(VERDICTS),
        ),
    ],
    why: Why = "",
    runs_dir: RunsDir = RUNS_DIR,
    yes: Yes = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Record your decision about a run's unknown rows, without sending anything.

    Exits with 0, with 1 if rows were rejected, failed or unknown, or with 3 if there is more to send.
    """
    run, runs_dir = located(run, runs_dir)
    from bulk_sender.cli.console.questions import Question, must_be_able_to_ask

    terminal.set_up(quiet=quiet)
    one_of(verdict, VERDICTS, "--as")
    must_be_able_to_ask(yes, "resolve")

    import bulk_sender as bs
    from bulk_sender.cli.console.watch import standing_code
    from bulk_sender.cli.render import preview
    from bulk_sender.cli.render import summary as summaries
    from bulk_sender.reporting.origin import Origin
    from bulk_sender.text.numbers import several

    def confirm(evidence: tuple[Doubt, ...]) -> bool:
        rows = sum(doubt.rows for doubt in evidence)
        terminal.say([f"{several(rows, 'unknown row')} of run {run}, and the evidence:"], always=not yes)
        terminal.say([*preview.doubts(evidence, terminal.width), ""], always=not yes)
        return yes or Question().ask(f"Record {several(rows, 'row')} as {verdict}?")

    count, summary = bs.resolve(run, verdict=verdict, why=why, runs_dir=runs_dir, confirm=confirm)
    message = f"{several(count, 'row')} recorded as {verdict}." if count else "No row is unknown. Nothing to resolve."
    terminal.say([message, ""])
    terminal.say(summaries.summary(summary, terminal.width, Origin.behind(summary)))
    if as_json:
        terminal.json(summary.to_dict())
    raise typer.Exit(standing_code(summary))
