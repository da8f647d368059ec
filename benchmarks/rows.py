"""How the Python subjects read the file: the standard library, the way most scripts do it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

BATCH = 50
CAMPAIGN = "bench"


def recipients(path: Path) -> Iterator[dict[str, Any]]:
    """Rows as Braze's recipient objects: a dot in a column's name nests."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        places = [column.partition(".")[::2] for column in next(reader)]
        for row in reader:
            recipient: dict[str, Any] = {"trigger_properties": {}, "attributes": {}}
            for (group, name), value in zip(places, row, strict=True):
                if name:
                    recipient[group][name] = value
                else:
                    recipient[group] = value
            yield recipient


def batches(path: Path, size: int = BATCH) -> Iterator[list[dict[str, Any]]]:
    """The recipients in lists of ``size``, the last one shorter."""
    rows = recipients(path)
    while batch := list(islice(rows, size)):
        yield batch


def message(batch: list[dict[str, Any]]) -> dict[str, Any]:
    """The body of ``POST /campaigns/trigger/send`` for one batch."""
    return {"campaign_id": CAMPAIGN, "broadcast": False, "recipients": batch}
