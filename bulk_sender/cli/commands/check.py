"""``check``: a dry run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import (
    RUNS_DIR,
    AsJson,
    CampaignId,
    CanvasId,
    ConfigFile,
    Database,
    Endpoint,
    Exclude,
    Inputs,
    Limit,
    MaxRecipients,
    MaxRejected,
    MessageFile,
    MinRecipients,
    Quiet,
    Rate,
    RunsDir,
    Sheet,
    inputs_of,
    settings,
)


def check(
    inputs: Inputs,
    database: Database = None,
    config: ConfigFile = None,
    campaign_id: CampaignId = None,
    canvas_id: CanvasId = None,
    endpoint: Endpoint = None,
    sheet: Sheet = None,
    limit: Limit = None,
    exclude: Exclude = None,
    runs_dir: RunsDir = RUNS_DIR,
    min_recipients: MinRecipients = None,
    max_recipients: MaxRecipients = None,
    max_rejected: MaxRejected = None,
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
    rejects: Annotated[
        Path | None,
        typer.Option(
            "--rejects",
            metavar="FILE",
            help="Write the rejected rows to a new file (.csv or .xlsx), to fix and send them.",
            show_default=False,
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
    plain = settings(
        campaign_id=campaign_id, canvas_id=canvas_id, endpoint=endpoint, sheet=sheet, limit=limit, rate=rate
    )

    import bulk_sender as bs
    from bulk_sender.cli.console.narrator import Narrator
    from bulk_sender.cli.console.progress import view_for
    from bulk_sender.cli.render import inspection as reports
    from bulk_sender.cli.render import preview as messages
    from bulk_sender.errors import GuardrailError
    from bulk_sender.planning.limits import REFUSED_HINT

    guards = bs.Guards(
        min_recipients=min_recipients,
        max_recipients=max_recipients,
        max_rejected=max_rejected,
        exclude=exclude or (),
        canary=canary,
    )
    with Narrator(view_for(terminal)) as narrator:
        report = bs.check(
            inputs_of(inputs, database),
            config,
            write_plan=plan,
            rejects=rejects,
            message=message,
            guards=guards,
            runs_dir=runs_dir,
            watch=bs.Watch(on_rows=narrator.reading),
            **plain,
        )
    if as_json:
        terminal.json(report.to_dict())
    else:
        terminal.show(reports.check(report, terminal.out_width))
    for warning in report.warnings:
        if as_json or warning != report.mostly_rejected:  # which the report begins with
            terminal.warn(warning)
    if rejects is not None:
        terminal.say(messages.rejects_written(report, rejects))
    if report.refused:
        raise GuardrailError(report.refused, hint=REFUSED_HINT)
    if plan is not None:
        terminal.say(messages.planned(report, plan, terminal.width))
    elif report.valid and not report.mostly_rejected and not as_json and "-" not in inputs and database is None:
        terminal.say(messages.rehearsal(inputs, config, sheet))
    raise typer.Exit(report.exit_code)
