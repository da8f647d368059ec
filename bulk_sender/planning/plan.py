"""Chunks of the input → planned chunks: every row with its verdict, and the sound ones cut into batches.

``plan`` is a generator in bounded memory. Rows behind the last full batch of a chunk wait for the next one, so
that only the last batch of a run is short (or one that the cap on a request's size cut).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl

from bulk_sender.braze.limits import BATCH_SIZE
from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError
from bulk_sender.planning.batches import batch_sizes
from bulk_sender.planning.seen import Seen
from bulk_sender.reading.chunk import Chunk, Position
from bulk_sender.reading.polars_errors import reading
from bulk_sender.reading.source import Input
from bulk_sender.recipients.encode import encode
from bulk_sender.recipients.filter import Filter
from bulk_sender.recipients.mapping import RecipientMapping
from bulk_sender.recipients.rejects import own_columns

_MOST_WAITING = 50_000
_TEXT = r'"(?:[^"\\]|\\.)*"'
_ALIAS = rf'^\{{("user_alias":\{{"alias_name":{_TEXT},"alias_label":{_TEXT}\}})'

ROWS = pl.Schema(
    {
        "row": pl.UInt64(),
        "source": pl.String(),
        "source_row": pl.UInt64(),
        "identifier_type": pl.String(),
        "identifier": pl.String(),
        "verdict": pl.String(),
        "error_code": pl.String(),
        "error": pl.String(),
        "recipient": pl.String(),
    }
)
"""A planned row. ``verdict`` is valid, rejected or duplicate; only a valid one has a ``recipient`` (JSON)."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A piece of the run's plan.

    ``rows`` has the columns of ``ROWS``; ``rejects`` the rejected rows' own columns as text, with ``row``;
    ``sizes`` the number of recipients of each batch, in order. ``resume`` is where reading goes on for the rows
    behind the last one here.
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame
    sizes: list[int]
    resume: Position


@dataclass(frozen=True, slots=True)
class _Piece:
    rows: pl.DataFrame
    rejects: pl.DataFrame


def plan(
    source: Input,
    mapping: RecipientMapping,
    config: Config,
    *,
    head_bytes: int,
    seen: Seen | None = None,
    start: Position | None = None,
    after_row: int = 0,
    already: int = 0,
    cut_after: int | None = None,
    watch: Callable[[pl.DataFrame, pl.Series], None] | None = None,
) -> Iterator[Planned]:
    """Plan the input from ``start`` on, leaving out rows up to ``after_row`` (a resumed run planned them).

    ``head_bytes``: size of a request without its recipients, for the cap. ``already``: rows planned before, for
    ``limit``. ``cut_after``: a piece ends with this many rows of the run, so that they can go out before any other.
    ``watch`` is shown the input's columns of the rows that will be sent, with their numbers. Raises InputError when
    the input breaks off.
    """
    most = config.delivery.max_body_kb * 1024 - head_bytes
    if most < 1024:
        raise ConfigError(
            f"[message] makes a request of {head_bytes} bytes before its first recipient; "
            f"delivery.max_body_kb is {config.delivery.max_body_kb}",
            hint="shorten the request-level trigger_properties or raise delivery.max_body_kb",
        )
    chosen = Filter.of(config.input, source.schema)
    own = own_columns(source.schema, config.input)
    seen = seen if seen is not None else Seen()
    waiting: _Piece | None = None
    resume = start or Position()
    for chunk in source.read(start):
        with reading(chunk.source, f"recipients (rows {chunk.start.source_row + 1} to {chunk.end.source_row})"):
            fresh = _judge(chunk, mapping, chosen, own, most, after_row)
        if config.input.limit is not None:
            room = config.input.limit - already
            fresh = _up_to(fresh, room)
        fresh = _mark_duplicates(fresh, seen, config)
        if watch is not None:
            valid = fresh.rows.filter(verdict="valid")["row"]
            watch(chunk.frame[valid - chunk.start.row - 1], valid)
        if cut_after is not None and 0 < cut_after - already <= len(fresh.rows):
            first, behind = _split(fresh, cut_after - already)
            piece = _join(waiting, first) if waiting is not None else first
            waiting = None
            # Whoever goes on behind the cut reads this chunk again: its rows up to here are left out then.
            sizes = batch_sizes(piece.rows["recipient"].drop_nulls(), most)
            yield Planned(piece.rows, piece.rejects, sizes, chunk.start)
            already += len(first.rows)
            fresh = behind
        already += len(fresh.rows)
        piece = _join(waiting, fresh) if waiting is not None else fresh
        sizes = batch_sizes(piece.rows["recipient"].drop_nulls(), most)
        done = config.input.limit is not None and already >= config.input.limit
        if done:
            break
        whole, waiting, sizes = _cut(piece, sizes)
        if waiting is None:
            resume = chunk.end
        elif not len(fresh.rows) or waiting.rows["row"][0] >= fresh.rows["row"][0]:
            resume = chunk.start
        if len(whole.rows):
            yield Planned(whole.rows, whole.rejects, sizes, resume)
        if waiting is None:
            continue
    else:
        if waiting is not None:
            rest = batch_sizes(waiting.rows["recipient"].drop_nulls(), most)
            yield Planned(waiting.rows, waiting.rejects, rest, resume)
        return
    if len(piece.rows):
        yield Planned(piece.rows, piece.rejects, sizes, chunk.end)


def _judge(
    chunk: Chunk, mapping: RecipientMapping, chosen: Filter, own: list[pl.Expr], most: int, after_row: int
) -> _Piece:
    """Encode a chunk and lay provenance beside it; malformed rows are rejected before any other rule."""
    height = len(chunk.frame)
    rows = encode(chunk.frame, mapping, max_bytes=most).select(
        row=pl.int_range(chunk.start.row + 1, chunk.start.row + height + 1, dtype=pl.UInt64),
        source=pl.lit(chunk.source),
        source_row=pl.int_range(chunk.start.source_row + 1, chunk.start.source_row + height + 1, dtype=pl.UInt64),
        identifier_type="identifier_type",
        identifier="identifier",
        verdict=pl.when(pl.col("error_code").is_null()).then(pl.lit("valid")).otherwise(pl.lit("rejected")),
        error_code="error_code",
        error="error",
        recipient="recipient",
    )
    if chunk.faults:
        rows = _with_faults(rows, chunk)
    # A malformed row has no cells that a condition could be asked about: it stays in the account.
    meant = chosen.select(chunk.frame) | (rows["error_code"] == "malformed_row").fill_null(False)
    keep = meant & (rows["row"] > after_row)
    rejected = (rows["verdict"] == "rejected") & keep
    rejects = chunk.frame.filter(rejected).select(own)
    rejects = rejects.insert_column(0, rows["row"].filter(rejected).alias("\x00row"))
    return _Piece(rows if keep.all() else rows.filter(keep), rejects)


def _with_faults(rows: pl.DataFrame, chunk: Chunk) -> pl.DataFrame:
    faults = pl.DataFrame(
        {
            "row": [chunk.start.row + index + 1 for index in chunk.faults],
            "fault": [f"{chunk.source}, row {chunk.start.source_row + i + 1}: {t}" for i, t in chunk.faults.items()],
        },
        schema={"row": pl.UInt64, "fault": pl.String},
    )
    malformed = pl.col("fault").is_not_null()
    return (
        rows.join(faults, on="row", how="left", maintain_order="left")
        .with_columns(
            verdict=pl.when(malformed).then(pl.lit("rejected")).otherwise("verdict"),
            error_code=pl.when(malformed).then(pl.lit("malformed_row")).otherwise("error_code"),
            error=pl.when(malformed).then("fault").otherwise("error"),
            recipient=pl.when(~malformed).then("recipient"),
        )
        .drop("fault")
    )


def _up_to(piece: _Piece, count: int) -> _Piece:
    return _split(piece, max(0, count))[0]


def _split(piece: _Piece, count: int) -> tuple[_Piece, _Piece]:
    """The first ``count`` rows, and those behind them."""
    rows = piece.rows.head(count)
    before = pl.col("\x00row") <= (rows["row"][-1] if len(rows) else 0)
    return (
        _Piece(rows, piece.rejects.filter(before)),
        _Piece(piece.rows.slice(count), piece.rejects.filter(~before)),
    )


def _mark_duplicates(piece: _Piece, seen: Seen, config: Config) -> _Piece:
    if config.input.duplicates == "allow":
        return piece
    valid = piece.rows["verdict"] == "valid"
    repeated = seen.repeated(duplicate_keys(piece.rows.filter(valid)))
    if not repeated.any():
        return piece
    position = pl.when(valid).then(valid.cast(pl.Int64).cum_sum() - 1)
    again = pl.lit(repeated).gather(position).fill_null(False)
    text = pl.lit("another row of this run has the same ") + pl.col("identifier_type") + " and goes first"
    return _Piece(
        piece.rows.with_columns(again=again).select(
            "row",
            "source",
            "source_row",
            "identifier_type",
            "identifier",
            verdict=pl.when("again").then(pl.lit("duplicate")).otherwise("verdict"),
            error_code=pl.when("again").then(pl.lit("duplicate")).otherwise("error_code"),
            error=pl.when("again").then(text).otherwise("error"),
            recipient=pl.when(~pl.col("again")).then("recipient"),
        ),
        piece.rejects,
    )


def duplicate_keys(rows: pl.DataFrame) -> pl.Series:
    """What makes two rows the same recipient: the identifier with its type; of an alias both parts.

    ``rows``: valid ones. An alias' ``label:name`` does not tell where a label with a colon ends; its JSON does.
    """
    key = pl.col("identifier_type") + ":" + pl.col("identifier")
    is_alias = pl.col("identifier_type") == "user_alias"
    if rows.select(is_alias.any()).item():
        key = pl.when(is_alias).then(pl.col("recipient").str.extract(_ALIAS)).otherwise(key)
    return rows.select(key).to_series()


def _join(one: _Piece, other: _Piece) -> _Piece:
    return _Piece(pl.concat([one.rows, other.rows]), pl.concat([one.rejects, other.rejects]))


def _cut(piece: _Piece, sizes: list[int]) -> tuple[_Piece, _Piece | None, list[int]]:
    """Keep back the rows from the first recipient of a short last batch on, unless too many would wait."""
    if not sizes or sizes[-1] == BATCH_SIZE:
        return piece, None, sizes
    slots = piece.rows["recipient"].is_not_null().cast(pl.UInt32).cum_sum()
    first = int((slots <= sum(sizes[:-1])).sum())
    if len(piece.rows) - first > _MOST_WAITING:
        return piece, None, sizes
    row = piece.rows["row"][first]
    before = pl.col("\x00row") < row
    return (
        _Piece(piece.rows.head(first), piece.rejects.filter(before)),
        _Piece(piece.rows.slice(first), piece.rejects.filter(~before)),
        sizes[:-1],
    )
