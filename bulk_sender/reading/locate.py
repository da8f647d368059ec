"""Resolution of inputs to files: paths, folders, globs, tables, URLs, standard input and frames.

Every other module then reads plain files, whatever the caller passed.
"""

from __future__ import annotations

import glob
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from urllib.parse import unquote

import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.reading.arrow_stream import ReadableStream
from bulk_sender.reading.formats import FORMATS, InputFile, detect_format, format_of_file, format_of_name
from bulk_sender.reading.panics import panics_hidden
from bulk_sender.reading.passed_over import FOLDER, FORMAT, LOCK, NO_ROWS, PassedOver, told, why_hidden
from bulk_sender.reading.polars_errors import TABLE, TROUBLE, broken, is_panic, reading
from bulk_sender.reading.query import Query, is_query, is_query_file, reason
from bulk_sender.reading.remote import fetch, is_url, name_of
from bulk_sender.reading.rows import Cursor, Result, mixture, spool_cursor, spool_dicts
from bulk_sender.reading.scan import readable, tolerate_types
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.spool import STORED_ROWS, Spool
from bulk_sender.text.clean import clean

STDIN = "-"
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@runtime_checkable
class ArrowTable(Protocol):
    """A table that implements Arrow's C stream interface, such as one of pyarrow, pandas or DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


Frame = pl.DataFrame | pl.LazyFrame | ArrowTable
Rows = Cursor | Result | Iterable[Mapping[str, Any]]
"""An executed cursor of a database, a result of SQLAlchemy, or dicts."""
Given = str | Path | Frame | Query | Rows


def locate(inputs: Sequence[Given], settings: ReadSettings, spool: Spool) -> tuple[list[InputFile], list[PassedOver]]:
    """Return the files of an input in a stable order, and those of its folders and patterns that are not read.

    Raise InputError when one is missing or cannot be read.
    """
    passed_over: list[PassedOver] = []
    files = [file for given in inputs for file in _files(given, settings, spool, passed_over)]
    if not files:
        raise InputError("no input was given")
    return files, passed_over


def _files(given: Given, settings: ReadSettings, spool: Spool, passed_over: list[PassedOver]) -> Iterator[InputFile]:
    if isinstance(given, Query):
        with given.result() as result:
            yield _spooled(result, given.name, spool)
    elif not isinstance(given, str | Path):
        yield _spooled(given, "frame" if isinstance(given, Frame) else "the query", spool)
    elif is_query(str(given)):
        named = given if is_query_file(str(given)) else repr(clean(str(given), 60))
        raise InputError(
            f"{named} is a query, and its database is not known",
            hint="pass bulk_sender.Query.of(query, database), or --database on the command line",
        )
    elif str(given) == STDIN:
        yield _stdin(settings, spool)
    elif isinstance(given, str) and is_url(given):
        yield _remote(given, settings, spool)
    elif (kind := _table_kind(Path(given), settings)) is not None:
        yield spool_frame(_scan_table(str(given), kind, str(given)), str(given), spool)
    else:
        for path, partitions, is_found in expand(given, passed_over):
            name = str(path)
            kind = format_of_file(path, name, settings)
            yield InputFile(name, path, kind, partitions, is_found=is_found)


Expanded = tuple[Path, dict[str, str | None], bool]
"""A file, the partitions that its folders name, and whether it was found rather than named."""


def expand(given: str | Path, passed_over: list[PassedOver]) -> Iterator[Expanded]:
    """Yield the files of a path, folder or glob in a stable order. Add to ``passed_over`` what is not read."""
    path = Path(given)
    if path.is_dir():
        found, root = _in_folder(path, passed_over), path
    elif path.exists():
        _refuse_irregular(path)
        yield path, {}, False
        return
    elif glob.has_magic(str(given)):
        found, root = _matching(given, passed_over), _before_magic(path)
    else:
        raise InputError(f"input file not found: {given}", hint="check the path")
    for file in found:
        yield file, _partitions(file.relative_to(root).parent), True


def _refuse_irregular(path: Path) -> None:
    """Raise InputError for a link to nothing, a device and the like."""
    if not path.exists():
        raise InputError(f"{path} is a link to a file that does not exist", hint="remove it, or restore the file")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file", hint="send a file, a folder, a glob, or - for stdin")


def _in_folder(folder: Path, passed_over: list[PassedOver]) -> list[Path]:
    """Return the input files of a folder and its subfolders. Raise InputError when there are none."""
    found, left = [], []
    for place, folders, names in os.walk(folder):
        here = Path(place)
        left += [PassedOver(str(here / name), why) for name in [*folders, *names] if (why := why_hidden(name))]
        folders[:] = [name for name in folders if not why_hidden(name)]
        found += [here / name for name in names if not why_hidden(name)]
    readable = [file for file in sorted(found) if format_of_name(file.name)]
    left += [PassedOver(str(file), FORMAT) for file in sorted(found) if not format_of_name(file.name)]
    for file in readable:
        _refuse_irregular(file)
    kept = _with_bytes(readable, left)
    if not kept:
        what = "file with rows" if readable else "input file"
        raise InputError(
            f"folder {folder} contains no {what}", hint="; ".join([*told(left), "expected " + ", ".join(FORMATS)])
        )
    passed_over += sorted(left, key=lambda each: each.name)
    return kept


def _matching(pattern: str | Path, passed_over: list[PassedOver]) -> list[Path]:
    """Return the files that match a pattern. Raise InputError when there are none."""
    matches = [Path(match) for match in sorted(glob.glob(str(pattern), recursive=True))]  # noqa: PTH207 - may be absolute
    left = [PassedOver(str(match), FOLDER) for match in matches if match.is_dir()]
    files = []
    for file in (match for match in matches if not match.is_dir()):
        why = why_hidden(file.name)
        # A name with an underscore may be meant, unless it is a mark such as _SUCCESS; a leading dot was written out.
        if why == LOCK or (why and file.name.startswith("_") and not format_of_name(file.name)):
            left.append(PassedOver(str(file), why))
        else:
            _refuse_irregular(file)
            files.append(file)
    kept = _with_bytes(files, left)
    if not matches:
        raise InputError(f"no file matches {pattern}", hint=_hint_of_pattern(Path(pattern)))
    if not kept:
        raise InputError(f"no file with rows matches {pattern}", hint="; ".join(told(left)))
    passed_over += left
    return kept


def _with_bytes(files: list[Path], left: list[PassedOver]) -> list[Path]:
    """Return the files that are not empty; the others go to ``left``."""
    kept = [file for file in files if file.stat().st_size]
    left += [PassedOver(str(file), NO_ROWS) for file in files if not file.stat().st_size]
    return kept


def _hint_of_pattern(pattern: Path) -> str:
    """Return what to try: brackets of a folder's own name are part of the pattern, unless they are escaped."""
    parent = pattern.parent
    if glob.has_magic(str(parent)) and parent.is_dir():
        escaped = Path(glob.escape(str(parent))) / pattern.name
        return f"*, ? and [ ] are read as a pattern; name the folder {str(parent)!r}, or write {str(escaped)!r}"
    return "check the folder and the pattern"


def _before_magic(pattern: Path) -> Path:
    fixed = Path(*[part for part, _ in _leading(pattern)])
    return fixed if fixed != pattern else pattern.parent


def _leading(pattern: Path) -> Iterator[tuple[str, int]]:
    for index, part in enumerate(pattern.parts):
        if glob.has_magic(part):
            return
        yield part, index


def _partitions(folders: Path) -> dict[str, str | None]:
    """Return the columns in ``country=FR/day=2026-02-28``, as text so that leading zeros survive."""
    pairs = [part.split("=", 1) for part in folders.parts if "=" in part]
    return {unquote(name): None if value == _HIVE_NULL else unquote(value) for name, value in pairs}


def _stdin(settings: ReadSettings, spool: Spool) -> InputFile:
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("standard input is a terminal", hint="pipe a file into the command, or name one")
    name = "standard input"
    path = spool.copy(sys.stdin.buffer, name)
    return InputFile(name, path, settings.format or detect_format(path, name))


def _remote(url: str, settings: ReadSettings, spool: Spool) -> InputFile:
    name = name_of(url)
    if settings.format in ("delta", "iceberg"):
        return spool_frame(_scan_table(url, settings.format, name), name, spool)
    fetched = fetch(url, name, settings.format or format_of_name(name), spool)
    if isinstance(fetched, pl.LazyFrame):
        return spool_frame(fetched, name, spool)
    return InputFile(name, fetched, settings.format or detect_format(fetched, name))


def _table_kind(path: Path, settings: ReadSettings) -> str | None:
    if settings.format in ("delta", "iceberg"):
        return settings.format
    if (path / "_delta_log").is_dir():
        return "delta"
    return "iceberg" if path.is_dir() and any(path.glob("metadata/*.metadata.json")) else None


def _scan_table(source: str, kind: str, name: str) -> pl.LazyFrame:
    """Return a lazy scan of the table's latest version."""
    try:
        with reading(name, _kind_in_words(kind)):
            table = pl.scan_delta(source) if kind == "delta" else pl.scan_iceberg(_newest_metadata(source, name))
            table.collect_schema()  # a lazy scan opens the table only now, so trouble with it shows here
            return table
    except InputError:
        raise
    except ImportError:
        raise InputError(
            f"{name} is {_kind_in_words(kind)}, and the packages to read it are not installed",
            hint=f"pip install {'deltalake' if kind == 'delta' else 'pyiceberg'}",
        ) from None
    except Exception as error:  # exceptions of deltalake and pyiceberg have no common base class
        raise InputError(f"{name} cannot be read as {_kind_in_words(kind)}: {str(error)[:200]}") from None


def _kind_in_words(kind: str) -> str:
    return "a Delta table" if kind == "delta" else "an Iceberg table"


def _newest_metadata(source: str, name: str) -> str:
    path = Path(source)
    if not path.is_dir():
        return source
    versions = sorted(path.glob("metadata/*.metadata.json"), key=_version)
    if not versions:
        raise InputError(f"{name} has no metadata/*.metadata.json", hint="check that it is an Iceberg table")
    return str(versions[-1].absolute())


def _version(metadata: Path) -> tuple[int, str]:
    digits = metadata.name.removeprefix("v").split("-")[0].split(".")[0]
    return (int(digits) if digits.isdecimal() else -1, metadata.name)


def _spooled(given: Any, name: str, spool: Spool) -> InputFile:
    """Write a table, the result of a query or rows to the spool. Raise InputError."""
    if isinstance(given, pl.DataFrame | pl.LazyFrame):
        return spool_frame(given.lazy(), name, spool)
    if type(given).__module__.split(".")[0] == "pandas":
        return _pandas(given, name, spool)
    if (stream := _arrow_stream(given, name)) is not None:
        return _stream(stream, name, spool)
    if isinstance(given, Cursor | Result):
        return spool_cursor(given, name, spool)
    if type(given).__module__.split(".")[0] == "ray":
        raise InputError(
            "a Ray Dataset cannot be sent by one process",
            hint="use bulk_sender.ray.send, or to_pandas() of a small one",
        )
    if isinstance(given, Iterable) and not isinstance(given, Mapping | bytes | bytearray):
        return spool_dicts(given, "the rows", spool)
    raise InputError(
        f"cannot send a {type(given).__name__}; pass a path, a polars, pandas or Arrow table, a query, or dicts"
    )


def _arrow_stream(given: Any, name: str) -> Any | None:
    """Return an object with Arrow's stream interface, if ``given`` is one or has one."""
    if isinstance(given, ArrowTable):
        return given
    for method in ("fetch_arrow", "fetch_record_batch"):  # of ADBC; the second is older and needs pyarrow
        if callable(fetch := getattr(given, method, None)):
            try:
                return fetch()
            except ImportError:
                continue
            except Exception as error:  # drivers have no common exception
                raise InputError(f"{name} has no result: {reason(error)}", hint="execute a query first") from None
    return None


def _stream(stream: Any, name: str, spool: Spool) -> InputFile:
    """Write a stream to the spool batch by batch."""
    tolerate_types()  # before the schema is read, because a stream may be read only once
    try:
        selected = ReadableStream(stream, name)
        with panics_hidden():
            frame = pl.scan_arrow_c_stream(selected)
    except InputError:
        raise
    except BaseException as error:
        if isinstance(error, TROUBLE) or is_panic(error):
            raise broken(name, TABLE, error) from None
        if isinstance(error, Exception):  # drivers have no common exception
            raise InputError(f"{name} cannot be read: {reason(error)}") from None
        raise
    file = spool_frame(frame, name, spool)
    return replace(file, unreadable=file.unreadable | selected.unreadable)


def _pandas(frame: Any, name: str, spool: Spool) -> InputFile:
    try:
        with reading(name, TABLE):
            return spool_frame(pl.from_pandas(frame).lazy(), name, spool)  # pandas uses NaN for a missing value
    except (TypeError, ValueError, ImportError) as error:
        columns, unreadable = [], {}
        for column in frame.columns:
            try:
                columns.append(pl.from_pandas(frame[[column]]).to_series())
            except (TypeError, ValueError):
                unreadable[str(column)] = mixture(frame[column])
        if not columns:
            raise InputError(f"{name} cannot be read: {error}") from None
        file = spool_frame(pl.DataFrame(columns).lazy(), name, spool)
        return replace(file, unreadable=file.unreadable | unreadable)


def spool_frame(frame: pl.LazyFrame, name: str, spool: Spool) -> InputFile:
    """Write a frame to an Arrow IPC file, in batches. Raise InputError."""
    path = spool.place(".arrow")
    with reading(name, TABLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", pl.exceptions.PerformanceWarning)  # another Iceberg reader may be faster
        found = readable(lambda: frame)
        found.frame.sink_ipc(path, maintain_order=True, record_batch_size=STORED_ROWS)
    return InputFile(name, path, "arrow", unreadable=found.others)
