from __future__ import annotations

from collections.abc import Iterator

import pytest

from bulk_sender.journal.place import SCHEMA_VARIABLE, VARIABLE
from tests.crash.nursery import Nursery


@pytest.fixture(scope="package")
def nursery() -> Iterator[Nursery]:
    with Nursery() as parent:
        yield parent


@pytest.fixture
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the journals of a test are: ``files`` in the runs' folders, or ``postgres``."""
    where: str = request.param
    if where == "postgres":
        place = request.getfixturevalue("postgres").place()
        monkeypatch.setenv(VARIABLE, place.address)
        monkeypatch.setenv(SCHEMA_VARIABLE, place.schema)
    return where
