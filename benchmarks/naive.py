"""The script most people write: csv, json, httpx, asyncio.gather. It keeps no account of what it sent.

``python naive.py URL FILE`` prints what it believes as one line of JSON. One shared client and a semaphore,
as in most examples; a batch that gets no answer counts as failed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from rows import batches, message

CONCURRENCY = 16
Send = Callable[[httpx.AsyncClient, str, list[dict[str, Any]]], Awaitable[int]]
HEADERS = {"Authorization": "Bearer bench-key", "Content-Type": "application/json"}


async def send(client: httpx.AsyncClient, url: str, batch: list[dict[str, Any]]) -> int:
    """POST one batch; returns how many recipients Braze took."""
    response = await client.post(url, content=json.dumps(message(batch)))
    response.raise_for_status()
    return len(batch)


async def main(url: str, path: Path, send: Send = send) -> None:
    """Send the whole file and print the claim."""
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one(batch: list[dict[str, Any]]) -> int:
        async with gate:
            return await send(client, url, batch)

    async with httpx.AsyncClient(headers=HEADERS, timeout=60) as client:
        work = list(batches(path))
        answers = await asyncio.gather(*map(one, work), return_exceptions=True)
    claimed = sum(answer for answer in answers if isinstance(answer, int))
    print(json.dumps({"claimed": claimed, "failed": sum(map(len, work)) - claimed}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] + "/campaigns/trigger/send", Path(sys.argv[2])))
