"""People to leave out: those that earlier runs reached, or that a file lists. They are found as duplicates are.

The keys are written to the run's folder when it begins, and stay there until its input is read to its end. So a
resumed run leaves out the same people, whatever happened to the other runs and files since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from bulk_sender.errors import InputError
from bulk_sender.planning.seen import Seen
from bulk_sender.reading.polars_errors import reading
from bulk_sender.reading.spool import Spool

_ENDING = ".excluded"
_SCHEMA = pl.Schema({"key": pl.String()})
_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Excluded:
    """People to leave out. ``names``: where they come from, such as ``run winter``; for each its keys in ``files``."""

    names: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    @classmethod
    def written(cls, sources: Iterable[tuple[str, Iterator[pl.Series]]], spool: Spool) -> Excluded:
        """Write the keys of each source to a file of ``spool``."""
        names, files = [], []
        for name, keys in sources:
            path = spool.place(_ENDING)
            _lazy(keys).sink_ipc(path)
            names.append(name)
            files.append(path)
        return cls(tuple(names), tuple(files))

    @classmethod
    def kept(cls, names: tuple[str, ...], folder: Path) -> Excluded:
        """Return what an earlier process wrote to ``folder``. Raise InputError when it is no longer there."""
        files = tuple(sorted(folder.glob(f"*{_ENDING}")))
        if len(files) != len(names):
            raise InputError(
                f"the lists of people to leave out are gone from {folder}, but the run has not read its input to its "
                "end",
                hint="put the folder back as it was, then resume the run",
            )
        return cls(names, files)

    def moved(self, folder: Path) -> Excluded:
        """Return the same lists after their files were moved to ``folder``."""
        return Excluded(self.names, tuple(folder / file.name for file in self.files))

    def sets(self) -> ExcludedSets | None:
        """Load the keys; None without any."""
        if not self.names:
            return None
        sets = []
        for file in self.files:
            seen = Seen()
            with reading(file.name, "the people to leave out"):
                for part in pl.scan_ipc(file).collect_batches(chunk_size=_ROWS):
                    seen.repeated(part["key"])
            sets.append(seen)
        return ExcludedSets(self.names, tuple(sets))


NOBODY = Excluded()
"""No one is left out."""


@dataclass(frozen=True, slots=True)
class ExcludedSets:
    """The keys of ``Excluded`` in memory that does not grow with their number."""

    names: tuple[str, ...]
    sets: tuple[Seen, ...]

    def source_of(self, keys: pl.Series) -> pl.Series:
        """Return where each key is excluded, the first source named; null for those that may go."""
        found = pl.Series([None] * len(keys), dtype=pl.String)
        for name, seen in zip(self.names, self.sets, strict=True):
            here = seen.holds(keys) & found.is_null()
            found = found.zip_with(~here, pl.Series([name], dtype=pl.String))
        return found


def _lazy(parts: Iterator[pl.Series]) -> pl.LazyFrame:
    """Return series of keys as one lazy frame, so that polars writes them one by one."""

    def generate(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        for part in parts:
            yield part.alias("key").to_frame()

    return register_io_source(generate, schema=_SCHEMA)
