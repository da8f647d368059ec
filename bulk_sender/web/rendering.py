"""Templates, stylesheet and scripts. Everything from outside is escaped; nothing in a page is inline."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse

from bulk_sender.text.pages import style, templates
from bulk_sender.web import show, words, words_after, words_audit, words_send, words_trial

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Asset:
    """A stylesheet or script. ``name`` holds a digest, so that a browser can keep the file for ever."""

    name: str
    text: str
    media_type: str


def stylesheet() -> Asset:
    return asset("web.css")


@cache
def asset(file: str) -> Asset:
    """Return a file of ``static``."""
    path = _HERE / "static" / file
    text = style(path) if path.suffix == ".css" else path.read_text(encoding="utf-8")
    name = f"{path.stem}-{hashlib.sha256(text.encode()).hexdigest()[:12]}{path.suffix}"
    return Asset(name, text, {".css": "text/css", ".js": "text/javascript"}[path.suffix])


@cache
def assets() -> dict[str, Asset]:
    """Return all files of ``static`` by the names under which they are served."""
    found = [asset(path.name) for path in (_HERE / "static").iterdir()]
    return {each.name: each for each in found}


@cache
def environment() -> Environment:
    """Return the templates, with what they may call."""
    made = templates(_HERE / "templates")
    made.filters |= show.FILTERS
    made.globals |= {
        "words": words,
        "send_words": words_send,
        "trial_words": words_trial,
        "later": words_after,
        "audit_words": words_audit,
        "query_of": show.query_of,
        "static": lambda name: f"/static/{asset(name).name}",
    }
    return made


def page(template: str, *, http_status: int = 200, **facts: Any) -> HTMLResponse:
    """Return a page. ``facts``: what the template names."""
    text = environment().get_template(f"{template}.html.jinja").render(zone=show.zone(), **facts)
    # a file's name may have invalid UTF-8
    return HTMLResponse(text.encode("utf-8", "replace"), status_code=http_status)
