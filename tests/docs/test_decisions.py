"""Each decision is a record of the same form, numbered in order, listed in the index, and names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "decisions"
INDEX = (FOLDER / "index.md").read_text(encoding="utf-8")
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))
SECTIONS = ("Context", "Decision", "Consequences", "Measured")


def test_records_are_numbered_without_a_number_used_twice() -> None:
    numbers = [int(record.name[:4]) for record in RECORDS]
    assert numbers[0] == 1
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem[:4])
def test_a_record_has_its_sections_and_a_place_in_the_index(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert re.match(rf"# {record.name[:4]} \S", text)
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == list(SECTIONS)
    assert f"[{record.name[:4]}]({record.name})" in INDEX


def test_every_test_that_a_record_names_exists() -> None:
    existing = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    named = {name for record in RECORDS for name in re.findall(r"`(test_\w+)`", record.read_text(encoding="utf-8"))}
    assert named
    assert named - existing == set()
