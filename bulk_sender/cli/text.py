"""What may be said as it is: this program's own name, and text from outside made fit for a terminal or a log. Pure."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ADDRESS = re.compile(r"[^\s@'\"<>]+@[^\s@'\"<>]+")


def program() -> str:
    """How this program was called, for commands that people copy."""
    return "python -m bulk_sender" if Path(sys.argv[0]).name == "__main__.py" else "bulk-sender"


def masked(text: str) -> str:
    """``text`` without e-mail addresses: a server's words may quote a recipient."""
    return _ADDRESS.sub("***", text)


def plain(text: str) -> str:
    """Text from outside without what a terminal would obey."""
    return _CONTROLS.sub("�", text)
