"""The page as people have it: ``bulk-sender web`` as a process, and a real Chromium with tabs, clicks and files.

Playwright drives the Chromium of the system. The page's policy forbids what Playwright evaluates, so expressions go
through the browser's own protocol (``value``).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect, sync_playwright

import bulk_sender as bs
from bulk_sender.sandbox import RunningSandbox
from bulk_sender.web.state import State
from bulk_sender.web.store import Store
from bulk_sender.web.workers import Crew, Job, Moment
from tests.kit import tools
from tests.kit.command import command_line, environment, until
from tests.kit.target import CAMPAIGN, KEY
from tests.web.test_pages_in_chromium import AXE, OPTIONS

CHROMIUM = tools.find_chromium()
ONLY_WITH_CHROMIUM = pytest.mark.skipif(CHROMIUM is None and not tools.required(), reason="Chromium is not installed")
PATIENCE_S = 60
WITHOUT_SCRIPT = "--blink-settings=scriptEnabled=false"
"""Playwright's own switch leaves out what a page has for browsers without script."""
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SLOW = "8/second"
"""400 rows take a second."""
expect.set_options(timeout=1000 * PATIENCE_S)


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """A browser, ended when the block ends."""
    assert CHROMIUM is not None, "Chromium is not installed"
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *flags])
        yield browser
        browser.close()


class Served:
    """``bulk-sender web`` as a process, which may be killed and started again on its port.

    ``more``: options of the command. ``braze``: where runs with real messages go to.
    """

    def __init__(self, folder: Path, *more: str, braze: RunningSandbox | None = None) -> None:
        self.folder, self.runs, self._more, self.braze = folder, folder / "runs", more, braze
        self._state = folder / "state"
        self._key_file = folder / "key"
        self._key_file.write_text(KEY)
        self._key_file.chmod(0o600)
        self.port, self.url, self.link = "0", "", ""
        self.session: StorageState | None = None
        self.start()
        self.crew = Crew(self.state.folder / "workers", self.runs)

    @property
    def state(self) -> State:
        return State(self._state / "bulk-sender" / f"web-{self.port}")

    @property
    def store(self) -> Store:
        return Store(self.state.folder)

    def start(self) -> None:
        variables = {"XDG_STATE_HOME": str(self._state), "BRAZE_API_KEY_FILE": str(self._key_file)}
        command = command_line("web", "--no-browser", "--port", self.port, "--runs-dir", self.runs, *self._more)
        with (self.folder / "page.log").open("a") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        self.link = self.process.stdout.readline().strip()
        assert self.link, (self.folder / "page.log").read_text()
        self.url = self.link.partition("/login")[0]
        self.port = self.url.rpartition(":")[2]

    def kill(self) -> None:
        """End the page without a warning, as the kernel does when memory is short."""
        self.process.kill()
        self.process.communicate()

    def end(self) -> None:
        self.kill()
        for process in (*self.crew._started.values(), self.crew._spare):
            if process is not None:
                if process.stdin is not None:
                    process.stdin.close()
                if process.poll() is None:
                    process.kill()
                process.wait()

    # --- runs, begun as the button does it

    def begin(self, run: str, rows: int = 500, rate: str = SLOW, **more: Any) -> None:
        assert self.braze is not None
        config = {
            "braze": {"endpoint": self.braze.url, "campaign_id": CAMPAIGN},
            "delivery": {"rate": rate, "share_rate": False},
        }
        given = {"kind": "send", "by": "Ada", "key_file": str(self._key_file)} | more
        assert self.crew.begin(Job(run_id=run, files=(str(self._file(run, rows)),), config=config, **given))

    def rehearse_with_lost_answers(self, run: str) -> bs.Summary:
        """Rehearse 60 requests. Some of them get no answer, though they were accepted."""
        file, lossy = self._file(run, 3000), bs.Sandbox(weather="lost-answers")
        with ThreadPoolExecutor(1) as thread:  # Playwright's event loop is in this one
            done = thread.submit(bs.send, file, run_id=run, runs_dir=self.runs, sandbox=lossy).result()
        assert done.unknown
        return done

    def _file(self, run: str, rows: int) -> Path:
        file = self.folder / f"{run}.csv"
        file.write_text("external_user_id\n" + "".join(f"{run}-{number:05}\n" for number in range(rows)))
        return file

    def moment(self, run: str) -> Moment:
        return self.crew.post(run).moment() or Moment()

    def until_sending(self, run: str, accepted: int = 50) -> None:
        until(lambda: self.moment(run).accepted >= accepted, PATIENCE_S)

    def until_ended(self, run: str) -> bs.Summary:
        until(lambda: not self.crew.is_alive(run), PATIENCE_S)
        return bs.status(run, runs_dir=self.runs)

    def starts(self, run: str) -> list[str]:
        return [start.command for start in bs.facts(run, runs_dir=self.runs).starts]


class Surfer:
    """Somebody's browser, signed in. Its tabs may log nothing and fetch nothing from elsewhere.

    ``options``: as Playwright's context takes them. ``expected``: what may be logged after all, such as a lost
    connection to a page that was killed.
    """

    def __init__(self, browser: Browser, served: Served, **options: Any) -> None:
        self.served = served
        if served.session is None:
            with_link = browser.new_context()
            tab = with_link.new_page()
            tab.goto(served.link)
            expect(tab).to_have_url(f"{served.url}/")
            served.session = with_link.storage_state()
            with_link.close()
        self.expected: list[str] = []
        self.logged: list[str] = []
        self.requested: list[str] = []
        self.context = browser.new_context(storage_state=served.session, **options)
        self.context.on("console", lambda told: self.logged.append(told.text))
        self.context.on("weberror", lambda told: self.logged.append(str(told.error)))
        self.context.on("request", lambda request: self.requested.append(request.url))

    def open(self, path: str = "/") -> Page:
        """Open a page in a new tab."""
        tab = self.context.new_page()
        tab.set_default_timeout(1000 * PATIENCE_S)
        tab.goto(f"{self.served.url}{path}")
        return tab

    def close(self) -> None:
        self.context.close()
        assert [text for text in self.logged if not any(part in text for part in self.expected)] == []
        from_elsewhere = [url for url in self.requested if not url.startswith((f"{self.served.url}/", "data:"))]
        assert from_elsewhere == []


def value(tab: Page, expression: str) -> Any:
    """Return the value of an expression or of its promise, which the browser runs beside the page's policy."""
    session = tab.context.new_cdp_session(tab)
    wanted = {"expression": expression, "returnByValue": True, "awaitPromise": True}
    answer: Mapping[str, Any] = session.send("Runtime.evaluate", wanted)
    session.detach()
    assert "exceptionDetails" not in answer, answer
    return answer["result"].get("value")


def barriers(tab: Page) -> list[tuple[str, str]]:
    """Return what axe-core finds in a page, in the light and in the dark: rule, and the first element.

    Without motion: a button that is still changing its color is hard to read for a tenth of a second.
    """
    if AXE is None and not tools.required():
        return []
    assert AXE is not None, "axe-core is not installed"
    value(tab, AXE.read_text(encoding="utf-8") + ";0")
    found = []
    for scheme in SCHEMES:
        tab.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        run = value(tab, f"axe.run(document, {json.dumps(OPTIONS)}).then(r => JSON.stringify(r.violations))")
        found += [(each["id"], each["nodes"][0]["html"]) for each in json.loads(run)]
    tab.emulate_media(color_scheme="null", reduced_motion="null")
    return found


def fill_in_wrong_rows(tab: Page) -> None:
    """Fix two of the three wrong rows of ``customers.csv``, and leave the third wrong."""
    tab.get_by_label("Row 32, Customer no").fill("000322")
    tab.get_by_label("Row 88, Order total").fill("12.50")
    tab.get_by_label("Row 141, Basket").fill("[")
    tab.get_by_role("button", name="Check and send 3 rows").click()
    expect(tab.get_by_role("alert")).to_contain_text("Some rows are still wrong")


def width(tab: Page) -> int:
    """Return how wide the page is. More than the window means scrolling sideways."""
    found: int = value(tab, "document.scrollingElement.scrollWidth")
    return found
