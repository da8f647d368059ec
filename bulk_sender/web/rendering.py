"""Templates, the one stylesheet and the one script. Everything from outside is escaped; nothing in a page is inline."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse

from bulk_sender.text.clean import plain
from bulk_sender.web import show, words

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Static:
    """``name`` holds a digest, so that a browser can keep the file for ever."""

    name: str
    text: str
    media_type: str


@cache
def stylesheet() -> Static:
    return _static("css", "text/css")


@cache
def script() -> Static:
    return _static("js", "text/javascript")


def _static(ending: str, media_type: str) -> Static:
    text = (_HERE / "static" / f"web.{ending}").read_text(encoding="utf-8")
    return Static(f"web-{hashlib.sha256(text.encode()).hexdigest()[:12]}.{ending}", text, media_type)


@cache
def environment() -> Environment:
    """Return the templates. Control characters and signs of direction never reach a browser."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        finalize=lambda value: plain(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= show.FILTERS
    made.globals |= {
        "words": words,
        "query_of": show.query_of,
        "style": f"/static/{stylesheet().name}",
        "script": f"/static/{script().name}",
    }
    return made


def page(template: str, *, http_status: int = 200, **facts: Any) -> HTMLResponse:
    """Return a page. ``facts``: what the template names."""
    text = environment().get_template(f"{template}.html.jinja").render(zone=show.zone(), **facts)
    # a file's name may have invalid UTF-8
    return HTMLResponse(text.encode("utf-8", "replace"), status_code=http_status)
