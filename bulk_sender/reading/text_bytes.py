"""Text files as UTF-8 bytes from any offset, whatever their compression, encoding and line endings.

The readers thus only see UTF-8. Offsets count decoded bytes. A plain UTF-8 file is read in place; any other is
decoded from its start, because compressed or transcoded text has no random access.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from bulk_sender.errors import InputError
from bulk_sender.reading import encoding as encodings
from bulk_sender.reading.compression import compression, unpacked

_WITH_MARKS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
_SAMPLE = 1 << 20
_SEARCHED = 64 << 20
"""How far into an ASCII file to search for the first byte that reveals its encoding."""
_STEP = 1 << 20
SMALL_BYTES = 256 << 10
"""Files below this are read together, because a call of polars costs more than their rows."""


class Decoded(Protocol):
    """A stream of UTF-8 bytes."""

    def read(self, size: int, /) -> bytes: ...


class ByteSource:
    """A text file. With ``encoding`` None, it is detected, or as a last resort guessed (``guessed`` is true)."""

    def __init__(self, path: Path, *, name: str, encoding: str | None = None) -> None:
        self.path = path
        self.name = name
        self.guessed = False
        self._compressed = self._is_compressed()
        if encoding:
            self.encoding = _known(encoding, name)
            if self.encoding not in _WITH_MARKS and self._has_mark():
                self.encoding = "utf-8-sig"  # no text in another encoding begins with this mark
        else:
            found = self._detect()
            self.encoding, self.guessed = found.name, found.guessed
        self.ends_lines_with_cr = self._ends_lines_with_cr()

    @contextmanager
    def open(self, offset: int) -> Iterator[Decoded]:
        """Yield a stream of UTF-8 bytes from ``offset`` on. Reading raises InputError for an invalid byte."""
        with self._opened() as raw:
            stream = self._decoded(raw, offset)
            yield _LineFeeds(stream) if self.ends_lines_with_cr else stream

    def small(self, offset: int) -> bytes | None:
        """Return all that follows ``offset``, whole lines of UTF-8; None if that is not a small text."""
        with self.open(offset) as stream:
            body = _exactly(stream, SMALL_BYTES)
        if len(body) == SMALL_BYTES:
            return None
        return body if body.endswith(b"\n") else body + b"\n"

    def _decoded(self, raw: BinaryIO, offset: int) -> Decoded:
        mark = len(codecs.BOM_UTF8) if self.encoding == "utf-8-sig" else 0
        plain = self.encoding in ("utf-8", "utf-8-sig", "ascii")
        if plain and not self._compressed:
            raw.seek(offset + mark)
            return _Checked(raw, self.name, offset)
        stream: Decoded
        if plain:
            _exactly(raw, mark)
            stream = _Checked(raw, self.name, 0)
        else:
            stream = _Transcoded(raw, self.encoding, self.name)
        _skip(stream, offset)
        return stream

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        try:
            with unpacked(self.path, self.name) as raw:
                yield raw
        except OSError as error:
            raise InputError(f"{self.name} cannot be read: {error.strerror or error}") from None

    def _is_compressed(self) -> bool:
        try:
            with self.path.open("rb") as raw:
                return compression(raw.read(4)) is not None
        except OSError as error:
            raise InputError(f"{self.name} cannot be read: {error.strerror}") from None

    def _has_mark(self) -> bool:
        with self._opened() as raw:
            return _exactly(raw, len(codecs.BOM_UTF8)) == codecs.BOM_UTF8

    def _detect(self) -> encodings.Encoding:
        with self._opened() as raw:
            sample = _exactly(raw, _SAMPLE)
            searched = len(sample)
            while sample and sample.isascii() and b"\x00" not in sample and searched < _SEARCHED:
                more = _exactly(raw, _SAMPLE)
                searched += len(more)
                if not more.isascii():
                    sample = more[more.find(b"\n") + 1 :]  # from the start of a line, so that no character is cut
                if not more:
                    break
        found = encodings.detect(sample)
        if found is None:
            raise InputError(
                f"{self.name}: the encoding cannot be detected",
                hint='set it under [input], for example encoding = "cp1252"',
            )
        return found

    def _ends_lines_with_cr(self) -> bool:
        """Whether the first line end outside quotes is a lone CR, as old Mac spreadsheets write it."""
        self.ends_lines_with_cr = False
        with self.open(0) as stream:
            head = stream.read(_SAMPLE)
        at = -1
        while (at := head.find(b"\r", at + 1)) >= 0:
            if head.count(b'"', 0, at) % 2 == 0:
                return head[at + 1 : at + 2] != b"\n" and b"\n" not in head[:at]
        return False


class _Checked:
    """A stream that validates UTF-8, so that an error names the byte instead of surfacing somewhere else."""

    def __init__(self, raw: BinaryIO, name: str, offset: int) -> None:
        self._raw, self._name, self._offset = raw, name, offset
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read(self, size: int, /) -> bytes:
        data = self._raw.read(size)
        if not data.isascii() or self._decoder.getstate()[0]:
            try:
                self._decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{self._name} is not valid UTF-8: byte {self._offset + error.start} is not part of a character",
                    hint='set its encoding under [input], for example encoding = "cp1252"',
                ) from None
        self._offset += len(data)
        return data


class _Transcoded:
    def __init__(self, raw: BinaryIO, encoding: str, name: str) -> None:
        self._raw, self._encoding, self._name = raw, encoding, name
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = bytearray()
        self._ended = False

    def read(self, size: int, /) -> bytes:
        while len(self._ready) < size and not self._ended:
            data = self._raw.read(_STEP)
            self._ended = not data
            try:
                self._ready += self._decoder.decode(data, final=self._ended).encode("utf-8")
            except UnicodeError as error:
                raise InputError(
                    f"{self._name} is not valid {self._encoding}: {error.__class__.__name__}",
                    hint='set its encoding under [input], for example encoding = "cp1252"',
                ) from None
        ready = bytes(self._ready[:size])
        del self._ready[:size]
        return ready


class _LineFeeds:
    """A stream with LF instead of CR; both are one byte, so offsets stay the same."""

    def __init__(self, stream: Decoded) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        return self._stream.read(size).replace(b"\r", b"\n")


def _exactly(raw: Decoded, size: int) -> bytes:
    """Return ``size`` bytes, or what is left, although a decompressed stream may return less per read."""
    parts = []
    while size > 0 and (data := raw.read(size)):
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def _skip(stream: Decoded, offset: int) -> None:
    while offset > 0:
        offset -= len(stream.read(min(_STEP, offset))) or offset


def _known(encoding: str, name: str) -> str:
    try:
        canonical = codecs.lookup(encoding).name
        "".encode(canonical)
        codecs.getincrementaldecoder(canonical)().decode(b"")
    except (LookupError, TypeError, AttributeError, ValueError):
        raise InputError(
            f"{name}: {encoding!r} is not a valid encoding", hint="use a name that Python knows, for example cp1252"
        ) from None
    return canonical
