"""Detection of a text file's encoding from its first bytes.

Spreadsheets and databases rarely say which encoding they wrote. In this order: a byte-order mark; UTF-16 without one,
from its NUL bytes; valid UTF-8; else charset-normalizer's guess among common encodings. `check` reports a guess.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

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
_LEADS = re.compile(rb"[\x81-\x84\x86-\x90\x95\x98\x9a\x9b\x9d-\x9f][\x40-\x7e\x80-\xfc]")
"""Lead bytes of Shift-JIS that are not quotes, dashes, dots or the French œ in cp1252."""
_RUNS = re.compile(rb"[\x80-\xff]{3,}")
_LATIN = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿŒœŠšŽžŸ€£°§«»’‘“”–—…·ºª¿¡")


@dataclass(frozen=True, slots=True)
class Encoding:
    """A detected encoding under Python's name. ``guessed``: it may be a different one."""

    name: str
    guessed: bool = False


def detect(sample: bytes) -> Encoding | None:
    """Return the encoding of a text that begins with ``sample``, or None when it cannot be detected."""
    for mark, encoding in _BOMS:
        if sample.startswith(mark):
            return Encoding(encoding)
    if wide := _utf16_without_mark(sample):
        return Encoding(wide)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
        return Encoding("utf-8")
    except UnicodeDecodeError as error:
        if _is_damaged_utf8(sample):
            return Encoding("utf-8")
        at = max(0, error.start - _GUESSED_BYTES // 4)
    # Take whole lines around the first byte that is not UTF-8, so that no multi-byte character is cut.
    start = sample.rfind(b"\n", 0, at) + 1
    part = sample[start : start + _GUESSED_BYTES]
    part = part[: part.rfind(b"\n") + 1] or part
    return _guess(part)


def _is_damaged_utf8(sample: bytes) -> bool:
    """Whether most multi-byte characters are valid UTF-8, which other encodings hardly ever produce."""
    text = sample.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    return sum(letter > "\x7f" for letter in text) - bad > 10 * bad


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
    """Guess the encoding; Shift-JIS and Western text have rules here, as statistics fail on short samples of them."""
    if _is_shift_jis(part):
        return Encoding("cp932", guessed=True)
    if _is_western(part):
        return Encoding(_WESTERN, guessed=True)
    import charset_normalizer  # here: UTF-8 is known by its bytes

    found = charset_normalizer.from_bytes(part, cp_isolation=_GUESSES, threshold=0.5).best()
    found = found or charset_normalizer.from_bytes(part).best()
    return Encoding(codecs.lookup(found.encoding).name, guessed=True) if found else None


def _is_western(part: bytes) -> bool:
    """Whether this is Western European: one or two accented letters between ASCII, not runs as in other alphabets."""
    try:
        letters = [letter for letter in part.decode(_WESTERN) if letter > "\x7f"]
    except UnicodeDecodeError:
        return False
    in_runs = sum(map(len, _RUNS.findall(part)))
    return in_runs <= 0.3 * len(letters) and sum(letter in _LATIN for letter in letters) >= 0.9 * len(letters)


def _is_shift_jis(part: bytes) -> bool:
    """Whether this is valid Shift-JIS with many of its lead bytes, which are rare symbols in Western code pages."""
    try:
        part.decode("cp932")
    except UnicodeDecodeError:
        return False
    beyond_ascii = sum(byte > 0x7F for byte in part)
    return len(_LEADS.findall(part)) > 0.15 * beyond_ascii
