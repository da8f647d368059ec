"""Runs the shell blocks of a page as they are written, on a terminal; a yes is the answer to every question."""

from __future__ import annotations

from pathlib import Path

from tests.kit.command import Screen

from .blocks import Block, blocks
from .stages import ROOT, STAGES, Stage

ELSEWHERE = {
    "&& .venv/bin/python -m pip install -q '.[sandbox,fast,web]'": "tests/users runs it, and keeps the environment",
    ".venv/bin/bulk-sender web": "tests/users runs it in that environment",
    "&& .venv/bin/python -m pip install -q -e . --group test": "runs this very suite; .ci/run does the same",
}
"""Blocks that are left out here, by what is in them, with the reason."""


def is_elsewhere(block: Block) -> bool:
    return any(part in command for part in ELSEWHERE for command in block.commands)


def play(page: str, folder: Path) -> None:
    """Run a page in ``folder``. Raises AssertionError for a command that does not do what the page says."""
    found = blocks(ROOT / page, ROOT)
    with STAGES[page](folder) as stage:
        commands = [command for block in found for command in block.commands]
        assert all(any(words in command for command in commands) for words in (*stage.instead, *stage.codes))
        for block in found:
            if not is_elsewhere(block):
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
