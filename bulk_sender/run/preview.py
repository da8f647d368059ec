"""What is about to be sent, for the confirmation prompt before the first request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bulk_sender.braze.endpoint import BROADCAST_RATE, broadcast_endpoint
from bulk_sender.braze.hosts import is_known_host
from bulk_sender.config.model import Config
from bulk_sender.guessing.fit import Fit
from bulk_sender.journal.answers import BatchState, Doubt, evidence_of
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.records import RESEND
from bulk_sender.journal.store import RunReader
from bulk_sender.planning.report import CheckReport, audience_warning
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.choosing import statuses_of
from bulk_sender.run.facts import sandbox_of
from bulk_sender.run.options import Sandbox
from bulk_sender.run.preflight import Preflight
from bulk_sender.run.standing import standing


@dataclass(frozen=True, slots=True)
class Preview:
    """What is about to be sent.

    A new run has a ``report`` on its whole input. A resumed one has ``standing``, what happened so far, and
    ``again``: the rows by status that a retry would send again, and ``doubts``: the evidence about them.
    ``recipients`` is how many there are to send; None when the input of a stopped run was not read to its end.
    """

    run_id: str
    kind: str
    """``campaign`` or ``Canvas``."""
    target: str
    endpoint: str
    known_host: bool
    sandbox: Sandbox | None
    """The sandbox that the run goes to; None for the real Braze."""
    rate: str
    server_errors: str
    recipients: int | None
    report: CheckReport | None = None
    unused: tuple[str, ...] = ()
    """Columns that are not sent, when there is no ``report`` to say so."""
    test: str = ""
    """Which row goes to whom, when it is one message to a person of your own; empty for any other send."""
    fit: Fit | None = None
    """What does not fit between message and columns, when there is no ``report`` to say so."""
    standing: Summary | None = None
    again: Mapping[str, int] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()
    repeats: tuple[str, ...] = ()
    """The runs that sent the same input to the same target lately, each in a sentence, latest first."""
    notes: tuple[str, ...] = ()
    """What to check before confirming, when there is no ``report`` to say so."""
    preflight: Preflight = field(default_factory=Preflight)
    """What was found out about the target before the question: its name and state, where Braze says."""
    plan: str = ""
    """SHA-256 over all bodies of the plan file that the run must match; empty without one."""


@dataclass(frozen=True, slots=True)
class BroadcastPreview:
    """What a broadcast is about to do.

    ``audience`` is the filter tree as it is sent, None for the whole segment of the campaign. Only Braze knows how
    many people that is.
    """

    target: str
    kind: str
    endpoint: str
    known_host: bool
    audience: dict[str, Any] | None
    request: dict[str, Any]
    """The whole body."""
    rate: str
    preflight: Preflight = field(default_factory=Preflight)
    """What was found out about the target, as in ``Preview``."""

    @property
    def reach(self) -> str:
        """Whom it reaches, in words."""
        segment = f"everybody in the segment that the {self.kind} targets in Braze"
        return segment if self.audience is None else f"{segment} who also matches the audience"


def preview(folder: Path, facts: Facts, config: Config, *, notes: tuple[str, ...] = (), **found: Any) -> Preview:
    """Describe the run in ``folder``. ``found``: what is known of its recipients, by the names of ``Preview``."""
    url = config.braze.endpoint or ""
    return Preview(
        run_id=folder.name,
        kind="Canvas" if config.is_canvas else "campaign",
        target=config.target or "",
        endpoint=url,
        known_host=is_known_host(url),
        sandbox=sandbox_of(facts),
        rate=rate_shown(config),
        server_errors=config.delivery.server_errors,
        notes=(*notes, *((audience_warning(),) if config.message.audience is not None else ())),
        plan=facts.plan,
        **found,
    )


def rate_shown(config: Config) -> str:
    """Return the rate at which sending begins, as people write it."""
    asked = config.delivery.pace
    is_lower = config.message.audience is not None and BROADCAST_RATE.per_second < asked.per_second
    return "250/minute" if is_lower else config.delivery.rate


def preview_of_rest(
    journal: RunReader,
    facts: Facts,
    config: Config,
    again: Sequence[BatchState] = (),
    *,
    repeats: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Preview:
    """Describe what a run has left to send, and the batches to send ``again``.

    ``repeats``: what other runs sent since it began. ``notes``: what else to know before confirming.
    """
    so_far, rows = standing(journal), statuses_of(again)
    is_known = journal.is_plan_complete()
    return preview(
        journal.run.folder,
        facts,
        config,
        recipients=so_far.not_sent + sum(rows.values()) if is_known else None,
        standing=so_far,
        again=rows,
        doubts=evidence_of(again, RESEND),
        repeats=repeats,
        notes=notes,
    )


def broadcast_preview(config: Config) -> BroadcastPreview:
    """Describe a broadcast. Raises ConfigError for a configuration that cannot be broadcast."""
    endpoint = broadcast_endpoint(config.braze, config.message)
    asked = config.delivery.pace
    return BroadcastPreview(
        target=config.target or "",
        kind="Canvas" if config.is_canvas else "campaign",
        endpoint=config.braze.endpoint or "",
        known_host=is_known_host(config.braze.endpoint or ""),
        audience=config.message.audience,
        request=json.loads(endpoint.body(b"")),
        rate=config.delivery.rate if endpoint.rate(asked) is asked else "250/minute",
    )
