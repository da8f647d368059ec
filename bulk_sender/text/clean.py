"""Make text from outside safe to print and store.

The patterns of control characters are here, once. The sandbox has its own on purpose.
"""

from __future__ import annotations

import json
import re
from typing import Any

CONTROLS = r"[\x00-\x1f\x7f-\x9f]"
"""The control characters, line breaks included, as a pattern for ``re`` and for polars."""
SHOWN = 80
"""Characters of a value that an error quotes."""

_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""The control characters that a terminal obeys: all but tabs and line breaks."""
_MAX_MESSAGE = 500
_CONTROLS_AND_MARKS = re.compile(
    rf"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|{CONTROLS}"
    # what turns or hides text: zero-width and direction marks, and the byte-order mark
    r"|[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)


def clean(said: Any, most: int = _MAX_MESSAGE) -> str:
    """Return text from outside for a terminal, a log or a table: one line, no control characters, bounded.

    Anything but a string becomes JSON; None becomes nothing.
    """
    text = said if isinstance(said, str) else "" if said is None else _as_json(said)
    plain = _CONTROLS_AND_MARKS.sub(" ", text[: 4 * most]).encode("utf-8", "replace").decode()
    folded = " ".join(plain.split())
    return folded if len(folded) <= most else folded[: most - 1] + "…"


def _as_json(said: Any) -> str:
    try:
        return json.dumps(said, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):
        return f"an unreadable {type(said).__name__}"


def plain(text: str) -> str:
    """Replace the control characters in text from outside that a terminal would obey."""
    return _OBEYED.sub("\ufffd", text)


def visible(text: str) -> str:
    """Replace the control characters in a value that an error quotes by a visible sign."""
    return re.sub(CONTROLS, "\u2423", text)
