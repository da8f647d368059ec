"""HTML from Python: markup stays as it is written, and every other value becomes text."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from bulk_sender.text.clean import plain

NOTHING = Markup()


def html(template: str, *values: object) -> Markup:
    """Fill in a template, which is a literal, where it has ``{}``.

    A value that is not markup is escaped, and no sign of direction gets through.
    """
    shown = (plain(value) if type(value) is str else value for value in values)
    return Markup(template).format(*shown)  # noqa: S704 - only values come from outside


def joined(parts: Iterable[Markup], between: str = "") -> Markup:
    """Return the parts as one. ``between``: a literal."""
    return Markup(between).join(parts)  # noqa: S704
