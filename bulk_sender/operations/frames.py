"""A run's results and rejected rows as frames, read from its journal."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, overload

import polars as pl
from polars.io.plugins import register_io_source

from bulk_sender import journal as journals
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.errors import ConfigError
from bulk_sender.journal.records import Status
from bulk_sender.journal.store import RunReader, RunRef
from bulk_sender.planning.plan import REJECTS
from bulk_sender.reading.added import added_columns
from bulk_sender.reporting import rows as frames
from bulk_sender.run.folder import run_folder

Like = Literal["polars", "lazy", "pandas", "arrow"]
"""The kind of a frame. ``lazy`` is a polars LazyFrame, which reads a large run piece by piece when it is collected."""

_LIKE = ("polars", "lazy", "pandas", "arrow")
_SENT_AT = pl.Datetime("ms", "UTC")
_TIME = "%Y-%m-%dT%H:%M:%S%.fZ"
_Frames = Callable[[RunReader], Iterator[pl.DataFrame]]


@overload
def results(
    run: str,
    *,
    status: str | Iterable[str] | None = None,
    like: Literal["polars"] = "polars",
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
) -> pl.DataFrame: ...


@overload
def results(
    run: str,
    *,
    status: str | Iterable[str] | None = None,
    like: Literal["lazy"],
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
) -> pl.LazyFrame: ...


@overload
def results(
    run: str,
    *,
    status: str | Iterable[str] | None = None,
    like: Literal["pandas", "arrow"],
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
) -> Any: ...


def results(
    run: str,
    *,
    status: str | Iterable[str] | None = None,
    like: Like = "polars",
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
) -> Any:
    """Return the results of a run as a frame, also while it is in progress: one row for each row of the input.

    It has the columns of the results file. Identifiers are text, so that leading zeros survive; ``sent_at`` is a
    datetime in UTC. ``status``: only rows of this status, or of these. ``like``: ``"polars"``, ``"lazy"`` (polars,
    piece by piece when collected), ``"pandas"`` or ``"arrow"``; these two need pandas and pyarrow.
    """
    statuses = statuses_of(status)
    schema = pl.Schema({**frames.RESULTS, "sent_at": _SENT_AT})

    def read(journal: RunReader) -> Iterator[pl.DataFrame]:
        for frame in frames.results(journal, statuses):
            yield frame.with_columns(pl.col("sent_at").str.to_datetime(_TIME, time_unit="ms", time_zone="UTC"))

    return _given(_ref(run, runs_dir), schema, read, like)


@overload
def rejected(
    run: str, *, like: Literal["polars"] = "polars", runs_dir: str | Path = DEFAULT_RUNS_DIR
) -> pl.DataFrame: ...


@overload
def rejected(run: str, *, like: Literal["lazy"], runs_dir: str | Path = DEFAULT_RUNS_DIR) -> pl.LazyFrame: ...


@overload
def rejected(run: str, *, like: Literal["pandas", "arrow"], runs_dir: str | Path = DEFAULT_RUNS_DIR) -> Any: ...


def rejected(run: str, *, like: Like = "polars", runs_dir: str | Path = DEFAULT_RUNS_DIR) -> Any:
    """Return the rejected rows of a run with all their own columns as text, as they were, and why they were rejected.

    Added are ``error``, ``source_line`` (the line of the file or the row of the sheet) and ``run``, each with the
    prefix ``bulk_sender_`` if the input has such a column. ``like`` as for ``results``.
    """
    ref = _ref(run, runs_dir)
    with journals.read(ref) as journal:
        schema = next((frame.schema for frame in _rejected(journal)), pl.Schema({"error": pl.String()}))
    return _given(ref, schema, _rejected, like)


@overload
def rejects(
    run: str, *, like: Literal["polars"] = "polars", runs_dir: str | Path = DEFAULT_RUNS_DIR
) -> pl.DataFrame: ...


@overload
def rejects(run: str, *, like: Literal["lazy"], runs_dir: str | Path = DEFAULT_RUNS_DIR) -> pl.LazyFrame: ...


@overload
def rejects(run: str, *, like: Literal["pandas", "arrow"], runs_dir: str | Path = DEFAULT_RUNS_DIR) -> Any: ...


def rejects(run: str, *, like: Like = "polars", runs_dir: str | Path = DEFAULT_RUNS_DIR) -> Any:
    """Return where the rejected rows of a run are, and why each was rejected. ``rejected`` has their own columns.

    The columns are ``row`` (in reading order), ``source``, ``source_row``, ``source_line``, ``identifier_type``,
    ``identifier``, ``column`` and ``value`` (the cell that the reason is about, at most 80 characters; null for a
    reason about a whole row), ``error_code`` and ``error``. Rows that an earlier release rejected have neither column
    nor value. ``like`` as for ``results``.
    """
    return _given(_ref(run, runs_dir), REJECTS, frames.reasons, like)


def _rejected(journal: RunReader) -> Iterator[pl.DataFrame]:
    for frame in frames.rejects(journal):
        _, line, _ = added_columns(frame.columns)
        yield frame.with_columns(pl.col(line).cast(pl.UInt64))


def _ref(run: str, runs_dir: str | Path) -> RunRef:
    return RunRef.at(run_folder(Path(runs_dir), run))


def statuses_of(status: str | Iterable[str] | None) -> list[str] | None:
    """Return the statuses that are wanted; None for all. Raises ConfigError."""
    if status is None:
        return None
    found = [status] if isinstance(status, str) else list(status)
    for name in found:
        if name not in list(Status):
            near = difflib.get_close_matches(name, list(Status), n=1)
            hint = f"did you mean {str(near[0])!r}?" if near else "choose " + ", ".join(Status)
            raise ConfigError(f"{name!r} is not a status", hint=hint)
    return [str(name) for name in found]


def _given(ref: RunRef, schema: pl.Schema, read: _Frames, like: Like) -> Any:
    """Return the frames of ``read`` as the kind of frame that was asked for. Raises ConfigError."""
    if like not in _LIKE:
        raise ConfigError(f"like={like!r} is not a kind of frame", hint="choose " + ", ".join(_LIKE))
    if like == "lazy":
        with journals.read(ref):  # fail now, not when it is collected
            return _lazy(ref, schema, read)
    with journals.read(ref) as journal:
        frame = pl.concat([pl.DataFrame(schema=schema), *read(journal)], rechunk=False)
    if like == "polars":
        return frame
    try:
        # Arrow's own types in pandas: numbers with gaps stay integers, and times keep their zone.
        return frame.to_arrow() if like == "arrow" else frame.to_pandas(use_pyarrow_extension_array=True)
    except ImportError:
        needed = "pyarrow" if like == "arrow" else "pandas pyarrow"
        raise ConfigError(f"like={like!r} needs {needed.replace(' ', ' and ')}", hint=f"pip install {needed}") from None


def _lazy(ref: RunRef, schema: pl.Schema, read: _Frames) -> pl.LazyFrame:
    """Return a frame that reads one chunk at a time, each time it is collected."""

    def generate(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        with journals.read(ref) as journal:
            for frame in read(journal):
                kept = frame if left is None else frame.head(left)
                left = None if left is None else left - len(kept)
                chosen = kept if predicate is None else kept.filter(predicate)
                yield chosen if with_columns is None else chosen.select(with_columns)
                if left == 0:
                    return

    return register_io_source(generate, schema=schema)
