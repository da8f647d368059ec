"""Decompression of input files: gzip, bzip2, Zstandard, and a zip archive that contains one file.

The first bytes decide which one it is, not the name. Decompression is streamed, and limited as a defense against
decompression bombs: at most ``MAX_BYTES``, and after ``FREE_BYTES`` at most ``MAX_RATIO`` bytes per compressed byte.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from bulk_sender import zstd
from bulk_sender.errors import InputError

MAX_RATIO = 1000
"""Text rarely compresses better than 1:100, nearly empty columns up to 1:500; deflate cannot exceed 1:1032."""
FREE_BYTES = 64 << 20
MAX_BYTES = 256 << 30

SUFFIXES = {".gz": "gzip", ".gzip": "gzip", ".bz2": "bz2", ".zst": "zstd", ".zstd": "zstd", ".zip": "zip"}
_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
)
DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zstd.ZstdError,
)
"""Exceptions that decompression raises for a damaged file."""
UNSUPPORTED = (NotImplementedError, RuntimeError)
"""Exceptions that zipfile raises for an encrypted member, or an unknown compression method."""

_OPEN: dict[str, Callable[[BinaryIO], BinaryIO]] = {
    "gzip": lambda raw: cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="rb")),
    "bz2": lambda raw: cast(BinaryIO, bz2.BZ2File(raw)),
    "zstd": lambda raw: cast(BinaryIO, zstd.ZstdFile(raw)),
}


_UNPACK = "unpack it first, then send the unpacked file"


_LARGE_BYTES = 1 << 30
UNREADABLE = (ValueError, IndexError, KeyError, TypeError, struct.error, OSError)
Sizes = Callable[[BinaryIO, int], Iterator[tuple[int, int]]]
"""Yields the parts of a file of a given size: the bytes of each in the file, and unpacked."""


def refuse_bomb(path: Path, name: str, sizes: Sizes) -> bool:
    """Raise InputError when a part of a file, or all of them together, say that they unpack to far more than they take.

    Return False for a damaged file, about which nothing is known. One above 1 GB is left to its reader: it would have
    many parts, and may unpack to much.
    """
    size, total = path.stat().st_size, 0
    if size > _LARGE_BYTES:
        return True
    with suppress(*UNREADABLE), path.open("rb") as file:
        for packed, unpacked in sizes(file, size):
            total += max(0, unpacked)
            if unpacked > FREE_BYTES + MAX_RATIO * packed or total > FREE_BYTES + MAX_RATIO * size:
                raise _bomb(name, total, "write it without compression")
        return True
    return False


def _bomb(name: str, unpacked: int, remedy: str) -> InputError:
    return InputError(
        f"{name} expands to more than {unpacked >> 20} MB; this looks like a decompression bomb",
        hint=f"if it is a real list, {remedy}; the limits are 1:{MAX_RATIO} and {MAX_BYTES >> 30} GB",
    )


def compression(head: bytes) -> str | None:
    """Return the compression that a file's first bytes (at least 4) show, or None."""
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


@contextmanager
def unpacked(path: Path, name: str) -> Iterator[BinaryIO]:
    """Yield a stream of the file's decompressed bytes. Raise InputError when it is damaged, possibly while reading."""
    with ExitStack() as stack:
        try:
            raw = stack.enter_context(path.open("rb"))
            kind = compression(raw.read(4))
            raw.seek(0)
            if kind is None:
                yield raw
                return
            if kind == "zip":
                archive = stack.enter_context(zipfile.ZipFile(raw))
                inner = cast(BinaryIO, stack.enter_context(archive.open(only_member(archive, name))))
            else:
                inner = stack.enter_context(_OPEN[kind](raw))
        except DAMAGED as error:
            raise _damaged(name, error) from None
        except UNSUPPORTED as error:
            raise InputError(f"{name} cannot be unpacked: {error}", hint=_UNPACK) from None
        yield cast(BinaryIO, _Bounded(inner, raw, name, kind))


def only_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return the only file in a zip archive, ignoring folders and macOS metadata. Raise InputError if not just one."""
    files = [
        info for info in archive.infolist() if not info.is_dir() and not info.filename.startswith(("__MACOSX/", "."))
    ]
    if len(files) != 1:
        raise InputError(f"{name} contains {len(files)} files, not one", hint="unpack it first, then send the folder")
    if files[0].flag_bits & 1:
        raise InputError(f"{name} is encrypted", hint="unpack it with its password, then send the unpacked file")
    return files[0]


class _Bounded:
    """Compares the bytes that come out with the bytes read, to detect a decompression bomb."""

    def __init__(self, inner: BinaryIO, raw: BinaryIO, name: str, kind: str) -> None:
        self._inner, self._raw, self._name, self._kind = inner, raw, name, kind
        self._out = 0

    def read(self, size: int = -1, /) -> bytes:
        try:
            data = self._inner.read(size)
        except DAMAGED as error:
            raise _damaged(self._name, error) from None
        self._out += len(data)
        if self._out > min(MAX_BYTES, FREE_BYTES + MAX_RATIO * self._raw.tell()):
            raise _bomb(self._name, self._out, "unpack it yourself")
        return data


def _damaged(name: str, error: BaseException) -> InputError:
    reason = str(error) or type(error).__name__
    return InputError(f"{name} cannot be unpacked: {reason[:200]}", hint="check that the file is complete")
