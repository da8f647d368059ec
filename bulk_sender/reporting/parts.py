"""The results of a run as Parquet parts, one for each range of chunks.

A part depends on the plan alone, so that several processes write different ones without asking each other. Each holds
one chunk in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from bulk_sender.atomic import taken
from bulk_sender.errors import BulkSenderError, ConfigError
from bulk_sender.journal.records import Status
from bulk_sender.journal.store import RunReader
from bulk_sender.reporting.files import write_frames
from bulk_sender.reporting.rows import chunks_of, results

CHUNKS_IN_A_PART = 64
"""About a million rows."""


@dataclass(frozen=True, slots=True)
class Share:
    """One process's parts among those of ``of`` processes; ``number`` counts from 1."""

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the share that ``2/4`` names. Raises ConfigError."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ConfigError(f"{text!r} is not a valid share", hint="use 2/4 for the second of four processes")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class _Part:
    path: Path
    chunks: range


def write_parts(
    journal: RunReader,
    folder: Path,
    statuses: set[str] | None = None,
    share: Share = Share(),
    *,
    replace: bool = False,
) -> int:
    """Write a share of the parts, ``part-000001.parquet`` and so on; return how many parts the run has.

    Raises ConfigError for a part that is there already, unless it may be ``replace``d, and BulkSenderError.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise BulkSenderError(f"{folder} is not a folder to write to: {error.strerror}") from None
    parts = list(_parts(journal, folder))
    own = parts[share.number - 1 :: share.of]
    for part in own:
        if part.path.exists() and not replace:
            raise taken(part.path)
    wanted = set(chunks_of(journal, statuses))
    for part in own:
        write_frames(results(journal, statuses, (chunk for chunk in part.chunks if chunk in wanted)), part.path)
    return len(parts)


def are_complete(journal: RunReader, folder: Path, statuses: set[str] | None = None) -> bool:
    """Whether every part is there, and all together they are the account of the run as it is now."""
    paths = [part.path for part in _parts(journal, folder)]
    if not paths or not all(path.is_file() for path in paths):
        return False
    counted = pl.scan_parquet(paths).group_by("status").len().collect(engine="streaming")
    counts = journal.counts()
    expected = {str(status): counts.of(status) for status in Status if statuses is None or status in statuses}
    return dict(counted.iter_rows()) == {status: rows for status, rows in expected.items() if rows}


def _parts(journal: RunReader, folder: Path) -> Iterator[_Part]:
    last = max(journal.chunk_ids(), default=0)
    for number, first in enumerate(range(1, last + 1, CHUNKS_IN_A_PART), 1):
        chunks = range(first, min(first + CHUNKS_IN_A_PART, last + 1))
        yield _Part(folder / f"part-{number:06}.parquet", chunks)
