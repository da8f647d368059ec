"""Typer help without the meaningless ``<bool>`` after flags, and with paragraphs that fit the terminal.

The only module that relies on details of typer that are not documented. ``tests/cli/test_help.py`` pins them.
"""

from __future__ import annotations

import inspect
import signal
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from bulk_sender.cli.console.signals import Terminated, end_on_sigterm
from bulk_sender.errors import Interrupted, require_posix

UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""A wrong command line. Releases of typer keep this class in different places; its subclass has not moved."""


def is_unknown_option(error: Exception) -> bool:
    """Whether a command was given an option that it does not have."""
    return type(error).__name__ == "NoSuchOption"


def is_bare_call(error: Exception) -> bool:
    """Whether the program was called without a command, which typer answers with the help."""
    return type(error).__name__ == "NoArgsIsHelpError"


class Command(TyperCommand):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = unwrapped(self.help)

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_metavars(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        require_posix()
        return _interruptible(super().invoke, ctx)


class Group(TyperGroup):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = unwrapped(self.help)

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_metavars(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        return _interruptible(super().invoke, ctx)


def _interruptible(invoke: Callable[[Any], Any], ctx: Any) -> Any:
    """Run a command. Raise Interrupted for a signal, which typer would end silently, and always with 130."""
    end_on_sigterm()  # not earlier: there is nothing to clean up yet
    try:
        return invoke(ctx)
    except KeyboardInterrupt as error:
        number = signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT
        raise Interrupted.by(number, "interrupted") from None


def unwrapped(text: str | None) -> str | None:
    """Join the lines of each paragraph: the terminal wraps them at its own width."""
    if text is None:
        return None
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _without_metavars(parameters: list[Any]) -> list[Any]:
    """Drop the type of flags. Only here is ``--help`` itself among the parameters."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters
