from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bulk_sender.sandbox import RunningSandbox
from tests.kit.command import Here, Place
from tests.kit.sandbox import run_in_thread
from tests.kit.target import CAMPAIGN, KEY


@pytest.fixture
def braze() -> Iterator[RunningSandbox]:
    """A Braze that knows one key and one campaign."""
    with run_in_thread(keys=[KEY], campaigns=[CAMPAIGN]) as sandbox:
        yield sandbox


@pytest.fixture
def place(tmp_path: Path, braze: RunningSandbox) -> Place:
    """A working directory whose environment names the key and the endpoint."""
    return Place(tmp_path, braze.url)


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(capfd, monkeypatch)
