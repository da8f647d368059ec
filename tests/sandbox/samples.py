"""Valid requests, for tests to break in one place at a time."""

from __future__ import annotations

import json
from typing import Any

import httpx

HEADERS = {"authorization": "Bearer sandbox-key", "content-type": "application/json"}
CAMPAIGN_PATH = "/campaigns/trigger/send"
CANVAS_PATH = "/canvas/trigger/send"


def loopback_client(**options: Any) -> httpx.AsyncClient:
    """Return a client without CA certificates; plain HTTP needs none, and loading them is slow."""
    return httpx.AsyncClient(verify=False, **options)


def campaign(*recipients: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a campaign request, with one sample recipient by default."""
    return {
        "campaign_id": "campaign-1",
        "recipients": list(recipients) or [{"external_user_id": "u1"}],
    } | fields


def canvas(*recipients: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"canvas_id": "canvas-1", "recipients": list(recipients) or [{"external_user_id": "u1"}]} | fields


def users(count: int, prefix: str = "u") -> list[dict[str, Any]]:
    return [{"external_user_id": f"{prefix}{number}"} for number in range(count)]


def compact(body: Any) -> bytes:
    """Return compact JSON, as a sender writes it."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


class SetClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
