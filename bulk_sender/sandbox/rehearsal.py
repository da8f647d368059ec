"""What a rehearsal sets, and may change while the sandbox serves: the state of campaign and Canvas, and the answers.

Set it when the sandbox starts, with :meth:`Sandbox.rehearse <bulk_sender.sandbox.Sandbox.rehearse>`, or over HTTP with
``POST /_sandbox/rehearsal``, where each field is optional: ``{"state": "live"}``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from bulk_sender.sandbox.answers import ANSWERS

STATES = ("live", "paused", "stopped", "archived", "draft")
"""States of a campaign or Canvas. Only a live one sends anything."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What may change while the sandbox serves.

    ``state``   one of :data:`STATES`
    ``answers`` one of :data:`~bulk_sender.sandbox.answers.ANSWERS`
    ``details`` whether the key has the permission for the details endpoints
    """

    state: str = "live"
    answers: str = "usual"
    details: bool = True

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"{self.state!r} is not a valid state: use {', '.join(STATES)}")
        if self.answers not in ANSWERS:
            raise ValueError(f"{self.answers!r} is not a valid kind of answer: use {', '.join(ANSWERS)}")
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
