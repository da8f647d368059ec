"""HTML as the text that a reader sees. Pure."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_TAG = re.compile(r"<(?:!doctype|[a-z][a-z0-9]*)\b[^>]*>", re.IGNORECASE)
_SKIPPED = ("style", "script", "head", "title")
_LINES = frozenset({"p", "div", "br", "tr", "li", "table", "ul", "ol", "section", "header", "footer", "blockquote"})
_LINES |= {f"h{level}" for level in range(1, 7)}


def is_html(text: str) -> bool:
    """Whether a text has a tag."""
    return _TAG.search(text) is not None


def html_text(source: str) -> str:
    """Return what a reader sees, a line for each block. Links keep their address."""
    reader = _Reader()
    reader.feed(source)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).splitlines())
    return "\n".join(line for line in lines if line)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._skipping: list[str] = []
        self._links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SKIPPED:
            self._skipping.append(tag)
        if tag in _LINES:
            self.parts.append("\n")
        if tag == "a":
            self._links.append(dict(attrs).get("href") or "")
        if tag == "img" and (described := dict(attrs).get("alt")):
            self.parts.append(f"[{described}]")

    def handle_endtag(self, tag: str) -> None:
        if self._skipping and tag == self._skipping[-1]:
            self._skipping.pop()
        if tag in _LINES:
            self.parts.append("\n")
        if tag == "a" and self._links and (link := self._links.pop()):
            self.parts.append(f" <{link}>")

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self.parts.append(data)
