"""Bytes of a text file as UTF-8, from any offset: compression and encoding are dealt with here, and only here.

Offsets count decoded bytes. A plain UTF-8 file is read in place; any other is decoded from its start, since
neither compressed nor transcoded text can be entered in the middle.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import charset_normalizer

from bulk_sender.errors import InputError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 1 << 20
_STEP = 1 << 20


class Decoded(Protocol):
    """A stream of UTF-8 bytes."""

    def read(self, size: int, /) -> bytes: ...


class ByteSource:
    """One file of text. ``encoding`` None: by its byte-order mark, else UTF-8, else detected."""

    def __init__(self, path: Path, *, name: str, encoding: str | None = None) -> None:
        self.path = path
        self.name = name
        self.encoding = _known(encoding, name) if encoding else _detect(path, name)

    @contextmanager
    def open(self, offset: int) -> Iterator[Decoded]:
        """UTF-8 bytes from ``offset`` on. Raises InputError, also later, when bytes don't fit the encoding."""
        with self._raw() as raw:
            if self.encoding in ("utf-8", "ascii"):
                raw.seek(offset)
                yield _Checked(raw, self.name, offset)
            elif self.encoding == "utf-8-sig":
                raw.seek(offset + len(codecs.BOM_UTF8))
                yield _Checked(raw, self.name, offset)
            else:
                stream = _Transcoded(raw, self.encoding, self.name)
                _skip(stream, offset)
                yield stream

    def _raw(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise InputError(f"{self.name} can't be read: {error.strerror}") from None


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
        self._ready = b""
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
        ready, self._ready = self._ready[:size], self._ready[size:]
        return ready


def _skip(stream: Decoded, offset: int) -> None:
    while offset > 0:
        offset -= len(stream.read(min(_STEP, offset))) or offset


def _known(encoding: str, name: str) -> str:
    try:
        canonical = codecs.lookup(encoding).name
        "".encode(canonical)
    except LookupError:
        raise InputError(
            f"{name}: {encoding!r} is no encoding that Python knows", hint="such as utf-8, cp1252, shift_jis"
        ) from None
    return canonical


def _detect(path: Path, name: str) -> str:
    try:
        with path.open("rb") as raw:
            head = raw.read(_SAMPLE)
    except OSError as error:
        raise InputError(f"{name} can't be read: {error.strerror}") from None
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
        return "utf-8"
    except UnicodeDecodeError:
        guess = charset_normalizer.from_bytes(head[: _SAMPLE // 4]).best()
        if guess is None:
            raise InputError(
                f"{name}: its encoding can't be told",
                hint='give it under [input], such as encoding = "cp1252"',
            ) from None
        return codecs.lookup(guess.encoding).name
