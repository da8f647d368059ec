"""The results of a run as tables: one frame per chunk, with one row per row of the input. It only reads.

A row's result follows from its chunk (verdict, identifier) and, for a valid row, from its batch.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from bulk_sender.journal.answers import BatchState
from bulk_sender.journal.chunks import chunk_rejects, chunk_rows
from bulk_sender.journal.store import RunReader
from bulk_sender.planning.plan import RAW, ROWS, own_cells, reject_reasons
from bulk_sender.reading.added import added_columns, foreign_columns, names_to_add, unreadable_to_add
from bulk_sender.reading.streams import HOW_TO_FIX
from bulk_sender.reporting.summary import BroadcastResult
from bulk_sender.text.clean import CONTROLS

RESULTS = pl.Schema(
    {
        "row": pl.UInt64(),
        "source": pl.String(),
        "source_row": pl.UInt64(),
        "identifier_type": pl.String(),
        "identifier": pl.String(),
        "status": pl.String(),
        "dispatch_id": pl.String(),
        "batch": pl.Int64(),
        "attempts": pl.Int64(),
        "http_status": pl.Int64(),
        "error_code": pl.String(),
        "error": pl.String(),
        "sent_at": pl.String(),
        "source_line": pl.UInt64(),
    }
)
"""The columns of the results file, in order."""

_BATCH = pl.Schema(
    {
        "first": pl.Int64(),
        "size": pl.Int64(),
        "status": pl.String(),
        "dispatch_id": pl.String(),
        "batch": pl.Int64(),
        "attempts": pl.Int64(),
        "http_status": pl.Int64(),
        "code": pl.String(),
        "message": pl.String(),
        "likely": pl.String(),
        "decided": pl.String(),
        "decided_why": pl.String(),
        "sent_at": pl.String(),
    }
)


_ATTRIBUTES = {"batch": "id"}
"""Where a column of ``_BATCH`` has another name than in ``BatchState``."""

_ALL_BUT_BODIES = tuple(name for name in ROWS if name != "recipient")


def results(
    journal: RunReader, statuses: Collection[str] | None = None, chunks: Iterable[int] | None = None
) -> Iterator[pl.DataFrame]:
    """Yield frames with the columns of ``RESULTS``, in the order of the input; one chunk is in memory at a time.

    ``statuses``: only rows of these. ``chunks``: only their rows; by default all chunks that have any.
    """
    for chunk in chunks_of(journal, statuses) if chunks is None else chunks:
        rows = results_in(journal, chunk)
        yield rows if statuses is None else rows.filter(pl.col("status").is_in(sorted(statuses)))


def chunks_of(journal: RunReader, statuses: Collection[str] | None) -> list[int]:
    """Return the chunks that have rows of these statuses, in the order of the input."""
    return journal.chunk_ids() if statuses is None else journal.chunks_with(statuses)


def results_in(journal: RunReader, chunk: int) -> pl.DataFrame:
    """Return the results of one chunk."""
    return results_of(journal, chunk, chunk_rows(journal, chunk, _ALL_BUT_BODIES))


def results_of(journal: RunReader, chunk: int, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the results of one chunk's ``rows``."""
    return _chunk_results(rows, _batches(journal.batches(chunk)))


def _batches(states: Sequence[BatchState]) -> pl.DataFrame:
    columns = {name: [getattr(state, _ATTRIBUTES.get(name, name)) for state in states] for name in _BATCH}
    return pl.DataFrame(columns, schema=_BATCH)


def _chunk_results(rows: pl.DataFrame, batches: pl.DataFrame) -> pl.DataFrame:
    """Give each valid row what holds for its batch."""
    owner = pl.int_range(len(batches), eager=True).repeat_by(batches["size"]).explode(empty_as_null=False)
    valid = rows["verdict"] == "valid"
    position = pl.when(valid).then(valid.cast(pl.Int64).cum_sum() - 1)
    sent = batches[owner].select(
        "status",
        "dispatch_id",
        "batch",
        "attempts",
        "http_status",
        pl.when(pl.col("attempts") > 0).then("sent_at").alias("sent_at"),
        code=_explained("code"),
        error=_reason(),
    )
    laid = {name: pl.lit(sent[name]).gather(position) for name in sent.columns} if len(sent) else _nothing(sent)
    return rows.select(
        "row",
        "source",
        "source_row",
        "identifier_type",
        "identifier",
        status=pl.coalesce(laid["status"], "verdict"),
        dispatch_id=pl.when(laid["dispatch_id"] != "").then(laid["dispatch_id"]),
        batch=laid["batch"],
        attempts=laid["attempts"].fill_null(0),
        http_status=laid["http_status"],
        error_code=pl.coalesce("error_code", laid["code"]),
        error=_safe_cell(pl.coalesce("error", laid["error"])),
        sent_at=laid["sent_at"],
        source_line="source_line",
    ).cast(RESULTS)


def _nothing(sent: pl.DataFrame) -> dict[str, pl.Expr]:
    return {name: pl.lit(None, dtype=dtype) for name, dtype in sent.schema.items()}


def _explained(name: str) -> pl.Expr:
    """The column, with null for an empty text."""
    return pl.when(pl.col(name).fill_null("") != "").then(pl.col(name))


def _reason() -> pl.Expr:
    """The server's message, the hint of what is likely, and the operator's decision, in one cell."""
    likely = pl.when(pl.col("likely").fill_null("") != "").then(
        pl.lit("; likely ") + pl.col("likely").str.replace("_", " ", literal=True)
    )
    decided = pl.when(pl.col("decided").is_not_null()).then(
        pl.lit("; decided: ") + pl.col("decided") + pl.lit(" (") + pl.col("decided_why") + pl.lit(")")
    )
    text = pl.concat_str([_explained("message").fill_null(""), likely.fill_null(""), decided.fill_null("")])
    return pl.when(text != "").then(text.str.strip_prefix("; "))


def _safe_cell(text: pl.Expr) -> pl.Expr:
    """Text that may quote a server or a cell, without control characters, and safe to open in a spreadsheet."""
    plain = text.str.replace_all(CONTROLS, " ")
    return pl.when(plain.str.contains(r"^[=+\-@＝＋－＠]")).then(pl.lit("'") + plain).otherwise(plain)


def rejects(journal: RunReader) -> Iterator[pl.DataFrame]:
    """Yield the rejected rows with all their own columns as text, then ``error``, ``source_line`` and ``run``.

    If the text of a row could not be read as one, the column ``unreadable`` before these has it. Chunks without a
    rejected row are not read, except one for the columns where there are no others.
    """
    chunks = journal.chunks_with_rejects() or journal.chunk_ids()[:1]
    is_needed = any(RAW in pl.read_ipc_schema(io.BytesIO(journal.rejects(chunk))) for chunk in chunks)
    for chunk in chunks:
        reasons = chunk_rows(journal, chunk, ("row", "verdict", "source_row", "source_line", "error"))
        reasons = reasons.filter(verdict="rejected")
        yield rejects_of(reasons, chunk_rejects(journal, chunk), journal.run.name, is_needed=is_needed)


def rejects_of(reasons: pl.DataFrame, rejects: pl.DataFrame, run: str | None, *, is_needed: bool) -> pl.DataFrame:
    """Return rejected rows as ``rejected.csv`` has them. ``rejects``: the rows of ``reasons`` in a piece of a plan.

    ``run``: the run that rejected them. Before a run, None: rows keep the run of an earlier fix, and their line there.
    ``is_needed``: whether any row of the file has text that could not be read.
    """
    assert rejects["\x00row"].equals(reasons["row"].alias("\x00row")), "a piece's rejects are those of its rows"
    none = pl.Series([None], dtype=pl.String).new_from_index(0, len(rejects))
    raw = rejects[RAW] if RAW in rejects.columns else none
    own = own_cells(rejects)
    unreadable = unreadable_to_add(own.columns, is_needed=is_needed)
    error, line, name = names_to_add(own.columns)
    why = pl.col("error")
    if unreadable is not None:
        why = pl.when(pl.lit(raw).is_not_null()).then(why + f"{HOW_TO_FIX} {unreadable!r}").otherwise(why)
    found = reasons.select(
        *([raw.alias(unreadable)] if unreadable is not None else []),
        _safe_cell(why).alias(error),
        pl.coalesce("source_line", "source_row").cast(pl.String).alias(line),
        pl.lit(run, dtype=pl.String).alias(name),
    )
    if run is None and added_columns(own.columns):
        found = found.with_columns(own[line].cast(pl.String), own[name].cast(pl.String))
    return own.drop(foreign_columns(own.columns)).hstack(found)


def reasons(journal: RunReader) -> Iterator[pl.DataFrame]:
    """Yield why rows were rejected, with the columns of ``REJECTS``, in the order of the input."""
    for chunk in journal.chunks_with_rejects():
        yield reject_reasons(chunk_rows(journal, chunk, _ALL_BUT_BODIES), chunk_rejects(journal, chunk))


def broadcast(journal: RunReader) -> BroadcastResult | None:
    """Return what happened to the one request of a broadcast; None for a run that has rows."""
    if not journal.facts().broadcast:
        return None
    [found] = (
        _batches(journal.batches(1))
        .select(
            "status",
            "attempts",
            "http_status",
            "sent_at",
            dispatch_id=pl.when(pl.col("dispatch_id") != "").then("dispatch_id"),
            error_code=_explained("code"),
            error=_safe_cell(_reason()),
        )
        .to_dicts()
    ) or [{"status": "not_sent"}]
    return BroadcastResult(**found)


def explain(journal: RunReader, row: int) -> dict[str, Any] | None:
    """Return everything known about one row; None when the run has no such row."""
    chunk = journal.chunk_of(row)
    if chunk is None:
        return None
    rows = chunk_rows(journal, chunk)
    own = rows.filter(pl.col("row") == row)
    if not len(own):
        return None
    [facts] = own.to_dicts()
    [result] = _chunk_results(rows, _batches(journal.batches(chunk))).filter(pl.col("row") == row).to_dicts()
    facts |= {name: result[name] for name in ("status", "error_code", "error")}
    facts["recipient"] = None if facts["recipient"] is None else json.loads(facts["recipient"])
    facts["batches"] = []
    if facts["verdict"] == "valid":
        slot = int(((rows["row"] < row) & (rows["verdict"] == "valid")).sum())
        facts["batches"] = [asdict(batch) for batch in journal.story(chunk, slot)]
    return facts
