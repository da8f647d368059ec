"""Templates and the one stylesheet. Everything from outside is escaped; nothing in a page is inline."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse

from bulk_sender.text.pages import style, templates
from bulk_sender.web import show, words

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Stylesheet:
    """``name`` holds a digest, so that a browser can keep the file for ever."""

    name: str
    text: str


@cache
def stylesheet() -> Stylesheet:
    text = style(_HERE / "static" / "web.css")
    return Stylesheet(f"web-{hashlib.sha256(text.encode()).hexdigest()[:12]}.css", text)


@cache
def environment() -> Environment:
    """Return the templates, with what they may call."""
    made = templates(_HERE / "templates")
    made.filters |= show.FILTERS
    made.globals |= {"words": words, "query_of": show.query_of, "style": f"/static/{stylesheet().name}"}
    return made


def page(template: str, *, http_status: int = 200, **facts: Any) -> HTMLResponse:
    """Return a page. ``facts``: what the template names."""
    text = environment().get_template(f"{template}.html.jinja").render(zone=show.zone(), **facts)
    # a file's name may have invalid UTF-8
    return HTMLResponse(text.encode("utf-8", "replace"), status_code=http_status)
