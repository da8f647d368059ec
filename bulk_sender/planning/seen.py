"""A set of identifiers for finding duplicates, in memory that does not grow with the input.

Each identifier is stored as a 128-bit fingerprint. Among 50 million identifiers the chance that any two collide is
about 1 in 10²³, so no row is wrongly called a duplicate.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from bulk_sender.planning.fingerprints import Fingerprints

_MOST_UNSORTED = 1 << 18
"""Fingerprints to keep unsorted, at most."""


class Seen:
    """A set of identifiers, queried and extended one chunk at a time.

    ``folder``: where temporary files go. They have no name, and disappear with the process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._unsorted: list[tuple[pl.Series, pl.Series]] = []
        self._sorted: Fingerprints | None = None

    def repeated(self, identifiers: pl.Series) -> pl.Series:
        """Return True for each identifier seen before, in an earlier call or in this one, and add the others.

        ``identifiers``: String, no nulls, each with its type so that an e-mail address never equals an id.
        """
        is_first = identifiers.is_first_distinct()
        if self._is_empty:
            self.remember(identifiers.filter(is_first))
            return ~is_first
        first, second = fingerprints(identifiers)
        known = self._in_order().add_new(first.to_numpy(), second.to_numpy(), (~is_first).to_numpy())
        return pl.Series(known)

    def holds(self, identifiers: pl.Series) -> pl.Series:
        """Return True for each identifier in the set, and add none."""
        if self._is_empty:
            return pl.repeat(False, len(identifiers), eager=True)
        first, second = fingerprints(identifiers)
        return pl.Series(self._in_order().hold(first.to_numpy(), second.to_numpy()))

    def remember(self, identifiers: pl.Series) -> None:
        """Add identifiers that are known to be new and distinct: those of a resumed run."""
        self._unsorted.append(fingerprints(identifiers))
        if sum(len(first) for first, _ in self._unsorted) >= _MOST_UNSORTED:
            self._in_order()

    @property
    def _is_empty(self) -> bool:
        return self._sorted is None and not self._unsorted

    def _in_order(self) -> Fingerprints:
        """Return the set, with all fingerprints sorted in. The first chunk of an input does not need that."""
        if self._sorted is None:
            from bulk_sender.planning.fingerprints import Fingerprints

            self._sorted = Fingerprints(self._folder)
        if self._unsorted:
            first, second = (pl.concat(half) for half in zip(*self._unsorted, strict=True))
            self._unsorted.clear()
            self._sorted.add(first.to_numpy(), second.to_numpy())
        return self._sorted


def fingerprints(identifiers: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the two halves of each identifier's fingerprint, as UInt64. They are the same in every process."""
    return identifiers.hash(1), identifiers.hash(2)
