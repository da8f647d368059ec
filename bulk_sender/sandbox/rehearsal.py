"""What a rehearsal sets, and may change while the sandbox serves: the state of campaign and Canvas, and more.

Set it when the sandbox starts, with :meth:`Sandbox.rehearse <bulk_sender.sandbox.Sandbox.rehearse>`, or over HTTP with
``POST /_sandbox/rehearsal``, where each field is optional: ``{"state": "live"}``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

STATES = ("live", "paused", "stopped", "archived", "draft")
"""States of a campaign or Canvas. Only a live one sends anything."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """``state``: one of :data:`STATES`. ``details``: whether the key has the permission for the details endpoints."""

    state: str = "live"
    details: bool = True

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"{self.state!r} is not a valid state: use {', '.join(STATES)}")
        if type(self.details) is not bool:
            raise ValueError("details must be true or false")

    def changed(self, changes: Any) -> Rehearsal:
        """Return a copy with ``changes``, an object with some of the fields. Raise :class:`ValueError`."""
        known = {field.name for field in fields(self)}
        if type(changes) is not dict or not changes.keys() <= known:
            raise ValueError(f"a rehearsal has the fields {', '.join(sorted(known))}")
        return replace(self, **changes)

    def facts(self) -> dict[str, Any]:
        return asdict(self)
