"""The simplest script: csv, json, ``httpx.Client``, one request after another. It keeps no account of what it sent.

``python sequential.py URL FILE`` prints what it believes as one line of JSON, and ends at the first refusal.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import httpx
from naive import HEADERS
from rows import batches, message


def main(url: str, path: Path) -> None:
    """Send the whole file and print the claim."""
    claimed = 0
    with httpx.Client(headers=HEADERS, timeout=60) as client:
        for batch in batches(path):
            client.post(url, content=json.dumps(message(batch))).raise_for_status()
            claimed += len(batch)
    print(json.dumps({"claimed": claimed, "failed": 0}))


if __name__ == "__main__":
    main(sys.argv[1] + "/campaigns/trigger/send", Path(sys.argv[2]))
