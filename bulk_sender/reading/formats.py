"""Which format a file is of, and the reader for it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from bulk_sender.errors import InputError
from bulk_sender.reading.chunk import Reader
from bulk_sender.reading.compression import DAMAGED, SUFFIXES, UNSUPPORTED, compression, only_member, unpacked
from bulk_sender.reading.csv import CsvReader
from bulk_sender.reading.excel import ExcelReader
from bulk_sender.reading.ndjson import NdjsonReader
from bulk_sender.reading.polars_errors import ARROW
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
"""A file's ending → its format; ``.gz``, ``.zst``, ``.bz2`` or ``.zip`` may follow that of a text."""

TEXTS = ("csv", "ndjson")
_MAGIC = ((b"PAR1", "parquet"), (b"ARROW1", "arrow"), (b"\xff\xff\xff\xff", "arrow"))
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of an input: its ``name`` as people know it, and where its bytes are.

    ``partitions``: columns that the folders above it give it (``country=FR/part-0.parquet``), as text.
    """

    name: str
    path: Path
    format: str
    partitions: dict[str, str | None] = field(default_factory=dict)


def format_of_name(name: str) -> str | None:
    """The format that a name's ending stands for, None for an unknown one."""
    return FORMATS.get(_ending(name))


def _ending(name: str) -> str:
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in SUFFIXES else path.suffix


def detect_format(path: Path, name: str | None = None) -> str:
    """By the first bytes where they are telling, else by the name's ending, else CSV. Raises InputError."""
    name = name or str(path)
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise InputError(f"{name} can't be read: {error.strerror}") from None
    by_name = format_of_name(name)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if not head:
        raise InputError(f"{name} is empty", hint="give a file with a header line and at least one row")
    if head == _OLD_EXCEL:
        raise InputError(
            f"{name} is an old or a password-protected Excel file", hint="save it as .xlsx without a password"
        )
    if compression(head) == "zip" and (inside := _format_in_zip(path, name)):
        return inside
    if by_name in TEXTS:
        return by_name
    if by_name is not None and compression(head) is None:
        raise InputError(f"{name} is no {by_name} file: its first bytes say otherwise", hint="is it complete?")
    return _format_of_text(path, name)


def _format_in_zip(path: Path, name: str) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            if "[Content_Types].xml" in archive.namelist():
                return "excel"
            inside = format_of_name(only_member(archive, name).filename)
    except (*DAMAGED, *UNSUPPORTED) as error:
        raise InputError(f"{name} can't be unpacked: {error}", hint="is the file complete?") from None
    if inside is not None and inside not in TEXTS:
        raise InputError(f"{name} holds a {inside} file", hint="unpack it, then give what is in it")
    return inside


def _format_of_text(path: Path, name: str) -> str:
    """What the text itself looks like. Raises InputError for a packed table."""
    with unpacked(path, name) as stream:
        head = stream.read(1 << 12)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            raise InputError(f"{name} holds a packed {kind} file", hint="unpack it, then give what is in it")
    return "ndjson" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else "csv"


def open_reader(file: InputFile, settings: ReadSettings) -> Reader:
    """The reader for a file. Raises InputError when its head or schema can't be read."""
    return READERS[file.format](file, settings)


def _csv(file: InputFile, settings: ReadSettings) -> Reader:
    delimiter = settings.delimiter or ("\t" if _ending(file.name) == ".tsv" else None)
    source = ByteSource(file.path, name=file.name, encoding=settings.encoding)
    return CsvReader(source, delimiter=delimiter, header=settings.header)


def _ndjson(file: InputFile, settings: ReadSettings) -> Reader:
    return NdjsonReader(ByteSource(file.path, name=file.name, encoding=settings.encoding))


def _parquet(file: InputFile, _: ReadSettings) -> Reader:
    return ScanReader(file.path, scan_parquet, name=file.name, kind="Parquet")


def _arrow(file: InputFile, _: ReadSettings) -> Reader:
    return ScanReader(file.path, scan_arrow, name=file.name, kind=ARROW)


def _excel(file: InputFile, settings: ReadSettings) -> Reader:
    return ExcelReader(file.path, name=file.name, sheet=settings.sheet, header=settings.header)


READERS: dict[str, Callable[[InputFile, ReadSettings], Reader]] = {
    "csv": _csv,
    "ndjson": _ndjson,
    "parquet": _parquet,
    "arrow": _arrow,
    "excel": _excel,
}
