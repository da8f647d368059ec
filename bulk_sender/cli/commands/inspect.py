"""``status``, ``explain``, ``find`` and ``report``: inspect runs, also while they are in progress."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bulk_sender.cli import completion
from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import RUNS_DIR, AsJson, Run, RunsDir, located

if TYPE_CHECKING:
    from bulk_sender.reporting.summary import Summary

_LEAST_PAUSE_S = 1.0
_LOOKS_SHARE = 5


def status(run: Run, runs_dir: RunsDir = RUNS_DIR, as_json: AsJson = False) -> None:
    """Show the state of a run. On a terminal, follow a run in progress to its end."""
    run, runs_dir = located(run, runs_dir)
    import bulk_sender as bs
    from bulk_sender.cli.render import summary as summaries
    from bulk_sender.reporting.origin import Origin

    found = bs.status(run, runs_dir=runs_dir)
    if as_json:
        terminal.json(found.to_dict())
        return
    if found.state == "running" and terminal.out.is_terminal and not terminal.out.is_dumb_terminal:
        found = _follow(run, runs_dir, found)
    terminal.show(summaries.summary(found, terminal.out_width, Origin.behind(found)))


def report(run: Run, runs_dir: RunsDir = RUNS_DIR, as_json: AsJson = False) -> None:
    """Write the HTML report again from the journal, and print its path."""
    run, runs_dir = located(run, runs_dir)
    import bulk_sender as bs

    path = bs.report(run, runs_dir=runs_dir)
    if as_json:
        terminal.json({"report": str(path)})
    else:
        terminal.data(f"{path}\n")


def _follow(run: str, runs_dir: RunsDir, found: Summary) -> Summary:
    """Poll until the run ends, less often where reading a large journal takes long."""
    import time

    import bulk_sender as bs
    from bulk_sender.cli.console.progress import Painter
    from bulk_sender.cli.render import summary as summaries

    painter = Painter(terminal.out)
    with suppress(KeyboardInterrupt):  # the operator has seen enough
        while found.state == "running":
            painter.paint(summaries.summary(found, terminal.out.width))
            began = time.monotonic()
            found = bs.status(run, runs_dir=runs_dir)
            time.sleep(max(_LEAST_PAUSE_S, _LOOKS_SHARE * (time.monotonic() - began)))
    painter.paint([])
    return found


def explain(
    run: Run,
    row: Annotated[int, typer.Argument(metavar="ROW", min=1, help="Row number in the results.")],
    runs_dir: RunsDir = RUNS_DIR,
    as_json: AsJson = False,
) -> None:
    """Show everything known about one row: its recipient, its batch, and every attempt with its answer."""
    run, runs_dir = located(run, runs_dir)
    import bulk_sender as bs
    from bulk_sender.cli.render import inspection as reports

    story = bs.explain(run, row, runs_dir=runs_dir)
    if as_json:
        terminal.json(story)
    else:
        terminal.show(reports.story(story, terminal.out_width))


def find(
    identifier: Annotated[
        str, typer.Argument(metavar="IDENTIFIER", help="The identifier, as in the results.", show_default=False)
    ],
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Search this run only: its id, or the path of its folder.",
            autocompletion=completion.runs,
        ),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
    as_json: AsJson = False,
) -> None:
    """Find a person's rows in all runs: what happened to each, and what could not be searched."""
    if run is not None:
        run, runs_dir = located(run, runs_dir)
    import bulk_sender as bs
    from bulk_sender.cli.render import inspection as reports

    found = bs.find(identifier, run=run, runs_dir=runs_dir)
    if as_json:
        terminal.json(asdict(found))
    else:
        terminal.show(reports.search(found, terminal.out_width))
