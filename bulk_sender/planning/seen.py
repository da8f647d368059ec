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

_MOST_RECENT, _MOST_MORE_RECENT = 1 << 18, 1 << 16
"""Fingerprints to keep in memory, before and after the first are in files. Each lookup reads all of them."""


class Seen:
    """A set of identifiers, queried and extended one chunk at a time.

    ``folder``: where temporary files go. They have no name, and disappear with the process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._recent = fingerprints(pl.Series(dtype=pl.String))
        self._older: Fingerprints | None = None

    def repeated(self, identifiers: pl.Series) -> pl.Series:
        """Return True for each identifier seen before, in an earlier call or in this one, and add the others.

        ``identifiers``: String, no nulls, each with its type so that an e-mail address never equals an id.
        """
        found = fingerprints(identifiers)
        known = self._known(found) | ~identifiers.is_first_distinct()
        self._add(found.filter(~known))
        return known

    def holds(self, identifiers: pl.Series) -> pl.Series:
        """Return True for each identifier in the set, and add none."""
        return self._known(fingerprints(identifiers))

    def remember(self, identifiers: pl.Series) -> None:
        """Add identifiers that are known to be new and distinct: those of a resumed run."""
        self._add(fingerprints(identifiers))

    def _known(self, found: pl.DataFrame) -> pl.Series:
        known = found["first"].is_in(self._recent["first"].implode())
        if known.any():  # most inputs have hardly any
            both = found.with_row_index("at").filter(known).join(self._recent, on=["first", "second"], how="semi")
            known = pl.int_range(len(found), dtype=pl.UInt32, eager=True).is_in(both["at"].implode())
        if self._older is not None:
            known |= pl.Series(self._older.hold(found["first"].to_numpy(), found["second"].to_numpy()))
        return known

    def _add(self, new: pl.DataFrame) -> None:
        self._recent = pl.concat([self._recent, new])
        if len(self._recent) >= (_MOST_RECENT if self._older is None else _MOST_MORE_RECENT):
            from bulk_sender.planning.fingerprints import Fingerprints  # it takes NumPy, which small inputs do without

            self._older = self._older or Fingerprints(self._folder)
            self._older.add(self._recent["first"].to_numpy(), self._recent["second"].to_numpy())
            self._recent = self._recent.clear()


def fingerprints(identifiers: pl.Series) -> pl.DataFrame:
    """Return each identifier's fingerprint, in the columns ``first`` and ``second`` of UInt64.

    It is the same in every process.
    """
    return pl.DataFrame({"first": identifiers.hash(1), "second": identifiers.hash(2)})
