"""Settings for the whole suite: which tests are fast, and how Hypothesis works.

The fast tests run first, beside the one file that keeps a machine busy. ``python -m pytest -m fast`` runs nothing else.
``HYPOTHESIS_PROFILE=thorough`` tries fifty times as many examples. Hypothesis has no deadlines, for busy machines, and
prints what repeats a failure exactly.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.kit.postgres import Server

FAST = ("braze", "config", "guessing", "journal", "pace", "planning", "reading", "recipients", "text")
"""The folders whose tests start no run and no server of their own, but for a few short ones."""

BUSY = ("cluster", "test_engines.py")
"""It needs most of a machine, so it runs beside the fast tests, which have no time limits."""

FIRST = ("users", "test_first_line.py")
"""It runs first of the others: it makes the environment that every file in its folder would wait for."""

settings.register_profile(
    "house",
    deadline=None,
    print_blob=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("thorough", parent=settings.get_profile("house"), max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fast tests, and run them before all others but one."""
    tests = Path(__file__).parent

    def place(item: pytest.Item) -> tuple[bool, ...]:
        parts = item.path.relative_to(tests).parts
        return parts != BUSY, item.get_closest_marker("fast") is None, parts != FIRST

    for item in items:
        if item.path.relative_to(tests).parts[0] in FAST:
            item.add_marker(pytest.mark.fast)
    items.sort(key=place)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, started for the first test that wants it."""
    from tests.kit.postgres import running

    with running() as server:
        yield server
