from __future__ import annotations

from collections.abc import Iterator

import pytest

from bulk_sender.journal.place import SCHEMA_VARIABLE, VARIABLE, Place
from tests.crash.nursery import Nursery
from tests.kit.postgres import Server


@pytest.fixture
def place(postgres: Server) -> Place:
    return postgres.place()


@pytest.fixture
def here(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The place of all journals of this process and of those it starts."""
    monkeypatch.setenv(VARIABLE, place.address)
    monkeypatch.setenv(SCHEMA_VARIABLE, place.schema)
    return place


@pytest.fixture(scope="package")
def nursery() -> Iterator[Nursery]:
    with Nursery() as parent:
        yield parent
