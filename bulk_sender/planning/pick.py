"""One recipient of an input, as it would be sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from bulk_sender.braze.endpoint import unaddressed
from bulk_sender.errors import InputError
from bulk_sender.planning.prepared import InputLike, PreparedInput, no_rows

Watcher = Callable[[pl.DataFrame, pl.DataFrame], None]


@dataclass(frozen=True, slots=True)
class Picked:
    """A row that would be sent. ``columns``: its row of the input; ``recipient``: the JSON object."""

    row: int
    source: str
    source_row: int
    source_line: int
    identifier: str
    columns: pl.DataFrame
    recipient: str


def pick(prepared: PreparedInput, given: InputLike, row: int | None, watch: Watcher | None = None) -> Picked:
    """Return row ``row``, or the first one that would be sent. Raise InputError when it would not be sent.

    With ``watch``, the whole input is planned, so that ``watch`` sees every row to send.
    """
    kept: list[pl.DataFrame] = []

    def looking(frame: pl.DataFrame, planned: pl.DataFrame) -> None:
        if watch is not None:
            watch(frame, planned)
        if not kept and len(planned):
            wanted = frame.head(1) if row is None else frame.filter(planned["row"] == row)
            kept.extend([wanted] if len(wanted) else [])

    found: Picked | None = None
    seen = 0
    target = unaddressed(prepared.config.braze, prepared.config.message)
    for piece in prepared.plan(target, watch=looking):
        seen = int(piece.rows["row"][-1]) if len(piece.rows) else seen
        if found is None:
            found = _found(piece.rows, row, kept)
        if found is not None and watch is None:
            break
    if found is None:
        raise no_rows(prepared, given) if not seen else _none(row, seen)
    return found


def _found(rows: pl.DataFrame, row: int | None, kept: list[pl.DataFrame]) -> Picked | None:
    wanted = rows.filter(verdict="valid").head(1) if row is None else rows.filter(pl.col("row") == row)
    if not len(wanted):
        return None
    facts = wanted.row(0, named=True)
    if facts["verdict"] != "valid":
        raise InputError(f"row {row} would not be sent: {facts['error']}", hint="choose another row with --row")
    return Picked(
        facts["row"],
        facts["source"],
        facts["source_row"],
        facts["source_line"],
        facts["identifier"],
        kept[0],
        facts["recipient"],
    )


def _none(row: int | None, seen: int) -> InputError:
    if row is None:
        return InputError("no row could be sent", hint="bulk-sender check shows why")
    return InputError(f"there is no row {row}: the input has {seen} rows that match", hint="choose one with --row")
