"""The parts of a workbook around its cells: sheets, relationships, styles, shared strings.

A workbook (.xlsx, .xlsm) is a zip of XML files. Everything here is read with expat, without any DTD.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import BinaryIO, Self, cast
from xml.parsers import expat

from bulk_sender.errors import InputError
from bulk_sender.reading.compression import DAMAGED, UNSUPPORTED
from bulk_sender.reading.number_format import GENERAL, NumberFormat, number_format
from bulk_sender.reading.polars_errors import broken, reading

KIND = "an Excel workbook"
MAX_UNPACKED_BYTES = 2 << 30
"""Most bytes in all parts of a workbook together."""
MAX_PART_BYTES = 64 << 20
"""Most bytes of a part that is read as a whole, such as the styles."""
MAX_TEXT = 16 << 20
"""Most characters in one cell. Excel itself allows 32,767."""

SPREADSHEET = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://purl.oclc.org/ooxml/spreadsheetml/main",
)
"""The namespaces of a workbook: the usual one, and that of the strict form."""
_STEP = 1 << 16

Start = Callable[[str, dict[str, str]], object]
End = Callable[[str], object]


class NotPlainError(Exception):
    """XML that is not written in the usual way, and needs a full parser."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet of a workbook. ``state``: ``visible``, ``hidden`` or ``veryHidden``; ``part`` is its file."""

    name: str
    part: str
    state: str = "visible"
    kind: str = "worksheet"

    @property
    def has_cells(self) -> bool:
        return self.kind == "worksheet"

    @property
    def is_visible(self) -> bool:
        return self.state == "visible"


class Package:
    """An open workbook. Raises InputError when it is damaged, or expands to too much."""

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        with self.reading():
            self._archive = zipfile.ZipFile(path)
            if "xl/workbook.bin" in self._archive.namelist():
                raise InputError(f"{name} is a binary workbook (.xlsb)", hint="save it as .xlsx")
            self._parts = {_plain(info.filename): info for info in self._archive.infolist()}
            if sum(info.file_size for info in self._archive.infolist()) > MAX_UNPACKED_BYTES:
                raise InputError(
                    f"{name} expands to more than {MAX_UNPACKED_BYTES >> 30} GB", hint="save the sheet as CSV"
                )
        self.sheets: list[Sheet] = []
        self.counts_from_1904 = False
        """Whether day 0 is 1904-01-01, as in workbooks of old Macs."""
        self.is_uncalculated = False
        """Whether the workbook asks to be calculated when it is opened, as libraries write it."""
        self._styles: str | None = None
        self._shared: str | None = None
        with self.reading():
            self._read_workbook()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._archive.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Raise InputError for damage that is found while reading."""
        try:
            with reading(self.name, KIND):
                yield
        except (*DAMAGED, *UNSUPPORTED, expat.ExpatError, LookupError, ValueError) as error:
            raise broken(self.name, KIND, error) from None

    def open(self, part: str) -> BinaryIO:
        """Open one part. Reading it to its end verifies its checksum."""
        info = self._parts.get(_plain(part))
        if info is None:
            raise InputError(f"{self.name} is not a complete workbook: it has no {part}", hint="save it again in Excel")
        return cast(BinaryIO, self._archive.open(info))

    @property
    def shared_strings(self) -> str | None:
        """The part that holds the texts of cells, if there is one."""
        return self._shared

    def number_formats(self) -> list[NumberFormat]:
        """Return the number format of each style, in the order in which cells refer to them."""
        if self._styles is None:
            return []
        codes: dict[int, str] = {}
        used: list[int] = []
        within: list[str] = []

        def start(tag: str, attributes: dict[str, str]) -> None:
            within.append(tag)
            if tag == "numFmt":
                codes[_whole(attributes.get("numFmtId"))] = attributes.get("formatCode", "")
            elif tag == "xf" and within[-2:] == ["cellXfs", "xf"]:
                used.append(_whole(attributes.get("numFmtId")))

        with self.reading(), self.open(self._styles) as part:
            parse(part, start, lambda _: within.pop(), most=MAX_PART_BYTES)
        formats = {number: number_format(number, codes.get(number)) for number in set(used)}
        return [formats.get(number, GENERAL) for number in used]

    def _read_workbook(self) -> None:
        root = self._relations("")
        book = next((target for kind, target in root.values() if kind == "officeDocument"), "xl/workbook.xml")
        relations = self._relations(book)
        for kind, target in relations.values():
            if kind == "styles":
                self._styles = target
            elif kind == "sharedStrings":
                self._shared = target
        found: list[dict[str, str]] = []

        def start(tag: str, attributes: dict[str, str]) -> None:
            if tag == "sheet":
                found.append(attributes)
            elif tag == "workbookPr":
                self.counts_from_1904 = is_true(attributes.get("date1904"))
            elif tag == "calcPr":
                self.is_uncalculated = is_true(attributes.get("fullCalcOnLoad"))

        with self.open(book) as part:
            parse(part, start, most=MAX_PART_BYTES)
        for attributes in found:
            kind, target = relations.get(attributes.get("id", ""), ("", ""))
            if target:
                self.sheets.append(Sheet(attributes.get("name", ""), target, attributes.get("state", "visible"), kind))
        if not self.sheets:
            raise InputError(f"{self.name} has no sheet", hint="save it again in Excel")

    def _relations(self, part: str) -> dict[str, tuple[str, str]]:
        """Return id → (kind, part) of what a part refers to."""
        folder = PurePosixPath(part).parent
        path = str(folder / "_rels" / f"{PurePosixPath(part).name}.rels")
        found: dict[str, tuple[str, str]] = {}

        def start(tag: str, attributes: dict[str, str]) -> None:
            if tag == "Relationship" and attributes.get("TargetMode") != "External":
                target = attributes.get("Target", "").replace("\\", "/")
                target = target.lstrip("/") if target.startswith("/") else str(folder / target)
                found[attributes.get("Id", "")] = (attributes.get("Type", "").rpartition("/")[2], target)

        if _plain(path) in self._parts:
            with self.open(path) as opened:
                parse(opened, start, most=MAX_PART_BYTES, namespaces=())
        return found


def parse(
    part: BinaryIO,
    start: Start,
    end: End | None = None,
    text: Callable[[str], object] | None = None,
    *,
    most: int | None = None,
    namespaces: tuple[str, ...] = SPREADSHEET,
) -> None:
    """Parse a part. The callbacks get local names of elements in ``namespaces`` (all, when empty). Raise InputError."""
    for _ in parsing(part, start, end, text, most=most, namespaces=namespaces):
        pass


def parsing(
    part: BinaryIO,
    start: Start,
    end: End | None = None,
    text: Callable[[str], object] | None = None,
    *,
    most: int | None = None,
    namespaces: tuple[str, ...] = SPREADSHEET,
) -> Iterator[None]:
    """Parse a part like ``parse``, and pause after each piece, so that the caller can take what was found."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    local: dict[str, str] = {}

    def known(tag: str) -> str:
        """Return the local name; empty for an element of another namespace, such as an extension."""
        found = local.get(tag)
        if found is None:
            namespace, _, name = tag.rpartition(" ")
            found = local[tag] = name if not namespaces or namespace in namespaces else ""
        return found

    def on_start(tag: str, attributes: dict[str, str]) -> None:
        if name := known(tag):
            start(name, {key.rpartition(" ")[2]: value for key, value in attributes.items()})

    def on_end(tag: str) -> None:
        if end is not None and (name := known(tag)):
            end(name)

    parser.StartElementHandler = on_start
    parser.EndElementHandler = on_end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _refuse_dtd
    done = 0
    while data := part.read(_STEP):
        done += len(data)
        if most is not None and done > most:
            raise InputError(f"a part of the workbook has more than {most >> 20} MB", hint="save the sheet as CSV")
        parser.Parse(data, False)
        yield
    parser.Parse(b"", True)
    yield


def _refuse_dtd(*_: object) -> None:
    raise InputError("the workbook has a document type declaration, which no spreadsheet program writes")


def is_true(text: str | None) -> bool:
    """Whether an attribute is true in XML."""
    return text in ("1", "true", "on")


def _whole(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"[0-9]{1,9}", text) else 0


def _plain(path: str) -> str:
    return path.replace("\\", "/").lstrip("/").lower()
