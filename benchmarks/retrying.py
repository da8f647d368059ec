"""The naive script after its first bad day: it tries again whenever a request got no answer.

``python retrying.py URL FILE`` prints what it believes as one line of JSON. The retry is the usual one: three
attempts with growing pauses on every time-out and transport error. Braze has no idempotency key, so a batch
that was taken and not answered is taken a second time.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx
import naive

ATTEMPTS = 3
FIRST_PAUSE_S = 0.5


async def send(client: httpx.AsyncClient, url: str, batch: list[dict[str, Any]]) -> int:
    """POST one batch, up to three times; returns how many recipients Braze took."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await naive.send(client, url, batch)
        except httpx.TransportError:
            if attempt == ATTEMPTS:
                raise
            await asyncio.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
    raise AssertionError


if __name__ == "__main__":
    asyncio.run(naive.main(sys.argv[1] + "/campaigns/trigger/send", Path(sys.argv[2]), send))
