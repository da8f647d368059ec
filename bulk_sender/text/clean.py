"""Text from outside, safe to print and store."""

from __future__ import annotations

import json
import re
from typing import Any

_MAX_MESSAGE = 500


_CONTROLS_AND_MARKS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x1f\x7f-\x9f]"
    # what turns or hides text: zero-width and direction marks, and the byte-order mark
    r"|[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)


def clean(said: Any, most: int = _MAX_MESSAGE) -> str:
    """What came from outside, fit for a terminal, a log and a table: no control characters, bounded, one line.

    Anything but a string is shown as JSON; None is nothing.
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


SHOWN = 80
"""Characters of a value that an error quotes."""


_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters that a terminal obeys; tabs and line breaks stay."""


def plain(text: str) -> str:
    """Replace the control characters in text from outside that a terminal would obey."""
    return _OBEYED.sub("\ufffd", text)
