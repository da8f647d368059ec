from __future__ import annotations

import pytest

from tests.reporting.runs import Run, abused, rehearsed


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return rehearsed(tmp_path_factory.mktemp("calm"), 1000)


@pytest.fixture(scope="session")
def throttled(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Long enough for charts, with 429s and pauses: 80 requests at 60 in a window of 2 s, the first one cut short."""
    return rehearsed(tmp_path_factory.mktemp("throttled"), 4000, "throttled", "100/second")


@pytest.fixture(scope="session")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Some rows stay unknown."""
    return rehearsed(tmp_path_factory.mktemp("lost"), 4000, "lost-answers")


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return abused(tmp_path_factory.mktemp("abused"))


@pytest.fixture(scope="session", params=["calm", "throttled", "lost", "hostile"])
def any_run(request: pytest.FixtureRequest) -> Run:
    run: Run = request.getfixturevalue(request.param)
    return run
