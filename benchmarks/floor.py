"""The least that a paced, journaled request can cost in this process: ``python floor.py URL REQUESTS``.

A bare connection of the extra ``fast``, the pace, and for each request one record that is appended and synced by
another thread before the request leaves. No file is read, no answer judged, no result written.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile

import uvloop

from bulk_sender.http.credential import Credential
from bulk_sender.http.exchange import Target, Trace
from bulk_sender.http.fast_transport import WireTransport
from bulk_sender.http.transport import tls_context
from bulk_sender.pace.limiter import Pace

RATE = 250_000 / 3600
BODY = b'{"campaign_id":"bench","broadcast":false,"recipients":[' + b" " * 11_500 + b"]}"
WORKERS = 4


def record(file: int) -> None:
    os.write(file, b"x" * 200)
    os.fdatasync(file)


async def main(url: str, requests: int) -> None:
    target = Target.of(url, Credential.check("bench-key-0123456789"), timeout_s=60.0)
    pace, context, left = Pace(RATE), tls_context(None), iter(range(requests))

    async def work(file: int) -> None:
        connection = WireTransport(context)
        for _ in left:
            await pace.turn()
            await asyncio.to_thread(record, file)
            await connection.exchange(target, BODY, Trace())
        await connection.aclose()

    with tempfile.TemporaryFile(dir=".") as file:
        await asyncio.gather(*(work(file.fileno()) for _ in range(WORKERS)))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1] + "/campaigns/trigger/send", int(sys.argv[2])))
