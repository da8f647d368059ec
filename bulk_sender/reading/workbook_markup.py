"""The cells and shared strings of a workbook, out of its XML, in blocks.

Two ways lead to the same result. XML as nearly every program writes it is taken apart with whole arrays: each tag must
be a known one and follow a tag that may come before it. Everything else (prefixes, comments, rich text, cells without a
reference) is read by expat, tag by tag, which takes about five times as long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl

from bulk_sender.errors import InputError
from bulk_sender.reading.workbook_package import MAX_TEXT, SPREADSHEET, NotPlainError, Package, Sheet, is_true, parsing

BLOCK_BYTES = 4 << 20
_MOST_HEAD = 4 << 20
_MOST_PENDING = 64 << 20
_CELLS = 50_000
"""Cells per block where expat reads."""

RAW = {"row": pl.UInt32, "column": pl.UInt16, "style": pl.UInt32, "type": pl.String, "formula": pl.Boolean, "value": pl.String}
"""A cell as it is stored. ``value`` is None for a cell without one; texts of shared strings are still numbers."""

Whole = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole rows of a sheet, and the numbers of those among them that are hidden."""

    cells: pl.DataFrame
    hidden: pl.Series

    @property
    def last_row(self) -> int:
        last = self.cells["row"].max()
        return last if isinstance(last, int) else 0

    def after(self, row: int) -> Block:
        """Return what comes after a row."""
        if not row:
            return self
        return Block(self.cells.filter(pl.col("row") > row), self.hidden.filter(self.hidden > row))


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
                found = list(_plain_strings(part))
        except NotPlainError:
            with package.open(package.shared_strings) as part:
                found = list(_careful_strings(part))
        texts = pl.concat(found) if found else pl.Series(dtype=pl.String)
    return unescaped(texts)


def unescaped(texts: pl.Series) -> pl.Series:
    """Replace ``_x000D_`` and the like, which is how a workbook writes characters that XML does not have."""
    escaped = texts.str.contains(_ESCAPE.pattern)
    if not escaped.any():
        return texts
    fixed = texts.filter(escaped).unique().to_list()
    return texts.replace(fixed, [_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text) for text in fixed])


_ESCAPE = re.compile(r"_x([0-9A-CE-Fa-ce-f][0-9A-Fa-f]{3}|[Dd][0-7][0-9A-Fa-f]{2})_")  # no surrogates


# Plain XML.

_TAGS = (b"row", b"c", b"v", b"f", b"is", b"t", b"si")
ROW, CELL, VALUE, FORMULA, INLINE, TEXT, ITEM = range(len(_TAGS))
_OPEN, _EMPTY, _CLOSE = range(3)


def _state(tag: int, form: int) -> int:
    return tag * 3 + form


def _rules(*rules: tuple[tuple[int, int], tuple[tuple[int, int], ...]]) -> Flags:
    allowed = np.zeros((3 * len(_TAGS), 3 * len(_TAGS)), dtype=np.bool_)
    for before, after in rules:
        for each in after:
            allowed[_state(*before), _state(*each)] = True
    return allowed


_NEXT_ROW = ((ROW, _OPEN), (ROW, _EMPTY))
_NEXT_CELL = ((CELL, _OPEN), (CELL, _EMPTY), (ROW, _CLOSE))
_VALUE = ((VALUE, _OPEN), (VALUE, _EMPTY), (CELL, _CLOSE))
_SHEET_RULES = _rules(
    ((ROW, _OPEN), _NEXT_CELL),
    ((ROW, _EMPTY), _NEXT_ROW),
    ((ROW, _CLOSE), _NEXT_ROW),
    ((CELL, _OPEN), (*_VALUE, (FORMULA, _OPEN), (FORMULA, _EMPTY), (INLINE, _OPEN))),
    ((CELL, _EMPTY), _NEXT_CELL),
    ((CELL, _CLOSE), _NEXT_CELL),
    ((FORMULA, _OPEN), ((FORMULA, _CLOSE),)),
    ((FORMULA, _EMPTY), _VALUE),
    ((FORMULA, _CLOSE), _VALUE),
    ((VALUE, _OPEN), ((VALUE, _CLOSE),)),
    ((VALUE, _EMPTY), ((CELL, _CLOSE),)),
    ((VALUE, _CLOSE), ((CELL, _CLOSE),)),
    ((INLINE, _OPEN), ((TEXT, _OPEN), (TEXT, _EMPTY))),
    ((TEXT, _OPEN), ((TEXT, _CLOSE),)),
    ((TEXT, _EMPTY), ((INLINE, _CLOSE),)),
    ((TEXT, _CLOSE), ((INLINE, _CLOSE),)),
    ((INLINE, _CLOSE), ((CELL, _CLOSE),)),
)
_STRING_RULES = _rules(
    ((ITEM, _OPEN), ((TEXT, _OPEN), (TEXT, _EMPTY), (ITEM, _CLOSE))),
    ((ITEM, _EMPTY), ((ITEM, _OPEN), (ITEM, _EMPTY))),
    ((ITEM, _CLOSE), ((ITEM, _OPEN), (ITEM, _EMPTY))),
    ((TEXT, _OPEN), ((TEXT, _CLOSE),)),
    ((TEXT, _EMPTY), ((ITEM, _CLOSE),)),
    ((TEXT, _CLOSE), ((ITEM, _CLOSE),)),
)
_PRESERVED = ' xml:space="preserve"'
_ATTRIBUTES = re.compile(r'(?: ([A-Za-z:]+)="([^"<&]*)")*')
_ATTRIBUTE = re.compile(r' ([A-Za-z:]+)="([^"]*)"')


class _Tags:
    """The tags of a piece of XML, as arrays: where each begins and ends, and what it is. Raise NotPlainError."""

    def __init__(self, data: bytes, rules: Flags, first: int) -> None:
        self.data = np.frombuffer(data + bytes(8), dtype=np.uint8)
        self.starts = np.flatnonzero(self.data == ord("<"))
        ends = np.flatnonzero(self.data == ord(">"))
        found = np.searchsorted(ends, self.starts)
        if not len(self.starts) or found[-1] >= len(ends):
            raise NotPlainError
        self.ends = ends[found]
        self.states, self.named = self._classified()
        if self.states[0] // 3 != first or not rules[self.states[:-1], self.states[1:]].all():
            raise NotPlainError
        self._refuse_text_between(len(data))

    def at(self, tag: int, form: int) -> Whole:
        """Return the places of one kind of tag."""
        return np.flatnonzero(self.states == _state(tag, form))

    def text_after(self, places: Whole) -> pl.Series:
        """Return the text between each of these tags and the next one."""
        return self._cut(self.ends[places] + 1, self.starts[places + 1])

    def attributes(self, places: Whole, skip: Whole | int = 0) -> pl.Series:
        """Return the attributes of each of these tags as text, without the first ``skip`` bytes."""
        begins = self.starts[places] + 1 + self.named[places] + skip
        empty = self.data[self.ends[places] - 1] == ord("/")
        return self._cut(begins, np.maximum(self.ends[places] - empty, begins)).str.strip_chars_end(" ")

    def _cut(self, begins: Whole, ends: Whole) -> pl.Series:
        """Return these ranges of the bytes as texts. They must be in order and apart from each other."""
        if not len(begins):
            return pl.Series(dtype=pl.String)
        edges = np.zeros(len(self.data) + 1, dtype=np.int8)
        edges[begins] += 1
        edges[ends] -= 1
        kept = self.data[np.flatnonzero(np.cumsum(edges[:-1], dtype=np.int8))]
        # A character of XML's own that no range contains separates the texts.
        lengths = np.cumsum(ends - begins)[:-1]
        joined = np.insert(kept, lengths, ord("<")).tobytes()
        try:
            texts = pl.Series([joined.decode()]).str.split("<").explode()
        except UnicodeDecodeError:
            raise NotPlainError from None
        if len(texts) != len(begins):
            raise NotPlainError
        return texts

    def _classified(self) -> tuple[Whole, Whole]:
        data, starts = self.data, self.starts
        closes = data[starts + 1] == ord("/")
        begins = starts + 1 + closes
        tags = np.full(len(starts), -1, dtype=np.int64)
        named = np.zeros(len(starts), dtype=np.int64)
        for tag, name in enumerate(_TAGS):
            matches = np.ones(len(starts), dtype=np.bool_)
            for offset, letter in enumerate(name):
                matches &= data[np.minimum(begins + offset, len(data) - 1)] == letter
            after = data[np.minimum(begins + len(name), len(data) - 1)]
            matches &= (after == ord(">")) | (((after == ord(" ")) | (after == ord("/"))) & ~closes)
            tags[matches] = tag
            named[matches] = len(name)
        if (tags < 0).any():
            raise NotPlainError
        empty = (data[self.ends - 1] == ord("/")) & ~closes
        return tags * 3 + np.where(closes, _CLOSE, np.where(empty, _EMPTY, _OPEN)), named

    def _refuse_text_between(self, size: int) -> None:
        """Only values, formulas and texts contain text."""
        gaps = np.append(self.starts[1:], size) - self.ends - 1
        filled = np.isin(self.states, [_state(tag, _OPEN) for tag in (VALUE, FORMULA, TEXT)])
        if (gaps[~filled] != 0).any():
            raise NotPlainError


def _plain_blocks(part: BinaryIO) -> Iterator[Block]:
    for data in _pieces(part, b"sheetData", b"</row>"):
        tags = _Tags(data, _SHEET_RULES, ROW)
        if tags.states[-1] not in (_state(ROW, _CLOSE), _state(ROW, _EMPTY)):
            raise NotPlainError
        yield Block(_plain_cells(tags), _plain_hidden(tags, data))


def _plain_cells(tags: _Tags) -> pl.DataFrame:
    is_cell = np.isin(tags.states, [_state(CELL, _OPEN), _state(CELL, _EMPTY)])
    cells = np.flatnonzero(is_cell)
    owner = np.cumsum(is_cell) - 1
    columns, rows, after = _references(tags, cells)
    rest = tags.attributes(cells, after)
    styles, types = _styles_and_types(rest)

    begins = np.flatnonzero(np.isin(tags.states, [_state(VALUE, _OPEN), _state(TEXT, _OPEN)]))
    texts = _decoded(tags.text_after(begins))
    texts = _trimmed(tags, begins, texts)
    place: Whole = np.full(len(cells), -1, dtype=np.int64)
    place[owner[begins]] = np.arange(len(begins))
    indices = pl.Series(place)
    values = texts.gather(indices.set(indices < 0, None)) if len(texts) else pl.repeat(None, len(cells), dtype=pl.String, eager=True)
    formulas: Flags = np.zeros(len(cells), dtype=np.bool_)
    formulas[owner[np.flatnonzero(tags.states // 3 == FORMULA)]] = True
    return pl.DataFrame(
        {"row": rows, "column": columns, "style": styles, "type": types, "formula": formulas, "value": values},
        schema=RAW,
    )


def _references(tags: _Tags, cells: Whole) -> tuple[Whole, Whole, Whole]:
    """Return column and row of each cell (``r="AB12"``), and how long that attribute is."""
    data, at = tags.data, tags.starts[cells] + 2
    wanted = np.ones(len(cells), dtype=np.bool_)
    for offset, letter in enumerate(b' r="'):
        wanted &= data[np.minimum(at + offset, len(data) - 1)] == letter
    if not wanted.all():
        raise NotPlainError
    here = at + 4
    columns: Whole = np.zeros(len(cells), dtype=np.int64)
    rows: Whole = np.zeros(len(cells), dtype=np.int64)
    for most, low, high, base, found in ((3, ord("A"), ord("Z"), 26, columns), (7, ord("0"), ord("9"), 10, rows)):
        shift = 1 if base == 26 else 0
        for _ in range(most):
            letters = data[np.minimum(here, len(data) - 1)].astype(np.int64)
            fits = (letters >= low) & (letters <= high)
            found[fits] = found[fits] * base + letters[fits] - low + shift
            here = here + fits
    if (data[np.minimum(here, len(data) - 1)] != ord('"')).any() or (columns < 1).any() or (rows < 1).any():
        raise NotPlainError
    return columns, rows, here + 1 - at


def _styles_and_types(rest: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return style and type of each cell from its other attributes, of which there are few different ones."""
    different = rest.unique()
    parsed = [_style_and_type(text) for text in different]
    styles = rest.replace_strict(different, [style for style, _ in parsed], return_dtype=pl.UInt32)
    types = rest.replace_strict(different, [kind for _, kind in parsed], return_dtype=pl.String)
    return styles, types


@lru_cache(maxsize=1 << 12)
def _style_and_type(text: str) -> tuple[int, str]:
    if not _ATTRIBUTES.fullmatch(text):
        raise NotPlainError
    found = dict(_ATTRIBUTE.findall(text))
    return _style(found), found.get("t", "n")


def _style(attributes: dict[str, str]) -> int:
    text = attributes.get("s", "0").strip()
    return int(text) if text.isdecimal() and len(text) < 9 else 0


def _plain_hidden(tags: _Tags, data: bytes) -> pl.Series:
    if b" hidden=" not in data:
        return _NO_ROWS
    rows = np.flatnonzero(np.isin(tags.states, [_state(ROW, _OPEN), _state(ROW, _EMPTY)]))
    attributes = tags.attributes(rows)
    hidden = attributes.filter(attributes.str.contains(r' hidden="(1|true|on)"'))
    numbers = hidden.str.extract(r' r="([0-9]{1,7})"')
    if numbers.has_nulls():
        raise NotPlainError
    return numbers.cast(pl.UInt32)


_NO_ROWS = pl.Series(dtype=pl.UInt32)


def _trimmed(tags: _Tags, begins: Whole, texts: pl.Series) -> pl.Series:
    """Remove blanks around texts that do not ask to keep them, as a spreadsheet program does."""
    is_text = tags.states[begins] == _state(TEXT, _OPEN)
    if not is_text.any():
        return texts
    attributes = tags.attributes(begins)
    if not attributes.is_in(["", _PRESERVED]).all():
        raise NotPlainError
    trims = pl.Series(is_text) & (attributes == "")
    return texts.zip_with(~trims, texts.str.strip_chars(" \t\r\n"))


def _decoded(texts: pl.Series) -> pl.Series:
    """Replace entities, and line ends as an XML parser does."""
    if texts.str.contains("\r", literal=True).any():
        texts = texts.str.replace_all("\r\n", "\n", literal=True).str.replace_all("\r", "\n", literal=True)
    special = texts.str.contains("&", literal=True)
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
    for data in _pieces(part, b"sst", b"</si>"):
        tags = _Tags(data, _STRING_RULES, ITEM)
        if tags.states[-1] not in (_state(ITEM, _CLOSE), _state(ITEM, _EMPTY)):
            raise NotPlainError
        is_item = np.isin(tags.states, [_state(ITEM, _OPEN), _state(ITEM, _EMPTY)])
        begins = tags.at(TEXT, _OPEN)
        texts = _trimmed(tags, begins, _decoded(tags.text_after(begins)))
        place: Whole = np.full(int(is_item.sum()), -1, dtype=np.int64)
        place[(np.cumsum(is_item) - 1)[begins]] = np.arange(len(begins))
        indices = pl.Series(place)
        filled = texts.gather(indices.set(indices < 0, None)) if len(texts) else pl.repeat(None, len(place), dtype=pl.String, eager=True)
        yield filled.fill_null("")


def _pieces(part: BinaryIO, root: bytes, row_end: bytes) -> Iterator[bytes]:
    """Yield what ``root`` contains, cut behind rows. Raise NotPlainError where plain XML cannot be recognised."""
    data = b""
    opening = re.compile(rb"<" + root + rb"(?: [^<>]*)?>")
    while (found := opening.search(data)) is None:
        more = part.read(_MOST_HEAD if not data else BLOCK_BYTES)
        if not more or len(data) > _MOST_HEAD:
            raise NotPlainError
        data += more
    head = data[: found.end()]
    if found[0].endswith(b"/>") or not _is_plain_head(head):
        raise NotPlainError
    data = data[found.end() :]
    end = b"</" + root + b">"
    while True:
        cut = data.find(end)
        if cut < 0:
            cut = data.rfind(row_end)
            cut = cut + len(row_end) if cut >= 0 else 0
            if cut:
                yield data[:cut]
                data = data[cut:]
            elif len(data) > _MOST_PENDING:
                raise NotPlainError
            more = part.read(BLOCK_BYTES)
            if not more:
                raise NotPlainError
            data += more
            continue
        if cut:
            yield data[:cut]
        while part.read(BLOCK_BYTES):  # to the end, where the checksum is compared
            pass
        return


def _is_plain_head(head: bytes) -> bool:
    """Whether XML begins in UTF-8, in a spreadsheet's own namespace, and without anything unusual."""
    declared = re.match(rb"\xef\xbb\xbf?<\?xml[^>]*?encoding=[\"']([^\"']+)", head) or re.match(
        rb"<\?xml[^>]*?encoding=[\"']([^\"']+)", head
    )
    if declared is not None and declared[1].lower() not in (b"utf-8", b"utf8", b"us-ascii"):
        return False
    names = re.findall(rb"\bxmlns=[\"']([^\"']*)[\"']", head)
    return names[:1] != [] and len(names) == 1 and names[0].decode("latin-1") in SPREADSHEET and b"<!" not in head


# Any XML.


class _SheetParser:
    """Collects cells from the events of expat."""

    def __init__(self) -> None:
        self.cells: list[tuple[int, int, int, str, bool, str | None]] = []
        self.hidden: list[int] = []
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
        block = Block(
            pl.DataFrame(self.cells, schema=RAW, orient="row"), pl.Series(self.hidden, dtype=pl.UInt32)
        )
        self.cells, self.hidden = [], []
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
