"""``runs``, ``status``, ``explain`` and ``report``: looking at runs, also while they are under way."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import RUNS_DIR, AsJson, Run, RunsDir

if TYPE_CHECKING:
    from bulk_sender.reporting.summary import Summary

_LEAST_PAUSE_S = 1.0
_LOOKS_SHARE = 5


def runs(runs_dir: RunsDir = RUNS_DIR, as_json: AsJson = False) -> None:
    """List the runs, the latest last."""
    import bulk_sender as bs
    from bulk_sender.cli.render import inspection as reports

    found = sorted(bs.runs(runs_dir), key=lambda summary: summary.started_at or "")
    if as_json:
        terminal.json([summary.to_dict() for summary in found])
    elif found:
        terminal.show(reports.runs(found, terminal.out_width))
    else:
        terminal.say([f"there is no run in {runs_dir}"])


def status(run: Run, runs_dir: RunsDir = RUNS_DIR, as_json: AsJson = False) -> None:
    """Show how a run stands. On a terminal, one that is under way is followed to its end."""
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
    """Write the HTML report again, from the journal as it stands, and say where it is."""
    import bulk_sender as bs

    path = bs.report(run, runs_dir=runs_dir)
    if as_json:
        terminal.json({"report": str(path)})
    else:
        terminal.data(f"{path}\n")


def _follow(run: str, runs_dir: RunsDir, found: Summary) -> Summary:
    """Look again and again until the run ends. On a large journal a look takes time: then they are rarer."""
    import time

    import bulk_sender as bs
    from bulk_sender.cli.console.progress import Painter
    from bulk_sender.cli.render import summary as summaries

    painter = Painter(terminal.out)
    with suppress(KeyboardInterrupt):  # enough seen
        while found.state == "running":
            painter.paint(summaries.summary(found, terminal.out.width))
            began = time.monotonic()
            found = bs.status(run, runs_dir=runs_dir)
            time.sleep(max(_LEAST_PAUSE_S, _LOOKS_SHARE * (time.monotonic() - began)))
    painter.paint([])
    return found


def explain(
    run: Run,
    row: Annotated[int, typer.Argument(metavar="ROW", min=1, help="The row's number in the results.")],
    runs_dir: RunsDir = RUNS_DIR,
    as_json: AsJson = False,
) -> None:
    """Tell one row's whole story: its recipient, its batch, and every attempt with its evidence and answer."""
    import bulk_sender as bs
    from bulk_sender.cli.render import inspection as reports

    story = bs.explain(run, row, runs_dir=runs_dir)
    if as_json:
        terminal.json(story)
    else:
        terminal.show(reports.story(story, terminal.out_width))
