"""Rejected rows as a CSV that is written like their input, and that is read as it was written."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from bulk_sender import failpoints
from bulk_sender.errors import InputError
from bulk_sender.reading.added import added_columns
from bulk_sender.reading.csv import CsvReader
from bulk_sender.reading.layout import Layout
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.text_bytes import ByteSource

_MARK = "\ufeff"


def write_csv(
    frames: Callable[[], Iterator[pl.DataFrame]], schema: pl.Schema, path: Path, layout: Layout, reads: ReadSettings
) -> None:
    """Write frames of text like ``layout`` says, unless ``reads`` would then read something else.

    In that case the file is UTF-8 with a byte-order mark, and its first line names the delimiter: every spreadsheet
    and every configuration reads that.
    """
    try:
        _write(frames(), schema, path, layout)
        if _is_read(path, schema, layout, reads):
            return
    except UnicodeEncodeError:  # a cell of a typed input, or of another file of the input
        pass
    certain = replace(layout, encoding="utf-8-sig", mark=False, sep=layout.delimiter.isprintable())
    _write(frames(), schema, path, certain)


def _write(frames: Iterator[pl.DataFrame], schema: pl.Schema, path: Path, layout: Layout) -> None:
    encoder = codecs.getincrementalencoder(layout.encoding)()
    end = "\n" if layout.line_end == "\r" else layout.line_end
    with path.open("wb") as file:

        def put(text: str) -> None:
            file.write(encoder.encode(text.replace("\n", "\r") if layout.line_end == "\r" else text))

        put((_MARK if layout.mark else "") + (f"sep={layout.delimiter}{end}" if layout.sep else ""))
        put(_text(pl.DataFrame(schema=schema), layout, end, include_header=True))
        for frame in frames:
            failpoints.reach("mid_results")
            put(_text(_encodable(frame, layout.encoding), layout, end, include_header=False))


def _text(frame: pl.DataFrame, layout: Layout, end: str, *, include_header: bool) -> str:
    starts_with_mark = pl.col(frame.columns[0]).str.starts_with(_MARK).any()  # it would be dropped without quotes
    is_quoted = layout.quoted or frame.select(starts_with_mark).item()
    return frame.write_csv(
        include_header=include_header,
        separator=layout.delimiter,
        line_terminator=end,
        quote_style="always" if is_quoted else "necessary",
    )


def _encodable(frame: pl.DataFrame, encoding: str) -> pl.DataFrame:
    """Replace the characters in errors that an encoding does not have by ``?``."""
    name = added_columns(frame.columns)[0]
    words = [None if text is None else text.encode(encoding, "replace").decode(encoding) for text in frame[name]]
    return frame.with_columns(pl.Series(name, words, dtype=pl.String))


def _is_read(path: Path, schema: pl.Schema, layout: Layout, reads: ReadSettings) -> bool:
    """Whether a file is read with the columns, the delimiter and the characters that it was written with."""
    try:
        source = ByteSource(path, name=path.name, encoding=reads.encoding)
        reader = CsvReader(source, delimiter=reads.delimiter, header=reads.header, header_row=reads.header_row)
    except InputError:
        return False
    if (reader.dialect.columns, reader.dialect.delimiter) != (tuple(schema), layout.delimiter):
        return False
    return _same(source.encoding, layout.encoding) or _is_ascii(path)


def _same(one: str, other: str) -> bool:
    return codecs.lookup(one.removesuffix("-sig")).name == codecs.lookup(other.removesuffix("-sig")).name


def _is_ascii(path: Path) -> bool:
    with path.open("rb") as file:
        return all(part.isascii() and b"\x00" not in part for part in iter(lambda: file.read(1 << 20), b""))
