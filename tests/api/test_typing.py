from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_a_strict_type_checker_accepts_the_calls_that_people_write_and_refuses_the_wrong_ones() -> None:
    """The cache is mypy's usual one, so that a check of the whole package before or after this is quick."""
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores"]
    done = subprocess.run(
        [*command, "tests/typing/api.py"], cwd=ROOT, capture_output=True, text=True, timeout=550, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
