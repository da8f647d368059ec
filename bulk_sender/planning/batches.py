"""Cut checked rows into batches.

Rows after the last full batch of a chunk wait for the next chunk. So a batch is short only at the end of a run, where
the cap on a request's size cut it, or before somebody who is in it already.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Self

import polars as pl

from bulk_sender.braze.limits import BATCH_SIZE
from bulk_sender.reading.chunk import Position

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MOST_WAITING = 50_000
"""Rows that may wait for the next chunk; more are sent in a short batch."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Checked rows with the columns of ``plan.ROWS``, and the rejected rows' own columns with their ``row``."""

    rows: pl.DataFrame
    rejects: pl.DataFrame

    def split(self, count: int) -> tuple[Piece, Piece]:
        """Return the first ``count`` rows, and the rest."""
        rows = self.rows.head(count)
        is_first = pl.col("\x00row") <= (rows["row"][-1] if len(rows) else 0)
        return (
            Piece(rows, self.rejects.filter(is_first)),
            Piece(self.rows.slice(count), self.rejects.filter(~is_first)),
        )

    def followed_by(self, other: Piece) -> Piece:
        """Return both pieces as one."""
        rejects = pl.concat([self.rejects, other.rejects], how="diagonal")  # only some have the text of unreadable rows
        return Piece(pl.concat([self.rows, other.rows]), rejects)


@dataclass(frozen=True, slots=True)
class Planned:
    """A piece of a run's plan, to be recorded as one chunk.

    ``rows`` and ``rejects`` as in ``Piece``. ``sizes`` are the numbers of recipients of each batch, in order.
    ``resume`` is where reading resumes for the rows after the last one here.
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame
    sizes: list[int]
    resume: Position


class Batcher:
    """Cuts a stream of pieces into planned pieces, each of whole batches.

    ``keys``: tells who the rows with a recipient are, if somebody may come twice; such rows never share a batch.
    ``most``: bytes of a request that its recipients may take. ``limit``: rows of the run to plan in all. ``canary``: a
    planned piece ends with this many rows of the run. ``already``: rows of the run planned before.
    """

    def __init__(
        self,
        most: int,
        *,
        limit: int | None,
        canary: int | None,
        already: int,
        keys: Callable[[pl.DataFrame], pl.Series] | None = None,
    ) -> None:
        self._most = most
        self._keys = keys
        self._limit = limit
        self._canary = canary
        self._rows = already
        self._waiting: Piece | None = None
        self._resume = Position()
        """Where the waiting rows begin to be read."""

    @property
    def is_full(self) -> bool:
        """Whether the limit is reached."""
        return self._limit is not None and self._rows >= self._limit

    def within_limit(self, piece: Piece) -> Piece:
        """Return the rows of the next piece that the limit still allows."""
        return piece if self._limit is None else piece.split(max(0, self._limit - self._rows))[0]

    def take(self, piece: Piece, start: Position, end: Position) -> Iterator[Planned]:
        """Yield what can be planned with the next piece, whose chunk was read from ``start`` to ``end``."""
        if self._canary is not None and 0 < self._canary - self._rows <= len(piece.rows):
            first, piece = piece.split(self._canary - self._rows)
            self._rows += len(first.rows)
            # A run resumed after the canary reads this chunk again, and leaves these rows out.
            yield self._planned(self._with_waiting(first), start)
        self._rows += len(piece.rows)
        joined = self._with_waiting(piece)
        if self.is_full:
            if len(joined.rows):
                yield self._planned(joined, end)
            return
        sizes = self._sizes(joined)
        short = self._short_batch(joined, sizes)
        if short is None:
            self._resume = end
        else:
            joined, self._waiting = joined.split(short)
            sizes = sizes[:-1]
            if not len(piece.rows) or self._waiting.rows["row"][0] >= piece.rows["row"][0]:
                self._resume = start
        if len(joined.rows):
            yield Planned(joined.rows, joined.rejects, sizes, self._resume)

    def rest(self) -> Iterator[Planned]:
        """Yield what still waits after the last piece."""
        if self._waiting is not None:
            yield self._planned(self._waiting, self._resume)

    def _with_waiting(self, piece: Piece) -> Piece:
        waiting, self._waiting = self._waiting, None
        return piece if waiting is None else waiting.followed_by(piece)

    def _planned(self, piece: Piece, resume: Position) -> Planned:
        return Planned(piece.rows, piece.rejects, self._sizes(piece), resume)

    def _sizes(self, piece: Piece) -> list[int]:
        keys = self._keys(piece.rows.filter(pl.col("recipient").is_not_null())) if self._keys is not None else None
        return batch_sizes(piece.rows["recipient"].drop_nulls(), self._most, keys)

    @staticmethod
    def _short_batch(piece: Piece, sizes: list[int]) -> int | None:
        """Return the index of a short last batch's first row; None if it is full, or too many rows would wait."""
        if not sizes or sizes[-1] == BATCH_SIZE:
            return None
        slots = piece.rows["recipient"].is_not_null().cast(pl.UInt32).cum_sum()
        first = int((slots <= sum(sizes[:-1])).sum())
        return first if len(piece.rows) - first <= _MOST_WAITING else None


def batch_sizes(recipients: pl.Series, most: int, keys: pl.Series | None = None) -> list[int]:
    """Cut recipients (JSON texts, in order) into batches of at most 50 and at most ``most`` bytes with commas.

    ``keys``: who each recipient is. A batch ends before somebody who is in it already, because Braze would send them
    only one message. None if nobody comes twice.
    """
    until_each = ends(recipients.str.len_bytes())
    edges = [*range(0, len(until_each), BATCH_SIZE), len(until_each)]
    whole = [after - first for first, after in pairwise(edges)]
    until = until_each.gather([edge - 1 for edge in edges[1:]])
    each_fifty_fits = (until - until.shift(1, fill_value=0) <= most + 1).all()
    if each_fifty_fits and (keys is None or not keys.is_duplicated().any()):  # the common case
        return whole
    again, earlier = _close_repeats(keys)
    return whole if each_fifty_fits and not len(again) else _cut(until_each.to_numpy(), most, again, earlier)


def ends(sizes: pl.Series) -> pl.Series:
    """Return how many bytes the recipients up to each one take, with a comma after each. ``sizes``: their bytes."""
    return (sizes.cast(pl.Int64) + 1).cum_sum()


def _cut(
    ends: npt.NDArray[np.int64], most: int, again: npt.NDArray[np.int64], earlier: npt.NDArray[np.int64]
) -> list[int]:
    """Cut one batch after the other. ``again`` and ``earlier`` as in ``_close_repeats``."""
    import numpy as np

    sizes: list[int] = []
    first, before = 0, 0
    while first < len(ends):
        fits = int(np.searchsorted(ends[first : first + BATCH_SIZE], before + most + 1, side="right"))
        size = max(1, fits)
        low, high = np.searchsorted(again, (first, first + size))
        inside = np.flatnonzero(earlier[low:high] >= first)
        if len(inside):
            size = int(again[low + inside[0]]) - first
        sizes.append(size)
        first += size
        before = int(ends[first - 1])
    return sizes


def _close_repeats(keys: pl.Series | None) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the places where somebody comes again within a batch's length, and where they came last before."""
    import numpy as np

    if keys is None or not len(keys):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    hashes = keys.hash().to_numpy()  # two people with one hash would only make a batch shorter
    order = np.argsort(hashes, kind="stable")
    is_same = hashes[order[1:]] == hashes[order[:-1]]
    again, earlier = order[1:][is_same], order[:-1][is_same]
    is_close = again - earlier < BATCH_SIZE
    again, earlier = again[is_close], earlier[is_close]
    by_place = np.argsort(again)
    return again[by_place], earlier[by_place]


class Payload:
    """The recipients of a planned chunk as one stretch of JSON bytes, of which each batch is a slice.

    ``joined``: the recipients with a comma between two. ``ends``: how many bytes those up to each one take, with a
    comma after each.
    """

    def __init__(self, joined: bytes, ends: list[int]) -> None:
        self.joined = joined
        self._ends = ends

    @classmethod
    def of(cls, recipients: pl.Series) -> Self:
        """Return the recipients (JSON texts, in order); null for rows without one."""
        texts = recipients.drop_nulls()
        # As binary: bytes are copied once, where text would be decoded and encoded again.
        joined: bytes = texts.str.join(",").cast(pl.Binary).item() if len(texts) else b""
        return cls(joined, ends(texts.str.len_bytes()).to_list())

    def recipients(self, first: int, count: int) -> bytes:
        """``count`` recipient objects from the ``first`` on, joined by commas."""
        if not count:
            return b""
        start = self._ends[first - 1] if first else 0
        return self.joined[start : self._ends[first + count - 1] - 1]

    def recipient(self, slot: int) -> dict[str, object]:
        """One recipient object, parsed."""
        found: dict[str, object] = json.loads(self.recipients(slot, 1))
        return found


def arrow(frame: pl.DataFrame, compression: Literal["lz4", "zstd"] = "zstd") -> bytes:
    """Return a frame as an Arrow file."""
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression=compression)
    return buffer.getvalue()
