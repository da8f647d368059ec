"""What a person says about the columns of a file, and the configuration that follows from it.

Only the keys below reach a configuration, whatever a browser sends: never an address, a key, a proxy or a filter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import bulk_sender as bs
from bulk_sender.web import words

WHO = ("external_user_id", "email", "braze_id", "user_alias.alias_name")
SINGLE = (*WHO, "user_alias.alias_label", "send_to_existing_only")
NAMED = ("trigger_properties", "attributes")
USES = ("", *SINGLE, *NAMED)
TYPES = ("", "string", "integer", "float", "boolean", "date", "datetime", "json", "list")
DATES = ("date", "datetime")
READING = ("delimiter", "encoding", "header_row", "sheet", "decimal", "null_values", "timezone")
PRIORITIZATION = ["identified", "most_recently_updated"]
FIRST_ROWS = 200
"""Rows that the preview counts."""
MOST_ROWS = 10_000
"""Rows among which the first one that would be sent is searched."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What one column goes out as. ``name``: of a property or attribute; empty for the column's own name."""

    column: str
    use: str = ""
    name: str = ""
    type: str = ""
    format: str = ""

    @property
    def target(self) -> str:
        """The field that it fills."""
        return f"{self.use}.{self.name or self.column}" if self.use in NAMED else self.use

    def source(self) -> dict[str, str]:
        """Return the field's source for a configuration. Identifiers are always text."""
        if self.use in SINGLE and self.use != "send_to_existing_only":
            return {"column": self.column}
        form = self.format if self.type in DATES else ""
        return {"column": self.column} | {
            name: value for name, value in (("type", self.type), ("format", form)) if value
        }


@dataclass(frozen=True, slots=True)
class Choices:
    """The form of the screen. ``filter``: what the library suggests to leave out; a browser can only drop it."""

    columns: tuple[Choice, ...] = ()
    reading: Mapping[str, Any] = field(default_factory=dict)
    filter: str = ""
    uses_filter: bool = False
    label: str = ""
    """The label of all aliases, where no column has it."""
    base: Mapping[str, Any] = field(default_factory=dict)
    """What the configuration of an earlier run says and this form cannot. A browser cannot change it."""
    like: str = ""
    """The earlier run whose columns these are."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"columns": [asdict(each) for each in self.columns]}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Choices:
        return cls(**{**told, "columns": tuple(Choice(**each) for each in told["columns"])})

    def with_columns(self, names: tuple[str, ...]) -> Choices:
        """Return the choices for a file with these columns: what is not there any more is left out."""
        known = {each.column: each for each in self.columns}
        return replace(self, columns=tuple(known.get(name, Choice(name)) for name in names))

    def config(self) -> dict[str, Any]:
        """Return the configuration."""
        recipient: dict[str, Any] = {}
        for each in self.columns:
            if each.use in NAMED:
                recipient.setdefault(each.use, {})[each.name or each.column] = each.source()
            elif each.use.startswith("user_alias."):
                recipient.setdefault("user_alias", {})[each.use.partition(".")[2]] = each.source()
            elif each.use:
                recipient[each.use] = each.source()
        if "alias_name" in recipient.get("user_alias", {}) and self.label:
            recipient["user_alias"].setdefault("alias_label", {"value": self.label})
        if "email" in recipient and "prioritization" not in self.base.get("recipient", {}):
            recipient["prioritization"] = PRIORITIZATION
        reading = {name: value for name, value in self.reading.items() if name in READING and value not in ("", [])}
        if self.filter and self.uses_filter:
            reading["filter"] = self.filter
        return _merged(self.base, {"recipient": recipient, "input": reading})

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the choices themselves, before a file is read."""
        taken: dict[str, str] = {}
        for each in self.columns:
            if each.use and each.target in taken:
                yield words.two_columns(taken[each.target], each.column, each.use, each.name or each.column)
            elif each.use:
                taken[each.target] = each.column
        if not set(taken) & set(WHO):
            yield words.NOBODY_CHOSEN
        has_label = "user_alias.alias_label" in taken or bool(self.label)
        if ("user_alias.alias_name" in taken) != ("user_alias.alias_label" in taken) and not (
            "user_alias.alias_name" in taken and has_label
        ):
            yield words.ALIAS_IN_TWO_PARTS


def _merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return both tables as one; where both say something, ``more`` counts."""
    found = dict(base)
    for name, value in more.items():
        both = isinstance(value, dict) and isinstance(found.get(name), dict)
        found[name] = _merged(found[name], value) if both else value
    return found


def chosen(fields: Mapping[str, str], before: Choices) -> Choices:
    """Return the choices that a form has. What it may not say is ignored."""
    columns = []
    for number in range(len(before.columns)):
        told = {name: fields.get(f"{name}-{number}", "") for name in ("column", "use", "name", "type", "format")}
        is_known = told["use"] in USES and told["type"] in TYPES
        columns.append(
            Choice(**{name: value.strip() if name != "column" else value for name, value in told.items()})
            if is_known
            else Choice(told["column"])
        )
    known = {each.column for each in before.columns}
    return replace(
        before,
        columns=tuple(each for each in columns if each.column in known),
        uses_filter="uses_filter" in fields,
        label=fields.get("label", "").strip(),
    )


def reading_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return how to read the file, as a form says it; what is empty is detected."""
    found: dict[str, Any] = {name: fields.get(name, "").strip() for name in READING if name != "delimiter"}
    found["delimiter"] = {"tab": "\t"}.get(fields.get("delimiter", ""), fields.get("delimiter", ""))
    row = found.pop("header_row")
    found["header_row"] = int(row) if row.isascii() and row.isdecimal() and len(row) <= 5 else ""
    found["null_values"] = [text.strip() for text in found["null_values"].split("|") if text.strip()]
    return {name: value for name, value in found.items() if value not in ("", [])}


def suggested(path: Path, reading: Mapping[str, Any]) -> Choices:
    """Return what the library suggests for a file. Raises BulkSenderError when it cannot be read."""
    try:
        config = bs.suggest(path, {"input": dict(reading)})
    except bs.ConfigError:  # no column looks like an identifier, which a person may know better
        found = bs.columns(path, {"input": dict(reading)})
        return Choices(tuple(Choice(column.name) for column in found.columns), dict(reading))
    found = bs.columns(path, config)
    given = config.input.model_dump(mode="json", exclude_unset=True)
    return Choices(
        tuple(_of(column) for column in found.columns),
        dict(reading) | {name: value for name, value in given.items() if name in READING},
        filter=given.get("filter") or "",
        uses_filter=bool(given.get("filter")),
        label=_label(config),
    )


def _of(column: bs.Column) -> Choice:
    for use in column.uses:
        group, _, name = use.field.partition(".")
        if use.field in SINGLE:
            return Choice(column.name, use.field, type=use.type if use.field == "send_to_existing_only" else "")
        if group in NAMED:
            return Choice(column.name, group, name, use.type, use.format or "")
    return Choice(column.name)


def _label(config: bs.Config) -> str:
    alias = config.recipient.user_alias
    value = getattr(alias.alias_label, "value", None) if alias is not None else None
    return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Sight:
    """What Braze would get for a row, and how many of the first rows could be sent."""

    row: int | None = None
    recipient: str = ""
    problem: str = ""
    report: bs.CheckReport | None = None


def sight(path: Path, choices: Choices, row: int | None, runs_dir: Path | None = None) -> Sight:
    """Return the exact recipient of a row; of the first that could be sent, if none is named.

    ``runs_dir``: where the run is that rejected these rows, if they are fixed ones.
    """
    if problem := next(choices.problems(), ""):
        return Sight(row, problem=problem)
    config = choices.config()
    try:
        report = bs.check(path, config, limit=FIRST_ROWS, runs_dir=runs_dir)
    except bs.BulkSenderError as error:
        return Sight(row, problem=_told(error))
    try:
        found = bs.preview(path, config, row=row, limit=MOST_ROWS, environment={})
    except bs.BulkSenderError as error:
        return Sight(row, problem=str(error), report=report)
    return Sight(found.row, json.dumps(found.recipient, ensure_ascii=False, indent=2), report=report)


def described(path: Path, choices: Choices) -> tuple[bs.Columns, list[str]]:
    """Return the columns with their samples, and what is wrong with the choices. Raises BulkSenderError."""
    problems = list(choices.problems())
    if not problems:
        try:
            found = bs.columns(path, choices.config())
            return found, list(found.problems)
        except bs.BulkSenderError as error:
            problems = [_told(error)]
    return bs.columns(path, {"input": choices.config()["input"]}), problems


def _told(error: bs.BulkSenderError) -> str:
    return f"{error}: {error.hint}" if error.hint else str(error)
