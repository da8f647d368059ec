"""The batches of a run that are still to be sent, in row order: planned earlier, or planned now."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
import polars as pl

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.delivery.stopping import Stopping
from bulk_sender.delivery.work import Work
from bulk_sender.eventloop import one_ahead
from bulk_sender.journal import chunks
from bulk_sender.journal.records import Batch
from bulk_sender.journal.sqlite.store import Journal, Statement
from bulk_sender.journal.writer import JournalWriter
from bulk_sender.planning.batches import Payload, Planned
from bulk_sender.planning.plan import duplicate_keys
from bulk_sender.planning.prepared import PreparedInput
from bulk_sender.planning.seen import Seen
from bulk_sender.reading.chunk import Position


class Worklist:
    """What one process still has to send, and how far it has read the input.

    ``rows``: rows of the run read so far. ``verdicts``: rows that this process planned, by verdict.
    """

    def __init__(self, journal: Journal, *, canary: int | None = None) -> None:
        """``canary``: how many rows may be sent before the run is held (the canary)."""
        self.rows = 0
        self.verdicts: Counter[str] = Counter()
        self.plan_complete = bool(journal.fact("plan_complete"))
        self._journal = journal
        self._canary = canary
        self._held = False

    async def batches(
        self,
        writer: JournalWriter,
        stopping: Stopping,
        new_batch_id: Callable[[], int],
        target: Endpoint,
        opened: PreparedInput | None,
    ) -> AsyncGenerator[Work | None]:
        """Yield the batches in row order, and None where the run is to be held.

        Without ``opened`` only those that an earlier process planned.
        """
        async with aclosing(self._planned_before(stopping)) as planned:
            async for item in planned:
                yield item
        if not self.plan_complete and opened is not None:
            async with aclosing(self._planned_now(writer, stopping, new_batch_id, target, opened)) as new:
                async for item in new:
                    yield item

    def _is_to_hold(self, rows_before: int) -> bool:
        if self._held or self._canary is None or rows_before < self._canary:
            return False
        self._held = True
        return True

    async def _planned_before(self, stopping: Stopping) -> AsyncGenerator[Work | None]:
        """Yield what an earlier process planned and did not send, or what is to be sent again."""
        with Journal.look(self._journal.folder) as reading:
            self.rows = reading.query("SELECT coalesce(sum(rows), 0) AS rows FROM chunk")[0]["rows"]
            waiting = reading.query(
                "SELECT id, (SELECT coalesce(sum(rows), 0) FROM chunk AS earlier WHERE earlier.id < chunk.id) AS before"
                " FROM chunk WHERE id IN (SELECT chunk FROM state WHERE status = 'not_sent') ORDER BY id"
            )
            for chunk in waiting:
                if self._is_to_hold(chunk["before"]):
                    yield None
                if stopping.is_set:
                    return
                payload = Payload(chunks.chunk_rows(reading, chunk["id"])["recipient"])
                pending = reading.query(
                    "SELECT batch AS id, chunk, first, size, parent, attempts AS prior, body_sha256 FROM state"
                    " WHERE status = 'not_sent' AND chunk = ? ORDER BY first",
                    (chunk["id"],),
                )
                for found in pending:
                    body_sha256 = found.pop("body_sha256")
                    yield Work(Batch(**found), payload, body_sha256)

    async def _planned_now(
        self,
        writer: JournalWriter,
        stopping: Stopping,
        new_batch_id: Callable[[], int],
        target: Endpoint,
        opened: PreparedInput,
    ) -> AsyncGenerator[Work | None]:
        """Plan the rest of the input. When the run stops, planning continues: every row must be accounted for."""
        where = await anyio.to_thread.run_sync(resume_point, self._journal.folder, opened)
        pieces = opened.plan(target, canary=self._canary, **where)
        async with aclosing(one_ahead(_prepared(pieces, self._journal.next_id("chunk")))) as prepared:
            async for piece in prepared:
                batches = _number(piece, new_batch_id)
                await writer.write(piece.record, *(self._journal.batch_record(batch) for batch in batches))
                before, self.rows = self.rows, self.rows + piece.rows
                self.verdicts.update(piece.verdicts)
                if self._is_to_hold(before):
                    yield None
                if not stopping.is_set:
                    for batch in batches:
                        yield Work(batch, piece.payload)
        await writer.write(("run", ("plan_complete", "true")))
        self.plan_complete = True


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A planned piece, with everything that can be computed outside the event loop. ``record`` is its chunk."""

    chunk: int
    rows: int
    verdicts: dict[str, int]
    sizes: list[int]
    record: Statement
    payload: Payload


def _prepared(pieces: Iterator[Planned], first: int) -> Iterator[_Prepared]:
    """Number the pieces from ``first`` on, and pack them as chunks."""
    for number, piece in enumerate(pieces, first):
        verdicts: dict[str, int] = dict(piece.rows["verdict"].value_counts().iter_rows())
        record = _chunk_record(piece, number, verdicts)
        yield _Prepared(number, len(piece.rows), verdicts, piece.sizes, record, Payload(piece.rows["recipient"]))


def _number(piece: _Prepared, new_batch_id: Callable[[], int]) -> list[Batch]:
    batches, first = [], 0
    for size in piece.sizes:
        batches.append(Batch(new_batch_id(), piece.chunk, first, size))
        first += size
    return batches


def _chunk_record(piece: Planned, number: int, verdicts: dict[str, int]) -> Statement:
    rows, rejects = chunks.pack(piece)
    return "chunk", (
        number,
        int(piece.rows["row"][0]),
        int(piece.rows["row"][-1]),
        len(piece.rows),
        verdicts.get("valid", 0),
        verdicts.get("rejected", 0),
        verdicts.get("duplicate", 0),
        json.dumps(asdict(piece.resume)),
        rows,
        rejects,
    )


def resume_point(folder: Path, opened: PreparedInput) -> dict[str, Any]:
    """Return where planning resumes, with the identifiers seen so far; the beginning for a new run."""
    seen = Seen(folder)
    with Journal.look(folder) as journal:
        last = journal.query(
            "SELECT last_row, resume, (SELECT sum(rows) FROM chunk) AS already FROM chunk ORDER BY id DESC LIMIT 1"
        )
        if not last:
            return {"seen": seen}
        if opened.config.input.duplicates == "first":
            for chunk in chunks.chunk_ids(journal):
                seen.remember(_keys_of(journal, chunk))
        return {
            "start": Position(**json.loads(last[0]["resume"])),
            "after_row": last[0]["last_row"],
            "already": last[0]["already"],
            "seen": seen,
        }


def _keys_of(journal: Journal, chunk: int) -> pl.Series:
    """Return the identifiers of a chunk's valid rows, which were the first of their kind when it was planned."""
    rows = chunks.chunk_rows(journal, chunk, ("verdict", "identifier_type", "identifier"))
    if (rows["identifier_type"] == "user_alias").any():  # its key is in the recipient, the bulk of a row
        rows = chunks.chunk_rows(journal, chunk)
    return duplicate_keys(rows.filter(pl.col("verdict") == "valid"))
