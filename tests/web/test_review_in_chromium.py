"""The review of a send in a real browser: quiet, without barriers, on a phone, and one run for a double click."""

from __future__ import annotations

import getpass
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import uvicorn

from bulk_sender.web import drafts
from bulk_sender.web.app import make_app
from bulk_sender.web.drafts import Step
from bulk_sender.web.roles import ALL
from bulk_sender.web.server import link
from bulk_sender.web.settings import allowed_hosts
from bulk_sender.web.store import Entry
from tests.kit import tools
from tests.kit.command import until
from tests.kit.jobs import braze
from tests.reporting.browser import CHROMIUM, Page, chromium
from tests.web.test_pages_in_chromium import AXE, OPTIONS, _nothing
from tests.web.test_review import MESSAGE, Office

pytestmark = pytest.mark.skipif(CHROMIUM is None and not tools.required(), reason="Chromium is not installed")


@dataclass(frozen=True)
class Served:
    """A page on loopback with a checked file ``id``, one that waits for an approval, and one of another person."""

    office: Office
    url: str
    id: str
    asked: str
    others: str

    @property
    def paths(self) -> list[str]:
        here = f"/new/{self.id}"
        return [here, f"{here}/check", f"{here}/review", f"/approvals/{self.asked}", f"/new/{self.others}/owner", "/"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("office")
    (folder / "message.json").write_text(json.dumps(MESSAGE))
    server = uvicorn.Server(uvicorn.Config(_nothing, port=0, log_level="error", lifespan="off", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    with braze(message=folder / "message.json") as sandbox:
        office = Office(folder, sandbox, team=True).at_once()
        office.be(getpass.getuser(), ALL)
        ids = [office.prepared(name=f"{name}.csv") for name in ("mine", "asked", "others")]
        office.review(ids[0])
        change = office.visitor.site.store.change
        change(ids[1], lambda found: drafts.asked(found, "Ann", 1.8e9), Entry("Ann", "asked for an approval"))
        change(ids[2], lambda found: drafts.taken_over(found, "Ben", 1.8e9), Entry("Ben", "took it over"))
        office.review(ids[1], where="/approvals/{}")
        server.config.loaded_app = make_app(office.visitor.site, allowed_hosts(port))
        yield Served(office, f"http://127.0.0.1:{port}", *ids)
        office.visitor.end()
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, served: Served) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        browser.open(link(served.url, served.office.visitor.state))
        browser.arrive("/")
        yield browser


def test_the_pages_are_quiet_and_fit_and_have_no_barriers(page: Page, served: Served) -> None:
    small = "[...document.querySelectorAll('button, input:not([type=hidden], [type=checkbox]), select, .button')]"
    for path in served.paths:
        for width, scheme in ((1200, "light"), (390, "dark")):
            page.open(f"{served.url}{path}", width=width, scheme=scheme)
            assert page.logged == []
            assert all(url.startswith(f"{served.url}/") for url in page.requested)
            assert page.evaluate("document.scrollingElement.scrollWidth") == width, path
            low = f"{small}.filter(e => e.checkVisibility() && e.offsetHeight < 44).map(e => e.outerHTML)"
            assert page.evaluate(low) == []
            if AXE is not None:
                page.evaluate(AXE.read_text(encoding="utf-8") + ";0")
                found = page.evaluate(
                    f"axe.run(document, {json.dumps(OPTIONS)}).then(r => JSON.stringify(r.violations))"
                )
                assert [(each["id"], each["nodes"][0]["html"]) for each in json.loads(found)] == [], path
            else:
                assert not tools.required(), "axe-core is not installed"


def test_a_double_click_makes_one_run_and_back_leads_to_it(page: Page, served: Served) -> None:
    office, here = served.office, f"{served.url}/new/{served.id}/review"
    run = office.draft(served.id).run_id
    page.open(here)
    page.evaluate("document.querySelector('input[name=typed]').value = '300'")
    button = "const button = document.querySelector('form[action$=\"/send\"] button')"
    page.follow(f"{button}; button.click(); button.click()")
    assert page.evaluate("location.pathname") == f"/runs/{run}/live"
    page.open(here)
    assert page.evaluate("location.pathname") == f"/runs/{run}/live"
    office.until_run(run, "held")
    assert office.server.ledger.accepted_recipients == 100
    assert office.draft(served.id).step is Step.LAUNCHED
