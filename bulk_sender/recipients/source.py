"""Files, folders and globs → one stream of chunks with row numbers, and what identifies the input."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from bulk_sender.config import InputConfig
from bulk_sender.errors import InputError
from bulk_sender.recipients.bytes_in import ByteSource
from bulk_sender.recipients.chunk import Chunk, Position, Reader
from bulk_sender.recipients.csv import CsvReader
from bulk_sender.recipients.tables import ScanReader

_FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
}
_MAGIC = ((b"PAR1", "parquet"), (b"ARROW1", "arrow"))


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What a run remembers of a file: another ``size`` (bytes) or ``sha256`` is another input."""

    name: str
    size: int
    sha256: str


class Source:
    """All files of one input, in order. Opening it looks at heads and schemas only; ``read`` streams the rows."""

    def __init__(self, paths: Sequence[Path], config: InputConfig) -> None:
        self.paths = tuple(paths)
        self.config = config
        self._readers = [self._reader(path) for path in self.paths]
        self.schema = self._common_schema()

    @classmethod
    def open(cls, inputs: Sequence[str | Path], config: InputConfig) -> Source:
        """Raises InputError for what is missing, empty, unreadable, or of other columns than the first file."""
        return cls(expand(inputs), config)

    def identify(self) -> tuple[FileIdentity, ...]:
        """Size and SHA-256 of each file, read once from one descriptor (about 1.5 GB a second)."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            return tuple(pool.map(self.identify_one, self.paths))

    @staticmethod
    def identify_one(path: Path) -> FileIdentity:
        """One file's size and digest. Raises InputError when it can't be read."""
        return _identify(path)

    def read(self, start: Position | None = None) -> Iterator[Chunk]:
        """The chunks from ``start`` on, with columns in the order of the first file."""
        start = start or Position()
        names = self.schema.names()
        for index in range(start.file, len(self._readers)):
            position = start if index == start.file else Position(file=index, row=start.row)
            for chunk in self._readers[index].read(position):
                yield (replace(chunk, frame=chunk.frame.select(names)) if chunk.frame.columns != names else chunk)
                start = replace(start, row=chunk.end.row)

    def _reader(self, path: Path) -> Reader:
        kind = self.config.format or detect_format(path)
        return _READERS[kind](path, self.config)

    def _common_schema(self) -> pl.Schema:
        first = self._readers[0].schema()
        if not first:
            raise InputError(f"{self.paths[0]} has no columns")
        for path, reader in zip(self.paths[1:], self._readers[1:], strict=True):
            other = reader.schema()
            if missing := [name for name in first if name not in other]:
                raise InputError(
                    f"{path} has no column {missing[0]!r}, which {self.paths[0]} has",
                    hint="files sent together need the same columns; send them in runs of their own otherwise",
                )
            if extra := [name for name in other if name not in first]:
                raise InputError(
                    f"{path} has a column {extra[0]!r}, which {self.paths[0]} lacks",
                    hint="files sent together need the same columns; send them in runs of their own otherwise",
                )
            for name, dtype in first.items():
                if other[name] != dtype:
                    raise InputError(f"{path}: column {name!r} is {other[name]}, but {dtype} in {self.paths[0]}")
        return first


def expand(inputs: Sequence[str | Path]) -> list[Path]:
    """Files, folders and globs → files in a stable order. Raises InputError when one names nothing."""
    paths: list[Path] = []
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith((".", "_")))
            readable = [file for file in found if file.suffix.lower() in _FORMATS]
            if not readable:
                raise InputError(f"folder {path} holds no input file", hint="expected " + ", ".join(_FORMATS))
            paths.extend(readable)
        elif path.exists():
            if not path.is_file():
                raise InputError(f"{path} is not a regular file", hint="give a file, a folder, a glob, or - for stdin")
            paths.append(path)
        elif glob.has_magic(str(given)):
            matches = [Path(match) for match in sorted(glob.glob(str(given), recursive=True))]  # noqa: PTH207 - may be absolute
            if not (files := [match for match in matches if match.is_file()]):
                raise InputError(f"no file matches {given}")
            paths.extend(files)
        else:
            raise InputError(f"input file not found: {given}", hint="check the path")
    if not paths:
        raise InputError("no input was given")
    return paths


def detect_format(path: Path) -> str:
    """By the first bytes where they are telling, else by the name's ending, else CSV. Raises InputError."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from None
    by_name = _FORMATS.get(path.suffix.lower())
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if not head:
        raise InputError(f"{path} is empty", hint="give a file with a header line and at least one row")
    if by_name in ("parquet", "arrow"):
        raise InputError(f"{path} is no {by_name} file: its first bytes say otherwise", hint="is it complete?")
    return by_name or "csv"


def _csv(path: Path, config: InputConfig) -> Reader:
    delimiter = config.delimiter or ("\t" if path.suffix.lower() == ".tsv" else None)
    source = ByteSource(path, name=str(path), encoding=config.encoding)
    return CsvReader(source, delimiter=delimiter, header=config.header)


def _parquet(path: Path, _: InputConfig) -> Reader:
    return ScanReader(pl.scan_parquet(path, glob=False), name=str(path), kind="Parquet")


def _arrow(path: Path, _: InputConfig) -> Reader:
    return ScanReader(pl.scan_ipc(path), name=str(path), kind="Arrow IPC")


_READERS: dict[str, Callable[[Path, InputConfig], Reader]] = {
    "csv": _csv,
    "parquet": _parquet,
    "arrow": _arrow,
}


def _identify(path: Path) -> FileIdentity:
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from None
    return FileIdentity(str(path), size, digest)
