from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bulk_sender.journal.place import SCHEMA_VARIABLE, VARIABLE, Place
from bulk_sender.journal.postgres.runs import PostgresRuns
from bulk_sender.journal.store import RunRef
from tests.crash.nursery import Nursery
from tests.kit.pg_proxy import Proxy
from tests.kit.postgres import Server


@pytest.fixture
def place(postgres: Server) -> Place:
    return postgres.place()


@pytest.fixture
def runs(place: Place) -> PostgresRuns:
    return PostgresRuns(place)


@pytest.fixture
def run(tmp_path: Path) -> RunRef:
    return RunRef.at(tmp_path / "runs" / "winter")


@pytest.fixture(scope="package")
def nursery() -> Iterator[Nursery]:
    with Nursery() as parent:
        yield parent


@pytest.fixture
def here(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The place of all journals of this process, and of those that a scene starts."""
    monkeypatch.setenv(VARIABLE, place.address)
    monkeypatch.setenv(SCHEMA_VARIABLE, place.schema)
    return place


@pytest.fixture
def proxy(postgres: Server) -> Iterator[Proxy]:
    with Proxy(postgres.port) as proxy:
        yield proxy


@pytest.fixture
def far(postgres: Server, proxy: Proxy, place: Place) -> PostgresRuns:
    """The same runs, behind the proxy."""
    return PostgresRuns(replace(place, address=postgres.address_of("postgres", proxy.port)))
