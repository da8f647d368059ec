"""Characters that people do not see, or take for others, as patterns for polars.

Two identifiers that look alike on a screen are two people for Braze, and an address with such a character reaches
nobody.
"""

from __future__ import annotations

import polars as pl

INVISIBLE = (
    r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\x{34f}\x{115f}\x{1160}\x{17b4}\x{17b5}\x{180b}-\x{180f}\x{2800}\x{3164}\x{ffa0}"
    r"\x{fe00}-\x{fe0f}\x{e0100}-\x{e01ef}]"
)
"""Control and format characters, such as a zero-width space, a direction mark or a soft hyphen, and blank letters."""
JOINERS = (
    r"\x{1f3f4}[\x{e0020}-\x{e007f}]+|[\p{Extended_Pictographic}\x{1f3fb}-\x{1f3ff}]\x{fe0f}?\x{200d}?"
    r"|[#*0-9]\x{fe0f}?\x{20e3}|[\p{L}\p{M}&&[^\p{Latin}\p{Greek}\p{Cyrillic}]][\x{200c}\x{200d}]"
)
"""Where such characters belong: in emoji, and in scripts whose letters join, such as Persian and Hindi."""
_HYPHENS = r"[\x{2010}-\x{2015}\x{2043}\x{2212}\x{fe58}\x{fe63}]"
_QUOTES = r"[\x{2018}\x{2019}\x{201c}\x{201d}\x{2032}]"
_COMPATIBLE = r"[\x{ff01}-\x{ff9f}\x{fb00}-\x{fb06}\x{1d400}-\x{1d7ff}\x{2460}-\x{24ff}]"
_TWO_ALPHABETS = (
    r"\p{Latin}[\p{Cyrillic}\p{Greek}]|[\p{Cyrillic}\p{Greek}]\p{Latin}|\p{Greek}\p{Cyrillic}|\p{Cyrillic}\p{Greek}"
)
_APART = r"[\p{Latin}\p{Greek}\p{Cyrillic}]\p{M}|[\x{3099}\x{309a}\x{1100}-\x{11ff}]"
LOOK_ALIKES = "|".join(
    (
        _HYPHENS,
        _QUOTES,
        _COMPATIBLE,
        _TWO_ALPHABETS,
        _APART,
        r"[\p{Zs}&&[^ ]]",
        r"[\p{Nd}&&[^0-9]]",
        r"[\p{Co}\x{fffd}]",
    )
)
"""Hyphens, quotation marks, blanks and digits that are not those of ASCII, full-width and styled letters, letters of
two alphabets side by side, accents as characters apart from their letters, and characters that no font has."""


def looks_like_another(text: pl.Expr) -> pl.Expr:
    """Return where a text has a character that can be taken for another, or that Unicode has only for old encodings."""

    def found(column: pl.Series) -> pl.Series:
        if column.str.contains(r"[^\x00-\x7f]").any():
            return column.str.contains(LOOK_ALIKES) | (column != column.str.normalize("NFKC"))
        return pl.Series(column.name, [False], dtype=pl.Boolean).new_from_index(0, len(column))

    return text.map_batches(found, return_dtype=pl.Boolean)
