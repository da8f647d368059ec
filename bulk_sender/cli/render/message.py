"""A rendered message as terminal text. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from bulk_sender.cli.render.layout import labelled, wrapped
from bulk_sender.text.clean import clean, plain, without_direction_marks
from bulk_sender.text.html import html_text, is_html

if TYPE_CHECKING:
    from bulk_sender.operations.preview import MessagePreview

_MOST_LEFT = 8


def preview(found: MessagePreview, width: int | None) -> list[Text]:
    """Return each message with its texts; HTML as the text that a reader sees."""
    title = f"Row {found.row}, {found.identifier}"
    if found.details is not None:
        title = f"{found.details.name}, as the recipient of row {found.row} ({found.identifier}) would get it"
    lines = [Text(line, "bold") for line in wrapped(title, width, indent="  ", first="")]
    for message in found.messages:
        head = " · ".join(filter(None, (message.channel, message.name, message.variation)))
        lines += [Text(), *(Text(line, "bold cyan") for line in wrapped(head, width, indent="  ", first=""))]
        for name, value in message.fields.items():
            lines += _text(clean(name), value, width)
    return lines


def _text(name: str, value: str, width: int | None) -> list[Text]:
    shown = plain(without_direction_marks(html_text(value) if is_html(value) else value)).expandtabs()
    first, *rest = shown.splitlines() or [""]
    if not rest and len(first) <= 200:
        return labelled(name, first, width)
    return [Text(f"  {name}", "dim"), *(Text(f"    {line}") for line in (first, *rest))]


def warnings(found: MessagePreview) -> list[str]:
    """Return why there is no message, what is left to Braze, and what does not fit."""
    lines = [f"the message is not shown: {found.why_not}"] if found.why_not else []
    if found.details is not None and not found.messages:
        lines.append("the message is not shown: the details have none")
    left = list(dict.fromkeys(clean(text, 80) for message in found.messages for text in message.left))
    if left:
        more = f" and {len(left) - _MOST_LEFT} more" if len(left) > _MOST_LEFT else ""
        lines.append(f"only Braze can fill {', '.join(left[:_MOST_LEFT])}{more}")
    lines += [f"{message.channel}: {fault}" for message in found.messages for fault in message.faults]
    return lines + (found.fit.sentences() if found.fit is not None else [])
