from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kit.jobs import braze
from tests.kit.target import KEY
from tests.reporting.runs import abused, rehearsed, shouted
from tests.web.visitor import Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.web.surfing import Served, Surfer


@pytest.fixture(scope="session")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rehearsal ``calm`` with 4 rejected rows of 200, a run ``abused`` full of markup, and a broadcast ``shout``."""
    folder = tmp_path_factory.mktemp("runs")
    rehearsed(folder, 200)
    abused(folder)
    shouted(folder, "take")
    return folder


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One page process for all tests in Chromium: with a file on the server, and a profile that leads to a sandbox."""
    from tests.web.surfing import Served

    folder = tmp_path_factory.mktemp("page")
    (folder / "inbox").mkdir()
    (folder / "inbox" / "people.csv").write_text("id;name\n1;Ann\n2;Bo\n")
    (folder / "production.key").write_text(KEY)
    (folder / "production.key").chmod(0o600)
    with braze() as target:
        settings = folder / "web.toml"
        settings.write_text(
            f'[files]\nfolders = ["{folder / "inbox"}"]\n'
            f'[profiles.Production]\nendpoint = "{target.url}"\nkey_file = "{folder / "production.key"}"\n'
        )
        found = Served(folder, "--config", str(settings), braze=target)
        found.crew.prepare()
        yield found
        found.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium. For one module only: while Playwright is at work, no other event loop can run in this thread."""
    from tests.web.surfing import chromium

    with chromium() as found:
        yield found


@pytest.fixture
def surfer(browser: Browser, served: Served) -> Iterator[Surfer]:
    """Somebody's browser, signed in, who sees no error and fetches nothing from elsewhere."""
    from tests.web.surfing import Surfer

    found = Surfer(browser, served)
    yield found
    found.close()


@pytest.fixture
def stranger(tmp_path: Path, runs_dir: Path) -> Iterator[Visitor]:
    """A browser without a session."""
    stranger = Visitor(tmp_path / "state", runs_dir, has_api=True)
    yield stranger
    stranger.end()


@pytest.fixture
def visitor(stranger: Visitor) -> Visitor:
    return stranger.signed_in()


@pytest.fixture(scope="module")
def page_of_the_module(tmp_path_factory: pytest.TempPathFactory, runs_dir: Path) -> Iterator[Visitor]:
    page = Visitor(tmp_path_factory.mktemp("page") / "state", runs_dir, has_api=True)
    yield page
    page.end()


@pytest.fixture
def onlooker(page_of_the_module: Visitor) -> Visitor:
    """A person who changes nothing, at a page that the tests of a module share. A new page takes longer than a test."""
    page = page_of_the_module
    if not page.sessions.is_open(page.cookie):
        page.signed_in()
    return page


@pytest.fixture
def passer_by(page_of_the_module: Visitor) -> Visitor:
    """A browser without a session, at the same page."""
    page = copy(page_of_the_module)
    page.cookie = ""
    return page
