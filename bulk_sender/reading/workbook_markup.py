"""The cells and shared strings of a workbook, out of its XML, in blocks.

Two ways lead to the same result. XML as nearly every program writes it is taken apart by one regular expression over
whole columns, which each cell must match to its last character. Everything else (comments, rich text, cells
without a reference) is read by expat, tag by tag, which takes several times as long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from html import unescape
from typing import BinaryIO

import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.reading.workbook_package import MAX_TEXT, SPREADSHEET, NotPlainError, Package, Sheet, is_true, parsing

BLOCK_BYTES = 4 << 20
HEAD_BYTES = 4 << 20
_MOST_PENDING = 64 << 20
MAX_STRINGS = 30_000_000
"""Most shared strings, which are held in memory."""

_CELLS = 50_000
"""Cells per block where expat reads."""

RAW = {
    "row": pl.UInt32,
    "column": pl.UInt16,
    "style": pl.UInt32,
    "type": pl.String,
    "formula": pl.Boolean,
    "value": pl.String,
}
"""A cell as it is stored. ``value`` is None for a cell without one; texts of shared strings are still numbers."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole rows of a sheet, and the numbers of those among them that are hidden.

    ``merged``: the ranges of merged cells, such as ``B4:B6``, which a sheet has behind its last row.
    """

    cells: pl.DataFrame
    hidden: pl.Series
    merged: tuple[str, ...] = ()

    @property
    def last_row(self) -> int:
        last = self.cells["row"].max()
        return last if isinstance(last, int) else 0

    def after(self, row: int) -> Block:
        """Return what comes after a row."""
        if not row:
            return self
        return replace(self, cells=self.cells.filter(pl.col("row") > row), hidden=self.hidden.filter(self.hidden > row))


def blocks(package: Package, sheet: Sheet) -> Iterator[Block]:
    """Yield the cells of a sheet in its order. Raise InputError for damage."""
    last = 0
    with package.reading():
        try:
            with package.open(sheet.part) as part:
                for block in _plain_blocks(part):
                    yield block
                    last = max(last, block.last_row)
        except NotPlainError:
            with package.open(sheet.part) as part:
                for block in _careful_blocks(part):
                    yield block.after(last)


def shared_strings(package: Package) -> pl.Series:
    """Return the shared strings in order. Raise InputError for damage."""
    if package.shared_strings is None:
        return pl.Series(dtype=pl.String)
    with package.reading():
        try:
            with package.open(package.shared_strings) as part:
                found = _bounded(_plain_strings(part))
        except NotPlainError:
            with package.open(package.shared_strings) as part:
                found = _bounded(_careful_strings(part))
        texts = pl.concat(found) if found else pl.Series(dtype=pl.String)
    return unescaped(texts)


def _bounded(found: Iterator[pl.Series]) -> list[pl.Series]:
    """Return all pieces. Raise InputError for more texts than a sheet may have cells."""
    kept: list[pl.Series] = []
    count = 0
    for texts in found:
        count += len(texts)
        if count > MAX_STRINGS:
            raise InputError(f"the workbook has more than {MAX_STRINGS:,} texts", hint="save the sheet as CSV")
        kept.append(texts)
    return kept


def unescaped(texts: pl.Series) -> pl.Series:
    """Replace ``_x000D_`` and the like, which is how a workbook writes characters that XML does not have."""
    escaped = texts.str.contains(_ESCAPE.pattern)
    if not escaped.any():
        return texts
    fixed = texts.filter(escaped).unique().to_list()
    return texts.replace(fixed, [_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text) for text in fixed])


_ESCAPE = re.compile(r"_x([0-9A-CE-Fa-ce-f][0-9A-Fa-f]{3}|[Dd][0-7][0-9A-Fa-f]{2})_")  # no surrogates


# Plain XML.

_ATTRIBUTES = r' [A-Za-z:]+="[^"<>&]*"'
_OPENED_ROW = r"<row(?: [^<>]*[^<>/])?>"
_EMPTY_ROWS = rf"(?:<row(?: [^<>]*)?/>|{_OPENED_ROW}</row>)*"
_KEPT = ' xml:space="preserve"'
_TEXT = rf"<t ?/>|<t({_KEPT})?>([^<]*)</t>"
_CELL = (
    rf'^r="([A-Z]{{1,3}})([0-9]{{1,7}})"((?:{_ATTRIBUTES})*) ?'
    r"(?:/>|>(<f(?: [^<>]*[^<>/])?(?: ?/>|>[^<]*</f>))?"
    rf"(?:<v(?:{_KEPT})? ?(?:/>|>([^<]*)</v>)|<is>(?:{_TEXT})</is>)?</c>)"
    rf"(</row>{_EMPTY_ROWS}(?:{_OPENED_ROW})?)?$"
)
"""A cell behind ``<c ``, up to the next one. Its groups are named below."""
_GROUPS = ("letters", "digits", "attributes", "f", "v", "kept", "t", "tail")
_STRING = rf"^(?:{_TEXT})?(</si>)$"


def _plain_blocks(part: BinaryIO) -> Iterator[Block]:
    merged: list[str] = []
    for data in _pieces(part, b"sheetData", b"row", lambda tail: merged.extend(_plain_merged(tail))):
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise NotPlainError from None
        yield Block(_plain_cells(text), _plain_hidden(text))
    if merged:
        yield Block(pl.DataFrame(schema=RAW), pl.Series(dtype=pl.UInt32), tuple(merged))


def _plain_cells(text: str) -> pl.DataFrame:
    before, _, rest = text.partition("<c ")
    if not re.fullmatch(_EMPTY_ROWS + (_OPENED_ROW if rest else ""), before):
        raise NotPlainError
    if not rest:
        return pl.DataFrame(schema=RAW)
    found = pl.Series([rest]).str.split("<c ").explode().str.extract_groups(_CELL).struct.unnest()
    found.columns = list(_GROUPS)
    last = found["tail"][-1]
    if found["letters"].has_nulls() or last is None or (last.endswith(">") and not re.search(r"(?:/|</row)>$", last)):
        raise NotPlainError
    values = _decoded(found["v"])
    if found["t"].null_count() < len(found):
        values = values.zip_with(found["t"].is_null(), _trimmed(_decoded(found["t"]), found["kept"]))
    styles, types = _styles_and_types(found["attributes"])
    return pl.DataFrame(
        [
            found["digits"].cast(pl.UInt32),
            _column_numbers(found["letters"]),
            styles,
            types,
            found["f"].is_not_null(),
            values,
        ],
        schema=RAW,
    )


def _column_numbers(letters: pl.Series) -> pl.Series:
    different = letters.unique()
    numbers = [column_number(each) for each in different]
    return letters.replace_strict(different, pl.Series(numbers, dtype=pl.UInt16), return_dtype=pl.UInt16)


def _styles_and_types(attributes: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return style and type of each cell from its other attributes, of which there are few different ones."""
    different = attributes.unique()
    parsed = [_style_and_type(text) for text in different]
    styles = attributes.replace_strict(different, [style for style, _ in parsed], return_dtype=pl.UInt32)
    types = attributes.replace_strict(different, [kind for _, kind in parsed], return_dtype=pl.String)
    return styles, types


@lru_cache(maxsize=1 << 12)
def _style_and_type(text: str) -> tuple[int, str]:
    found = dict(re.findall(r' ([A-Za-z:]+)="([^"]*)"', text))
    return _style(found), found.get("t", "n")


def _style(attributes: dict[str, str]) -> int:
    text = attributes.get("s", "0").strip()
    return int(text) if text.isdecimal() and len(text) < 9 else 0


def _plain_hidden(text: str) -> pl.Series:
    if " hidden=" not in text:
        return pl.Series(dtype=pl.UInt32)
    rows = pl.Series([text]).str.extract_all(r'<row [^<>]*hidden="(?:1|true|on)"[^<>]*>').explode().drop_nulls()
    numbers = rows.str.extract(r' r="([0-9]{1,7})"')
    if numbers.has_nulls():
        raise NotPlainError
    return numbers.cast(pl.UInt32)


def _plain_merged(tail: bytes) -> list[str]:
    found = re.findall(rb'<(?:\w+:)?mergeCell ref=["\']([A-Z0-9:]+)["\'] ?/>', tail)
    return [reference.decode() for reference in found]


def _trimmed(texts: pl.Series, kept: pl.Series) -> pl.Series:
    """Remove blanks around texts that do not ask to keep them, as a spreadsheet program does."""
    return texts.zip_with(kept.is_not_null(), texts.str.strip_chars(" \t\r\n"))


def _decoded(texts: pl.Series) -> pl.Series:
    """Replace entities, and line ends as an XML parser does."""
    if texts.str.contains("\r", literal=True).any():
        texts = texts.str.replace_all("\r\n", "\n", literal=True).str.replace_all("\r", "\n", literal=True)
    special = texts.str.contains("&", literal=True).fill_null(False)
    if not special.any():
        return texts
    if not texts.filter(special).str.replace_all(_ENTITY, "").str.contains("&", literal=True).not_().all():
        raise NotPlainError
    if texts.filter(special).str.contains("&#", literal=True).any():
        different = texts.filter(special).unique().to_list()
        return texts.replace(different, [unescape(text) for text in different])
    for entity, character in _ENTITIES:
        texts = texts.str.replace_all(entity, character, literal=True)
    return texts


_ENTITY = (
    r"&(?:amp|lt|gt|quot|apos"
    r"|#(?:9|1[03]|3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-6]|1[6-9][0-9]|[2-9][0-9]{2}|[1-9][0-9]{3})"
    r"|#x(?:9|[AaDd]|[2-6][0-9A-Fa-f]|7[0-9A-Ea-e]|[A-Fa-f][0-9A-Fa-f]|[1-9A-Fa-f][0-9A-Fa-f]{2}));"
)
"""Entities that ``html.unescape`` reads as an XML parser does."""
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&"))


def _plain_strings(part: BinaryIO) -> Iterator[pl.Series]:
    for data in _pieces(part, b"sst", b"si"):
        if not data.startswith(b"<si>"):
            raise NotPlainError
        try:
            text = data[4:].decode()
        except UnicodeDecodeError:
            raise NotPlainError from None
        found = pl.Series([text]).str.split("<si>").explode().str.extract_groups(_STRING).struct.unnest()
        found.columns = ["kept", "text", "end"]
        if found["end"].has_nulls():
            raise NotPlainError
        yield _trimmed(_decoded(found["text"]), found["kept"]).fill_null("")


def _pieces(
    part: BinaryIO, root: bytes, item: bytes, on_tail: Callable[[bytes], object] | None = None
) -> Iterator[bytes]:
    """Yield what ``root`` contains, cut behind items. Raise NotPlainError where plain XML cannot be recognised.

    ``on_tail``: takes what is behind ``root``, in pieces that are cut in front of elements.
    """
    data = b""
    opening = re.compile(rb"<(?:(\w+):)?" + root + rb"(?: [^<>]*)?>")
    while (found := opening.search(data)) is None:
        more = part.read(HEAD_BYTES if not data else BLOCK_BYTES)
        if not more or len(data) > HEAD_BYTES:
            raise NotPlainError
        data += more
    if found[0].endswith(b"/>") or not _is_plain_head(data[: found.end()], found[1]):
        raise NotPlainError
    prefix = found[1] + b":" if found[1] else b""
    data = data[found.end() :]
    end, item_end = b"</" + prefix + root + b">", b"</" + prefix + item + b">"
    while (last := data.find(end)) < 0:
        if cut := data.rfind(item_end) + 1:
            cut += len(item_end) - 1
            yield _unprefixed(data[:cut], prefix)
            data = data[cut:]
        elif len(data) > _MOST_PENDING:
            raise NotPlainError
        if not (more := part.read(BLOCK_BYTES)):
            raise NotPlainError
        data += more
    if last:
        yield _unprefixed(data[:last], prefix)
    tail = data[last:]
    while more := part.read(BLOCK_BYTES):  # to the end, where the checksum is compared
        if on_tail is not None:
            cut = max(0, tail.rfind(b"<"))
            on_tail(tail[:cut])
            tail = tail[cut:][-BLOCK_BYTES:] + more
    if on_tail is not None:
        on_tail(tail)


def _unprefixed(data: bytes, prefix: bytes) -> bytes:
    """Return the same XML without the namespace's prefix. Outside tags, ``<`` is always written as an entity."""
    return data.replace(b"<" + prefix, b"<").replace(b"</" + prefix, b"</") if prefix else data


def _is_plain_head(head: bytes, prefix: bytes | None) -> bool:
    """Whether XML begins in UTF-8, in a spreadsheet's own namespace, and without anything unusual."""
    declared = re.match(rb"(?:\xef\xbb\xbf)?<\?xml[^>]*?encoding=[\"']([^\"']+)", head)
    if declared is not None and declared[1].lower() not in (b"utf-8", b"utf8", b"us-ascii"):
        return False
    name = b"xmlns:" + prefix if prefix else b"xmlns"
    spaces = re.findall(rb"\s" + name + rb"=[\"']([^\"']*)[\"']", head)
    return len(spaces) == 1 and spaces[0].decode("latin-1") in SPREADSHEET and b"<!" not in head


# Any XML.


class _SheetParser:
    """Collects cells from the events of expat."""

    def __init__(self) -> None:
        self.cells: list[tuple[int, int, int, str, bool, str | None]] = []
        self.hidden: list[int] = []
        self.merged: list[str] = []
        self.is_between_rows = True
        self._row, self._column = 0, 0
        self._row_done = 0
        self._cell: tuple[int, int, int, str] | None = None
        self._formula = False
        self._value: list[str] | None = None
        self._text: list[str] | None = None
        self._keeps_blanks = False
        self._phonetic = 0
        self._length = 0
        self._within = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "sheetData":
            self._within = True
        elif tag == "mergeCell":
            self.merged.append(attributes.get("ref", ""))
        elif not self._within:
            return
        elif tag == "row":
            self._row = _number(attributes.get("r"), self._row + 1)
            self._column = 0
            self.is_between_rows = False
            if is_true(attributes.get("hidden")):
                self.hidden.append(self._row)
        elif tag == "c":
            row, self._column = _reference(attributes.get("r"), self._row, self._column + 1)
            self._cell = row, self._column, _style(attributes), attributes.get("t", "n")
            self._formula, self._value, self._length = False, None, 0
        elif tag == "f":
            self._formula = True
        elif tag == "rPh":
            self._phonetic += 1
        elif tag in ("v", "t") and not self._phonetic:
            self._text = []
            self._keeps_blanks = tag == "v" or attributes.get("space") == "preserve"

    def end(self, tag: str) -> None:
        if not self._within:
            return
        if tag == "sheetData":
            self._within = False
        elif tag == "row":
            self.is_between_rows = True
        elif tag == "rPh":
            self._phonetic -= 1
        elif tag in ("v", "t") and self._text is not None:
            text = "".join(self._text)
            self._value = self._value or []
            self._value.append(text if self._keeps_blanks else text.strip(" \t\r\n"))
            self._text = None
        elif tag == "c" and self._cell is not None:
            value = None if self._value is None else "".join(self._value)
            self.cells.append((*self._cell, self._formula, value))
            self._cell = None

    def text(self, data: str) -> None:
        if self._text is not None:
            self._length += len(data)
            if self._length > MAX_TEXT:
                raise InputError(f"a cell in row {self._row} has more than {MAX_TEXT:,} characters")
            self._text.append(data)

    def take(self) -> Block:
        hidden = pl.Series(self.hidden, dtype=pl.UInt32)
        block = Block(pl.DataFrame(self.cells, schema=RAW, orient="row"), hidden, tuple(self.merged))
        self.cells, self.hidden, self.merged = [], [], []
        return block


def _careful_blocks(part: BinaryIO) -> Iterator[Block]:
    parser = _SheetParser()
    for _ in parsing(part, parser.start, parser.end, parser.text):
        if len(parser.cells) >= _CELLS and parser.is_between_rows:
            yield parser.take()
    yield parser.take()


class _StringParser:
    """Collects shared strings from the events of expat: all runs of rich text, without phonetic ones."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._parts: list[str] = []
        self._text: list[str] | None = None
        self._keeps_blanks = False
        self._phonetic = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "si":
            self._parts = []
        elif tag == "rPh":
            self._phonetic += 1
        elif tag == "t" and not self._phonetic:
            self._text = []
            self._keeps_blanks = attributes.get("space") == "preserve"

    def end(self, tag: str) -> None:
        if tag == "si":
            self.texts.append("".join(self._parts))
        elif tag == "rPh":
            self._phonetic -= 1
        elif tag == "t" and self._text is not None:
            text = "".join(self._text)
            self._parts.append(text if self._keeps_blanks else text.strip(" \t\r\n"))
            self._text = None

    def text(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)
            if len(self._text) * 1024 > MAX_TEXT and sum(map(len, self._text)) > MAX_TEXT:
                raise InputError(f"a cell has more than {MAX_TEXT:,} characters")


def _careful_strings(part: BinaryIO) -> Iterator[pl.Series]:
    parser = _StringParser()
    for _ in parsing(part, parser.start, parser.end, parser.text):
        if len(parser.texts) >= _CELLS:
            yield pl.Series(parser.texts, dtype=pl.String)
            parser.texts = []
    yield pl.Series(parser.texts, dtype=pl.String)


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 9 else default


def merged_range(text: str) -> tuple[int, int, int] | None:
    """Return the first column, the first row and the last row of a range such as ``B4:C6``."""
    found = re.fullmatch(r"([A-Z]{1,3})([0-9]{1,7}):[A-Z]{1,3}([0-9]{1,7})", text)
    return (column_number(found[1]), int(found[2]), int(found[3])) if found else None


def _reference(text: str | None, row: int, column: int) -> tuple[int, int]:
    """Return row and column of a reference such as ``AB12``; a cell without one follows the one before."""
    found = re.fullmatch(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7})", text or "")
    if found is None:
        return row, column
    return int(found[2]), column_number(found[1])


def column_number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def column_letters(number: int) -> str:
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
