"""The commands, and the one place that turns an exception into a message and an exit code.

A command is a function in ``commands`` whose parameters are its options; shared ones are in ``options``. To add one,
write the module and name it in ``_COMMANDS``. A module with several commands has them in ``group``. At its top it
imports only the standard library, typer and modules of ``cli`` that do the same. Heavy imports (polars, pydantic,
httpx, rich) stay inside the function, so that ``--help`` stays quick. It ends with ``raise typer.Exit(code)`` where
the code is not 0, and raises a ``BulkSenderError`` for expected trouble, which is printed here without a traceback.

The requested output (a report, a listing, JSON) goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from bulk_sender._version import __version__
from bulk_sender.cli.console.signals import Terminated
from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.environment import program
from bulk_sender.cli.help import Command, Group, UsageError, is_bare_call, is_unknown_option
from bulk_sender.errors import BulkSenderError, InternalError
from bulk_sender.process_limits import refuse_little_memory

_COMMANDS = {
    "Send": {
        "init": "init",
        "check": "check",
        "preview": "preview",
        "doctor": "doctor",
        "test": "test",
        "send": "send",
        "resume": "resume",
        "join": "join",
        "retry": "resume",
        "broadcast": "broadcast",
    },
    "Inspect and decide": {
        "status": "inspect",
        "explain": "inspect",
        "find": "inspect",
        "reconcile": "reconcile",
        "resolve": "resolve",
        "export": "export",
        "report": "inspect",
        "runs": "runs",
        "journal": "journal",
        "web": "web",
    },
    "Rehearse": {"sandbox": "sandbox"},
}
"""Heading in the help → name of the command → its module in ``commands``."""


def assembled(wanted: str = "") -> typer.Typer:
    """Return the program: with one command if that is ``wanted``, else with all, of which each takes time to load."""
    app = typer.Typer(
        name="bulk-sender",
        cls=Group,
        help="Send large recipient files to Braze, with an account of every row.",
        epilog="The API key comes from BRAZE_API_KEY or BRAZE_API_KEY_FILE in the environment, never from an option.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_main)
    is_known = any(wanted in commands for commands in _COMMANDS.values())
    for panel, commands in _COMMANDS.items():
        for name, place in commands.items():
            if is_known and name != wanted:
                continue
            module = import_module(f"bulk_sender.cli.commands.{place}")
            if (group := getattr(module, "group", None)) is not None:
                app.add_typer(group, name=name, rich_help_panel=panel)
            else:
                app.command(name, cls=Command, rich_help_panel=panel)(getattr(module, name))
    return app


_KEY_WORDS = ("key", "token", "secret", "passw", "auth", "bearer", "credential")


def _show_version(wanted: bool) -> None:
    if wanted:
        terminal.data(f"bulk-sender {__version__}")
        raise typer.Exit


def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Send large recipient files to Braze, with an account of every row."""
    refuse_little_memory()


def run(arguments: Sequence[str]) -> int:
    """Run one command. Returns the exit code; raises nothing."""
    terminal.open_missing_streams()
    try:
        app = assembled(*arguments[:1])
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
    """Return the program's name for usage lines. A shell completes only the installed command."""
    return "bulk-sender" if any(word.endswith("-completion") for word in arguments) else program()


def _interrupted(code: int) -> int:
    terminal.fail("interrupted", "", code)
    return code


def _fail(error: Exception) -> int:
    if isinstance(error, UsageError):
        message, hint = _explain_usage(error)
        if message:
            terminal.fail(message, hint, 2)
        return 2
    shown = _expected(error) or InternalError.of(error)
    terminal.fail(str(shown), shown.hint, shown.exit_code)
    if os.environ.get("BULK_SENDER_DEBUG") == "1":
        terminal.debug("".join(traceback.format_exception(shown.__cause__ or error)))
    return shown.exit_code


def _expected(error: BaseException) -> BulkSenderError | None:
    """Return the expected error, unpacked if a task group has wrapped it; None for any other."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, BulkSenderError) else None


def _explain_usage(error: Exception) -> tuple[str, str]:
    """Return what is wrong with the command line, and a hint. Never quotes an option that may hold a key."""
    option = str(getattr(error, "option_name", None) or "")
    if is_unknown_option(error) and any(word in option.lower() for word in _KEY_WORDS):
        return (
            "there is no option for the API key: other users of this machine can read a command line",
            "set BRAZE_API_KEY, or BRAZE_API_KEY_FILE to the path of a file that only you can read (chmod 600); "
            "replace a key in Braze that was on a command line",
        )
    if is_bare_call(error):
        return "", ""  # typer has shown the help already
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else program()
    message = getattr(error, "format_message", lambda: str(error))().rstrip(".")
    return message[:1].lower() + message[1:], f"{command} --help shows its options"
