"""Render a message with a request's properties. Everything whose value is not in the request stays as it is written.

The Liquid library (extra ``preview``) knows nothing of Braze's own tags, filters and names, such as ``${first_name}``,
``custom_attribute``, ``connected_content``, ``content_blocks``, ``catalog_items`` and ``abort_message``. An output or
tag that needs one of them is shown, never guessed. So is a whole block whose condition needs one.

A template comes from outside. ``render_apart`` renders it in a separate process with limits on time and memory.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bulk_sender.braze.details import CampaignDetails, MessageDetails
from bulk_sender.braze.placeholders import Piece, names_of, pieces, reference
from bulk_sender.errors import ConfigError

_MOST_LOOPS = 20_000
_MOST_OUTPUT_BYTES = 4 << 20
_MOST_SECONDS = 10
_MOST_MEMORY_BYTES = 1 << 30

_BLOCKS = {
    "if": ("elsif", "else"),
    "unless": ("elsif", "else"),
    "case": ("when", "else"),
    "for": ("else",),
    "tablerow": (),
    "capture": (),
    "ifchanged": (),
    "raw": (),
    "comment": (),
}
_SINGLE = ("assign", "break", "continue", "cycle", "decrement", "echo", "increment")
_WORDS = frozenset(
    [
        "and",
        "or",
        "contains",
        "in",
        "not",
        "true",
        "false",
        "nil",
        "null",
        "empty",
        "blank",
        "forloop",
        "tablerowloop",
        "limit",
        "offset",
        "reversed",
        "cols",
        "by",
    ]
)
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
_NAME = re.compile(r"(?<![\w.$\[])[A-Za-z_][\w-]*(?!\w|\s*:)")
_FILTER = re.compile(r"\|\s*(\w+)")


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """One message as one recipient would get it."""

    variation: str
    channel: str
    name: str
    fields: Mapping[str, str]
    """The texts, rendered as far as the request can fill them."""
    left: tuple[str, ...] = ()
    """Outputs and tags that only Braze can fill, as they are written."""
    faults: tuple[str, ...] = ()
    """Texts that could not be rendered, and why. They are shown as they are written."""


@dataclass(slots=True)
class _Block:
    word: str
    tags: list[int]
    foreign: bool = False


@dataclass(slots=True)
class _Plan:
    """Which pieces of a template the library renders, and which stay as they are."""

    pieces: list[Piece]
    kept: set[int] = field(default_factory=set)
    """Outputs and tags that are shown as they are written."""


def render(message: MessageDetails, properties: Mapping[str, Any], *, canvas: bool) -> RenderedMessage:
    """Return a message with ``properties`` filled in. Raise ConfigError when the library is not installed."""
    library = _library()
    rendered: dict[str, str] = {}
    left: dict[str, None] = {}
    faults: list[str] = []
    for name, template in message.fields.items():
        try:
            rendered[name], kept = _rendered(library, template, properties, names_of(canvas))
            left.update(dict.fromkeys(kept))
        except Exception as error:  # an error of the library about a template must not end the preview
            rendered[name] = template
            faults.append(f"{name} is shown as it is written ({type(error).__name__})")
    return RenderedMessage(message.variation, message.channel, message.name, rendered, tuple(left), tuple(faults))


def _library() -> Any:
    """Return an environment of the library: no files, and limits on loops and output."""
    try:
        import liquid
    except ImportError:
        raise ConfigError(
            "a message cannot be rendered without the package python-liquid", hint="pip install python-liquid"
        ) from None

    class Limited(liquid.Environment):
        loop_iteration_limit = _MOST_LOOPS
        output_stream_limit = _MOST_OUTPUT_BYTES
        local_namespace_limit = _MOST_OUTPUT_BYTES
        string_sequences = False

    return Limited(loader=liquid.DictLoader({}))


def _rendered(
    library: Any, template: str, properties: Mapping[str, Any], names: Sequence[str]
) -> tuple[str, list[str]]:
    """Return the rendered text, and the outputs and tags that stay as they are."""
    pattern = reference(names)
    plan = _plan(list(pieces(template)), pattern, frozenset(library.filters))
    keys: dict[str, str] = {}

    def key(found: re.Match[str]) -> str:
        return f"bs_in.{keys.setdefault(found['name'], f'k{len(keys)}')}{found['rest']}"

    source: list[str] = []
    shown: dict[str, str] = {}
    for index, piece in enumerate(plan.pieces):
        if index in plan.kept:
            shown[f"r{index}"] = piece.text
            source.append(f"{{{{ bs_as_is.r{index} }}}}")
        else:
            source.append(piece.text if piece.kind == "text" else pattern.sub(key, piece.text))
    values = {short: _member(properties, name) for name, short in keys.items()}
    values = {short: value for short, value in values.items() if value is not None}
    text = library.from_string("".join(source)).render(bs_in=values, bs_as_is=shown)
    return text, [plan.pieces[index].text for index in sorted(plan.kept)]


def _member(properties: Mapping[str, Any], name: str) -> Any:
    """Return the value of ``${a}``, or of ``${a.b}`` where ``a`` is an object."""
    if name in properties:
        return properties[name]
    value: Any = properties
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _plan(found: list[Piece], pattern: re.Pattern[str], filters: frozenset[str]) -> _Plan:
    """Decide what stays as it is: everything that needs a value, tag or filter that is not known here."""
    plan = _Plan(found)
    while True:  # a variable becomes unknown when what sets it does, so repeat until nothing changes
        before = len(plan.kept)
        _mark(plan, pattern, filters)
        if len(plan.kept) == before:
            return plan


def _mark(plan: _Plan, pattern: re.Pattern[str], filters: frozenset[str]) -> None:
    known = {name for index, piece in enumerate(plan.pieces) if index not in plan.kept for name in _defines(piece)}
    unknown = {name for index in plan.kept for name in _defines(plan.pieces[index])}
    known -= unknown
    open_blocks: list[_Block] = []
    for index, piece in enumerate(plan.pieces):
        word = piece.word
        if piece.kind == "output":
            if _is_foreign(piece.inner, pattern, known, filters):
                plan.kept.add(index)
        elif word in _BLOCKS:
            inner = "" if word in ("raw", "comment", "capture") else _expression(piece)
            outer = any(block.foreign for block in open_blocks) and word == "capture"
            open_blocks.append(_Block(word, [index], outer or _is_foreign(inner, pattern, known, filters)))
        elif open_blocks and word in _BLOCKS[open_blocks[-1].word]:
            block = open_blocks[-1]
            block.tags.append(index)
            block.foreign = block.foreign or _is_foreign(_expression(piece), pattern, known, filters)
        elif open_blocks and word == f"end{open_blocks[-1].word}":
            block = open_blocks.pop()
            if block.foreign or block.tags[0] in plan.kept:
                plan.kept.update((*block.tags, index))
        elif piece.kind == "tag":
            inside = any(block.foreign or block.tags[0] in plan.kept for block in open_blocks)
            is_plain = word in _SINGLE and not inside and not unknown.intersection(_defines(piece))
            if not is_plain or _is_foreign(_expression(piece), pattern, known, filters):
                plan.kept.add(index)


def _expression(piece: Piece) -> str:
    """Return the part of a tag that has to be evaluated."""
    inner = piece.inner.strip().strip("-").strip()
    inner = inner.removeprefix(piece.word)
    if piece.word == "assign":
        return inner.partition("=")[2]
    if piece.word in ("for", "tablerow"):
        return inner.partition(" in ")[2]
    if piece.word in ("increment", "decrement"):
        return ""
    return inner


def _defines(piece: Piece) -> Iterator[str]:
    if piece.word in ("assign", "capture", "for", "tablerow", "increment", "decrement"):
        inner = piece.inner.strip().strip("-").strip().removeprefix(piece.word)
        if found := re.match(r"\s*['\"]?([A-Za-z_][\w-]*)", inner):
            yield found[1]


def _is_foreign(expression: str, pattern: re.Pattern[str], known: set[str], filters: frozenset[str]) -> bool:
    """Whether an expression needs something that is not in the request and not set by the message itself."""
    bare = _TEXT.sub("0", pattern.sub(" 0 ", expression.strip().strip("-")))
    if "$" in bare:
        return True
    if any(name not in filters for name in _FILTER.findall(bare)):
        return True
    names = set(_NAME.findall(_FILTER.sub(" ", bare))) - _WORDS
    return bool(names - known)


def render_apart(details: CampaignDetails, properties: Mapping[str, Any]) -> tuple[RenderedMessage, ...]:
    """Render all messages in a separate process without the key, which ends when it takes too long or too much memory.

    Raise ConfigError when the library is not installed, or when the process had to be ended.
    """
    _library()
    canvas = details.kind == "Canvas"
    messages = [[item.variation, item.channel, item.name, dict(item.fields)] for item in details.messages]
    asked = json.dumps({"messages": messages, "properties": properties, "canvas": canvas})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BRAZE_")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bulk_sender.braze.rendering"],
            input=asked.encode(),
            capture_output=True,
            timeout=2 * _MOST_SECONDS,
            env=environment,
            check=False,
        )
        answer = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        raise ConfigError(
            f"the message cannot be rendered within {_MOST_SECONDS} s and {_MOST_MEMORY_BYTES >> 20} MB",
            hint="look for loops over large ranges in its Liquid",
        ) from None
    return tuple(_message(*item) for item in answer)


def _message(
    variation: str, channel: str, name: str, fields: dict[str, str], left: list[str], faults: list[str]
) -> RenderedMessage:
    return RenderedMessage(variation, channel, name, fields, tuple(left), tuple(faults))


def _main() -> None:
    """Render what standard input names, within the limits."""
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    asked = json.load(sys.stdin)
    found = [
        render(MessageDetails(variation, channel, name, fields), asked["properties"], canvas=asked["canvas"])
        for variation, channel, name, fields in asked["messages"]
    ]
    answer = [
        [item.variation, item.channel, item.name, dict(item.fields), list(item.left), list(item.faults)]
        for item in found
    ]
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    _main()
