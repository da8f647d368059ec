"""``preview``: the campaign's message for one recipient."""

from __future__ import annotations

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.options import (
    AsJson,
    CampaignId,
    CanvasId,
    ConfigFile,
    Database,
    Endpoint,
    Inputs,
    Limit,
    MessageFile,
    Row,
    Sheet,
    inputs_of,
    settings,
)


def preview(
    inputs: Inputs,
    database: Database = None,
    config: ConfigFile = None,
    campaign_id: CampaignId = None,
    canvas_id: CanvasId = None,
    endpoint: Endpoint = None,
    row: Row = None,
    message: MessageFile = None,
    sheet: Sheet = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Show the campaign's message as one recipient would get it, and what does not fit the columns. Sends nothing.

    Braze is asked for the message, where the key may read it, unless --message names a saved answer. What only Braze
    can fill, such as names of the profile, is shown as it is written.
    """
    terminal.set_up()
    plain = settings(campaign_id=campaign_id, canvas_id=canvas_id, endpoint=endpoint, sheet=sheet, limit=limit)

    import bulk_sender as bs
    from bulk_sender.cli.environment import take_environment
    from bulk_sender.cli.render import message as messages

    found = bs.preview(
        inputs_of(inputs, database), config, row=row, message=message, environment=take_environment(), **plain
    )
    if as_json:
        terminal.json(found.to_dict())
    else:
        terminal.show(messages.preview(found, terminal.out_width))
    for warning in messages.warnings(found):
        terminal.warn(warning)
