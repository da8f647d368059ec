"""Random cells without a random state: each is a pure function of the seed, the column's name and the row.

So a row comes out the same whatever was made before it, files can be written in blocks of any size, and the
bytes don't depend on the stream of any library's generator, which may change between releases. The numbers
are those of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Rows = NDArray[np.uint64]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Draws:
    """Draws for ``rows`` (row numbers from 0); every method gives one value a row."""

    seed: int | str
    rows: Rows

    def number(self, name: str, below: int) -> Numbers:
        """Integers from 0 to ``below`` - 1, evenly spread."""
        key = hashlib.blake2b(f"{self.seed}/{name}".encode(), digest_size=8).digest()
        mixed = self.rows * _GAMMA + np.uint64(int.from_bytes(key, "little"))  # wraps at 2**64, as it should
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
        mixed ^= mixed >> np.uint64(31)
        return (mixed % np.uint64(below)).astype(np.int64)

    def chance(self, name: str, percent: int) -> Mask:
        """True for about ``percent`` of a hundred rows."""
        return self.number(name, 100) < percent

    def word(self, name: str, words: Sequence[str]) -> pl.Series:
        """One of ``words``."""
        return pl.Series(list(words), dtype=pl.String).gather(self.number(name, len(words)))

    def word_of_group(self, name: str, groups: Sequence[Sequence[str]], group: Numbers) -> pl.Series:
        """One of the words of each row's own group."""
        counts = np.array([len(words) for words in groups], dtype=np.int64)
        starts = np.cumsum(counts) - counts
        index = starts[group] + self.number(name, 2**32) % counts[group]
        return pl.Series([word for words in groups for word in words], dtype=pl.String).gather(index)


def absent(values: pl.Series, where: Mask) -> pl.Series:
    """``values`` with null ``where`` the mask is true."""
    return values.zip_with(pl.Series(~where), pl.Series([None], dtype=values.dtype))
