"""Building blocks of terminal text: numbers, times, paths, commands and wrapped sentences. Pure."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

from rich.text import Text

from bulk_sender.cli.environment import program
from bulk_sender.text.clean import plain

STYLES = {
    "unknown": "bold yellow",
    "failed": "bold red",
    "rejected": "red",
    "not_sent": "cyan",
    "accepted": "green",
    "duplicate": "dim",
}
"""A colour for each status, in the order of display: problems first."""

COLUMN = 15
"""Width of the labels."""


def number(value: float) -> str:
    """Return ``1,234``; below ten with one decimal if there is one."""
    return f"{value:,.1f}" if value < 10 and value != int(value) else f"{value:,.0f}"


def several(count: int, one: str, many: str = "") -> str:
    """Return ``1 row``, ``2 rows``."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Return ``7 ms``, ``0.4 s``, ``12 s``, ``2:10 min``, ``1:02:03 h``."""
    if seconds <= 0:
        return "0 s"
    if seconds < 0.0995:
        return f"{max(1, round(seconds * 1000))} ms"
    return f"{seconds:.1f} s" if seconds < 9.95 else roughly(seconds)


def roughly(seconds: float) -> str:
    """Return a duration in whole seconds, at least one."""
    whole = max(1, round(seconds))
    minutes, seconds = divmod(whole, 60)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} h" if hours else f"{minutes}:{seconds:02} min"


def clock(timestamp: str) -> str:
    """Return ``2026-02-28 10:15:00`` for an ISO 8601 timestamp of the journal, in UTC."""
    return timestamp[:19].replace("T", " ")


def shown(path: str | Path) -> str:
    """Return a path relative to the working directory if it is inside."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def command(*words: str | Path) -> str:
    """Return a command to copy."""
    return " ".join([program(), *(shlex.quote(str(word)) for word in words)])


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
