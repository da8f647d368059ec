"""Correct some rows of an input before it is sent: the input is read, and a new file is written."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import polars as pl

from bulk_sender.atomic import replacing, taken
from bulk_sender.config.model import Config
from bulk_sender.errors import InputError
from bulk_sender.planning.prepared import InputLike, each_of
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from bulk_sender.recipients.rejects import own_columns
from bulk_sender.run.settings import ConfigLike, config_of


def cells(source: InputLike, config: ConfigLike = None, *, limit: int = 200) -> pl.DataFrame:
    """Return the first rows of an input with all their columns as text, named as in a file of rejected rows.

    Raises InputError, ConfigError, also for a row that cannot be read.
    """
    settings = config_of(config, {})
    with Spool() as spool:
        found: list[pl.DataFrame] = []
        for _, frame in _read(source, settings, spool, ()):
            found.append(frame.head(limit))
            limit -= len(found[-1])
            if not limit:
                break
        return pl.concat(found) if found else pl.DataFrame()


def corrected(
    source: InputLike,
    path: str | Path,
    config: ConfigLike = None,
    *,
    cells: Mapping[int, Mapping[str, str]],
    leave_out: Collection[int] = (),
) -> int:
    """Write a new CSV file with the rows of an input, some of their cells replaced. Return how many rows it has.

    ``cells``: row → column → text; an empty text makes an empty cell. Rows are numbered as in the results, and columns
    are named as by ``bs.cells``. ``leave_out``: rows that the file does not get. Values stay as they are, and a column
    of a typed input has its type in its name. Memory stays flat. Raises ConfigError when the file exists, and
    InputError for a row that cannot be read unless it is left out.
    """
    target, settings, count = Path(path), config_of(config, {}), 0
    if target.exists() or target.is_symlink():
        raise taken(target)
    left_out = set(leave_out)
    with Spool() as spool, replacing(target) as temporary, temporary.open("wb") as file:
        is_first = True
        for first, frame in _read(source, settings, spool, left_out):
            made = _changed(frame, first, cells)
            gone = [row - first for row in left_out if first <= row < first + len(made)]
            if gone:
                made = made.filter(~pl.int_range(len(made)).is_in(gone))
            made.write_csv(file, include_header=is_first)
            is_first, count = False, count + len(made)
    return count


def _read(
    source: InputLike, settings: Config, spool: Spool, left_out: Collection[int]
) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield the number of each piece's first row, and the piece as text."""
    opened = Input.open(each_of(source), ReadSettings.of(settings.input), spool)
    columns = own_columns(opened.schema, settings.input)
    for chunk in opened.read():
        for index in sorted(chunk.faults):
            if chunk.start.row + index + 1 not in left_out:
                raise InputError(
                    f"row {chunk.start.row + index + 1} cannot be read: {chunk.fault(index)}",
                    hint="leave this row out, or fix it in your own file",
                )
        yield chunk.start.row + 1, chunk.frame.select(columns)


def _changed(frame: pl.DataFrame, first: int, cells: Mapping[int, Mapping[str, str]]) -> pl.DataFrame:
    changes: dict[str, dict[int, str]] = {}
    for row, own in cells.items():
        if first <= row < first + len(frame):
            for column, text in own.items():
                changes.setdefault(column, {})[row - first] = text
    for column, texts in changes.items():
        if column not in frame.columns:
            raise InputError(f"the input has no column {column!r}", hint=f"the columns are {', '.join(frame.columns)}")
        values = frame[column].to_list()
        for index, text in texts.items():
            values[index] = text or None
        frame = frame.with_columns(pl.Series(column, values, dtype=pl.String))
    return frame
