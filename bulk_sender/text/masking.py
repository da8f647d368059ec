"""Identifiers and addresses made unreadable in text that travels further than a results file. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bulk_sender.text.clean import SHOWN

_LETTER = r"""[^\s@'"<>(),;:]"""
"""Of an e-mail address."""
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*@")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LEFT = 2
_SHORT = 6
_FEWEST_IN_TEXT = 4
"""A shorter identifier is masked only where it stands in quotes: it may be a part of any word."""


def masked(identifier: str) -> str:
    """Enough of an identifier to recognize it beside the results file, too little to use it: ``ma…``."""
    return identifier[:_LEFT] + "…" if len(identifier) >= _SHORT else "…" if identifier else ""


def mask_in(text: str, identifiers: Iterable[str] = ()) -> str:
    """``text`` with ``identifiers``, in every form in which a reason quotes them, and e-mail addresses masked.

    In one pass, so that nothing is masked twice: what is left of ``a@example`` is no address.
    """
    masks: dict[str, str] = {}
    for identifier in sorted(filter(None, identifiers), key=len, reverse=True):
        for form in _forms(identifier):
            masks.setdefault(f"'{form}'", f"'{masked(identifier)}'")
            if len(form) >= _FEWEST_IN_TEXT:
                masks.setdefault(form, masked(identifier))
    known = "|".join(re.escape(form) for form in sorted(masks, key=len, reverse=True)) or "(?!)"
    pattern = f"({known})({_LETTER}*@{_LETTER}+)?|{_LETTER}+@{_LETTER}+"  # an identifier may begin an address
    return re.sub(pattern, lambda found: masked(found[0]) if found[2] or not found[1] else masks[found[1]], text)


def _forms(identifier: str) -> set[str]:
    """As it is, and as the rules show it: control characters replaced, and cut short. An alias also by its parts."""
    shown = _CONTROLS.sub("␣", identifier)
    cut = f"{shown[:SHOWN]}…"
    label, _, name = identifier.partition(":")
    return {identifier, shown, cut} | ({name} if label and name else set())


def without_credentials(text: str) -> str:
    """``text`` without the user and password that an address in it may carry."""
    return _CREDENTIALS.sub("…@", text)


_ADDRESS = re.compile(r"[^\s@'\"<>]+@[^\s@'\"<>]+")


def without_addresses(text: str) -> str:
    """``text`` without e-mail addresses: a server's words may quote a recipient."""
    return _ADDRESS.sub("***", text)
