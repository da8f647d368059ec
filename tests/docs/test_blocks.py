"""Every shell block of the README, the tutorial and the how-tos runs as it is written, on a terminal.

Each page has a fresh working directory, and its blocks run there in their order; a yes is the answer to every question.
What a page takes for granted, and the few words that can't stand as they are, are in ``stages``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kit.command import Screen

from .blocks import OUTPUT, SHELLS, Block, blocks
from .stages import ROOT, STAGES, Stage

PAGES = [ROOT / "README.md", ROOT / "docs" / "tutorial.md", *sorted((ROOT / "docs" / "howto").glob("*.md"))]
FOUND = {str(page.relative_to(ROOT)): blocks(page, ROOT) for page in PAGES}
ELSEWHERE = {
    "&& .venv/bin/python -m pip install -q '.[sandbox,fast,web]'": "tests/users runs it, and keeps the environment",
    ".venv/bin/bulk-sender web": "tests/users runs it in that environment",
    "&& .venv/bin/python -m pip install -q -e . --group test": "runs this very suite; .ci/run does the same",
}
"""Blocks that this test leaves out, by what is in them, with the reason."""


def _is_elsewhere(block: Block) -> bool:
    return any(part in command for part in ELSEWHERE for command in block.commands)


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
    left_out = [block for found in FOUND.values() for block in found if _is_elsewhere(block)]
    assert len(left_out) == len(ELSEWHERE)


@pytest.mark.parametrize("page", STAGES)
def test_a_page_runs_as_it_is_written(page: str, tmp_path: Path) -> None:
    with STAGES[page](tmp_path) as stage:
        commands = [command for block in FOUND[page] for command in block.commands]
        assert all(any(words in command for command in commands) for words in (*stage.instead, *stage.codes))
        for block in FOUND[page]:
            if not _is_elsewhere(block):
                _runs(block, stage)


def _runs(block: Block, stage: Stage) -> None:
    commands = [_instead(command, stage) for command in block.commands]
    codes = stage.folder.parent / f"{block.line}.codes"
    script = "".join(f"{command}\necho $? >> {codes}\n" for command in commands)
    with Screen([stage.shell, "-c", script], stage.folder, stage.variables, width=160) as screen:
        screen.end(say="y")
    told = f"{block}\n{script}\n{screen.shown}"
    assert [int(code) for code in codes.read_text().split()] == _expected(block, stage), told
    for line in block.shown:
        assert line in screen.shown, told


def _instead(command: str, stage: Stage) -> str:
    for words, others in stage.instead.items():
        command = command.replace(words, others)
    return command


def _expected(block: Block, stage: Stage) -> list[int]:
    """0, or what the page or the stage says; a page's word is about the block's last command."""
    expected = [
        next((code for beginning, code in stage.codes.items() if command.startswith(beginning)), 0)
        for command in block.commands
    ]
    return [*expected[:-1], block.exit_code or expected[-1]]
