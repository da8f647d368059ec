"""Results and rejects files of a run: private, replaced as a whole, and repeatable at any time.

They are made from the journal alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from bulk_sender import failpoints
from bulk_sender.atomic import create_private, replacing
from bulk_sender.journal.chunks import chunk_rejects
from bulk_sender.journal.facts import Format
from bulk_sender.journal.store import RunReader
from bulk_sender.reading.added import added_columns, names_to_add
from bulk_sender.reporting.rejects_file import RejectsFile, rejects_path
from bulk_sender.reporting.rows import RESULTS, rejects, results


def write_results(journal: RunReader, path: Path, kind: Format, statuses: set[str] | None = None) -> None:
    """Write the results file. ``statuses``: write only rows of these."""
    frames = (
        frame if statuses is None else frame.filter(pl.col("status").is_in(sorted(statuses)))
        for frame in results(journal)
    )
    scan = _lazy(frames, RESULTS)
    with replacing(path) as temporary:
        if kind == "parquet":
            scan.sink_parquet(temporary)
        elif kind == "ndjson":
            scan.sink_ndjson(temporary)
        else:
            scan.sink_csv(temporary)


def write_rejects(journal: RunReader, folder: Path) -> Path:
    """Write the rejected rows to ``folder`` as they were, with ``error``, ``source_line`` and ``run``.

    Without any rejected row only the header is written.

    The file has the format that the run's configuration reads, so that it can be sent with that configuration once it
    is fixed. It is ``rejected.csv``, or the next free name if somebody has changed that file. Returns its path.
    """
    ids = journal.chunk_ids()
    own = [name for name in chunk_rejects(journal, ids[0]).columns if name != "\x00row"] if ids else []
    added = names_to_add(own)
    reads = journal.facts().settings.get("input", {})
    encoding = reads.get("encoding")
    frames = (_errors_in(encoding, added[0], frame) if encoding else frame for frame in rejects(journal))
    columns = [name for name in own if name not in added_columns(own)]
    schema = pl.Schema({name: pl.String() for name in [*columns, *added]})
    with RejectsFile(folder).replaced() as temporary:
        _lazy(frames, schema).sink_csv(
            temporary, separator=reads.get("delimiter") or ",", include_header=reads.get("header", True)
        )
        if encoding:
            _transcode(temporary, encoding)
    return rejects_path(folder)


def _errors_in(encoding: str, column: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Replace the characters in errors that the input's encoding does not have by ``?``."""
    words = [text.encode(encoding, "replace").decode(encoding) for text in frame[column]]
    return frame.with_columns(pl.Series(column, words, dtype=pl.String))


def _transcode(path: Path, encoding: str) -> None:
    """Change a file from UTF-8 to another encoding, unless that encoding lacks a character."""
    other = path.with_name(f"{path.name}.other")
    create_private(other)
    try:
        with path.open(encoding="utf-8", newline="") as known, other.open("w", encoding=encoding, newline="") as wanted:
            shutil.copyfileobj(known, wanted)
        other.replace(path)
    except UnicodeEncodeError:
        other.unlink()


def _lazy(frames: Iterator[pl.DataFrame], schema: pl.Schema) -> pl.LazyFrame:
    """Return frames as one lazy frame, so that polars' sinks write them one by one in constant memory."""

    def generate(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        for frame in frames:
            failpoints.reach("mid_results")
            chosen = frame if with_columns is None else frame.select(with_columns)
            yield chosen if predicate is None else chosen.filter(predicate)

    return register_io_source(generate, schema=schema)
