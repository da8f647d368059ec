"""edx-braze-client: ``BrazeClient.send_campaign_message`` from 16 threads. ``python send.py URL FILE``.

A client holds one ``requests.Session``, whose pool keeps 10 connections; a client a thread keeps 16 open.
"""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from braze.client import BrazeClient
from rows import CAMPAIGN, batches

THREADS = 16
_of_thread = threading.local()


def send(url: str, batch: list[dict[str, Any]]) -> tuple[int, int]:
    """Returns how many recipients are believed sent, and how many failed."""
    if not hasattr(_of_thread, "client"):
        _of_thread.client = BrazeClient(api_key="bench-key", api_url=url, app_id="bench")
    try:
        _of_thread.client.send_campaign_message(CAMPAIGN, recipients=batch)
    except Exception:  # the client lets the errors of requests pass, beside its own
        return 0, len(batch)
    return len(batch), 0


def main(url: str, path: Path) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        claims = list(pool.map(lambda batch: send(url, batch), batches(path)))
    print(json.dumps({"claimed": sum(sent for sent, _ in claims), "failed": sum(failed for _, failed in claims)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
