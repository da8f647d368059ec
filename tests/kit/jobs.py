"""Small inputs, and a Braze in a thread of its own that takes its time."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bulk_sender.sandbox import RunningSandbox
from tests.kit.sandbox import run_in_thread
from tests.kit.target import CAMPAIGN, ENVIRONMENT


def recipients(folder: Path, rows: int = 500) -> Path:
    """A CSV of ``rows`` valid rows: batches of 50."""
    path = folder / "recipients.csv"
    path.write_text("external_user_id\n" + "".join(f"sample-{number:05}\n" for number in range(rows)))
    return path


def braze(*, latency_s: float = 0.0, **options: Any) -> AbstractContextManager[RunningSandbox]:
    return run_in_thread(latency_s=latency_s, **options)


def options(runs_dir: Path, url: str, **more: Any) -> dict[str, Any]:
    """What every send of these tests is given."""
    return {
        "campaign_id": CAMPAIGN,
        "endpoint": url,
        "runs_dir": runs_dir,
        "environment": ENVIRONMENT,
        "rate": "100000/second",
        "overrides": {"delivery.share_rate": False},
        **more,
    }
