"""Bytes of a text file as UTF-8, from any offset: compression, encoding and old line ends end here.

Offsets count decoded bytes. A plain UTF-8 file is read in place; any other is decoded from its start, since
neither compressed nor transcoded text can be entered in the middle.
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

_SAMPLE = 1 << 20
_SEARCHED = 64 << 20
"""How far a file of plain ASCII is searched for the first byte that tells more."""
_STEP = 1 << 20


class Decoded(Protocol):
    """A stream of UTF-8 bytes."""

    def read(self, size: int, /) -> bytes: ...


class ByteSource:
    """One file of text. ``encoding`` None: by its byte-order mark, else UTF-8, else guessed (``guessed`` is true)."""

    def __init__(self, path: Path, *, name: str, encoding: str | None = None) -> None:
        self.path = path
        self.name = name
        self.guessed = False
        self._compressed = self._is_compressed()
        if encoding:
            self.encoding = _known(encoding, name)
        else:
            found = self._detect()
            self.encoding, self.guessed = found.name, found.guessed
        self._cr_only = self._ends_lines_with_cr()

    @contextmanager
    def open(self, offset: int) -> Iterator[Decoded]:
        """UTF-8 bytes from ``offset`` on. Raises InputError, also later, when bytes don't fit the encoding."""
        with self._opened() as raw:
            stream = self._decoded(raw, offset)
            yield _LineFeeds(stream) if self._cr_only else stream

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
            raise InputError(f"{self.name} can't be read: {error.strerror or error}") from None

    def _is_compressed(self) -> bool:
        try:
            with self.path.open("rb") as raw:
                return compression(raw.read(4)) is not None
        except OSError as error:
            raise InputError(f"{self.name} can't be read: {error.strerror}") from None

    def _detect(self) -> encodings.Encoding:
        with self._opened() as raw:
            sample = _exactly(raw, _SAMPLE)
            searched = len(sample)
            while sample and sample.isascii() and b"\x00" not in sample and searched < _SEARCHED:
                more = _exactly(raw, _SAMPLE)
                searched += len(more)
                if not more.isascii():
                    sample = more[more.find(b"\n") + 1 :]  # from a line on, lest a character be cut
                if not more:
                    break
        found = encodings.detect(sample)
        if found is None:
            raise InputError(
                f"{self.name}: its encoding can't be told", hint='give it under [input], such as encoding = "cp1252"'
            )
        return found

    def _ends_lines_with_cr(self) -> bool:
        """Whether the first line end outside quotes is a CR alone, as old spreadsheets on a Mac write it."""
        self._cr_only = False
        with self.open(0) as stream:
            head = stream.read(_SAMPLE)
        at = -1
        while (at := head.find(b"\r", at + 1)) >= 0:
            if head.count(b'"', 0, at) % 2 == 0:
                return head[at + 1 : at + 2] != b"\n" and b"\n" not in head[:at]
        return False


class _Checked:
    """UTF-8 as it stands, but checked, so that an error names the byte instead of surfacing somewhere else."""

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
                    f"{self._name} is not UTF-8: byte {self._offset + error.start} is not part of a character",
                    hint='give its encoding under [input], such as encoding = "cp1252"',
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
                    f"{self._name} is not {self._encoding}: {error.__class__.__name__} in it",
                    hint="give its true encoding under [input] encoding",
                ) from None
        ready = bytes(self._ready[:size])
        del self._ready[:size]
        return ready


class _LineFeeds:
    """CR as LF. Both are one byte, so that offsets stay."""

    def __init__(self, stream: Decoded) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        return self._stream.read(size).replace(b"\r", b"\n")


def _exactly(raw: BinaryIO, size: int) -> bytes:
    """``size`` bytes, or what is left: an unpacked stream may give less at a time."""
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
            f"{name}: {encoding!r} is no encoding that Python knows", hint="such as utf-8, cp1252, shift_jis"
        ) from None
    return canonical
