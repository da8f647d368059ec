"""Which identifiers were already met: sorted runs of 128-bit fingerprints, merged as they grow.

Sixteen bytes a recipient, and as much again for a moment while runs merge. Two identifiers with one fingerprint
are not to be expected (for 50 million, a chance of about 1 in 10²³), so no row is taken for a duplicate wrongly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

_Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class _Run:
    """Fingerprints sorted by their first half."""

    first: _Hashes
    second: _Hashes


class Seen:
    """A set of identifiers that is asked and grown one chunk at a time."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []

    def repeated(self, identifiers: pl.Series) -> pl.Series:
        """True for each identifier that was met before, in an earlier call or earlier in this one; adds the rest.

        ``identifiers``: String, no nulls, each with its type so that an e-mail is not an id.
        """
        first, second = (identifiers.hash(seed).to_numpy() for seed in (1, 2))
        repeated = (~identifiers.is_first_distinct()).to_numpy().copy()
        for run in self._runs:
            at = np.minimum(np.searchsorted(run.first, first), len(run.first) - 1)
            repeated |= (run.first[at] == first) & (run.second[at] == second)
        new = ~repeated
        self._add(first[new], second[new])
        return pl.Series(repeated)

    def _add(self, first: _Hashes, second: _Hashes) -> None:
        if not len(first):
            return
        order = np.argsort(first)
        self._runs.append(_Run(first[order], second[order]))
        while len(self._runs) > 1 and len(self._runs[-2].first) < 2 * len(self._runs[-1].first):
            newer, older = self._runs.pop(), self._runs.pop()
            self._runs.append(_merge(older, newer))


def _merge(one: _Run, other: _Run) -> _Run:
    first = np.concatenate([one.first, other.first])
    order = np.argsort(first, kind="stable")  # finds the two sorted runs and merges them
    return _Run(first[order], np.concatenate([one.second, other.second])[order])
