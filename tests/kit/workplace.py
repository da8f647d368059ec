"""A folder with a sandbox beside it, and what runs from that folder sent there."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bulk_sender as bs
from bulk_sender.sandbox import RunningSandbox, read_ledger
from tests.kit.target import ENVIRONMENT

FAST = {"delivery.rate": "5000/second"}


async def approve(_: bs.Progress) -> bool:
    return True


APPROVED = bs.Watch(on_canary=approve)
"""Sends the rest after a canary."""


@dataclass
class Workplace:
    """A folder with a sandbox beside it, which keeps a ledger file."""

    folder: Path
    braze: RunningSandbox
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def write(self, *rows: str, name: str = "people.csv") -> Path:
        path = self.folder / name
        path.write_text("\n".join(rows) + "\n")
        return path

    def send(self, source: Path, run_id: str = "r", **options: Any) -> bs.Summary:
        given = {"braze.endpoint": self.braze.url, "braze.campaign_id": "c"} | FAST | options.pop("overrides", {})
        if "braze.canvas_id" in given:
            del given["braze.campaign_id"]
        return bs.send(source, overrides=given, run_id=run_id, runs_dir=self.runs, environment=ENVIRONMENT, **options)

    def resume(self, run_id: str = "r", **options: Any) -> bs.Summary:
        return bs.resume(run_id, runs_dir=self.runs, environment=ENVIRONMENT, **options)

    def results(self, run_id: str = "r") -> list[dict[str, str]]:
        with (self.runs / run_id / "results.csv").open(newline="") as file:
            return list(csv.DictReader(file, strict=True))

    def taken(self) -> dict[str, list[str]]:
        """Whom the sandbox took, and under which dispatch ids, from its ledger file."""
        found: dict[str, list[str]] = {}
        for acceptance in read_ledger(self.folder / "ledger"):
            for key in acceptance.recipients:
                found.setdefault(key, []).append(acceptance.dispatch_id)
        return found


def people(count: int, start: int = 1) -> list[str]:
    """The lines of a file of ``count`` recipients."""
    return ["external_user_id,attributes.city", *(f"u{number},Paris" for number in range(start, start + count))]
