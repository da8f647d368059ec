"""Numbers in text as people write them: decimal signs, separators of thousands, and advice on what is not a number.

A separator counts only between sound groups of digits. Currency signs, percent signs and negative numbers in
parentheses are not guessed at: the advice says how to write them.
"""

from __future__ import annotations

import json

import polars as pl

SEPARATORS = {" ": r"\p{Zs}", ".": r"\.", ",": ",", "'": "['\u2019]", "_": "_"}
"""A separator of thousands → what it matches: every kind of space, and both apostrophes."""
_DECIMALS = {".": r"\.", ",": ","}
_SIGN = "[+\u2212-]?"
_MINUS = "\u2212"
_CODES = (
    "EUR|USD|GBP|CHF|JPY|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|ISK|PLN|CZK|HUF|RON|BGN|RUB|UAH|TRY|ILS|AED|SAR|ZAR|BRL|MXN"
    "|ARS|CLP|COP|SGD|HKD|TWD|KRW|THB|IDR|MYR|PHP|VND|kr|Fr|Rs|zł|Kč|Ft|lei"
)
_CURRENCY = rf"\p{{Sc}}|(?i)^{_SIGN}(?:{_CODES})\.?\p{{Zs}}*[0-9]|[0-9]\p{{Zs}}*(?:{_CODES})\.?$"
_PERCENT = "[%\u2030\u066a\uff05]"
_ONE_COMMA = rf"^{_SIGN}[1-9][0-9]{{0,2}},[0-9]{{3}}$"
_NEGATIVE = r"^\(.*[0-9].*\)$|^[0-9].*[-\u2212]$|^[\u2010-\u2015\ufe63\uff0d]\p{Zs}?[0-9]|^-\p{Zs}+[0-9]"


def grouped(thousands: str, decimal: str, fraction: str = "*") -> str:
    """Return a pattern for numbers with separators: groups of three digits, or the Indian groups of two with commas.

    ``fraction``: how many digits follow the decimal sign, as a pattern; empty for numbers without a fraction.
    """
    between = SEPARATORS[thousands]
    groups = rf"[1-9][0-9]{{0,2}}(?:{between}[0-9]{{3}})+"
    if thousands == ",":
        groups += r"|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}"
    tail = {"": "", "*": f"(?:{_DECIMALS[decimal]}[0-9]*)?", "+": f"{_DECIMALS[decimal]}[0-9]+"}[fraction]
    return rf"^{_SIGN}(?:{groups}){tail}$"


def without_separators(text: pl.Expr, decimal: str, thousands: str | None) -> pl.Expr:
    """Return numbers without separators of thousands, and with ``-`` for a minus sign; other text is unchanged."""
    text = text.str.replace(f"^{_MINUS}", "-")
    if thousands is None:
        return text
    bare = text.str.replace_all(SEPARATORS[thousands], "")
    return pl.when(text.str.contains(grouped(thousands, decimal))).then(bare).otherwise(text)


def advice(raw: pl.Expr, decimal: str, thousands: str | None, *, is_whole: bool = False) -> pl.Expr:
    """Return what to do about text that is not a number, to follow the sentence that says so; null without advice.

    ``is_whole``: whether only whole numbers of at most 64 bits are right.
    """
    text = raw.str.strip_chars()
    bare = without_separators(text, decimal, thousands)
    fit_for_floats = [
        pl.when(bare.str.contains(pattern)).then(pl.lit(f": it has {what}, which needs the type float"))
        for pattern, what in (
            (rf"^[+-]?[0-9]+(?:{_DECIMALS[decimal]}0+)?$", "more than 64 bits"),
            (rf"^[+-]?[0-9]*{_DECIMALS[decimal]}[0-9]+$", "a fraction"),
            (rf"^[+-]?[0-9]+(?:{_DECIMALS[decimal]}[0-9]*)?[eE][+-]?[0-9]+$", "an exponent"),
        )
    ]
    chain: list[tuple[str, str]] = [
        (_PERCENT, ": it is a percentage; write the number alone"),
        (_CURRENCY, ": it has a currency sign; write the number alone"),
        (_NEGATIVE, ": write a negative number as -5"),
    ]
    if decimal == "." and thousands is None:
        two_ways = (
            ': if the comma separates thousands, set [input] thousands = ","; if it is a decimal sign, decimal = ","'
        )
        chain.append((_ONE_COMMA, two_ways))
    for sign, point in ((" ", ","), (" ", "."), ("'", "."), ("'", ","), (",", "."), (".", ","), ("_", "."), ("_", ",")):
        looks = f"; it looks like a number with a thousands separator: set [input] thousands = {json.dumps(sign)}"
        both = f"{looks} and decimal = {json.dumps(point)}"
        chain.append((grouped(sign, point, "+"), both))
        chain.append((grouped(sign, point, ""), both if point != decimal and sign == decimal else looks))
    if decimal == ".":
        chain.append((rf"^{_SIGN}[0-9]*,[0-9]+$", '; if the comma is a decimal sign, set [input] decimal = ","'))
    else:
        chain.append((rf"^{_SIGN}[0-9]*\.[0-9]+$", '; if the point is a decimal sign, set [input] decimal = "."'))
    if thousands is not None:
        chain.append((rf"[0-9]{SEPARATORS[thousands]}[0-9]", ": its groups of digits are not groups of three"))
    others = [pl.when(text.str.contains(pattern)).then(pl.lit(words)) for pattern, words in chain]
    return pl.coalesce([*fit_for_floats, *others] if is_whole else others)
