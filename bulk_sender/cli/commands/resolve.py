"""``resolve``: record a decision about unknown rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bulk_sender.cli import completion
from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import (
    RUNS_DIR,
    AsJson,
    Batches,
    From,
    Likely,
    Quiet,
    Rows,
    Run,
    RunsDir,
    Why,
    Yes,
    located,
    one_of,
    which_of,
)

if TYPE_CHECKING:
    from bulk_sender.journal.answers import Doubt

VERDICTS = ("accepted", "failed")


def resolve(
    run: Run,
    verdict: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="accepted|failed",
            help="New status of the unknown rows.",
            autocompletion=completion.among(VERDICTS),
        ),
    ] = None,
    rows: Rows = None,
    batch: Batches = None,
    likely: Likely = None,
    from_: From = None,
    why: Why = "",
    runs_dir: RunsDir = RUNS_DIR,
    yes: Yes = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Record your decision about a run's unknown rows, or some of them, without sending anything.

    accepted: anyone whom Braze did not accept gets no message. failed: nothing is sent now, and retry --failed can
    send them later.

    Exits with 0, with 1 if rows were rejected, failed or unknown, or with 3 if there is more to send.
    """
    run, runs_dir = located(run, runs_dir)
    from bulk_sender.cli.console.questions import Question, must_be_able_to_ask

    terminal.set_up(quiet=quiet)
    if verdict is not None:
        one_of(verdict, VERDICTS, "--as")
    which = which_of(rows, batch, likely, from_)
    must_be_able_to_ask(yes, "resolve")

    import bulk_sender as bs
    from bulk_sender.cli.console.watch import standing_code
    from bulk_sender.cli.render import preview
    from bulk_sender.cli.render import summary as summaries
    from bulk_sender.reporting.origin import Origin
    from bulk_sender.text.numbers import several

    decided: dict[str, int] = {}

    def confirm(evidence: tuple[Doubt, ...]) -> bool:
        for doubt in evidence:
            decided[doubt.verdict] = decided.get(doubt.verdict, 0) + doubt.rows
        rows = sum(decided.values())
        terminal.say([f"{several(rows, 'unknown row')} of run {run}, and the evidence:"], always=not yes)
        terminal.say([*preview.doubts(evidence, terminal.width), ""], always=not yes)
        terminal.say([*preview.costs(decided, terminal.width), ""], always=not yes)
        return yes or Question().ask(f"Record {_told(decided)}?")

    _, summary = bs.resolve(run, verdict=verdict, which=which, why=why, runs_dir=runs_dir, confirm=confirm)
    nothing = "No row is unknown." if which == bs.Which() else "None of these rows is unknown and decided about."
    message = f"Recorded: {_told(decided)}." if decided else f"{nothing} Nothing to resolve."
    terminal.say([message, ""])
    terminal.say(summaries.summary(summary, terminal.width, Origin.behind(summary)))
    if as_json:
        terminal.json(summary.to_dict())
    raise typer.Exit(standing_code(summary))


def _told(decided: dict[str, int]) -> str:
    """Return ``50 rows as accepted and 1 row as failed``."""
    from bulk_sender.text.numbers import several

    return " and ".join(f"{several(rows, 'row')} as {verdict}" for verdict, rows in decided.items())
