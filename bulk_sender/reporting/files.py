"""Results and rejects files of a run: private, replaced as a whole, and repeatable at any time.

They are made from the journal alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from bulk_sender import failpoints
from bulk_sender.atomic import replacing, taken
from bulk_sender.config.model import InputConfig
from bulk_sender.errors import ConfigError, InputError
from bulk_sender.journal.facts import Format
from bulk_sender.journal.store import RunReader
from bulk_sender.reading.added import ADDED
from bulk_sender.reading.layout import Layout
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reporting import workbooks
from bulk_sender.reporting.lateness import IsLate, in_time, never
from bulk_sender.reporting.rejects_csv import write_csv
from bulk_sender.reporting.rejects_file import RejectsFile, rejects_path
from bulk_sender.reporting.rows import RESULTS, rejects, results


def write_results(
    journal: RunReader,
    path: Path,
    kind: Format,
    statuses: set[str] | None = None,
    *,
    is_late: IsLate = never,
) -> None:
    """Write the results file. ``statuses``: write only rows of these. Raises OutOfTime once it ``is_late``."""
    frames = in_time(results(journal, statuses), is_late)
    scan = _lazy(frames, RESULTS)
    with replacing(path) as temporary:
        if kind == "parquet":
            scan.sink_parquet(temporary)
        elif kind == "ndjson":
            scan.sink_ndjson(temporary)
        elif kind == "xlsx":
            workbooks.write_results(frames, temporary)
        else:
            scan.sink_csv(temporary)


def write_frames(frames: Iterator[pl.DataFrame], path: Path) -> None:
    """Write frames of results as one Parquet file. Raises BulkSenderError."""
    with replacing(path) as temporary:
        _lazy(frames, RESULTS).sink_parquet(temporary)


def write_rejects(journal: RunReader, folder: Path, *, is_late: IsLate = never) -> dict[str, Path]:
    """Write the rejected rows to ``folder`` as they were, with ``error``, ``source_line`` and ``run``.

    Without any rejected row only the header is written.

    The file is written like the input (delimiter, encoding, byte-order mark, line ends, quotes), and read by the run's
    configuration, so that it can be sent once it is fixed. It is ``rejected.csv``, or the next free name if somebody
    has changed that file. For a workbook, ``rejected.xlsx`` is written beside it. Returns the paths: ``rejected`` and
    ``rejected_xlsx``. Raises OutOfTime once it ``is_late``.
    """
    facts = journal.facts()
    reads = facts.revived().input

    def frames() -> Iterator[pl.DataFrame]:
        return in_time(rejects(journal), is_late)

    schema = _rejects_schema(frames())
    layout = _rejects_layout(facts.layout, reads)
    with RejectsFile(folder).replaced() as temporary:
        write_csv(frames, schema, temporary, layout, ReadSettings.of(reads))
    written = {"rejected": rejects_path(folder)}
    if layout.sheet and workbooks.fits(frames(), schema):
        with RejectsFile(folder, ".xlsx").replaced() as temporary:
            workbooks.write_rejected(frames(), schema, temporary, layout.sheet)
        written["rejected_xlsx"] = rejects_path(folder, ".xlsx")
    return written


def write_rejects_of_check(
    frames: Callable[[], Iterator[pl.DataFrame]], path: Path, layout: Layout | None, reads: InputConfig
) -> None:
    """Write rejected rows to a new file, as ``write_rejects`` does, as a workbook if it is named ``.xlsx``.

    Raises ConfigError for a file that already exists, InputError for rows that no sheet holds.
    """
    schema, like = _rejects_schema(frames()), _rejects_layout(layout, reads)
    is_workbook = path.suffix.lower() == ".xlsx"
    if is_workbook and not workbooks.fits(frames(), schema):
        raise InputError(f"the rejected rows do not fit into a workbook: {path}", hint="name a .csv file instead")
    refuse_to_replace_rejects(path)
    with replacing(path) as temporary:
        if is_workbook:
            workbooks.write_rejected(frames(), schema, temporary, like.sheet or "Rejected")
        else:
            write_csv(frames, schema, temporary, like, ReadSettings.of(reads))


def refuse_to_replace_rejects(path: Path) -> None:
    """Raise ConfigError if there is a file: somebody may have fixed its rows."""
    if not path.parent.is_dir():
        raise ConfigError(f"{path.parent} is not a folder", hint="write the rejected rows elsewhere")
    if path.exists() or path.is_symlink():
        raise taken(path)


def _rejects_schema(frames: Iterator[pl.DataFrame]) -> pl.Schema:
    return next((frame.schema for frame in frames), None) or pl.Schema(dict.fromkeys(ADDED, pl.String()))


def _rejects_layout(layout: Layout | None, reads: InputConfig) -> Layout:
    """Return how to write a file that is read by the settings ``reads``, as alike to the input as possible."""
    like = layout or Layout()
    if layout is None or like.sheet:
        like = replace(like, encoding=reads.encoding or "utf-8")
    return replace(like, delimiter=reads.delimiter or like.delimiter)


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
