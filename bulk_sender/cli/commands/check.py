"""``check``: a dry run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import (
    AsJson,
    CampaignId,
    CanvasId,
    ConfigFile,
    Endpoint,
    Inputs,
    Limit,
    MaxRecipients,
    MessageFile,
    Quiet,
    Rate,
    settings,
)


def check(
    inputs: Inputs,
    config: ConfigFile = None,
    campaign_id: CampaignId = None,
    canvas_id: CanvasId = None,
    endpoint: Endpoint = None,
    limit: Limit = None,
    max_recipients: MaxRecipients = None,
    canary: Annotated[
        int | None,
        typer.Option("--canary", metavar="N", min=1, help="Plan for a send with this --canary: its rows go first."),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan", metavar="FILE", help="Save a plan that send --plan must match exactly.", show_default=False
        ),
    ] = None,
    message: MessageFile = None,
    rate: Rate = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Dry run: what would be sent, what would not and why. Uses no network.

    Needs no key, endpoint or campaign. A --plan needs endpoint and campaign. Exits with 0 if every row could be sent,
    1 if some would be rejected.
    """
    terminal.set_up(quiet=quiet)
    plain = settings(campaign_id=campaign_id, canvas_id=canvas_id, endpoint=endpoint, limit=limit, rate=rate)

    import bulk_sender as bs
    from bulk_sender.cli.console.narrator import Narrator
    from bulk_sender.cli.console.progress import view_for
    from bulk_sender.cli.render import inspection as reports
    from bulk_sender.cli.render import preview as messages
    from bulk_sender.errors import GuardrailError
    from bulk_sender.planning.report import too_many

    with Narrator(view_for(terminal)) as narrator:
        report = bs.check(
            inputs,
            config,
            write_plan=plan,
            message=message,
            guards=bs.Guards(max_recipients=max_recipients, canary=canary),
            watch=bs.Watch(on_rows=narrator.reading),
            **plain,
        )
    if as_json:
        terminal.json(report.to_dict())
    else:
        terminal.show(reports.check(report, terminal.out_width))
    for warning in report.warnings:
        terminal.warn(warning)
    if refusal := too_many(report, max_recipients):
        raise GuardrailError(refusal, hint="check the file, or raise the limit")
    if plan is not None:
        terminal.say(messages.planned(report, plan, terminal.width))
    elif report.valid and not as_json and "-" not in inputs:
        terminal.say(messages.rehearsal(inputs, config))
    raise typer.Exit(report.exit_code)
