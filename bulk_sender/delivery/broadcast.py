"""A broadcast: one request to a whole segment or connected audience, with no recipients; and its guards. Pure.

Source: post_send_triggered_campaigns, ``broadcast`` and ``audience``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bulk_sender.braze.endpoint import broadcast_endpoint, is_known_host
from bulk_sender.config.model import Config
from bulk_sender.errors import GuardrailError


@dataclass(frozen=True, slots=True)
class BroadcastPreview:
    """What a broadcast is about to do, for the question before its POST.

    ``audience`` is the filter tree as it goes out, None when the whole segment of the campaign is meant. How many
    people that is, only Braze knows.
    """

    target: str
    kind: str
    endpoint: str
    known_host: bool
    audience: dict[str, Any] | None
    request: dict[str, Any]
    """The whole body."""
    rate: str

    @property
    def reach(self) -> str:
        """Whom it reaches, in words."""
        segment = f"everybody in the segment that the {self.kind} targets in Braze"
        return segment if self.audience is None else f"{segment} who also matches the audience"


def preview(config: Config) -> BroadcastPreview:
    """Raises ConfigError for a configuration that can't be broadcast."""
    endpoint = broadcast_endpoint(config)
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


def demand_confirmation(config: Config, given: str | None) -> None:
    """Refuse a broadcast whose campaign (or Canvas) id was not said a second time. Raises GuardrailError."""
    if given != config.target:
        raise GuardrailError(
            f"a broadcast to {config.target!r} needs that id as its confirmation"
            + (f", not {given!r}" if given else ""),
            hint=f"look at the audience, then give --confirm {config.target}",
        )
