"""What all pages for people share: the colors."""

from __future__ import annotations

from pathlib import Path


def style(path: Path) -> str:
    """Return a stylesheet with the colors before it."""
    palette = Path(__file__).with_name("palette.css")
    return "\n".join(each.read_text(encoding="utf-8") for each in (palette, path))
