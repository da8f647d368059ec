"""A place for one run, and pytest's assertions in the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulk_sender.journal.store import RunRef

pytest.register_assert_rewrite("tests.journal.contract")


@pytest.fixture
def run(tmp_path: Path) -> RunRef:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    return RunRef.at(folder)
