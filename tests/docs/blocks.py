"""The fenced shell blocks of a page, and the commands in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SHELLS = ("", "sh", "bash", "console", "shell", "zsh")
"""What a shell block may be called. Ours are all ``sh``: no prompts to copy, and nothing of one shell alone."""
_BLOCK = re.compile(
    r"^(?P<before>[^\n]+(?:\n[^\n]+)*)\n\n```sh\n(?P<commands>.*?)^```\n(?:\n```text\n(?P<shown>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
OUTPUT = re.compile(r"^```python\n(?P<code>.*?)^```\n\n```text\n(?P<shown>.*?)^```$", re.MULTILINE | re.DOTALL)
"""Python, and what it prints."""


@dataclass(frozen=True)
class Block:
    """One ```sh block: where it stands, its commands, the exit code that its paragraph announces for the last one
    (else 0), and the lines that it is said to show."""

    page: str
    line: int
    commands: tuple[str, ...]
    exit_code: int
    shown: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path, root: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [_block(str(page.relative_to(root)), text, match) for match in _BLOCK.finditer(text)]


def _block(page: str, text: str, match: re.Match[str]) -> Block:
    joined = re.sub(r"\\\n\s*", "", match["commands"])
    announced = re.search(r"exit code (\d+)", match["before"], re.IGNORECASE)
    return Block(
        page,
        text.count("\n", 0, match.start("commands")),
        tuple(line for line in joined.splitlines() if line.strip() and not line.startswith("#")),
        int(announced[1]) if announced else 0,
        tuple(line.strip() for line in (match["shown"] or "").splitlines()),
    )
