"""``test``: one message to a person of your own."""

from __future__ import annotations

from typing import Annotated

import typer

from bulk_sender.cli import completion
from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import (
    RUNS_DIR,
    AsJson,
    CampaignId,
    CanvasId,
    ConfigFile,
    Database,
    Endpoint,
    Inputs,
    Quiet,
    Row,
    RunsDir,
    Sheet,
    Yes,
    inputs_of,
    settings,
)


def test(
    inputs: Inputs,
    to: Annotated[
        str, typer.Option("--to", metavar="ID", help="External id of a person of your own, who gets the message.")
    ],
    row: Row = None,
    database: Database = None,
    sheet: Sheet = None,
    config: ConfigFile = None,
    campaign_id: CampaignId = None,
    canvas_id: CanvasId = None,
    endpoint: Endpoint = None,
    runs_dir: RunsDir = RUNS_DIR,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Use the built-in simulated Braze; needs no key.")] = False,
    weather: Annotated[
        str | None,
        typer.Option(
            "--weather",
            metavar="NAME",
            help="What the simulated Braze does wrong.",
            autocompletion=completion.weathers,
        ),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Send one message to a person of your own: that of one row, with its identifier replaced.

    One request, as a separate run with its own results. Shows the request and asks for confirmation first. Attributes
    of the row are written to the profile of that person.
    """
    from bulk_sender.cli.console.questions import must_be_able_to_ask
    from bulk_sender.errors import ConfigError

    terminal.set_up(quiet=quiet)
    must_be_able_to_ask(yes, "test")
    if weather is not None and not sandbox:
        raise ConfigError("--weather needs --sandbox", hint="add --sandbox")
    plain = settings(campaign_id=campaign_id, canvas_id=canvas_id, endpoint=endpoint, sheet=sheet)

    import bulk_sender as bs
    from bulk_sender.cli.console.watch import Session
    from bulk_sender.cli.environment import take_environment

    session = Session(yes=yes)
    code = session.deliver(
        lambda: bs.test_async(
            inputs_of(inputs, database),
            config,
            to=to,
            row=row,
            run=bs.RunName(folder=runs_dir),
            guards=bs.Guards(confirm=session.confirm),
            watch=session.watch(),
            sandbox=bs.Sandbox(weather=weather or "calm") if sandbox else None,
            environment=take_environment(),
            **plain,
        ),
        nothing="was finished before. Nothing was sent now.",
        as_json=as_json,
    )
    raise typer.Exit(code)
