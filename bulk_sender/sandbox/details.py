"""Endpoints ``/campaigns/details`` and ``/canvas/details``: name, state and message of the campaign or Canvas.

Source: Braze's pages on the two endpoints, in the editions of 2026, which have ``enabled`` and
``has_post_launch_draft``. Two things are inferred: a paused campaign or Canvas is still ``enabled`` (only a stopped one
is not), so a sender cannot rely on this field alone; and the answer to a missing id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MESSAGES = "an answer of /campaigns/details or /canvas/details, or an object of messages by variation id"


class Message:
    """The message of the sandbox's campaign and Canvas: none, or the user's.

    ``content``: a saved answer of a details endpoint, or its ``messages`` alone, with or without that key. A list of
    messages gets variation ids. Raise :class:`ValueError` for anything else.
    """

    def __init__(self, content: Any = None) -> None:
        self._saved: dict[str, Any] = {}
        self._steps: list[dict[str, Any]] | None = None
        self._messages: dict[str, dict[str, Any]] = {}
        if content is None:
            return
        if type(content) is dict and "steps" in content:
            self._saved = content
            self._steps = _steps(content["steps"])
            self._messages = {
                name: message for step in self._steps for name, message in step.get("messages", {}).items()
            }
        elif type(content) is dict and "messages" in content:
            self._saved = content
            self._messages = _messages(content["messages"])
        else:
            self._messages = _messages(content)

    @classmethod
    def read(cls, path: str | Path) -> Message:
        """Read a JSON file. Raise :class:`OSError` or :class:`ValueError`, which names the file."""
        try:
            return cls(json.loads(Path(path).read_text(encoding="utf-8-sig")))
        except ValueError as error:  # neither JSON nor UTF-8, or JSON of another form
            raise ValueError(f"{path} is not {_MESSAGES}: {error}") from None

    def details(self, target: str, state: str) -> dict[str, Any]:
        """Return the answer for a ``campaign_id`` or ``canvas_id``. The state is the rehearsal's, not the file's."""
        is_canvas = target == "canvas_id"
        times = ("first_entry", "last_entry") if is_canvas else ("first_sent", "last_sent")
        return {
            "created_at": "2026-01-05T09:00:00+00:00",
            "updated_at": "2026-01-05T09:00:00+00:00",
            "name": "Sandbox Canvas" if is_canvas else "Sandbox campaign",
            "description": "",
            "archived": state == "archived",
            "draft": state == "draft",
            "enabled": state in ("live", "paused"),
            "has_post_launch_draft": False,
            "schedule_type": "api_triggered",
            "channels": sorted({message["channel"] for message in self._messages.values() if "channel" in message}),
            **dict.fromkeys(times, "2026-01-05T09:00:00+00:00"),
            "tags": [],
            **({"variants": [], "steps": self._as_steps()} if is_canvas else {"messages": self._messages}),
            **({} if is_canvas else {"conversion_behaviors": []}),
            **{name: self._saved[name] for name in ("name", "description", "tags") if name in self._saved},
            "message": "success",
        }

    def _as_steps(self) -> list[dict[str, Any]]:
        if self._steps is not None:
            return self._steps
        if not self._messages:
            return []
        channels = sorted({message["channel"] for message in self._messages.values() if "channel" in message})
        return [
            {
                "name": "Message",
                "type": "message",
                "id": "00000000-0000-4000-8000-000000000000",
                "next_step_ids": [],
                "next_paths": [],
                "channels": channels,
                "messages": self._messages,
            }
        ]


def _messages(content: Any) -> dict[str, dict[str, Any]]:
    if type(content) is list:
        content = {f"variation-{number}": message for number, message in enumerate(content, 1)}
    if type(content) is not dict or not all(type(message) is dict for message in content.values()):
        raise ValueError("messages must be objects by variation id")
    found: Mapping[str, dict[str, Any]] = content
    return dict(found)


def _steps(content: Any) -> list[dict[str, Any]]:
    if type(content) is not list or not all(type(step) is dict for step in content):
        raise ValueError("steps must be an array of objects")
    return [{**step, "messages": _messages(step.get("messages", {}))} for step in content]
