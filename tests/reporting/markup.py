"""A page's markup, read strictly: what a browser would silently repair is an error here."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}
_PHRASING_ONLY = {"p", "h1", "h2", "h3", "dt", "summary", "span", "code", "bdi", "data", "time", "a", "caption"}
_BLOCKS = {"p", "div", "ul", "ol", "dl", "table", "section", "figure", "h1", "h2", "h3", "header", "footer", "details"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, tag: str = "") -> list[Element]:
        """This element and those inside it, in the order of the page."""
        found = [self] if not tag or self.tag == tag else []
        for child in self.children:
            found += child.all(tag)
        return found

    def words(self) -> str:
        """Its text with that of what is inside, whitespace folded."""
        return " ".join(self.text.split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("#page", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        inside = self.open[-1]
        assert not (inside.tag in _PHRASING_ONLY and tag in _BLOCKS), f"<{tag}> inside <{inside.tag}>"
        element = Element(tag, {name: value or "" for name, value in attrs})
        inside.children.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert any(element.tag == "svg" for element in self.open) or tag == "svg", f"<{tag}/> outside of SVG"
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> where <{self.open[-1].tag}> is open"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def read(page: str) -> Element:
    """The page as a tree. Fails on what is not nested, closed or allowed where it stands."""
    assert page.lstrip().lower().startswith("<!doctype html>")
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == [reader.root], f"not closed: {[element.tag for element in reader.open[1:]]}"
    return reader.root
