"""Warnings about identifiers that an export changed, or that only look right. Counted over all rows to be sent."""

from __future__ import annotations

import unicodedata

import polars as pl

from bulk_sender.recipients.characters import INVISIBLE, JOINERS, LOOK_ALIKES
from bulk_sender.recipients.mapping import Identifier, RecipientMapping
from bulk_sender.text.numbers import several

_NOTHING = (
    r"null|\(null\)|<null>|none|nan|nat|nil|na|n/a|n\.a\.|<na>|#n/a|\\n|undefined|\(blank\)|\(vide\)|\(leer\)|-+|\?+|\.+"
    r"|[+-]?inf(?:inity)?|\[object object\]|#¡?[a-zäöüé]+(?:/[0a-z])?[!?]|#n/d|#nv"
)
_GROUPED = r"^[0-9]{1,3}(?:[,' ][0-9]{3})+(?:[.,]0+)?$|^[0-9]{1,3}(?:\.[0-9]{3})+,0+$"
_DRESSED = {
    r"^=": "written as a formula, such as {}: an export wrapped it for a spreadsheet",
    r"^'": "with an apostrophe in front, such as {}: a spreadsheet marks text with it",
    r'^".*"$': "in quotation marks, such as {}: an export quoted it twice",
    r"^[+-]?[0-9]+[.,]0+$": "with decimals, such as {}: an export turned whole numbers into decimals",
    _GROUPED: "with separators of thousands, such as {}: a spreadsheet formatted them as numbers",
    r"^[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]{1,3}$": "with a number such as {}: a spreadsheet removed digits",
    rf"^(?i:{_NOTHING})$": "with a placeholder for nothing, such as {}: name it in [input] null_values",
}
"""Pattern of an identifier that an export changed → what to say of it, with an example."""
_INVISIBLE = "with an invisible character, such as {}: for Braze it is a part of the identifier"
_LOOK_ALIKE = "with characters that look like others, such as {}: Braze tells them apart"
_POSSIBLY_ODD = "|".join((r"[^\x20-\x7e]", *_DRESSED))


class OddIdentifiers:
    """Counts identifiers that an export changed, or that have characters people do not see or take for others."""

    def __init__(self, mapping: RecipientMapping) -> None:
        self._identifiers = mapping.identifiers
        self._found: dict[tuple[str, str], tuple[int, str]] = {}

    def __call__(self, frame: pl.DataFrame, planned: pl.DataFrame) -> None:
        for item in self._identifiers:
            texts = _texts(frame, planned, item)
            suspects = texts.filter(texts.str.contains(_POSSIBLY_ODD).fill_null(False))
            if len(suspects):
                self._count(item.column, suspects)

    def _count(self, column: str, suspects: pl.Series) -> None:
        kinds = {words: suspects.str.contains(pattern) for pattern, words in _DRESSED.items()}
        kinds[_INVISIBLE] = suspects.str.replace_all(JOINERS, "").str.contains(INVISIBLE)
        kinds[_LOOK_ALIKE] = ~kinds[_INVISIBLE] & (
            suspects.str.contains(LOOK_ALIKES) | (suspects != suspects.str.normalize("NFKC"))
        )
        for words, odd in kinds.items():
            if odd.any():
                count, example = self._found.get((column, words), (0, str(suspects.filter(odd)[0])))
                self._found[column, words] = (count + int(odd.sum()), example)

    def sentences(self) -> list[str]:
        """Return a warning for each kind, by column."""
        return [
            f"column {column!r}: {several(count, 'identifier')} {words.format(visible(example))}"
            for (column, words), (count, example) in self._found.items()
        ]


def _texts(frame: pl.DataFrame, planned: pl.DataFrame, item: Identifier) -> pl.Series:
    """Return the identifiers of one kind; an alias without its label."""
    of_kind = planned["identifier_type"] == item.kind
    if item.label is None:
        return planned["identifier"].filter(of_kind)
    return frame.select(item.text.cast(pl.String)).to_series().filter(of_kind)


def visible(text: str, most: int = 40) -> str:
    """Return text quoted, with escapes for everything that a person cannot see, or could take for something else."""
    shown = "".join(letter if _is_plain(letter) else _escape(letter) for letter in text[:most])
    return f"'{shown}{'…' if len(text) > most else ''}'"


def _is_plain(letter: str) -> bool:
    if letter.isascii():
        return letter.isprintable()
    is_itself = unicodedata.normalize("NFKC", letter) == letter
    return letter.isalpha() and is_itself and not unicodedata.name(letter, "").startswith(("CYRILLIC", "GREEK"))


def _escape(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"
