"""The commands, and the one place where whatever goes wrong becomes a message and an exit code.

A command is a function in a module of this folder whose parameters are its options (the ones that several commands
share are in ``options``). To add one: write the module, import it here and name it in ``_COMMANDS``. Such a module
imports at its top nothing but the standard library, typer and modules of this folder that keep to the same rule;
what is heavy (polars, pydantic, httpx, rich) it imports inside the function, so that ``--help`` stays quick. It ends
with ``raise typer.Exit(code)`` where the code isn't 0, and raises a ``BulkSenderError`` for expected trouble: that
is told here, never with a traceback.

What a command was asked to show (a report, a listing, JSON) goes to standard output; whatever else it has to say goes
to standard error.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from bulk_sender._version import __version__
from bulk_sender.cli.commands import (
    broadcast,
    check,
    export,
    init,
    inspect,
    reconcile,
    resolve,
    resume,
    sandbox,
    send,
)
from bulk_sender.cli.console.signals import Terminated, end_on_sigterm
from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.environment import program
from bulk_sender.cli.help import Command, Group
from bulk_sender.errors import BulkSenderError, InternalError

app = typer.Typer(
    name="bulk-sender",
    cls=Group,
    help="Send large recipient files to Braze, with an account of every row.",
    epilog="The API key comes from BRAZE_API_KEY or BRAZE_API_KEY_FILE in the environment, never from an option.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

_COMMANDS: dict[str, Sequence[tuple[str, Callable[..., None]]]] = {
    "Send": (
        ("init", init.init),
        ("check", check.check),
        ("send", send.send),
        ("resume", resume.resume),
        ("retry", resume.retry),
        ("broadcast", broadcast.broadcast),
    ),
    "Look and decide": (
        ("runs", inspect.runs),
        ("status", inspect.status),
        ("explain", inspect.explain),
        ("reconcile", reconcile.reconcile),
        ("resolve", resolve.resolve),
        ("export", export.export),
        ("report", inspect.report),
    ),
    "Rehearse": (("sandbox", sandbox.sandbox),),
}
for _panel, _group in _COMMANDS.items():
    for _name, _command in _group:
        app.command(_name, cls=Command, rich_help_panel=_panel)(_command)

# Typer's releases differ in where this class is at home; its child has been in one place in all of them.
_UsageError = typer.BadParameter.__bases__[0]
_KEY_WORDS = ("key", "token", "secret", "passw", "auth", "bearer", "credential")


def _show_version(wanted: bool) -> None:
    if wanted:
        terminal.data(f"bulk-sender {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Send large recipient files to Braze, with an account of every row."""


def run(arguments: Sequence[str]) -> int:
    """Run one command. Returns the exit code; raises nothing."""
    terminal.open_missing_streams()
    end_on_sigterm()
    try:
        return int(app(list(arguments), prog_name=_named(arguments), standalone_mode=False) or 0)
    except typer.Abort:
        return _interrupted(130)
    except Terminated:
        return _interrupted(143)
    except KeyboardInterrupt:
        return _interrupted(130)
    except Exception as error:
        return _fail(error)


def _named(arguments: Sequence[str]) -> str:
    """What usage lines call the program. A shell completes nothing but the command."""
    return "bulk-sender" if any(word.endswith("-completion") for word in arguments) else program()


def _interrupted(code: int) -> int:
    terminal.fail("interrupted", "", code)
    return code


def _fail(error: Exception) -> int:
    if isinstance(error, _UsageError):
        message, hint = _explain_usage(error)
        if message:
            terminal.fail(message, hint, 2)
        return 2
    told = _expected(error) or InternalError.of(error)
    terminal.fail(str(told), told.hint, told.exit_code)
    if os.environ.get("BULK_SENDER_DEBUG") == "1":
        terminal.debug("".join(traceback.format_exception(told.__cause__ or error)))
    return told.exit_code


def _expected(error: BaseException) -> BulkSenderError | None:
    """The expected trouble in ``error``, also inside the group that a task group makes of one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, BulkSenderError) else None


def _explain_usage(error: Exception) -> tuple[str, str]:
    """What is wrong with the command line, and the next step. Never quotes an option that may hold a key."""
    option = str(getattr(error, "option_name", None) or "")
    if type(error).__name__ == "NoSuchOption" and any(word in option.lower() for word in _KEY_WORDS):
        return (
            "there is no option for the API key: a command line can be read by other users of this machine",
            "set BRAZE_API_KEY, or BRAZE_API_KEY_FILE to the path of a file that only you can read (chmod 600); "
            "a key that has stood on a command line should be replaced in Braze",
        )
    if type(error).__name__ == "NoArgsIsHelpError":
        return "", ""  # typer has shown the help already
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else program()
    message = getattr(error, "format_message", lambda: str(error))().rstrip(".")
    return message[:1].lower() + message[1:], f"{command} --help shows what it takes"
