"""What is about to be sent, for whoever has to agree before the first POST."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bulk_sender.braze.endpoint import is_known_host
from bulk_sender.config.model import Config
from bulk_sender.journal.answers import Doubt
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.store import RunReader
from bulk_sender.planning.report import CheckReport
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.standing import standing


@dataclass(frozen=True, slots=True)
class Preview:
    """What is about to be sent, for the question before the first POST.

    A new run has a ``report`` on its whole input; one that goes on has ``standing``, what came of it so far, and
    ``again``, the rows by status that a retry would send again, with the ``doubts`` about the unknown ones.
    ``recipients`` is how many there are to send, None when the input of a stopped run was not read to its end.
    """

    run_id: str
    kind: str
    """``campaign`` or ``Canvas``."""
    target: str
    endpoint: str
    known_host: bool
    sandbox: str
    """The weather of the embedded sandbox, empty for a real send."""
    rate: str
    server_errors: str
    recipients: int | None
    report: CheckReport | None = None
    unused: tuple[str, ...] = ()
    """Columns that are not sent, when there is no ``report`` to say so."""
    standing: Summary | None = None
    again: Mapping[str, int] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()
    plan: str = ""
    """The digest over all bodies of the plan file that the run keeps to; empty without one."""


def preview(folder: Path, facts: Facts, settings: Config, **found: Any) -> Preview:
    """Of the run in ``folder``; ``found`` is what is known of its recipients, by ``Preview``'s names."""
    url = settings.braze.endpoint or ""
    return Preview(
        run_id=folder.name,
        kind="Canvas" if settings.is_canvas else "campaign",
        target=settings.target or "",
        endpoint=url,
        known_host=is_known_host(url),
        sandbox=facts.sandbox,
        rate=settings.delivery.rate,
        server_errors=settings.delivery.server_errors,
        plan=facts.plan,
        **found,
    )


def preview_of_rest(
    journal: RunReader, facts: Facts, settings: Config, again: Mapping[str, int] | None = None
) -> Preview:
    """Of a run that goes on: what it has left, and the rows to send ``again``, by status."""
    so_far, again = standing(journal), again or {}
    is_known = journal.is_plan_complete()
    return preview(
        journal.run.folder,
        facts,
        settings,
        recipients=so_far.not_sent + sum(again.values()) if is_known else None,
        standing=so_far,
        again=again,
        doubts=journal.doubts() if "unknown" in again else (),
    )
