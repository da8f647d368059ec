"""``--help`` as typer makes it, but for the type of a flag: that ``--yes`` takes a ``<bool>`` helps nobody."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

from bulk_sender.errors import require_posix


class Command(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        require_posix()
        return super().invoke(ctx)


class Group(TyperGroup):
    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))


def _plain(parameters: list[Any]) -> list[Any]:
    """``--help`` itself is among them only here."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters
