"""The page in a real browser: signing in, what it fetches and logs, barriers, the keyboard, and the gate."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from bulk_sender.web.app import make_app
from bulk_sender.web.server import link
from bulk_sender.web.session import Sessions
from bulk_sender.web.settings import allowed_hosts
from bulk_sender.web.site import Site
from bulk_sender.web.state import State
from tests.kit import tools
from tests.kit.command import until
from tests.kit.web import serving
from tests.reporting.browser import CHROMIUM, Page, chromium

pytestmark = pytest.mark.skipif(CHROMIUM is None and not tools.required(), reason="Chromium is not installed")
AXE = tools.find_axe()
OPTIONS = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}
SHOWN = [
    "/",
    "/runs/abused?status=failed",
    "/runs/abused/rows/30",
    "/settings",
    "/settings/audit",
]
FORMS = ["/runs/abused/fix", "/runs/abused/decide", "/people?who=customer-000003"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, runs_dir: Path) -> Iterator[Site]:
    """A page that is served on loopback."""
    server = uvicorn.Server(uvicorn.Config(_nothing, port=0, log_level="error", lifespan="off", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    state = State(tmp_path_factory.mktemp("state"))
    site = Site(runs_dir, state, Sessions(state, port), f"http://127.0.0.1:{port}")
    server.config.loaded_app = make_app(site, allowed_hosts(port))
    yield site
    server.should_exit = True
    thread.join()


async def _nothing(scope: object, receive: object, send: object) -> None:
    raise AssertionError("asked before it was ready")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def page(browser: Page, site: Site) -> Page:
    """A tab that is signed in, at the list of runs."""
    browser.open(link(site.url, site.state))
    browser.arrive("/")
    return browser


def test_a_link_leads_to_the_runs_and_signs_in_once(page: Page, site: Site) -> None:
    assert page.evaluate("document.querySelector('h1').textContent") == "Runs"
    assert page.evaluate("location.href") == f"{site.url}/"
    assert page.evaluate("document.cookie") == ""  # no script may read it


@pytest.mark.parametrize("path", [*SHOWN, *FORMS])
def test_a_page_loads_quietly_from_here_alone_and_fits_and_has_no_barrier(page: Page, site: Site, path: str) -> None:
    for width, scheme in ((1200, "light"), (390, "dark"), (320, "light")):
        page.open(f"{site.url}{path}", width=width, scheme=scheme)
        assert page.logged == []
        assert page.requested[0] == f"{site.url}{path}"
        assert all(url.startswith(f"{site.url}/") for url in page.requested)
        assert len(page.requested) <= 3
        assert page.evaluate("document.scrollingElement.scrollWidth") == width
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 27)")
        if width > 320:
            assert barriers(page) == []


def barriers(page: Page) -> list[tuple[str, str]]:
    """Return what axe-core finds: rule, and the first element."""
    if AXE is None and not tools.required():
        return []
    assert AXE is not None, "axe-core is not installed"
    page.evaluate(AXE.read_text(encoding="utf-8") + ";0")
    found = page.evaluate(f"axe.run(document, {json.dumps(OPTIONS)}).then(r => JSON.stringify(r.violations))")
    return [(each["id"], each["nodes"][0]["html"]) for each in json.loads(found)]


@pytest.mark.parametrize("path", ["/nowhere", "/runs/none", "/people?who=nobody", "/runs/calm?status=accepted&after=x"])
def test_a_page_that_says_what_is_wrong_has_no_barrier(page: Page, site: Site, path: str) -> None:
    for width, scheme in ((1200, "light"), (390, "dark")):
        page.open(f"{site.url}{path}", width=width, scheme=scheme)
        assert page.evaluate("document.scrollingElement.scrollWidth") == width
        assert barriers(page) == []


def test_the_page_for_strangers_has_no_barrier(page: Page, site: Site) -> None:
    page.follow("document.querySelector('a[href=\"/settings\"]').click()")
    page.follow("document.querySelector('form[action=\"/sign-out\"] button').click()")
    assert page.evaluate("document.querySelector('h1').textContent") == "Sign in first"
    assert barriers(page) == []


def test_what_can_be_pressed_is_large_enough_on_a_phone(page: Page, site: Site) -> None:
    wanted = "a:not(p a, li a, dd a, .skip), button, input, select, summary, .button, .six a"
    small = f"[...document.querySelectorAll('{wanted}')].filter(e => e.checkVisibility() && e.offsetHeight < 44)"
    for path in SHOWN:
        page.open(f"{site.url}{path}", width=390)
        assert page.evaluate(f"{small}.map(e => e.outerHTML)") == []


def test_the_keyboard_reaches_the_content_first(page: Page, site: Site) -> None:
    page.open(f"{site.url}/runs/abused")
    page.press("Tab", 9)
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.press("Enter", 13)
    page.press("Tab", 9)
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_search_finds_a_person_by_the_keyboard(page: Page, site: Site) -> None:
    page.open(f"{site.url}/runs/calm")
    page.evaluate("document.querySelector('input[type=search]').value = 'customer-000003'")
    page.follow("document.querySelector('form[role=search]').requestSubmit()")
    assert page.evaluate("[...document.querySelectorAll('.rows tbody th')].map(e => e.textContent)") == ["3"]


def test_a_script_that_got_in_anyway_is_stopped(page: Page, site: Site) -> None:
    page.open(f"{site.url}/runs/abused")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=color:red>in</p>')")
    assert page.evaluate("window.ran === undefined")
    assert page.evaluate("getComputedStyle(document.querySelector('body > p')).color") != "rgb(255, 0, 0)"
    assert any("Content Security Policy" in line for line in page.logged)


def test_the_report_is_shown_and_its_links_lead_to_the_files(page: Page, site: Site) -> None:
    page.open(f"{site.url}/runs/calm/report")
    assert page.logged == []
    assert page.evaluate("document.querySelector('h1').textContent") == "calm"
    assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") != "none"
    page.evaluate("document.querySelector('a[href=\"summary.json\"]').click()")
    until(lambda: page.evaluate("1") == 1 and f"{site.url}/runs/calm/files/summary" in page.requested)


def test_a_form_from_another_origin_is_refused_and_our_own_works(page: Page, site: Site, tmp_path: Path) -> None:
    trap = f'<!doctype html><form method="post" action="{site.url}/sign-out"><button>Win</button></form>'
    (tmp_path / "trap.html").write_text(trap)
    with serving(tmp_path) as elsewhere:
        page.open(f"{elsewhere}/trap.html")
        page.follow("document.querySelector('button').click()")
    assert "came from elsewhere" in page.evaluate("document.querySelector('h1').textContent")
    page.open(f"{site.url}/settings")
    assert page.evaluate("document.querySelector('h1').textContent") == "Settings"
    page.follow("document.querySelector('form[action=\"/sign-out\"] button').click()")
    assert page.evaluate("document.querySelector('h1').textContent") == "Sign in first"
