"""Cut recipients into batches."""

from __future__ import annotations

import json

import numpy as np
import polars as pl

from bulk_sender.braze.limits import BATCH_SIZE


def batch_sizes(recipients: pl.Series, most: int) -> list[int]:
    """Cut recipients (JSON texts, in order) into batches of at most 50 and at most ``most`` bytes with commas."""
    ends = np.cumsum(recipients.str.len_bytes().to_numpy().astype(np.int64) + 1)
    edges = np.append(np.arange(0, len(ends), BATCH_SIZE), len(ends))
    if (np.diff(np.append(0, ends)[edges]) <= most + 1).all():  # the common case: each fifty fit
        whole: list[int] = np.diff(edges).tolist()
        return whole
    sizes: list[int] = []
    first, before = 0, 0
    while first < len(ends):
        fits = int(np.searchsorted(ends[first : first + BATCH_SIZE], before + most + 1, side="right"))
        size = max(1, fits)
        sizes.append(size)
        first += size
        before = int(ends[first - 1])
    return sizes


class Payload:
    """The recipients of a planned chunk as one stretch of JSON bytes, of which each batch is a slice."""

    def __init__(self, recipients: pl.Series) -> None:
        texts = recipients.drop_nulls()
        # As binary: bytes are copied once, where text would be decoded and encoded again.
        self._bytes: bytes = texts.str.join(",").cast(pl.Binary).item() if len(texts) else b""
        self._ends = np.cumsum(texts.str.len_bytes().to_numpy().astype(np.int64) + 1)

    def recipients(self, first: int, count: int) -> bytes:
        """``count`` recipient objects from the ``first`` on, joined by commas."""
        if not count:
            return b""
        start = int(self._ends[first - 1]) if first else 0
        return self._bytes[start : int(self._ends[first + count - 1]) - 1]

    def recipient(self, slot: int) -> dict[str, object]:
        """One recipient object, parsed."""
        found: dict[str, object] = json.loads(self.recipients(slot, 1))
        return found
