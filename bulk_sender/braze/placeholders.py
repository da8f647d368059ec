"""Braze's Liquid: the names in a message that a request fills. Pure, and without a Liquid library.

Braze writes ``{{api_trigger_properties.${name}}}`` in a campaign, ``{{context.${name}}}`` and
``{{canvas_entry_properties.${name}}}`` in a Canvas. Sources: trigger_properties_object, context_object.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from bulk_sender.braze.details import CampaignDetails

CAMPAIGN_NAMES = ("api_trigger_properties",)
CANVAS_NAMES = ("context", "canvas_entry_properties")

_PIECES = re.compile(
    r"(?P<output>\{\{(?P<statement>(?:\$\{[^}]*\}|(?!\}\}).)*)\}\})"
    r"|(?P<tag>\{%(?P<command>(?:\$\{[^}]*\}|(?!%\}).)*)%\})",
    re.DOTALL,
)
_WORD = re.compile(r"-?\s*(\w+)")
_DEFAULT = re.compile(r"\|\s*default\b")
_TESTS = ("if", "unless", "elsif", "case", "when")


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a template. ``inner``: what stands between its signs; ``text``: all of it."""

    kind: Literal["text", "output", "tag"]
    text: str
    inner: str = ""

    @property
    def word(self) -> str:
        """The first word of a tag, such as ``if``."""
        found = _WORD.match(self.inner.lstrip())
        return found[1] if found and self.kind == "tag" else ""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A name that a message uses. ``path``: ``("order", "total")`` for ``${order}.total``."""

    path: tuple[str, ...]
    may_be_missing: bool
    """Whether the message says what to do without a value: a ``default`` filter wherever it is used, or a test."""

    @property
    def shown(self) -> str:
        return ".".join(self.path)


def names_of(canvas: bool) -> tuple[str, ...]:
    """Return the objects whose members a request fills."""
    return CANVAS_NAMES if canvas else CAMPAIGN_NAMES


def reference(names: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of a reference to one of ``names``: ``name`` is the member, ``rest`` what follows it."""
    return re.compile(
        rf"\b(?:{'|'.join(names)})\s*\.\s*\$\{{\s*(?P<name>[^}}]*?)\s*\}}"
        r"(?P<rest>(?:\.[A-Za-z_]\w*|\[(?:\d+|'[^']*'|\"[^\"]*\")\])*)"
    )


def pieces(template: str) -> Iterator[Piece]:
    """Cut a template into text, outputs and tags. What stands between ``raw`` or ``comment`` tags is text."""
    end, literal = 0, ""
    for found in _PIECES.finditer(template):
        piece = Piece("tag", found["tag"], found["command"]) if found["tag"] else None
        word = piece.word if piece is not None else ""
        if literal and word != f"end{literal}":
            continue
        if template[end : found.start()]:
            yield Piece("text", template[end : found.start()])
        yield piece or Piece("output", found["output"], found["statement"])
        end, literal = found.end(), word if word in ("raw", "comment") else ""
    if template[end:]:
        yield Piece("text", template[end:])


def placeholders(details: CampaignDetails) -> tuple[Placeholder, ...]:
    """Return the names that a campaign's or Canvas' messages use, in the order of their first use."""
    pattern = reference(names_of(details.kind == "Canvas"))
    found: dict[tuple[str, ...], bool] = {}
    tested: set[tuple[str, ...]] = set()
    for message in details.messages:
        for template in message.fields.values():
            for piece in pieces(template):
                for use in pattern.finditer(piece.inner):
                    path = (*use["name"].split("."), *_members(use["rest"]))
                    if piece.word in _TESTS:
                        tested.add(path)
                    settled = piece.word in _TESTS or _DEFAULT.search(piece.inner) is not None
                    found[path] = found.get(path, True) and settled
    return tuple(Placeholder(path, settled or path in tested) for path, settled in found.items())


def has_hidden_parts(details: CampaignDetails) -> bool:
    """Whether a message has content that the answer does not show: a Content Block, or a channel without texts."""
    texts = [text for message in details.messages for text in message.fields.values()]
    empty = any(not message.fields for message in details.messages)
    return not texts or empty or any("content_blocks." in text for text in texts)


def _members(rest: str) -> tuple[str, ...]:
    """Return the names in ``.a['b'][0].c`` up to the first index of a list."""
    found = []
    for name, index, single, double in re.findall(r"\.(\w+)|\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]", rest):
        if index:
            break
        found.append(name or single or double)
    return tuple(found)
