"""The details of typer that the help relies on, and text that fits any terminal."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bulk_sender.cli.app import assembled
from bulk_sender.cli.help import UsageError, is_bare_call, is_unknown_option, unwrapped

APP = assembled()
PROGRAM: Any = typer.main.get_command(APP)


def trouble(*arguments: str) -> Exception:
    with pytest.raises(Exception) as raised:
        APP(list(arguments), standalone_mode=False)
    return raised.value


def test_a_wrong_command_line_is_a_usage_error_with_a_message_and_a_command() -> None:
    for arguments in (("nonsense",), ("send",), ("send", "a", "--nonsense"), ("send", "a", "--limit", "x"), ()):
        error: Any = trouble(*arguments)
        assert isinstance(error, UsageError), arguments
        assert isinstance(error.format_message(), str)
        assert error.ctx.command_path


def test_an_unknown_option_and_a_bare_call_are_distinguished() -> None:
    unknown: Any = trouble("send", "a", "--nonsense")
    assert is_unknown_option(unknown)
    assert unknown.option_name == "--nonsense"
    bare = trouble()
    assert is_bare_call(bare)
    for error in (trouble("nonsense"), trouble("send"), trouble("send", "a", "--limit", "x")):
        assert not is_unknown_option(error)
        assert not is_bare_call(error)
    assert not is_bare_call(unknown)


def test_a_usage_error_is_not_an_error_of_the_program() -> None:
    assert not issubclass(UsageError, (OSError, KeyboardInterrupt, typer.Exit, typer.Abort))
    assert issubclass(typer.BadParameter, UsageError)
    assert UsageError is not Exception


@pytest.mark.parametrize("name", sorted(PROGRAM.commands))
def test_flags_have_no_type_in_the_help(name: str) -> None:
    shown = CliRunner().invoke(APP, [name, "--help"], env={"COLUMNS": "100", "TERM": "dumb"})
    assert shown.exit_code == 0
    assert "<bool>" not in shown.output and "BOOLEAN" not in shown.output


@pytest.mark.parametrize("name", sorted(PROGRAM.commands))
def test_a_paragraph_of_the_help_has_no_line_breaks_of_its_source(name: str) -> None:
    text = PROGRAM.commands[name].help
    assert all("\n" not in paragraph for paragraph in text.split("\n\n"))
    written = inspect.cleandoc(PROGRAM.commands[name].callback.__doc__)
    assert text.split() == written.split()


def test_paragraphs_stay_apart() -> None:
    assert unwrapped("One\ntwo.\n\n    Three\n    four.\n") == "One two.\n\nThree four."
    assert unwrapped(None) is None
