"""The reference pages know every command, option, key, default and exit code of the program."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from bulk_sender import errors
from bulk_sender.cli.app import assembled
from bulk_sender.config.model import AliasSource, Attachment, Config, FieldSource
from bulk_sender.planning.plan_file import PlanFile
from bulk_sender.reporting.summary import State, Summary

PAGES = Path(__file__).parents[2] / "docs" / "reference"
PUBLIC_ERRORS = [kind for kind in errors.BulkSenderError.__subclasses__() if kind.__module__ == errors.__name__]
PROGRAM: Any = typer.main.get_command(assembled())


def section(page: str, heading: str) -> str:
    """What stands under a heading, up to the next one."""
    text = (PAGES / page).read_text(encoding="utf-8")
    match = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, f"{page} has no section {heading!r}"
    return match[1]


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each table row by its first cell; a bar inside of code is no border."""
    table = (
        re.split(r"\s*\|\s*", re.sub(r'`"\|"`', '`"¦"`', line).strip("| "))
        for line in text.splitlines()
        if line.startswith("| `")
    )
    return {cells[0]: cells[1:] for cells in table}


def options(command: Any) -> set[str]:
    return {name for parameter in command.params if parameter.param_type_name == "option" for name in parameter.opts}


@pytest.mark.parametrize("name", sorted(PROGRAM.commands))
def test_a_command_and_its_options_are_listed_and_no_others(name: str) -> None:
    listed = " ".join(rows(section("commands.md", name)))
    assert set(re.findall(r"`(--?[\w-]+)`", listed)) == options(PROGRAM.commands[name])


def test_the_programs_own_options_are_named() -> None:
    page = (PAGES / "commands.md").read_text(encoding="utf-8")
    assert all(f"--{name.strip('-')}" in page for name in options(PROGRAM))


def table_of(annotation: Any) -> type[BaseModel] | None:
    candidates = (annotation, *get_args(annotation))
    return next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), None)


MODELS: dict[str, type[BaseModel]] = {"A field": FieldSource, "An alias": AliasSource, "An attachment": Attachment}
for _name, _field in Config.model_fields.items():
    _table = table_of(_field.annotation)
    assert _table is not None, f"{_name} is no table"
    MODELS[f"[{_name}]"] = _table


@pytest.mark.parametrize("heading", sorted(MODELS))
def test_a_tables_keys_and_defaults_are_listed_and_no_others(heading: str) -> None:
    listed = {name.strip("`"): cells for name, cells in rows(section("configuration.md", heading)).items()}
    fields = {field.alias or name: field for name, field in MODELS[heading].model_fields.items()}
    assert set(listed) == set(fields)
    for name, field in fields.items():
        if name == "identifier_order":  # filled in from the order of the others
            continue
        default: Any = field.get_default(call_default_factory=True)
        nothing = default in (None, PydanticUndefined)
        assert listed[name][0].strip("`").replace("¦", "|") == ("" if nothing else json.dumps(default)), name


def test_every_key_of_a_plan_file_is_listed_and_no_others() -> None:
    listed = (name.strip("`") for name in rows(section("files.md", "A plan file")))
    assert sorted(listed) == sorted(PlanFile.model_fields)


def ends() -> set[int]:
    """The exit code of every end that a run can have, and of whatever is refused before it."""
    settled = SimpleNamespace(state="finished", broadcast=None, rejected=0, failed=0, unknown=0, not_sent=0, signal=0)
    code = Summary.exit_code.fget
    assert code is not None
    variants: list[dict[str, object]] = [
        {},
        *({status: 1} for status in ("rejected", "failed", "unknown", "not_sent")),
        *(
            {"state": state, "signal": number}
            for state in get_args(State)
            for number in (signal.SIGINT, signal.SIGTERM)
        ),
    ]
    run = {int(code(SimpleNamespace(**(vars(settled) | variant)))) for variant in variants}
    return run | {kind.exit_code for kind in PUBLIC_ERRORS}


def test_every_exit_code_is_listed_and_no_others() -> None:
    names = (name.strip("`") for name in rows(section("exit-codes.md", "Exit codes")))
    assert {int(name) for name in names if name.isdigit()} == ends()


def test_every_error_is_listed_with_its_exit_code() -> None:
    listed = rows(section("exit-codes.md", "Exit codes"))
    for kind in PUBLIC_ERRORS:
        code = "130" if kind is errors.Interrupted else str(kind.exit_code)
        assert f"`{code}`" in listed[f"`{kind.__name__}`"][0]
