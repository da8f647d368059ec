"""What Braze says about a campaign or Canvas: its name, its state, and the messages themselves. Pure.

Sources: get_campaign_details, get_canvas_details. The answer comes from outside, so a field of another type than
documented is left out, and nothing here raises for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode

from bulk_sender.config.model import BrazeConfig
from bulk_sender.http.evidence import Evidence, Reach
from bulk_sender.text.clean import clean

CAMPAIGN_DETAILS_PATH = "/campaigns/details"
CANVAS_DETAILS_PATH = "/canvas/details"

TargetState = Literal["live", "archived", "draft", "stopped"]
"""``live``: Braze names none of the other three. A paused one may look live, since not every answer has ``enabled``."""

_NOT_CONTENT = frozenset({"channel", "name", "id", "type", "method", "subscription_group_id", "message_variation_id"})
_DEEPEST = 12
_MOST_MESSAGES = 500
_STATES: dict[TargetState, tuple[str, str]] = {
    "archived": ("is archived in Braze, so requests to it send nothing", "unarchive it in Braze"),
    "draft": ("is a draft in Braze, so requests to it send nothing", "launch it in Braze"),
    "stopped": ("is stopped in Braze, so requests to it send nothing", "start it again in Braze"),
}


@dataclass(frozen=True, slots=True)
class MessageDetails:
    """One message of a campaign or of a Canvas step: a variation for one channel."""

    variation: str
    """The id of the message variation."""
    channel: str
    name: str = ""
    """The variation's name; in a Canvas the step's name goes first."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """The texts of the message with their Liquid, by their names in Braze's answer, such as ``subject``."""


@dataclass(frozen=True, slots=True)
class CampaignDetails:
    """What Braze says about a campaign or Canvas."""

    kind: Literal["campaign", "Canvas"]
    name: str
    state: TargetState
    channels: tuple[str, ...] = ()
    messages: tuple[MessageDetails, ...] = ()

    @property
    def refusal(self) -> str:
        """Why nothing would be sent, in words; empty for a live one."""
        return f"{self.kind} {self.name!r} {_STATES[self.state][0]}" if self.state in _STATES else ""

    @property
    def remedy(self) -> str:
        """What to do about ``refusal``."""
        return f"{_STATES[self.state][1]}, then run the same command again" if self.state in _STATES else ""


@dataclass(frozen=True, slots=True)
class DetailsAnswer:
    """What an answer says. Without ``details``, ``why_not`` says in one line why they are not known."""

    details: CampaignDetails | None = None
    why_not: str = ""
    key_refused: str = ""
    """Braze's words when it refused the key; empty when it did not."""


def details_url(base: str, braze: BrazeConfig) -> str:
    """Return the address to ask. ``base``: as ``check_url`` returned it."""
    name, path = ("canvas_id", CANVAS_DETAILS_PATH) if braze.is_canvas else ("campaign_id", CAMPAIGN_DETAILS_PATH)
    return f"{base}{path}?{urlencode({name: braze.target or ''})}"


def read_answer(evidence: Evidence, *, canvas: bool) -> DetailsAnswer:
    """Return what an answer says. Never raise, whatever the server answered."""
    if evidence.reach is not Reach.ANSWERED or evidence.status is None:
        return DetailsAnswer(why_not=f"no complete answer came ({evidence.error or 'the connection broke'})")
    status, answer = evidence.status, _parsed(evidence.body)
    said = clean(answer.get("message") or answer.get("error")) if isinstance(answer, dict) else ""
    words = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    permission = "canvas.details" if canvas else "campaigns.details"
    if status == 401:
        return DetailsAnswer(key_refused=words)
    if status == 403:
        return DetailsAnswer(why_not=f"the key lacks the permission {permission} ({words})")
    if status == 429:
        return DetailsAnswer(why_not=f"the workspace's rate limit is used up at the moment ({words})")
    if 300 <= status < 400:
        return DetailsAnswer(why_not=f"the host redirects elsewhere ({words}); it may not be a REST host of Braze")
    if not 200 <= status < 300:
        return DetailsAnswer(why_not=f"Braze answered {words}")
    details = details_of(answer, canvas=canvas)
    return DetailsAnswer(details) if details is not None else DetailsAnswer(why_not=f"{words} without details")


def details_of(answer: Any, *, canvas: bool | None = None) -> CampaignDetails | None:
    """Return the details in an answer, parsed from JSON; None when it has none.

    ``canvas``: whether it is about a Canvas; None to tell from the answer itself.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("name"), str):
        return None
    if not any(name in answer for name in ("archived", "draft", "enabled", "messages", "steps", "schedule_type")):
        return None
    state: TargetState = "live"
    if answer.get("archived") is True:
        state = "archived"
    elif answer.get("draft") is True:
        state = "draft"
    elif answer.get("enabled") is False:
        state = "stopped"
    is_canvas = canvas if canvas is not None else "steps" in answer or "variants" in answer
    return CampaignDetails(
        "Canvas" if is_canvas else "campaign",
        clean(answer["name"], 200),
        state,
        tuple(clean(channel, 60) for channel in _list(answer.get("channels")) if isinstance(channel, str)),
        tuple(_messages(answer))[:_MOST_MESSAGES],
    )


def _messages(answer: dict[str, Any]) -> Iterator[MessageDetails]:
    yield from _variations(answer.get("messages"), "")
    for step in _list(answer.get("steps")):
        if isinstance(step, dict):
            yield from _variations(step.get("messages"), clean(step.get("name"), 200))


def _variations(messages: Any, step: str) -> Iterator[MessageDetails]:
    for variation, message in (messages if isinstance(messages, dict) else {}).items():
        if isinstance(message, dict) and message.get("type") != "control":
            named = " / ".join(filter(None, (step, clean(message.get("name"), 200))))
            content = {name: value for name, value in message.items() if name not in _NOT_CONTENT}
            channel = clean(message.get("channel") or "in-app_message", 60)
            yield MessageDetails(clean(variation, 100), channel, named, dict(_texts(content, "", 0)))


def _texts(value: Any, name: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if value.strip():
            yield name, value
    elif depth < _DEEPEST and isinstance(value, dict):
        for inner, found in value.items():
            yield from _texts(found, f"{name}.{inner}" if name else str(inner), depth + 1)
    elif depth < _DEEPEST and isinstance(value, list):
        for index, found in enumerate(value):
            yield from _texts(found, f"{name}[{index}]", depth + 1)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
