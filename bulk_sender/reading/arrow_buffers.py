"""What the buffers of an Arrow IPC file or stream say they unpack to, before anything is unpacked.

A compressed buffer begins with its unpacked size, and polars reserves that much memory. No library that is installed
shows it; so the messages are read here: FlatBuffers, as the columnar format of Arrow documents them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

_MAGIC = b"ARROW1"
_CONTINUED = b"\xff\xff\xff\xff"
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3

# Numbers of fields, in the order of File.fbs and Message.fbs.
_DICTIONARIES, _RECORD_BATCHES = 2, 3
_HEADER_TYPE, _HEADER, _BODY_LENGTH = 1, 2, 3
_BUFFERS, _COMPRESSION = 2, 3
_DICTIONARY_DATA = 1


def buffers(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Yield the size of each compressed buffer in the file, and unpacked. Raise an error of its parts at damage."""
    messages = _listed(file, size) if file.read(len(_MAGIC)) == _MAGIC else _in_turn(file, size)
    passed = 0
    for message, body in messages:
        passed += len(message)
        if passed > 4 * size:
            raise ValueError  # a footer that lists the same message many times
        batch = _batch(message)
        if batch is not None and batch.table(_COMPRESSION) is not None:
            for start, packed in batch.structs(_BUFFERS, "<qq"):
                file.seek(body + start)
                if packed >= 8:
                    yield packed, struct.unpack("<q", file.read(8))[0]


def _listed(file: BinaryIO, size: int) -> Iterator[tuple[_Table, int]]:
    """Yield the messages that a file's footer lists, and where their bodies are."""
    file.seek(size - 4 - len(_MAGIC))
    [length] = struct.unpack("<i", file.read(4))
    file.seek(size - 4 - len(_MAGIC) - length)
    footer = _Table.root(file.read(length))
    for field in (_DICTIONARIES, _RECORD_BATCHES):
        for place, length, _ in footer.structs(field, "<qi4xq"):
            message, body = _message(file, place, size)
            if body != place + length:
                raise ValueError  # a reader may take either
            yield message, body


def _in_turn(file: BinaryIO, size: int) -> Iterator[tuple[_Table, int]]:
    """Yield the messages of a stream, and where their bodies are."""
    place = 0
    while place + 8 < size:
        file.seek(place)
        if file.read(8) in (_CONTINUED + bytes(4), bytes(8)):
            return  # the mark of the end
        message, body = _message(file, place, size)
        yield message, body
        place = body + max(0, message.number(_BODY_LENGTH, "<q"))


def _message(file: BinaryIO, place: int, size: int) -> tuple[_Table, int]:
    file.seek(place)
    begin, prefix = place + 8, file.read(8)
    if prefix[:4] != _CONTINUED:  # before Arrow 0.15, the length stood alone
        begin, prefix = place + 4, bytes(4) + prefix[:4]
        file.seek(begin)
    length = int.from_bytes(prefix[4:], "little")
    if not 0 < length <= size:
        raise ValueError
    return _Table.root(file.read(length)), begin + length


def _batch(message: _Table) -> _Table | None:
    kind, header = message.number(_HEADER_TYPE, "<B"), message.table(_HEADER)
    if kind == _DICTIONARY_BATCH and header is not None:
        return header.table(_DICTIONARY_DATA)
    return header if kind == _RECORD_BATCH else None


class _Table:
    """A table of FlatBuffers: fields by their number."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place
        self._index = place - self._read("<i", place)
        self._length = self._read("<H", self._index)

    @classmethod
    def root(cls, data: bytes) -> _Table:
        return cls(data, struct.unpack_from("<I", data)[0])

    def __len__(self) -> int:
        """The bytes of the message that the table is in."""
        return len(self._data)

    def number(self, field: int, kind: str) -> int:
        """Return a number, 0 if it is not there."""
        place = self._field(field)
        return self._read(kind, place) if place else 0

    def table(self, field: int) -> _Table | None:
        place = self._field(field)
        return _Table(self._data, place + self._read("<I", place)) if place else None

    def structs(self, field: int, kind: str) -> Iterator[tuple[int, ...]]:
        """Yield the elements of a vector of structures."""
        place = self._field(field)
        if place:
            start = place + self._read("<I", place)
            for index in range(self._read("<I", start)):
                yield struct.unpack_from(kind, self._data, start + 4 + struct.calcsize(kind) * index)

    def _field(self, field: int) -> int:
        entry = 4 + 2 * field
        offset = self._read("<H", self._index + entry) if entry < self._length else 0
        return self._place + offset if offset else 0

    def _read(self, kind: str, place: int) -> int:
        if place < 0:
            raise ValueError
        return int(struct.unpack_from(kind, self._data, place)[0])
