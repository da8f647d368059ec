"""Which encoding a text file is written in, told from its first bytes.

In this order: a byte-order mark; UTF-16 without one, by its NULs; UTF-8, by being valid; else charset-normalizer's
guess among the encodings that spreadsheets and databases write. A guess is named in the report of a check.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

import charset_normalizer

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WESTERN = "cp1252"
_GUESSES = [_WESTERN, "cp1250", "cp1251", "cp1253", "cp932", "euc_jp", "gb18030", "big5", "cp949", "mac_roman"]
_GUESSED_BYTES = 256 << 10
_LATIN_LETTERS = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿŒœŠšŽžŸ€£°§«»’‘“”–—…·ºª¿¡")


@dataclass(frozen=True, slots=True)
class Encoding:
    """``name``: Python's; ``guessed``: it may be another."""

    name: str
    guessed: bool = False


def detect(sample: bytes) -> Encoding | None:
    """The encoding of a text that begins with ``sample``, None when it can't be told."""
    for mark, encoding in _BOMS:
        if sample.startswith(mark):
            return Encoding(encoding)
    if wide := _utf16_without_mark(sample):
        return Encoding(wide)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
        return Encoding("utf-8")
    except UnicodeDecodeError as error:
        at = max(0, error.start - _GUESSED_BYTES // 4)
    # Whole lines around the first byte that is not UTF-8, so that no character of several bytes is cut.
    start = sample.rfind(b"\n", 0, at) + 1
    part = sample[start : start + _GUESSED_BYTES]
    part = part[: part.rfind(b"\n") + 1] or part
    return _guess(part)


def _utf16_without_mark(sample: bytes) -> str | None:
    head = sample[:4096]
    pairs = len(head) // 2
    if pairs < 4:
        return None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > pairs * 0.6 and even < pairs * 0.05:
        return "utf-16-le"
    if even > pairs * 0.6 and odd < pairs * 0.05:
        return "utf-16-be"
    return None


def _guess(part: bytes) -> Encoding | None:
    """Western text is tried first: short samples of it look like half a dozen other code pages to statistics."""
    try:
        text = part.decode(_WESTERN)
    except UnicodeDecodeError:
        text = ""
    beyond_ascii = [letter for letter in text if letter > "\x7f"]
    if beyond_ascii and sum(letter in _LATIN_LETTERS for letter in beyond_ascii) >= 0.9 * len(beyond_ascii):
        asian = _as_east_asian(part)
        return Encoding(asian or _WESTERN, guessed=True)
    found = charset_normalizer.from_bytes(part, cp_isolation=_GUESSES, threshold=0.5).best()
    found = found or charset_normalizer.from_bytes(part).best()
    return Encoding(codecs.lookup(found.encoding).name, guessed=True) if found else None


def _as_east_asian(part: bytes) -> str | None:
    """Bytes that are valid Shift-JIS and mostly kana or kanji in it are not Western, whatever they spell there."""
    try:
        text = part.decode("cp932")
    except UnicodeDecodeError:
        return None
    beyond_ascii = [letter for letter in text if letter > "\x7f"]
    kana = sum("\u3040" <= letter <= "\u30ff" for letter in beyond_ascii)
    return "cp932" if kana > 0.3 * len(beyond_ascii) else None
