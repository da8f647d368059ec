"""Detection of an input file's format, and the reader for each format.

The first bytes decide where they can, because names are often wrong.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from bulk_sender.errors import InputError
from bulk_sender.reading.added import added_columns
from bulk_sender.reading.chunk import EmptyFileError, Reader
from bulk_sender.reading.compression import DAMAGED, SUFFIXES, UNSUPPORTED, compression, only_member, unpacked
from bulk_sender.reading.csv import CsvReader
from bulk_sender.reading.ndjson import NdjsonReader
from bulk_sender.reading.polars_errors import ARROW, PARQUET
from bulk_sender.reading.scan import ScanReader, scan_arrow, scan_parquet
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.text_bytes import ByteSource

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
    ".xlsx": "excel",
    ".xlsm": "excel",
}
"""File extension → format. A text format may also have ``.gz``, ``.zst``, ``.bz2`` or ``.zip`` after it."""

TEXTS = ("csv", "ndjson")
_MAGIC = ((b"PAR1", "parquet"), (b"ARROW1", "arrow"), (b"\xff\xff\xff\xff", "arrow"))
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|body|meta|table|\?xml)[\s>]", re.IGNORECASE)
"""How a page begins that a web application calls a workbook, or sends instead of a file."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of an input. Messages show ``name``; the bytes are at ``path``.

    ``partitions``: text columns taken from the names of its folders (``country=FR/part-0.parquet``). ``unreadable``:
    columns that a spooled table lost, because their types cannot be read → those types.
    """

    name: str
    path: Path
    format: str
    partitions: dict[str, str | None] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    is_found: bool = False
    """Whether a folder or a pattern led to it. Such a file without rows is passed over."""


def format_of_name(name: str) -> str | None:
    """Return the format for a name's extension, or None when it is unknown."""
    return FORMATS.get(_extension(name))


def where(source: str, row: int, line: int | None) -> str:
    """Return where a person finds a row of a file: its line, or its row in a sheet or a table.

    ``row``: its number among the rows of the file. ``line``: its line or row in the sheet, if that is known.
    """
    if line is None or line == row:
        return f"row {row}"
    return f"line {line}" if (format_of_name(source) or "csv") in TEXTS else f"row {line}"


def _extension(name: str) -> str:
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in SUFFIXES else path.suffix


def detect_format(path: Path, name: str | None = None) -> str:
    """Return the format by the first bytes, else by the name's extension, else CSV. Raise InputError."""
    name = name or str(path)
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from None
    by_name = format_of_name(name)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if not head:
        raise EmptyFileError(f"{name} is empty", hint="send a file with a header line and at least one row")
    if head.startswith(_OLD_EXCEL):
        raise InputError(
            f"{name} is an old (.xls) or password-protected Excel file", hint="save it as .xlsx without a password"
        )
    if compression(head) == "zip" and (inside := _format_in_zip(path, name)):
        return inside
    if _MARKUP.match(head):
        raise InputError(
            f"{name} is a page in HTML or XML, not a table",
            hint="if a browser shows the table, open the file in a spreadsheet program and save it as .xlsx",
        )
    if by_name in TEXTS:
        return by_name
    if by_name is not None and compression(head) is None:
        raise InputError(
            f"{name} is not a valid {by_name} file: its first bytes do not match", hint="check that it is complete"
        )
    return _format_of_text(path, name)


def format_of_file(path: Path, name: str, settings: ReadSettings) -> str:
    """Return the format that the settings name, or else the detected one. Raise InputError.

    A ``rejected.csv`` is a CSV, whatever format its input had.
    """
    if settings.format is None:
        return detect_format(path, name)
    if settings.format != "csv" and format_of_name(name) == "csv" and _is_of_rejects(path, name, settings):
        return "csv"
    return settings.format


def _is_of_rejects(path: Path, name: str, settings: ReadSettings) -> bool:
    try:
        return bool(added_columns(_csv(InputFile(name, path, "csv"), settings).schema().names()))
    except InputError:
        return False


def _format_in_zip(path: Path, name: str) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            if "[Content_Types].xml" in archive.namelist():
                return "excel"
            if "mimetype" in archive.namelist() and b"opendocument" in archive.open("mimetype").read(100):
                raise InputError(f"{name} is an OpenDocument file (.ods)", hint="save it as .xlsx")
            inside = format_of_name(only_member(archive, name).filename)
    except (*DAMAGED, *UNSUPPORTED) as error:
        raise InputError(f"{name} cannot be unpacked: {error}", hint="check that the file is complete") from None
    if inside is not None and inside not in TEXTS:
        raise InputError(f"{name} contains a {inside} file", hint="unpack it first, then send the unpacked file")
    return inside


def _format_of_text(path: Path, name: str) -> str:
    """Return the format that the text looks like. Raise InputError for a compressed table."""
    with unpacked(path, name) as stream:
        head = stream.read(1 << 12)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            raise InputError(
                f"{name} contains a compressed {kind} file", hint="unpack it first, then send the unpacked file"
            )
    return "ndjson" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else "csv"


def open_reader(file: InputFile, settings: ReadSettings) -> Reader:
    """Return the reader for a file. Raise InputError when its head or schema cannot be read."""
    return READERS[file.format](file, settings)


def _csv(file: InputFile, settings: ReadSettings) -> Reader:
    delimiter = settings.delimiter or ("\t" if _extension(file.name) == ".tsv" else None)
    source = ByteSource(file.path, name=file.name, encoding=settings.encoding)
    return CsvReader(source, delimiter=delimiter, header=settings.header, header_row=settings.header_row)


def _ndjson(file: InputFile, settings: ReadSettings) -> Reader:
    return NdjsonReader(ByteSource(file.path, name=file.name, encoding=settings.encoding))


def _parquet(file: InputFile, _: ReadSettings) -> Reader:
    return ScanReader(file.path, scan_parquet, name=file.name, kind=PARQUET)


def _arrow(file: InputFile, _: ReadSettings) -> Reader:
    return ScanReader(file.path, scan_arrow, name=file.name, kind=ARROW)


def _excel(file: InputFile, settings: ReadSettings) -> Reader:
    from bulk_sender.reading.excel import ExcelReader  # here: few inputs are workbooks

    return ExcelReader(
        file.path,
        name=file.name,
        sheet=settings.sheet,
        header=settings.header,
        header_row=settings.header_row,
        null_values=settings.null_values,
        timezone=settings.timezone,
    )


READERS: dict[str, Callable[[InputFile, ReadSettings], Reader]] = {
    "csv": _csv,
    "ndjson": _ndjson,
    "parquet": _parquet,
    "arrow": _arrow,
    "excel": _excel,
}
