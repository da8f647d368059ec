"""What the pages of a Parquet file say they unpack to, before anything is unpacked.

A page that repeats itself packs 200 MB of text into a few kilobytes. polars reserves memory for what a page says, so a
small file could take all of it. No library that is installed shows the sizes of pages; so the two structures that
have them are read here (Apache Thrift's compact protocol, as Parquet's format documents it).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

_HEADER_BYTES = 1 << 10
_MOST_HEADER_BYTES = 1 << 20
_MOST_DEPTH = 16

_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12

# Field numbers of parquet.thrift: FileMetaData, RowGroup, ColumnChunk, ColumnMetaData and PageHeader.
_ROW_GROUPS, _COLUMNS, _META_DATA = 4, 1, 3
_PACKED_SIZE, _DATA_PAGE, _DICTIONARY_PAGE = 7, 9, 11
_PAGE_UNPACKED, _PAGE_PACKED = 2, 3


def pages(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Yield the size of each page in the file, and unpacked. Raise an error of ``UNREADABLE`` at damage."""
    file.seek(size - 8)
    length, magic = struct.unpack("<I4s", file.read(8))
    if magic != b"PAR1" or length > size:
        raise ValueError
    file.seek(size - 8 - length)
    footer = _Compact(file.read(length)).struct()
    for group in footer[_ROW_GROUPS]:
        for column in group[_COLUMNS]:
            about = column[_META_DATA]
            place = min(about[name] for name in (_DATA_PAGE, _DICTIONARY_PAGE) if about.get(name))
            end = place + about[_PACKED_SIZE]
            while place < end:
                header, length = _page_header(file, place)
                packed = header[_PAGE_PACKED]
                if packed < 0:
                    raise ValueError
                yield packed, header[_PAGE_UNPACKED]
                place += length + packed


def _page_header(file: BinaryIO, place: int) -> tuple[dict[int, Any], int]:
    """Return the header of the page at ``place``, and its length. Statistics can make it long."""
    length = _HEADER_BYTES
    while True:
        file.seek(place)
        reader = _Compact(file.read(length))
        try:
            return reader.struct(), reader.place
        except IndexError:
            if length >= _MOST_HEADER_BYTES:
                raise
            length *= 16


class _Compact:
    """Reads structures of Thrift's compact protocol: fields by their number. Raises IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > _MOST_DEPTH:
            raise ValueError
        found: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != _STOP:
            kind, step = head & 15, head >> 4
            number = number + step if step else self._integer()
            found[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            return self._list(depth)
        if kind == _BINARY:
            return self._skip(self._varint())
        if kind == _DOUBLE:
            return self._skip(8)
        if kind in (_BYTE, _TRUE, _FALSE):
            return self._byte()
        if kind == _MAP or kind > _STRUCT:
            raise ValueError  # Parquet has none
        return self._integer()

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._varint()
        if count > len(self._data):
            raise IndexError
        return [self._value(head & 15, depth) for _ in range(count)]

    def _skip(self, count: int) -> None:
        self.place += count
        if self.place > len(self._data):
            raise IndexError

    def _byte(self) -> int:
        self.place += 1
        return self._data[self.place - 1]

    def _varint(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7
            if shift > 70:
                raise ValueError

    def _integer(self) -> int:
        """A number in zigzag form."""
        found = self._varint()
        return (found >> 1) ^ -(found & 1)
