"""Every shell block of the README, the tutorial and the how-tos runs as it is written, on a terminal.

Each page has a fresh working directory, and its blocks run there in their order; a yes is the answer to every question.
What a page takes for granted, and the few words that can't stand as they are, are in ``stages``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .blocks import OUTPUT, SHELLS, blocks
from .playing import ELSEWHERE, is_elsewhere, play
from .stages import ON_RAY, ROOT, STAGES

PAGES = [ROOT / "README.md", ROOT / "docs" / "tutorial.md", *sorted((ROOT / "docs" / "howto").glob("*.md"))]
FOUND = {str(page.relative_to(ROOT)): blocks(page, ROOT) for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_shell_block_of_a_page_is_found_and_has_a_stage(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = FOUND[str(page.relative_to(ROOT))]
    opened = re.findall(r"^ *```(\S*)[^\n]*\n.*?^ *```$", text, re.MULTILINE | re.DOTALL)
    assert len(found) == sum(language in SHELLS for language in opened)
    python = len(OUTPUT.findall(text))  # its output is compared by test_examples_in_pages
    assert sum(bool(block.shown) for block in found) == text.count("```text\n") - python
    assert bool(found) == (str(page.relative_to(ROOT)) in STAGES)


def test_each_block_that_is_left_out_exists() -> None:
    left_out = [block for found in FOUND.values() for block in found if is_elsewhere(block)]
    assert len(left_out) == len(ELSEWHERE)


@pytest.mark.parametrize("page", [page for page in STAGES if page != ON_RAY])
def test_a_page_runs_as_it_is_written(page: str, tmp_path: Path) -> None:
    play(page, tmp_path)
