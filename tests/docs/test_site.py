"""The documentation builds as a site: links and navigation hold, and the Python reference is complete."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bulk_sender

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NAVIGATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
PAGES = sorted(page.relative_to(DOCS) for page in DOCS.rglob("*.md"))

pytest.importorskip("zensical")
pytest.importorskip("mkdocstrings_handlers.python")


def build(place: Path, *, more: str = "") -> subprocess.CompletedProcess[str]:
    """Build a copy of the site below ``place``, with ``more`` text at the end of the tutorial."""
    shutil.copy(ROOT / "mkdocs.yml", place)
    shutil.copytree(DOCS, place / "docs")
    (place / "bulk_sender").symlink_to(ROOT / "bulk_sender")
    with (place / "docs" / "tutorial.md").open("a", encoding="utf-8") as tutorial:
        tutorial.write(more)
    return subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean"],
        cwd=place,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    built = build(place)
    assert built.returncode == 0, built.stdout + built.stderr
    return place / "site"


def test_the_site_builds_without_a_warning_and_fetches_nothing_from_elsewhere(site: Path) -> None:
    for page in PAGES:
        folder = page.parent if page.name == "index.md" else page.with_suffix("")
        html = (site / folder / "index.html").read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*?\ssrc=\"?([^\s\">]+)", html)
        loaded += re.findall(r"<link[^>]*?rel=\"?(?:stylesheet|icon|preload)\"?[^>]*?href=\"?([^\s\">]+)", html)
        assert loaded
        assert not [address for address in loaded if re.match(r"(https?:)?//", address)]


def test_the_site_can_be_searched_and_read_in_the_dark(site: Path) -> None:
    assert "tutorial" in (site / "search.json").read_text(encoding="utf-8")
    html = (site / "index.html").read_text(encoding="utf-8")
    assert "slate" in html
    assert "data-md-component=search" in html.replace('"', "")


@pytest.mark.parametrize(
    "more", ["[nowhere](nowhere.md)", "[no heading](reference/commands.md#nowhere)", "::: bulk_sender.nowhere"]
)
def test_the_strict_build_refuses_what_leads_nowhere(more: str, tmp_path: Path) -> None:
    assert build(tmp_path, more=f"\n{more}\n").returncode != 0


def test_every_page_is_in_the_navigation() -> None:
    assert sorted(re.findall(r": (\S+\.md)$", NAVIGATION, re.MULTILINE)) == sorted(map(str, PAGES))


def test_every_local_picture_and_file_that_a_page_names_exists() -> None:
    """The strict build looks at links between pages only."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"!\[[^\]]*\]\(([^)#\s]+)", text):
            assert (DOCS / page.parent / target).exists(), f"{page}: {target}"


def test_a_link_is_not_absolute() -> None:
    for page in PAGES:
        assert "](/" not in (DOCS / page).read_text(encoding="utf-8"), page


def test_a_blocking_function_is_shown_with_its_parameters_and_text(site: Path) -> None:
    html = (site / "reference" / "python" / "index.html").read_text(encoding="utf-8")
    words = re.sub(r"<[^>]+>", "", html)
    assert "blocking(" not in words
    assert re.search(r"\bsend\(\s*source:", words)
    assert words.count("Send an input, or resume") == 1


def test_every_public_name_is_on_the_reference_page_once(site: Path) -> None:
    page = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: bulk_sender\.(\w+)$", page, re.MULTILINE)) == sorted(bulk_sender.__all__)
    html = (site / "reference" / "python" / "index.html").read_text(encoding="utf-8")
    for name in bulk_sender.__all__:
        assert re.search(rf"id=\"?bulk_sender\.{name}[\"\s>]", html), name
