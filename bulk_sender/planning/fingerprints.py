"""A set of 128-bit fingerprints in files, in memory that does not grow with their number.

They are sorted in temporary files (16 bytes each), behind a Bloom filter of 32 MB that avoids nearly all reads there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

STRETCH = 1 << 18
"""Merge about this many fingerprints at once."""
FANOUT = 8
"""Merge this many files of one size into one of the next."""

_BLOCK = 512
_FILTER_BITS = 1 << 28
_PROBES = 2


@dataclass(frozen=True, slots=True)
class _Run:
    """Fingerprints in memory, sorted by their first half."""

    first: Hashes
    second: Hashes


class Fingerprints:
    """A set of fingerprints, queried and extended many at a time. The two halves of each are in two arrays.

    ``folder``: where temporary files go. They have no name, and disappear with the process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._levels: list[list[_File]] = []
        self._filter = _Filter()

    def add(self, first: Hashes, second: Hashes) -> None:
        """Add fingerprints that are distinct and not in the set. Each call makes a file, so many at once cost least."""
        self._filter.add(first, second)
        files = [_File.write(iter([_sorted(first, second)]), self._folder)]
        for level in self._levels:
            level.extend(files)
            if len(level) < FANOUT:
                return
            files = [_File.write(_merged(level), self._folder)]
            level.clear()
        self._levels.append(files)

    def hold(self, first: Hashes, second: Hashes) -> Flags:
        """Return True for each fingerprint in the set."""
        known = self._filter.may_hold(first, second)
        asked = np.flatnonzero(known)
        first, second = first[asked], second[asked]
        held = np.zeros(len(asked), dtype=np.bool_)
        for file in (file for level in self._levels for file in level):
            held |= file.holds(first, second)
        known[asked] = held
        return known


def _sorted(first: Hashes, second: Hashes) -> _Run:
    order = np.argsort(first)
    return _Run(first[order], second[order])


def _merge(runs: list[_Run]) -> _Run:
    first = np.concatenate([run.first for run in runs])
    order = np.argsort(first, kind="stable")  # merges the sorted stretches it finds
    return _Run(first[order], np.concatenate([run.second for run in runs])[order])


class _Filter:
    """A Bloom filter: a no is certain, a yes is rarely wrong."""

    def __init__(self) -> None:
        self._bits = np.zeros(_FILTER_BITS // 8, dtype=np.uint8)

    def add(self, first: Hashes, second: Hashes) -> None:
        for at in self._places(first, second):
            place, bit = at >> np.uint64(3), at & np.uint64(7)
            for number in range(8):  # one bit at a time, so that a byte may occur twice
                self._bits[place[bit == number]] |= np.uint8(1 << number)

    def may_hold(self, first: Hashes, second: Hashes) -> Flags:
        found = np.ones(len(first), dtype=np.bool_)
        for at in self._places(first, second):
            found &= (self._bits[at >> np.uint64(3)] >> (at & np.uint64(7)).astype(np.uint8)) & np.uint8(1) == 1
        return found

    @staticmethod
    def _places(first: Hashes, second: Hashes) -> Iterator[Hashes]:
        for probe in range(_PROBES):
            yield (first + np.uint64(probe) * (second | np.uint64(1))) & np.uint64(_FILTER_BITS - 1)


class _File:
    """A sorted run on disk: all first halves, then all second halves; each 512th first half is kept in memory."""

    def __init__(self, file: IO[bytes], count: int) -> None:
        self._file, self.count = file, count
        self._index = np.concatenate([self._read(at, 1) for at in range(0, count, _BLOCK)])

    @classmethod
    def write(cls, runs: Iterator[_Run], folder: Path | None) -> _File:
        """Write ``runs``, which come in ascending order, to a new file."""
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - lives as long as the run
        count = 0
        with tempfile.TemporaryFile(dir=folder) as seconds:
            for run in runs:
                file.write(run.first.tobytes())
                seconds.write(run.second.tobytes())
                count += len(run.first)
            seconds.seek(0)
            while part := seconds.read(1 << 20):
                file.write(part)
        file.flush()
        return cls(file, count)

    def _read(self, at: int, count: int, *, second: bool = False) -> Hashes:
        offset = 8 * (at + (self.count if second else 0))
        return np.frombuffer(os.pread(self._file.fileno(), 8 * count, offset), dtype=np.uint64)

    def holds(self, first: Hashes, second: Hashes) -> Flags:
        """Return which fingerprints are in the file. Read only the blocks that may hold one."""
        found = np.zeros(len(first), dtype=np.bool_)
        blocks = np.searchsorted(self._index, first, side="right") - 1
        order = np.argsort(blocks, kind="stable")
        edges = np.flatnonzero(np.diff(blocks[order])) + 1
        for group in np.split(order, edges):
            if not len(group) or blocks[group[0]] < 0:
                continue
            start = int(blocks[group[0]]) * _BLOCK
            keys = self._read(start, min(_BLOCK, self.count - start))
            at = np.minimum(np.searchsorted(keys, first[group]), len(keys) - 1)
            for query, place in zip(group[keys[at] == first[group]], at[keys[at] == first[group]], strict=True):
                found[query] = self._read(start + int(place), 1, second=True)[0] == second[query]
        return found

    def stretch(self, low: int, high: int) -> _Run:
        """Return the fingerprints whose first half is at least ``low`` and below ``high``."""
        begin, end = self._place(low), self._place(high)
        return _Run(self._read(begin, end - begin), self._read(begin, end - begin, second=True))

    def _place(self, bound: int) -> int:
        if bound >= 1 << 64:
            return self.count
        block = int(np.searchsorted(self._index, np.uint64(bound), side="left")) - 1
        if block < 0:
            return 0
        start = block * _BLOCK
        keys = self._read(start, min(_BLOCK, self.count - start))
        return start + int(np.searchsorted(keys, np.uint64(bound), side="left"))


def _merged(files: list[_File]) -> Iterator[_Run]:
    """Yield several files as one sorted run, in stretches of about ``STRETCH`` fingerprints."""
    stretches = max(1, sum(file.count for file in files) // STRETCH)
    bounds = [number * (1 << 64) // stretches for number in range(stretches + 1)]
    for low, high in pairwise(bounds):
        yield _merge([file.stretch(low, high) for file in files])
