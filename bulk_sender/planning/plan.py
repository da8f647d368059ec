"""Plan an input: check every row, mark duplicates, and cut the valid rows into batches.

``plan`` is a generator that runs in bounded memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError
from bulk_sender.planning.batches import Batcher, Piece, Planned
from bulk_sender.planning.excluded import ExcludedSets
from bulk_sender.planning.seen import Seen
from bulk_sender.reading.chunk import Chunk, Position
from bulk_sender.reading.polars_errors import reading
from bulk_sender.reading.source import Input
from bulk_sender.recipients.encode import encode
from bulk_sender.recipients.filter import Filter
from bulk_sender.recipients.mapping import RecipientMapping
from bulk_sender.recipients.rejects import own_columns

RAW = "\x00raw"
"""The column of rejects with the text of rows that could not be read. Rejects without any such row may lack it."""
_COLUMN, _VALUE = "\x00column", "\x00value"
"""The columns of rejects with what each reason is about. Those of an earlier release lack them."""
EXCLUDED = "excluded"
"""The error code of a recipient whom another run or a list leaves out."""
_TEXT = r'"(?:[^"\\]|\\.)*"'
_ALIAS = rf'^\{{("user_alias":\{{"alias_name":{_TEXT},"alias_label":{_TEXT}\}})'

ROWS = pl.Schema(
    {
        "row": pl.UInt64(),
        "source": pl.String(),
        "source_row": pl.UInt64(),
        "source_line": pl.UInt64(),
        "identifier_type": pl.String(),
        "identifier": pl.String(),
        "verdict": pl.String(),
        "error_code": pl.String(),
        "error": pl.String(),
        "recipient": pl.String(),
    }
)
"""A planned row. ``verdict`` is valid, rejected or duplicate; only a valid row has a ``recipient`` (JSON)."""


REJECTS = pl.Schema(
    {name: ROWS[name] for name in ("row", "source", "source_row", "source_line", "identifier_type", "identifier")}
    | dict.fromkeys(("column", "value", "error_code", "error"), pl.String())
)
"""A rejected row: where it is, the column and the cell that the reason is about (null for a whole row), and why."""


def reject_reasons(rows: pl.DataFrame, rejects: pl.DataFrame) -> pl.DataFrame:
    """Return why rows are rejected, with the columns of ``REJECTS``. ``rows``, ``rejects``: those of a piece."""
    found = rows.filter(verdict="rejected")
    places = [
        rejects[stored].alias(name) if stored in rejects.columns else pl.lit(None, dtype=pl.String).alias(name)
        for name, stored in (("column", _COLUMN), ("value", _VALUE))
    ]
    return found.with_columns(places).select(REJECTS.names())


def own_cells(rejects: pl.DataFrame) -> pl.DataFrame:
    """Return the own columns of rejected rows."""
    return rejects.drop("\x00row", RAW, _COLUMN, _VALUE, strict=False)


def plan(
    source: Input,
    mapping: RecipientMapping,
    config: Config,
    *,
    head_bytes: int,
    seen: Seen | None = None,
    excluded: ExcludedSets | None = None,
    start: Position | None = None,
    after_row: int = 0,
    already: int = 0,
    canary: int | None = None,
    watch: Callable[[pl.DataFrame, pl.DataFrame], None] | None = None,
    on_filtered: Callable[[int], None] | None = None,
    before_each: Callable[[], None] = lambda: None,
) -> Iterator[Planned]:
    """Plan the input from ``start`` on, without the rows up to ``after_row``, which a resumed run has planned.

    ``head_bytes``: size of a request without its recipients, for the cap on a request. ``already``: rows planned
    earlier, for ``limit``. ``canary``: a piece ends with this many rows of the run (the canary), so that they can
    be sent before any other. ``excluded``: people to leave out. ``watch`` receives the input's columns of the rows
    that will be sent, and these rows as planned. ``on_filtered`` receives how many rows of a chunk the filter leaves
    out, if none has been planned before. ``before_each`` is called before each chunk is planned, and may raise.

    Raise InputError when the input cannot be read to its end.
    """
    judge = Judge(source, mapping, config, head_bytes)
    seen = seen if seen is not None else Seen()
    cutter = Cutter(
        config,
        judge.most,
        lambda rows: seen.repeated(duplicate_keys(rows)),
        excluded=excluded,
        canary=canary,
        already=already,
    )
    for chunk in source.read(start):
        before_each()
        piece = judge(chunk, after_row)
        if on_filtered is not None:
            on_filtered(len(chunk.frame) - len(piece.rows))
        piece = cutter.left_in(piece)
        if watch is not None:
            valid = piece.rows.filter(verdict="valid")
            watch(chunk.frame[valid["row"] - chunk.start.row - 1], valid)
        yield from cutter.take(piece, chunk.start, chunk.end)
        if cutter.is_full:
            return
    yield from cutter.rest()


class Judge:
    """Judges the rows of a chunk, each by itself. ``most``: bytes of a request that its recipients may take."""

    def __init__(self, source: Input, mapping: RecipientMapping, config: Config, head_bytes: int) -> None:
        self.most = _room_for_recipients(config, head_bytes)
        self._mapping = mapping
        self._is_typed = source.is_typed
        self._chosen = Filter.of(config.input, source.schema)
        self._own = own_columns(source.schema, config.input)

    def __call__(self, chunk: Chunk, after_row: int = 0) -> Piece:
        """Return the rows behind row ``after_row`` that the filter keeps. Raise InputError for damaged values."""
        with reading(chunk.source, f"recipients ({chunk.where})", typed=self._is_typed):
            return _judge(chunk, self._mapping, self._chosen, self._own, self.most, after_row)


class Cutter:
    """Cuts judged rows into batches, piece by piece in the order of the input.

    ``repeated``: which of some valid rows are not the first of their kind. The other arguments are those of ``plan``
    and ``Batcher``.
    """

    def __init__(
        self,
        config: Config,
        most: int,
        repeated: Callable[[pl.DataFrame], pl.Series],
        *,
        excluded: ExcludedSets | None,
        canary: int | None,
        already: int,
    ) -> None:
        is_once = config.input.duplicates == "first"
        self._repeated = repeated if is_once else None
        self._excluded = excluded
        self._batcher = Batcher(
            most,
            limit=config.input.limit,
            canary=canary,
            already=already,
            keys=None if is_once else duplicate_keys,
        )

    @property
    def is_full(self) -> bool:
        """Whether the limit is reached."""
        return self._batcher.is_full

    def left_in(self, judged: Piece) -> Piece:
        """Return the rows within the limit. Those that are excluded or repeated are marked as duplicates."""
        piece = self._batcher.within_limit(judged)
        if self._excluded is not None:
            piece = _mark_excluded(piece, self._excluded)
        return piece if self._repeated is None else _mark_duplicates(piece, self._repeated)

    def take(self, piece: Piece, start: Position, end: Position) -> Iterator[Planned]:
        """Yield what can be planned with the next piece, whose chunk was read from ``start`` to ``end``."""
        return self._batcher.take(piece, start, end)

    def rest(self) -> Iterator[Planned]:
        """Yield what still waits after the last piece."""
        return self._batcher.rest()


def _room_for_recipients(config: Config, head_bytes: int) -> int:
    """Return how many bytes of a request are left for recipients. Raise ConfigError when there is hardly any."""
    most = config.delivery.max_body_kb * 1000 - head_bytes
    if most < 1024:
        raise ConfigError(
            f"[message] makes a request of {head_bytes} bytes before its first recipient; "
            f"delivery.max_body_kb is {config.delivery.max_body_kb}",
            hint="shorten the request-level trigger_properties or raise delivery.max_body_kb",
        )
    return most


def _judge(
    chunk: Chunk, mapping: RecipientMapping, chosen: Filter, own: list[pl.Expr], most: int, after_row: int
) -> Piece:
    """Encode a chunk, and add where each row comes from. Malformed rows are rejected before any other rule."""
    height = len(chunk.frame)
    first = chunk.start.source_row + 1
    source_row = pl.int_range(first, first + height, dtype=pl.UInt64)
    source = pl.lit(chunk.source)
    if chunk.origin is not None:
        source, source_row = pl.lit(chunk.origin["source"]), pl.lit(chunk.origin["source_row"])
    encoded = encode(chunk.frame, mapping, max_bytes=most)
    rows = encoded.select(
        row=pl.int_range(chunk.start.row + 1, chunk.start.row + height + 1, dtype=pl.UInt64),
        source=source,
        source_row=source_row,
        source_line=source_row if chunk.lines is None else pl.lit(chunk.lines),
        identifier_type="identifier_type",
        identifier="identifier",
        verdict=pl.when(pl.col("error_code").is_null()).then(pl.lit("valid")).otherwise(pl.lit("rejected")),
        error_code="error_code",
        error="error",
        recipient="recipient",
    )
    if chunk.faults:
        rows = _with_faults(rows, chunk)
    # A malformed row has no cells to test a condition on, so the filter keeps it.
    meant = chosen.select(chunk.frame) | (rows["error_code"] == "malformed_row").fill_null(False)
    keep = meant & (rows["row"] > after_row)
    rejected = (rows["verdict"] == "rejected") & keep
    rejects = chunk.frame.filter(rejected).select(own)
    rejects = rejects.insert_column(0, rows["row"].filter(rejected).alias("\x00row"))
    malformed = pl.int_range(height, eager=True).is_in(list(chunk.faults))
    about = encoded.select(pl.when(~malformed).then(pl.col("column", "value"))).filter(rejected)
    rejects = rejects.with_columns(about["column"].alias(_COLUMN), about["value"].alias(_VALUE))
    if chunk.raws:
        raws = pl.Series(RAW, [chunk.raws.get(index) for index in rejected.arg_true()], dtype=pl.String)
        rejects = rejects.with_columns(raws)
    return Piece(rows if keep.all() else rows.filter(keep), rejects)


def _with_faults(rows: pl.DataFrame, chunk: Chunk) -> pl.DataFrame:
    faults = pl.DataFrame(
        {
            "row": [chunk.start.row + index + 1 for index in chunk.faults],
            "fault": [chunk.fault(index) for index in chunk.faults],
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


def _mark_duplicates(piece: Piece, repeats: Callable[[pl.DataFrame], pl.Series]) -> Piece:
    valid = piece.rows["verdict"] == "valid"
    repeated = repeats(piece.rows.filter(valid))
    if not repeated.any():
        return piece
    kinds = piece.rows.filter(valid)["identifier_type"]
    text = pl.select(pl.lit("another row of this run has the same ") + pl.lit(kinds) + " and goes first").to_series()
    return _left_out(piece, valid, "duplicate", text.zip_with(repeated, pl.Series([None], dtype=pl.String)))


def _mark_excluded(piece: Piece, excluded: ExcludedSets) -> Piece:
    valid = piece.rows["verdict"] == "valid"
    return _left_out(piece, valid, EXCLUDED, excluded.source_of(duplicate_keys(piece.rows.filter(valid))))


def _left_out(piece: Piece, valid: pl.Series, code: str, why: pl.Series) -> Piece:
    """Mark valid rows as duplicates. ``why``: for each valid row the reason, null for those that go."""
    if why.is_null().all():
        return piece
    position = pl.when(valid).then(valid.cast(pl.Int64).cum_sum() - 1)
    is_out = pl.col("why").is_not_null()
    return Piece(
        piece.rows.with_columns(why=pl.lit(why).gather(position)).select(
            "row",
            "source",
            "source_row",
            "source_line",
            "identifier_type",
            "identifier",
            verdict=pl.when(is_out).then(pl.lit("duplicate")).otherwise("verdict"),
            error_code=pl.when(is_out).then(pl.lit(code)).otherwise("error_code"),
            error=pl.when(is_out).then("why").otherwise("error"),
            recipient=pl.when(~is_out).then("recipient"),
        ),
        piece.rejects,
    )


def duplicate_keys(rows: pl.DataFrame) -> pl.Series:
    """Return what makes two rows the same recipient: the identifier with its type; for an alias, both parts.

    E-mail addresses are compared without case and without blanks around them, as a mail server compares them.
    ``rows`` are valid ones. ``label:name`` of an alias does not show where a label with a colon ends; its JSON does.
    """
    key = pl.col("identifier_type") + ":" + pl.col("identifier")
    is_email = pl.col("identifier_type") == "email"
    if rows.select(is_email.any()).item():
        key = pl.when(is_email).then("email:" + address_key(pl.col("identifier"))).otherwise(key)
    is_alias = pl.col("identifier_type") == "user_alias"
    if rows.select(is_alias.any()).item():
        key = pl.when(is_alias).then(pl.col("recipient").str.extract(_ALIAS)).otherwise(key)
    return rows.select(key).to_series()


def address_key(address: pl.Expr) -> pl.Expr:
    """Return what makes two e-mail addresses the same: the text without case and without blanks around it."""
    return address.str.strip_chars().str.to_lowercase()
