"""Building blocks of terminal text: paths, commands and wrapped sentences. Pure."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from rich.text import Text

from bulk_sender.cli.environment import program
from bulk_sender.journal.records import Status
from bulk_sender.reporting.advice import ORDER
from bulk_sender.text.clean import plain, shell_quoted
from bulk_sender.text.numbers import number

_COLOURS = {
    Status.UNKNOWN: "bold yellow",
    Status.FAILED: "bold red",
    Status.REJECTED: "red",
    Status.NOT_SENT: "cyan",
    Status.ACCEPTED: "green",
    Status.DUPLICATE: "dim",
}
STYLES = {status.value: _COLOURS[status] for status in ORDER}
"""A colour for each status, in the order of display."""

COLUMN = 15
"""Width of the labels."""


def shown(path: str | Path) -> str:
    """Return a path relative to the working directory if it is inside."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def command(*words: str | Path) -> str:
    """Return a command to copy."""
    return " ".join([program(), *(shell_quoted(str(word)) for word in words)])


def run_command(verb: str, run_folder: str | Path, *words: str) -> str:
    """Return a command about a run, with ``--runs-dir`` unless that is the default."""
    folder = Path(run_folder)
    elsewhere = shown(folder.parent)
    where = [] if elsewhere == "bulk-sender-runs" else ["--runs-dir", elsewhere]
    return command(verb, folder.name, *words, *where)


def wrapped(text: str, width: int | None, *, indent: str = "", first: str | None = None) -> list[str]:
    """Wrap a sentence at ``width``, with ``first`` before the first line. Long words are never broken."""
    start = indent if first is None else first
    text = plain(text)
    if width is None:
        return [start + text]
    room = max(20, width)
    lines = textwrap.wrap(
        text,
        room,
        initial_indent=start,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [start.rstrip()]


def notice(kind: str, style: str, message: str, hint: str, width: int | None) -> list[Text]:
    """Return ``error: what is wrong`` and, below it, what to do next."""
    head, *rest = wrapped(message, width, indent="  ", first=f"{kind}: ")
    lines = [Text.assemble((f"{kind}:", style), head.removeprefix(f"{kind}:")), *map(Text, rest)]
    if hint:
        head, *rest = wrapped(hint, width, indent="        ", first="  hint: ")
        lines += [Text.assemble(("  hint:", "bold"), head.removeprefix("  hint:")), *map(Text, rest)]
    return lines


def labelled(label: str, value: str, width: int | None, *, column: int = COLUMN, style: str = "") -> list[Text]:
    """Return ``label     value``, the value wrapped within its column."""
    head, *rest = wrapped(value, width, indent=" " * (column + 2), first=f"  {label:<{column}}")
    shown_label = f"  {label:<{column}}"
    return [
        Text.assemble((shown_label, "dim"), (head[len(shown_label) :], style)),
        *(Text(line, style) for line in rest),
    ]


def counted(rows: list[tuple[str, int, str, str]], width: int | None) -> list[Text]:
    """Return ``label  count  text`` with the counts aligned. A row is label, count, text and style."""
    digits = max(len(number(count)) for _, count, _, _ in rows)
    lines: list[Text] = []
    for label, count, words, style in rows:
        value = f"{number(count):>{digits}}"
        indent = COLUMN + 4 + digits
        head, *rest = wrapped(words, width, indent=" " * indent, first=" " * indent)
        shown_value = Text.assemble((f"  {label:<{COLUMN}}", "dim"), (value, style or "bold"), "  ", head[indent:])
        lines += [shown_value, *map(Text, rest)]
    return lines


def sentence(text: str) -> str:
    """Return ``text`` on one line, with its whitespace folded."""
    return re.sub(r"\s+", " ", plain(text)).strip()
