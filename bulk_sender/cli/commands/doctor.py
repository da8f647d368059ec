"""``doctor``: look at what a send needs."""

from __future__ import annotations

import typer

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import (
    RUNS_DIR,
    AsJson,
    CampaignId,
    CanvasId,
    ConfigFile,
    Endpoint,
    RunsDir,
    settings,
)


def doctor(
    config: ConfigFile = None,
    campaign_id: CampaignId = None,
    canvas_id: CanvasId = None,
    endpoint: Endpoint = None,
    runs_dir: RunsDir = RUNS_DIR,
    as_json: AsJson = False,
) -> None:
    """Look at everything that a send needs, without sending: key, host, campaign, clock, disk and runs folder.

    Asks Braze one question, and writes one temporary file. Exits with 0 if a send could begin, and with 2 if it would
    be refused.
    """
    terminal.set_up()
    plain = settings(campaign_id=campaign_id, canvas_id=canvas_id, endpoint=endpoint)

    import bulk_sender as bs
    from bulk_sender.cli.environment import take_environment
    from bulk_sender.cli.render.inspection import diagnosis

    found = bs.doctor(config, runs_dir=runs_dir, environment=take_environment(), **plain)
    if as_json:
        terminal.json(found.to_dict())
    else:
        terminal.show(diagnosis(found, terminal.out_width))
    raise typer.Exit(found.exit_code)
