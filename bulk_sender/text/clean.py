"""Make text from outside safe to print and store.

The patterns of control characters are here, once. The sandbox has its own on purpose.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

_TURNS = r"\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""What turns the direction of text, or breaks a line where no line break is seen."""
CONTROLS = rf"[\x00-\x1f\x7f-\x9f{_TURNS}]"
"""The control characters, line breaks and signs of direction included, as a pattern for ``re`` and for polars."""
SHOWN = 80
"""Characters of a value that an error quotes."""

_OBEYED = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{_TURNS}]")
"""What a terminal or a browser obeys instead of showing it; tabs and line breaks are left."""
_SINGLE_TURNS = re.compile(r"[\u061c\u200e\u200f]")
_MAX_MESSAGE = 500
_CONTROLS_AND_MARKS = re.compile(
    rf"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|{CONTROLS}"
    # what hides text: zero-width signs and the byte-order mark
    r"|[\u200b-\u200d\u2060-\u2065\ufeff]"
)


def clean(said: Any, most: int = _MAX_MESSAGE) -> str:
    """Return text from outside for a terminal, a log or a table: one line, no control characters, bounded.

    Anything but a string becomes JSON; None becomes nothing.
    """
    text = said if isinstance(said, str) else "" if said is None else _as_json(said)
    plain = text[: 4 * most]
    if not (plain.isascii() and plain.isprintable()):
        plain = _CONTROLS_AND_MARKS.sub(" ", plain).encode("utf-8", "replace").decode()
    folded = " ".join(plain.split())
    return folded if len(folded) <= most else folded[: most - 1] + "…"


def _as_json(said: Any) -> str:
    try:
        return json.dumps(said, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):
        return f"an unreadable {type(said).__name__}"


def plain(text: str) -> str:
    """Replace the characters in text from outside that a terminal would obey, each by one sign."""
    return _OBEYED.sub("\ufffd", text)


def without_direction_marks(text: str) -> str:
    """Leave out the marks that messages in Arabic or Hebrew have beside punctuation."""
    return _SINGLE_TURNS.sub("", text)


def escaped(text: str) -> str:
    """Escape the characters in JSON that a terminal would obey. They occur only in its strings."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shell_quoted(word: str) -> str:
    """Quote an argument of a command to copy. Control characters are escaped in ``$'...'``, which bash and zsh read."""
    if _OBEYED.search(word) is None and word.isprintable():
        return shlex.quote(word)
    signs = (sign if sign.isprintable() and sign not in "\\'" else _as_bytes(sign) for sign in word)
    return f"$'{''.join(signs)}'"


def _as_bytes(sign: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in sign.encode("utf-8", "surrogateescape"))


def visible(text: str) -> str:
    """Replace the control characters in a value that an error quotes by a visible sign."""
    return re.sub(CONTROLS, "\u2423", text)
