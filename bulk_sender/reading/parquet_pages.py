"""What the pages of a Parquet file say they unpack to, before anything is unpacked.

A page that repeats itself packs 200 MB of text into a few kilobytes. polars reserves memory for what a page says, so a
small file could take all of it. No library that is installed shows the sizes of pages; so the two structures that
have them are read here (Apache Thrift's compact protocol, as Parquet's format documents it).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

_HEADER_BYTES = 1 << 10
_MOST_HEADER_BYTES = 1 << 20
_MOST_DEPTH = 64
"""polars skips unknown structures up to this depth."""

_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 13

# Field numbers of parquet.thrift: FileMetaData, RowGroup, ColumnChunk, ColumnMetaData and PageHeader.
_ROW_GROUPS, _COLUMNS, _META_DATA = 4, 1, 3
_GROUP_UNPACKED, _GROUP_ROWS = 2, 3
_PACKED_SIZE, _DATA_PAGE, _DICTIONARY_PAGE = 7, 9, 11
_PAGE_UNPACKED, _PAGE_PACKED, _DATA_HEADERS = 2, 3, (5, 8)
_VALUES = 1
"""The number of values, in both forms of a data page's header."""


def pages(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Yield the size of each page in the file, and unpacked. Raise an error of ``UNREADABLE`` at damage."""
    passed = 0
    for about in _chunks(_footer(file, size)):
        data, dictionary = about.get(_DATA_PAGE, 0), about.get(_DICTIONARY_PAGE, 0)
        if data < 0 or dictionary < 0:
            raise ValueError
        # A reader may begin at either; a chunk without rows may have neither.
        for place in {dictionary or data, min(data or dictionary, dictionary or data)} - {0}:
            end = place + about[_PACKED_SIZE]
            while place < end:
                header, values, length = _page_header(file, place)
                packed = header[_PAGE_PACKED]
                if packed < 0 or header[_PAGE_UNPACKED] < 0:
                    raise ValueError
                # Of a value that is null, a bit is kept, and a page of a few bytes may have millions.
                yield packed, max(header[_PAGE_UNPACKED], values // 8)
                place += length + packed
                passed += length + packed
                if passed > 4 * size:
                    raise ValueError  # chunks lie over one another


def row_bytes(file: BinaryIO, size: int) -> int:
    """Return the bytes of a row, unpacked, in the row group with the longest rows. Raise an error as ``pages`` does."""
    footer = _footer(file, size)
    groups = (footer.numbers() for _ in footer.lists(_ROW_GROUPS))
    return max((group.get(_GROUP_UNPACKED, 0) // max(1, group.get(_GROUP_ROWS, 0)) for group in groups), default=0)


def _footer(file: BinaryIO, size: int) -> _Compact:
    file.seek(size - 8)
    length, magic = struct.unpack("<I4s", file.read(8))
    if magic != b"PAR1" or length > size:
        raise ValueError
    file.seek(size - 8 - length)
    return _Compact(file.read(length))


def _chunks(footer: _Compact) -> Iterator[dict[int, int]]:
    """Yield the numbers that describe each chunk of a column. Everything else in the footer is passed over."""
    for _ in footer.lists(_ROW_GROUPS):
        for _ in footer.lists(_COLUMNS):
            for number, kind in footer.fields():
                if number == _META_DATA and kind == _STRUCT:
                    yield footer.numbers()
                else:
                    footer.skip(kind)


def _page_header(file: BinaryIO, place: int) -> tuple[dict[int, int], int, int]:
    """Return the header of the page at ``place``, its number of values, and its length. Statistics make it long."""
    length = _HEADER_BYTES
    while True:
        file.seek(place)
        reader = _Compact(file.read(length))
        try:
            inner: dict[int, dict[int, int]] = {}
            header = reader.numbers(inner)
            values = max((inner[field].get(_VALUES, 0) for field in _DATA_HEADERS if field in inner), default=0)
            return header, values, reader.place
        except IndexError:
            if length >= _MOST_HEADER_BYTES:
                raise
            length *= 16


class _Compact:
    """Reads structures of Thrift's compact protocol, and keeps nothing of them. Raises IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield the number and type of each field. The caller reads or skips its value."""
        number = 0
        while (head := self._byte()) != _STOP:
            step = head >> 4
            number = number + step if step else self._integer()
            yield number, head & 15

    def numbers(self, inner: dict[int, dict[int, int]] | None = None) -> dict[int, int]:
        """Return the numbers in a structure. ``inner`` gets those of the structures in it."""
        found: dict[int, int] = {}
        for number, kind in self.fields():
            if inner is not None and kind == _STRUCT:
                inner[number] = self.numbers()
            elif _BYTE < kind < _DOUBLE:
                found[number] = self._integer()
            else:
                self.skip(kind)
        return found

    def lists(self, wanted: int) -> Iterator[None]:
        """Yield once for each structure in the list of a field. The caller reads it."""
        for number, kind in self.fields():
            if number == wanted and kind == _LIST:
                count, inner = self._head()
                if inner != _STRUCT and count:
                    raise ValueError
                for _ in range(count):
                    yield
            else:
                self.skip(kind)

    def skip(self, kind: int, depth: int = 0) -> None:
        """Pass over the value of a field."""
        if depth > _MOST_DEPTH or kind > _UUID:
            raise ValueError
        if kind == _STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        elif kind in (_LIST, _SET):
            count, inner = self._head()
            self._skip_all(count, (inner,), depth)
        elif kind == _MAP:
            if count := self._varint():
                head = self._byte()
                self._skip_all(count, (head >> 4, head & 15), depth)
        elif kind == _BINARY:
            self._pass(self._varint())
        elif kind in (_DOUBLE, _UUID):
            self._pass(8 if kind == _DOUBLE else 16)
        elif kind == _BYTE:
            self._byte()
        elif kind not in (_TRUE, _FALSE):
            self._varint()

    def _head(self) -> tuple[int, int]:
        """Return the length of a list, and the type of its elements."""
        head = self._byte()
        return head >> 4 if head >> 4 < 15 else self._varint(), head & 15

    def _skip_all(self, count: int, kinds: tuple[int, ...], depth: int) -> None:
        for _ in range(count):
            for kind in kinds:
                # In a list, a truth value takes one byte.
                self.skip(_BYTE if kind in (_TRUE, _FALSE) else kind, depth + 1)

    def _pass(self, count: int) -> None:
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
