"""The page on the design names the rooms that there are."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

from bulk_sender import runs as run

PAGE = (Path(__file__).parents[2] / "docs" / "design.md").read_text(encoding="utf-8")


def test_the_rooms_of_a_run_are_listed_and_no_others() -> None:
    rows = re.findall(r"^\| (`\w+`(?: · `\w+`)*) \|", PAGE, re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"\w+", row)]
    assert sorted(listed) == sorted(room.name for room in pkgutil.iter_modules(run.__path__))
