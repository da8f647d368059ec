from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.sandbox import run_in_thread
from tests.kit.target import KEY
from tests.kit.workplace import Workplace


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    with run_in_thread(keys=[KEY], ledger_file=tmp_path / "ledger") as braze:
        yield Workplace(tmp_path, braze)
