"""``docs/inputs.md`` names every format, packing, store and type of the code, and only tests that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from bulk_sender.config.model import FieldType, InputConfig
from bulk_sender.reading.compression import SUFFIXES
from bulk_sender.reading.formats import FORMATS, READERS
from bulk_sender.reading.remote import STORES

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "inputs.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "::" in line]


def _named_in_a_row(word: str) -> bool:
    return any(f"`{word}`" in row for row in ROWS)


def _formats() -> set[str]:
    annotation: Any = InputConfig.model_fields["format"].annotation
    return {name for part in get_args(annotation) for name in get_args(part)} | set(READERS)


@pytest.mark.parametrize(
    "word",
    sorted(
        _formats()
        | {*FORMATS, *SUFFIXES, *SUFFIXES.values(), *get_args(FieldType), "-", "https://"}
        | {f"{store}://" for store in STORES}
    ),
)
def test_what_the_code_reads_has_a_row(word: str) -> None:
    assert _named_in_a_row(word)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(tests/[\w/]+\.py::test_\w+)`", PAGE))))
def test_a_test_that_the_page_names_exists(name: str) -> None:
    file, function = name.split("::")
    assert re.search(rf"^def {function}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_each_row_names_a_test() -> None:
    tables = re.findall(r"^\| [^\n]* test \|\n\| ---[^\n]*\n((?:\|[^\n]*\n)+)", PAGE, re.MULTILINE)
    assert len(tables) == 16
    for row in "".join(tables).splitlines():
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", row), row
