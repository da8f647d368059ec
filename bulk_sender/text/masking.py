"""Mask identifiers and addresses in text that is shown more widely than a results file. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bulk_sender.text.clean import SHOWN, visible

_LETTER = r"""[^\s@'"<>(),;:]"""
"""A character of an e-mail address."""
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*@")
_LEFT = 2
_SHORT = 6
_FEWEST_IN_TEXT = 4
"""A shorter identifier is masked only in quotes, because it may be a part of any word."""


def masked(identifier: str) -> str:
    """Return enough of an identifier to recognize it beside the results file, too little to use it: ``ma…``."""
    return identifier[:_LEFT] + "…" if len(identifier) >= _SHORT else "…" if identifier else ""


def mask_in(text: str, identifiers: Iterable[str] = ()) -> str:
    """Return ``text`` with e-mail addresses masked, and ``identifiers`` in every form in which a reason quotes them.

    In one pass, so that nothing is masked twice: what is left of ``a@example`` is not an address.
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
    """An identifier as it is, as the rules show it, and cut short; for an alias also its name alone."""
    shown = visible(identifier)
    cut = f"{shown[:SHOWN]}…"
    label, _, name = identifier.partition(":")
    return {identifier, shown, cut} | ({name} if label and name else set())


def without_credentials(text: str) -> str:
    """Return ``text`` without the user and password that a URL in it may contain."""
    return _CREDENTIALS.sub("…@", text)


_ADDRESS = re.compile(r"[^\s@'\"<>]+@[^\s@'\"<>]+")


def without_addresses(text: str) -> str:
    """Return ``text`` without e-mail addresses: a server's message may quote a recipient."""
    return _ADDRESS.sub("***", text)
