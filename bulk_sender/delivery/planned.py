"""The rest of a run's input, planned into chunks one ahead of the caller, from where an earlier process ended."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import anyio
import polars as pl

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.eventloop import one_ahead
from bulk_sender.journal.chunks import chunk_record, chunk_rows
from bulk_sender.journal.records import Batch, Chunk
from bulk_sender.journal.store import RunReader, RunWriter
from bulk_sender.planning.batches import Payload, Planned
from bulk_sender.planning.plan import duplicate_keys
from bulk_sender.planning.prepared import PreparedInput
from bulk_sender.planning.seen import Seen
from bulk_sender.reading.chunk import Position
from bulk_sender.reading.spool import FOLDER as SPOOLED

A = TypeVar("A")
B = TypeVar("B")

_ROOM = "plan"
"""The folder beside a stored input for what the tasks of a plan hand to each other. It is people's data, too."""


class CutShort(Exception):
    """A signal ended planning. The rows that were not read stay unread."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A planned piece, with everything that can be computed outside the event loop."""

    chunk: Chunk
    verdicts: dict[str, int]
    sizes: list[int]
    payload: Payload

    def batches(self, new_id: Callable[[], int]) -> list[Batch]:
        """Return the chunk's batches, numbered now."""
        batches, first = [], 0
        for size in self.sizes:
            batches.append(Batch(new_id(), self.chunk.id, first, size))
            first += size
        return batches


async def pieces(
    journal: RunWriter,
    opened: PreparedInput,
    target: Endpoint,
    canary: int | None,
    check: Callable[[], None],
    on_end: Callable[[], None],
) -> AsyncGenerator[Piece]:
    """Plan the rest of an input. ``check`` is called now and then, also in threads, and may raise.

    ``on_end`` is called as soon as it is known that no piece follows the one that the caller handles.
    """
    where = await anyio.to_thread.run_sync(resume_point, journal, opened, check)
    room = journal.run.folder / SPOOLED / _ROOM
    await anyio.to_thread.run_sync(_remove, room)  # of a process that was killed
    packed = None if "start" in where else _planned_by_tasks(opened, target, room, canary or None, check)
    if packed is None:
        packed = map(pack, opened.plan(target, canary=canary or None, before_each=check, **where))
    try:
        async with aclosing(one_ahead(_numbered(packed, journal), on_end=on_end)) as prepared:
            async for piece in prepared:
                yield piece
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_remove, room)


def pack(piece: Planned) -> Piece:
    """Pack a planned piece as a chunk without a number."""
    verdicts: dict[str, int] = dict(piece.rows["verdict"].value_counts().iter_rows())
    payload = Payload.of(piece.rows["recipient"])
    return Piece(chunk_record(0, piece, payload, verdicts), verdicts, piece.sizes, payload)


def _numbered(pieces: Iterator[Piece], journal: RunWriter) -> Iterator[Piece]:
    """Number the pieces, and put their rows where the journal wants them."""
    for piece in pieces:
        chunk = replace(piece.chunk, id=journal.new_chunk_id())
        yield replace(piece, chunk=journal.stored(chunk))


def _planned_by_tasks(
    opened: PreparedInput, target: Endpoint, room: Path, canary: int | None, check: Callable[[], None]
) -> Iterator[Piece] | None:
    """Plan a whole input with the planners that it has; None when one process has to plan it, or does it as well.

    ``check`` is called after each task, and may raise.
    """
    run = opened.planners
    if run is None or opened.marks is not None:
        return None
    from bulk_sender.planning import tasks  # few runs have planners

    job, units = opened.tasks(target, room)
    if len(units) == 1:
        return None

    def checked(function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        for result in run(function, items):
            check()
            yield result

    return tasks.planned(job, units, checked, pack, canary)


def _remove(room: Path) -> None:
    shutil.rmtree(room, ignore_errors=True)


def resume_point(journal: RunReader, opened: PreparedInput, check: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Return where planning resumes, with the identifiers seen so far; the beginning for a new run.

    ``check`` is called now and then and may raise: a large run has many identifiers to read.
    """
    seen = Seen(journal.run.folder)
    with journal.reader() as reading:
        end = reading.plan_end()
        if end is None:
            return {"seen": seen}
        if opened.config.input.duplicates == "first":
            for chunk in reading.chunk_ids():
                check()
                seen.remember(_keys_of(reading, chunk))
        return {
            "start": Position(**json.loads(end.resume)),
            "after_row": end.last_row,
            "already": end.rows,
            "seen": seen,
        }


def _keys_of(journal: RunReader, chunk: int) -> pl.Series:
    """Return the identifiers of a chunk's valid rows, which were the first of their kind when it was planned."""
    rows = chunk_rows(journal, chunk, ("verdict", "identifier_type", "identifier"))
    if (rows["identifier_type"] == "user_alias").any():  # its key is in the recipient, the bulk of a row
        rows = chunk_rows(journal, chunk)
    return duplicate_keys(rows.filter(pl.col("verdict") == "valid"))
