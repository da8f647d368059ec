"""``check``: everything up to the first POST, with no network."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bulk_sender.braze.endpoint import endpoint as endpoint_of
from bulk_sender.braze.endpoint import unaddressed
from bulk_sender.planning.digest import Bodies
from bulk_sender.planning.plan_file import SavedPlan, refuse_to_replace
from bulk_sender.planning.prepared import Input, Opened, no_rows
from bulk_sender.planning.report import CheckReport, examined, too_many
from bulk_sender.reading.spool import Spool
from bulk_sender.run.settings import ConfigLike, from_surroundings, with_plain


def check(
    source: Input,
    *,
    config: ConfigLike = None,
    campaign_id: str | None = None,
    canvas_id: str | None = None,
    endpoint: str | None = None,
    limit: int | None = None,
    rate: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    on_rows: Callable[[int], None] | None = None,
    hold_after: int | None = None,
    plan: str | Path | None = None,
    max_recipients: int | None = None,
) -> CheckReport:
    """Everything up to the first POST, with no network, key or endpoint. Raises ConfigError, InputError.

    The arguments mean the same as those of ``send_async``. ``plan``: where to write a plan file, which ``send`` takes
    as its ``plan``; this demands what a send demands but the key: a campaign or Canvas, and an endpoint. With more
    recipients than ``max_recipients`` no plan is written.
    """
    plain = with_plain(
        overrides, campaign_id=campaign_id, canvas_id=canvas_id, endpoint=endpoint, limit=limit, rate=rate
    )
    settings = from_surroundings(config, plain, os.environ if environment is None else environment, "")
    if plan is not None:
        endpoint_of(settings)  # what is wrong with it shall be said before the input is read
        refuse_to_replace(Path(plan))
    with Spool() as spool:
        opened = Opened.open(source, settings, spool)
        identity = opened.source.identify() if plan is not None else ()
        bodies = Bodies(unaddressed(settings)) if plan is not None else None
        report = examined(opened, on_rows, hold_after=hold_after, bodies=bodies)
    if not report.rows:
        raise no_rows(source)
    if plan is not None and not too_many(report, max_recipients):
        SavedPlan.of(identity, settings, hold_after, report).write(Path(plan))
    return report
