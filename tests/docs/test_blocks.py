"""The tutorial's commands do what the tutorial says, in its order, beside a copy of the sample data."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Block:
    """One ```sh block, with the code its paragraph announces (else 0) and the lines it is said to show."""

    commands: str
    exit_code: int
    shown: tuple[str, ...]


def blocks(page: str) -> list[Block]:
    found = []
    pattern = r"^([^\n]+(?:\n[^\n]+)*)\n\n```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?"
    for match in re.finditer(pattern, page, re.MULTILINE | re.DOTALL):
        told = re.search(r"exit code (\d+)", match[1], re.IGNORECASE)
        shown = tuple(line.strip() for line in (match[3] or "").splitlines())
        found.append(Block(match[2], int(told[1]) if told else 0, shown))
    return found


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The caller's environment without Braze in it, and with a ``bulk-sender`` that is this source tree."""
    command = tmp_path / "bin" / "bulk-sender"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m bulk_sender "$@"\n')
    command.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BRAZE_")}
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "160"}


def test_every_block_of_the_tutorial_is_found() -> None:
    assert len(blocks(PAGE)) == PAGE.count("```sh\n") > 0
    assert sum(bool(block.shown) for block in blocks(PAGE)) == PAGE.count("```text\n") > 0


def test_the_tutorial_runs_as_it_is_written(tmp_path: Path, environment: dict[str, str]) -> None:
    place = tmp_path / "work"
    shutil.copytree(ROOT / "sample_data", place / "sample_data", ignore=shutil.ignore_patterns("__pycache__"))
    for block in blocks(PAGE):
        ended = subprocess.run(
            ["sh", "-e", "-c", block.commands],
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        output = ended.stdout + ended.stderr
        assert ended.returncode == block.exit_code, f"{block.commands}\n{output}"
        for line in block.shown:
            assert line in output, f"{block.commands}\n{output}"
