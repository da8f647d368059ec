"""The samples read by other means than their generator's: the csv module and standard parsers."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_data"
README = (SAMPLES / "README.md").read_text(encoding="utf-8")
CONFIGURED = {
    "customers.csv": "campaign-external-ids.toml",
    "mails.csv": "campaign-emails.toml",
    "aliases.csv": "campaign-aliases.toml",
    "canvas.csv": "canvas.toml",
}
TEXT_FILES = ("recipients.csv", *CONFIGURED)
FILES = (*TEXT_FILES, "recipients.parquet")
EXPORTS = ("export-fr.csv", "export-de.csv", "export-fr.xlsx", "export-de.xlsx")
EMPTY = ("", "n/a")

Row = dict[str, str]
Invalid = list[tuple[int, str, str]]
"""Row from 1, column, reason."""


def _why_no_integer(cell: str) -> str | None:
    return None if re.fullmatch(r"-?\d+", cell) else "not an integer"


def _why_no_float(cell: str) -> str | None:
    try:
        value = float(cell)
    except ValueError:
        return "not a float"
    if math.isnan(value):
        return "NaN"
    return "infinite" if math.isinf(value) else None


def _why_no_boolean(cell: str) -> str | None:
    return None if cell in ("true", "false") else "not a boolean"


def _parsed_by(parse: Callable[[str], object], reason: str) -> Callable[[str], str | None]:
    def why(cell: str) -> str | None:
        try:
            parse(cell)
        except ValueError:
            return reason
        return None

    return why


WHY_NOT: dict[str, Callable[[str], str | None]] = {
    "integer": _why_no_integer,
    "float": _why_no_float,
    "boolean": _why_no_boolean,
    "date": _parsed_by(date.fromisoformat, "not a date"),
    "datetime": _parsed_by(datetime.fromisoformat, "not a datetime"),
    "json": _parsed_by(json.loads, "not JSON"),
}


def read(path: Path) -> list[Row]:
    delimiter = ";" if path.name == "customers.csv" else ","
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter, strict=True))


def types_in_names(rows: list[Row]) -> dict[str, str]:
    return {name: name.partition(":")[2] for name in rows[0]}


def invalid_rows(rows: list[Row], identifier: str, types: dict[str, str]) -> Invalid:
    found: Invalid = []
    for number, row in enumerate(rows, 1):
        if not row[identifier]:
            found.append((number, identifier, "no identifier"))
        for column, kind in types.items():
            why = WHY_NOT.get(kind)
            reason = why(row[column]) if why and row[column] not in EMPTY else None
            if reason:
                found.append((number, column, reason))
    return found


def repeated(identifiers: list[str]) -> list[tuple[int, int]]:
    """(row, the first row with its identifier), both from 1."""
    first: dict[str, int] = {}
    found = []
    for number, identifier in enumerate(identifiers, 1):
        if identifier and first.setdefault(identifier, number) != number:
            found.append((number, first[identifier]))
    return found


@dataclass(frozen=True)
class Mapped:
    """What a configuration in config/ says about its sample."""

    identifier: str
    types: dict[str, str]
    """Every column that it names, with its type ("" for a string)."""
    filter: str | None
    raw: dict[str, Any]


def configuration(name: str) -> Mapped:
    raw = tomllib.loads((ROOT / "config" / name).read_text(encoding="utf-8"))
    recipient = raw["recipient"]
    alias = recipient.get("user_alias", {}).get("alias_name")
    identifier = recipient.get("external_user_id") or recipient.get("email") or alias
    types = {identifier: ""}
    for table in ("trigger_properties", "context", "attributes"):
        for source in recipient.get(table, {}).values():
            source = {"column": source} if isinstance(source, str) else source
            if "column" in source:
                types[source["column"]] = source.get("type", "")
    return Mapped(identifier, types, raw.get("input", {}).get("filter"), raw)


def readme_table(first_heading: str) -> list[list[str]]:
    """The cells of every README table row whose table has the given columns, without backquotes."""
    rows = []
    inside = False
    for line in README.splitlines():
        if line.startswith(first_heading):
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("| ---"):
            rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return rows


def claimed_invalid(file: str) -> Invalid:
    table = readme_table("| file | row | column | why |")
    return [(int(row), column, why) for name, row, column, why, _ in table if name == file]


def claimed_repeats(file: str) -> list[tuple[int, int]]:
    return [(int(row), int(earlier)) for name, row, earlier in readme_table("| file | row | same") if name == file]


def run(*arguments: str, folder: Path = SAMPLES) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
