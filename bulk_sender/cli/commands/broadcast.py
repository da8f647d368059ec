"""``broadcast``: one request to a whole segment or audience."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from bulk_sender.cli import completion
from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.loading import loading
from bulk_sender.cli.options import (
    RUNS_DIR,
    Again,
    AsJson,
    CampaignId,
    CanvasId,
    ConfigFile,
    Endpoint,
    Quiet,
    RunsDir,
    Yes,
)
from bulk_sender.cli.options import settings as settings_of
from bulk_sender.text.clean import escaped

if TYPE_CHECKING:
    from rich.text import Text

    from bulk_sender.run.preview import BroadcastPreview


def broadcast(
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="CAMPAIGN_ID", help="Repeat the id of the campaign or Canvas. Required."),
    ] = None,
    config: ConfigFile = None,
    campaign_id: CampaignId = None,
    canvas_id: CanvasId = None,
    endpoint: Endpoint = None,
    run_id: Annotated[
        str | None, typer.Option("--run-id", metavar="ID", help="Name of the run.", autocompletion=completion.runs)
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
    again: Again = False,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Use the built-in simulated Braze; needs no key.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Send one request to the campaign's whole segment, or to those in it who match the audience.

    Shows the audience, requires --confirm with the campaign's id, and asks for confirmation unless --yes.
    """
    from bulk_sender.cli.console.questions import must_be_able_to_ask

    terminal.set_up(quiet=quiet)
    must_be_able_to_ask(yes, "broadcast")
    with loading():
        import bulk_sender as bs
        from bulk_sender.braze.hosts import host_warning
        from bulk_sender.cli.console.watch import Session
        from bulk_sender.cli.environment import take_environment

        begin = bs.broadcast_async
    plain = settings_of(campaign_id=campaign_id, canvas_id=canvas_id, endpoint=endpoint)

    session = Session(yes=yes)

    def agree(about: BroadcastPreview) -> bool:
        terminal.say(_shown(about, sandbox, terminal.width), always=not yes)
        for warning in about.preflight.warnings:
            terminal.warn(warning)
        if not sandbox and (unusual := host_warning(about.endpoint)):
            terminal.warn(unusual)
        terminal.say([""], always=not yes)
        return yes or session.ask("Send it?")

    code = session.deliver(
        lambda: begin(
            config,
            confirm_campaign=confirm,
            confirm=agree,
            run=bs.RunName(id=run_id, folder=runs_dir, must_exist=run_id is not None and runs_dir != RUNS_DIR),
            guards=bs.Guards(again=again),
            watch=session.watch(),
            sandbox=sandbox,
            environment=take_environment(),
            **plain,
        ),
        nothing="had its outcome before. Nothing was sent now.",
        as_json=as_json,
    )
    raise typer.Exit(code)


def _shown(about: BroadcastPreview, sandbox: bool, width: int | None) -> list[Text]:
    from rich.text import Text

    from bulk_sender.cli.render.layout import labelled
    from bulk_sender.cli.render.preview import target

    place = "the built-in sandbox: nothing leaves this computer" if sandbox else about.endpoint
    lines = [Text("About to broadcast", "bold"), *target(about, width)]
    lines += [*labelled("to", place, width, style="bold"), *labelled("reaches", about.reach, width, style="bold")]
    if about.audience is not None:
        tree = escaped(json.dumps(about.audience, indent=2, ensure_ascii=False)).splitlines()
        lines += [Text("  audience", "dim"), *(Text(f"    {line}") for line in tree)]
    return lines
