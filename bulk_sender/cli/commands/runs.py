"""``runs``: list the runs, make a folder for them, and remove what old ones hold of people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.help import Command, Group
from bulk_sender.cli.options import RUNS_DIR, AsJson, RunsDir, Yes

group = typer.Typer(cls=Group, invoke_without_command=True)


@group.callback()
def runs(
    context: typer.Context,
    runs_dir: RunsDir = RUNS_DIR,
    real: Annotated[bool, typer.Option("--real", help="Leave out rehearsals.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the runs, latest last: what was sent, where to, and how it stands."""
    if context.invoked_subcommand is not None:
        return
    import bulk_sender as bs
    from bulk_sender.cli.render import inspection as reports

    found = [overview for overview in bs.runs(runs_dir) if not (real and overview.rehearsal)]
    if as_json:
        terminal.json([overview.to_dict() for overview in found])
    elif found:
        terminal.show(reports.runs(found, terminal.out_width))
    else:
        terminal.say([f"There is no run in {runs_dir}."])


@group.command("init", cls=Command)
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.", show_default=False)] = RUNS_DIR,
) -> None:
    """Make a folder for runs. A --runs-dir that is named together with a --run-id has to exist."""
    from bulk_sender.cli.render.layout import shown
    from bulk_sender.run.catalogue import make_runs_folder

    is_new = make_runs_folder(folder.absolute())
    terminal.say(
        [
            f"The folder {shown(folder)} is ready for runs."
            if is_new
            else f"The folder {shown(folder)} was ready for runs before."
        ]
    )


@group.command("prune", cls=Command)
def prune(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="TIME", help='Runs that ended before this, such as "90d".')
    ],
    runs_dir: RunsDir = RUNS_DIR,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove what finished runs hold of people. Counts, digests and decisions are kept.

    A removed run cannot be explained, retried or left out with --exclude any more. Runs with unknown rows stay.
    """
    from bulk_sender.cli.console.questions import Question, must_be_able_to_ask

    must_be_able_to_ask(yes, "runs prune")

    import bulk_sender as bs
    from bulk_sender.text.numbers import several

    def confirm(names: list[str]) -> bool:
        listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        return yes or Question().ask(f"Remove the data of {several(len(names), 'run')} ({listed})?")

    removed = bs.prune(older_than, runs_dir=runs_dir, confirm=confirm)
    if as_json:
        terminal.json({"removed": removed})
    else:
        terminal.say([f"The data of {several(len(removed), 'run')} was removed." if removed else "Nothing to remove."])
