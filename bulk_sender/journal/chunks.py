"""The planned rows of a chunk: packed for the journal, and read back.

A frame begins with ``MARK`` and the length of an Arrow file, which has the rows with the size of each recipient in
bytes. Behind it are the recipients, as one stretch of JSON that Zstandard compresses at once: its lowest level makes
a third less of it than Arrow's buffers, for two thirds of the time. A frame of the first release is an Arrow file that
has the recipients as a column. Both are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import polars as pl

from bulk_sender import zstd
from bulk_sender.journal.records import Chunk
from bulk_sender.journal.store import RunReader
from bulk_sender.planning.batches import Payload, Planned, arrow, ends
from bulk_sender.planning.plan import ROWS

MARK = b"bulk-sender rows 2\n"
_LENGTH_BYTES = 8
_LEVEL = 1
_RECIPIENT, _SIZE = "recipient", "recipient_bytes"


def chunk_record(
    number: int, planned: Planned, payload: Payload | None = None, counted: Mapping[str, int] | None = None
) -> Chunk:
    """Return the record of a planned piece.

    ``payload``: its recipients, and ``counted``: its rows by verdict, if the caller has them.
    """
    rows = planned.rows["row"]
    counts = dict(planned.rows["verdict"].value_counts().iter_rows()) if counted is None else counted
    return Chunk(
        number,
        int(rows[0]) if len(rows) else 0,
        int(rows[-1]) if len(rows) else 0,
        len(rows),
        counts.get("valid", 0),
        counts.get("rejected", 0),
        counts.get("duplicate", 0),
        json.dumps(asdict(planned.resume)),
        _packed(planned.rows, payload or Payload.of(planned.rows[_RECIPIENT])),
        arrow(planned.rejects),
    )


def _packed(rows: pl.DataFrame, payload: Payload) -> bytes:
    sizes = pl.col(_RECIPIENT).str.len_bytes().alias(_SIZE)
    table = arrow(rows.select(pl.exclude(_RECIPIENT), sizes))
    return b"".join([MARK, len(table).to_bytes(_LENGTH_BYTES), table, zstd.compress(payload.joined, _LEVEL)])


def chunk_rows(journal: RunReader, chunk: int, columns: Sequence[str] = tuple(ROWS)) -> pl.DataFrame:
    """Return the planned rows of a chunk, with the columns of ``ROWS`` or some of them.

    A column that the release which planned the chunk did not have is null.
    """
    table, recipients = _parts(journal.frame(chunk))
    if recipients is None or _RECIPIENT not in columns:
        return _columns(table, columns)
    wanted = [name for name in columns if name != _RECIPIENT]
    found = _columns(table, [*wanted, _SIZE])
    return found.with_columns(_texts(zstd.decompress(recipients), found[_SIZE])).select(columns)


def chunk_payload(journal: RunReader, chunk: int) -> Payload:
    """Return the recipients of a chunk."""
    table, recipients = _parts(journal.frame(chunk))
    if recipients is None:
        return Payload.of(_columns(table, [_RECIPIENT])[_RECIPIENT])
    return Payload(zstd.decompress(recipients), ends(_columns(table, [_SIZE])[_SIZE].drop_nulls()).to_list())


def chunk_rejects(journal: RunReader, chunk: int) -> pl.DataFrame:
    """Return the rejected rows of a chunk with their own columns."""
    return pl.read_ipc(journal.rejects(chunk))


def _parts(frame: bytes) -> tuple[bytes, bytes | None]:
    """Return a frame's Arrow file, and its compressed recipients; None if the file has these, too."""
    if not frame.startswith(MARK):
        return frame, None
    start = len(MARK) + _LENGTH_BYTES
    end = start + int.from_bytes(frame[len(MARK) : start])
    return frame[start:end], frame[end:]


def _columns(table: bytes, columns: Sequence[str]) -> pl.DataFrame:
    try:
        return pl.read_ipc(table, columns=list(columns))
    except pl.exceptions.ColumnNotFoundError:
        found = pl.read_ipc(table)
        return found.select(
            pl.col(name) if name in found.columns else pl.lit(None, dtype=ROWS[name]).alias(name) for name in columns
        )


def _texts(joined: bytes, sizes: pl.Series) -> pl.Series:
    """Cut the joined recipients into texts: one for each size that is not null."""
    size = pl.col(_SIZE).cast(pl.Int64)
    start = (size + 1).cum_sum() - size - 1  # nulls stay null, and count for nothing
    return sizes.to_frame().select(pl.lit(joined).bin.slice(start, size).cast(pl.String).alias(_RECIPIENT)).to_series()
