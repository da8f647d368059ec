"""The pictures of the pages exist, are small, load nothing from elsewhere, and can be made again by their command."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "docs" / "assets"
SCRIPT = ROOT / "docs" / "pictures.py"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DRAWN_BY_HAND = {"rooms.svg"}
MOST_BYTES = 300_000


def shown() -> set[Path]:
    """The pictures that pages show."""
    return {
        (page.parent / link).resolve()
        for page in PAGES
        for link in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    }


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_pages_show_every_picture_and_no_other(script: dict[str, Any]) -> None:
    assert {path.name for path in ASSETS.iterdir()} == {*script["PICTURES"], *script["PAGES"], *DRAWN_BY_HAND}
    assert shown() == set(ASSETS.iterdir())


@pytest.mark.parametrize("picture", sorted(ASSETS.iterdir()), ids=lambda path: path.name)
def test_a_picture_is_small_and_loads_nothing(picture: Path) -> None:
    assert picture.stat().st_size < MOST_BYTES
    if picture.suffix == ".svg":
        text = picture.read_text(encoding="utf-8")
        assert not re.search(r"@import|url\((?!#)|(?:href|src)=\"(?!#)", text)


def test_a_picture_of_a_terminal_is_made_from_a_real_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "send.svg", "--to", tmp_path], capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    text = re.sub(r"&#160;|\s+", " ", (tmp_path / "send.svg").read_text(encoding="utf-8"))
    for words in ("bulk-sender send sample_data/recipients.csv", "2,836 accepted", "150 unknown"):
        assert " ".join(words.split()) in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


def test_a_screen_shows_what_was_written_last(script: dict[str, Any]) -> None:
    raw = "one\r\n\x1b[1mtwo\x1b[0m\r\nthree\r\n\x1b[2A\r\x1b[Jfour\r\nfive"
    assert [line.plain for line in script["screen"](raw)] == ["one", "four", "five"]


def test_an_unknown_picture_is_refused(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPT, "nothing.svg", "--to", tmp_path], capture_output=True, text=True)
    assert done.returncode == 2
    assert "no such picture" in done.stderr


def test_a_screen_that_no_page_of_the_documentation_shows_needs_a_folder() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "web-settings.png"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "give a folder with --to: web-settings.png" in " ".join(done.stderr.split())
