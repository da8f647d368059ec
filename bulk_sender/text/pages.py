"""What all pages for people share: how templates are filled in, and the colors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bulk_sender.text.clean import plain

if TYPE_CHECKING:
    from jinja2 import Environment


def style(path: Path) -> str:
    """Return a stylesheet with the colors before it."""
    palette = Path(__file__).with_name("palette.css")
    return "\n".join(each.read_text(encoding="utf-8") for each in (palette, path))


def templates(folder: Path) -> Environment:
    """Return the templates in a folder. Markup from outside stays text, and no sign of direction gets through."""
    # Imported here because most commands write no page.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from bulk_sender.text.compiled_templates import CompiledTemplates

    return Environment(
        loader=FileSystemLoader(folder),
        bytecode_cache=CompiledTemplates(folder, terms=Path(__file__).read_text(encoding="utf-8")),
        autoescape=True,
        finalize=lambda value: plain(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
