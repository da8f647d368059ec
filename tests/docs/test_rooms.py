"""docs/design.md lists the rooms and modules of the package, and the pages name only modules that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "bulk_sender"
PAGE = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
PICTURE = (ROOT / "docs" / "assets" / "rooms.svg").read_text(encoding="utf-8")
PAGES = [ROOT / "docs" / "design.md", *sorted((ROOT / "docs" / "decisions").glob("*.md"))]

ROOMS = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("**/*.py"))}
MODULES = {path.stem for path in PACKAGE.glob("*.py")}


def listed(heading: str) -> list[str]:
    """The names in the first column of the table whose first heading is ``heading``."""
    table = re.search(rf"^\| {heading} \|[^\n]*\n\|[- |]+\n((?:\|[^\n]*\n)+)", PAGE, re.MULTILINE)
    assert table, f"no table of {heading}s"
    return re.findall(r"^\| `(\w+)` \|", table[1], re.MULTILINE)


def test_every_room_is_in_the_table_and_no_other() -> None:
    assert sorted(listed("room")) == sorted(ROOMS)


def test_every_top_module_is_in_the_table_and_no_other() -> None:
    assert sorted(listed("module")) == sorted(MODULES)


def test_the_picture_shows_every_room() -> None:
    shown = {word for text in re.findall(r"<text[^>]*>([^<]+)<", PICTURE) for word in re.findall(r"\w+", text)}
    assert set(listed("room")) - shown == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    rooms = "|".join(listed("room"))
    named = re.findall(rf"`((?:{rooms})/[\w/]+\.py)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (PACKAGE / name).is_file()] == []
