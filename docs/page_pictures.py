"""Pictures of the pages of ``bulk-sender web``, made by a real browser from a real page process and sample data.

``docs/pictures.py`` calls it. Needs ``chromium`` and the Python package ``playwright``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from bulk_sender.web.state import State
from bulk_sender.web.workers import Crew, Job

ROOT = Path(__file__).parents[1]
WIDTH, HEIGHT = 1100, 700
PHONE = 390
_TALLEST = 1500
"""A picture shows at most so much of a page."""
_PATIENCE_S = 120.0
CAMPAIGN = "3f5cbdf1-2c5d-4b0e-9a57-0b1d8f2b6c11"
MESSAGE = {
    "app": {
        "channel": "email",
        "name": "Newsletter",
        "subject": "{{api_trigger_properties.${first_name}}}, your points",
        "body": "You have {{api_trigger_properties.${loyalty_points}}} points.",
    }
}
CUSTOMERS, RECIPIENTS = "sample_data/customers.csv", "sample_data/recipients.csv"


@dataclass
class Stage:
    """A page process in a temporary folder, a tab, and what was prepared for the pictures so far."""

    folder: Path
    url: str
    crew: Crew
    tab: Page
    real: str = ""
    """The address of a page that may send: to a simulated Braze, served apart."""
    done: dict[str, str] = field(default_factory=dict)

    def go(self, path: str) -> None:
        self.tab.goto(path if path.startswith("http") else f"{self.url}{path}")

    def once(self, name: str, prepare: Callable[[Stage], str]) -> str:
        """Return what ``prepare`` returned the first time."""
        if name not in self.done:
            self.done[name] = prepare(self)
        return self.done[name]


# ----- what the pictures show


def draft(stage: Stage) -> str:
    """Return the address of a send whose file was uploaded."""
    stage.go("/new")
    stage.tab.locator("input[type=file]").set_input_files(stage.folder / CUSTOMERS)
    expect(stage.tab.locator("#sight pre")).to_be_visible()
    return stage.tab.url.removeprefix(stage.url)


def checked(stage: Stage) -> str:
    stage.go(stage.once("draft", draft))
    stage.tab.get_by_role("button", name="Check all rows").click()
    expect(stage.tab.locator("h1")).to_contain_text("could be sent")
    return stage.tab.url.removeprefix(stage.url)


def ready(stage: Stage) -> str:
    """Return the address of a send that is ready to be reviewed."""
    tab = stage.tab
    stage.go(f"{stage.real}/new")
    tab.locator("input[type=file]").set_input_files(stage.folder / CUSTOMERS)
    expect(tab.locator("#sight pre")).to_be_visible()
    tab.get_by_label("Workspace").select_option("Production")
    tab.get_by_label("ID of the campaign or Canvas").fill(CAMPAIGN)
    tab.get_by_role("button", name="Check all rows").click()
    expect(tab.locator("h1")).to_contain_text("could be sent")
    return tab.url.removesuffix("/check") + "/review"


def rehearsed(stage: Stage) -> str:
    """Return the address of a rehearsal that has finished, with rows that are wrong and rows that are unknown."""
    send(stage, RECIPIENTS, "winter-offer", "--weather", "lost-answers")
    send(stage, CUSTOMERS, "newsletter", "--config", "customers.toml")
    return "/runs/newsletter"


def sending(stage: Stage) -> str:
    begin(stage, "spring-offer", {"rate": "1/second"})
    until(lambda: (stage.crew.post("spring-offer").moment() or _NOTHING).accepted >= 200)
    return "/runs/spring-offer/live"


def held(stage: Stage) -> str:
    begin(stage, "loyalty-points", {"rate": "50/second"}, canary=100)
    until(lambda: (stage.crew.post("loyalty-points").moment() or _NOTHING).stage == "held")
    return "/runs/loyalty-points/live"


class _Nothing:
    accepted, stage = 0, ""


_NOTHING: Any = _Nothing()


def send(stage: Stage, file: str, run: str, *more: str) -> None:
    command = [sys.executable, "-m", "bulk_sender", "send", file, "--sandbox", "--yes", "--run-id", run, *more]
    _run(command, stage.folder)


def begin(stage: Stage, run: str, delivery: Mapping[str, Any], **more: Any) -> None:
    """Begin a rehearsal, as the page does."""
    config = {"delivery": {"share_rate": False, **delivery}}
    job = Job(
        run_id=run,
        kind="rehearse",
        by="you",
        files=(str(stage.folder / RECIPIENTS),),
        config=config,
        again=True,
        **more,
    )
    if not stage.crew.begin(job):
        raise SystemExit(f"{run} did not start")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("a picture took too long")
        time.sleep(0.1)


# ----- the pictures


def file(stage: Stage) -> None:
    """Which file?"""
    stage.go("/new")


def columns(stage: Stage) -> None:
    """What is each column, with the exact recipient."""
    stage.go(stage.once("draft", draft))


def check(stage: Stage) -> None:
    """What a check of all rows found."""
    stage.go(stage.once("checked", checked))


def rehearsal(stage: Stage) -> None:
    """What the day of a rehearsal is like."""
    stage.go(f"{stage.once('checked', checked).removesuffix('/check')}/rehearse")


def review(stage: Stage) -> None:
    """The last look before a real send, with the message of one person."""
    stage.go(stage.once("ready", ready))
    expect(stage.tab.locator("article.message")).to_be_visible()


def live(stage: Stage) -> None:
    """A run in progress."""
    stage.go(stage.once("sending", sending))
    expect(stage.tab.locator("h1")).to_contain_text("is being sent")


def first_rows(stage: Stage) -> None:
    """The question whether to send the rest."""
    stage.go(stage.once("held", held))
    expect(stage.tab.locator("h1")).to_contain_text("Send the other")


def result(stage: Stage) -> None:
    """A run that has finished."""
    stage.go(stage.once("rehearsed", rehearsed))


def fix(stage: Stage) -> None:
    """Rows that were wrong, with the cells to change."""
    stage.go(f"{stage.once('rehearsed', rehearsed)}/fix")


def decide(stage: Stage) -> None:
    """Rows in doubt, and what can be decided about them."""
    stage.once("rehearsed", rehearsed)
    stage.go("/runs/winter-offer/decide")


def row(stage: Stage) -> None:
    """Everything about one row."""
    stage.go(f"{stage.once('rehearsed', rehearsed)}/rows/1")


def runs(stage: Stage) -> None:
    """The list of runs."""
    stage.once("rehearsed", rehearsed)
    stage.once("held", held)
    stage.once("sending", sending)
    stage.go("/")


def settings(stage: Stage) -> None:
    stage.go("/settings")


def empty(stage: Stage) -> None:
    """The list before the first run."""
    if set(stage.done) & {"rehearsed", "held", "sending"}:
        raise SystemExit("web-empty.png shows a page without runs: ask for it first")
    stage.go("/")


PAGES: dict[str, Callable[[Stage], None]] = {
    "web-file.png": file,
    "web-columns.png": columns,
    "web-check.png": check,
    "web-rehearsal.png": rehearsal,
    "web-review.png": review,
    "web-result.png": result,
    "web-fix.png": fix,
    "web-decide.png": decide,
    "web-row.png": row,
    "web-live.png": live,
    "web-first-rows.png": first_rows,
    "web-runs.png": runs,
    "web-settings.png": settings,
    "web-empty.png": empty,
}


def take(names: list[str], to: Path, folder: Path, *, dark: bool = False, width: int = WIDTH) -> None:
    """Write the pictures with these names. ``folder``: a temporary one with ``sample_data`` in it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("chromium is not installed")
    with ExitStack() as stack:
        link, crew = stack.enter_context(_served(folder))
        real = stack.enter_context(_that_may_send(folder)) if "web-review.png" in names else ""
        player = stack.enter_context(sync_playwright())
        opened = player.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        tab = opened.new_page(
            viewport={"width": width, "height": HEIGHT},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
        )
        tab.set_default_timeout(1000 * _PATIENCE_S)
        expect.set_options(timeout=1000 * _PATIENCE_S)
        tab.goto(link)
        tab.wait_for_url("**/")
        if real:
            tab.goto(real)
            tab.wait_for_url("**/")
        stage = Stage(folder, link.partition("/login")[0], crew, tab, real.partition("/login")[0])
        for name in names:
            PAGES[name](stage)
            tall = min(_TALLEST, int(tab.locator("html").bounding_box()["height"]))  # type: ignore[index]
            clip = {"x": 0, "y": 0, "width": width, "height": max(tall, 320)}
            tab.screenshot(path=to / name, full_page=True, clip=clip)  # type: ignore[arg-type]
            print(to / name, flush=True)
        opened.close()


@contextmanager
def _that_may_send(folder: Path) -> Iterator[str]:
    """A second page, whose profile leads to a simulated Braze on loopback: its link."""
    (folder / "message.json").write_text(json.dumps(MESSAGE), encoding="utf-8")
    command = [sys.executable, "-m", "bulk_sender", "sandbox", "--port", "8798", "--message", "message.json"]
    braze = subprocess.Popen(  # noqa: S603 - the program itself
        command, cwd=folder, env=_environment(folder), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert braze.stdout is not None
    try:
        if not braze.stdout.readline():
            raise SystemExit("port 8798 is in use")
        (folder / "production.key").write_text("0" * 36, encoding="utf-8")
        (folder / "production.key").chmod(0o600)
        (folder / "web.toml").write_text(
            f'[profiles.Production]\nendpoint = "http://127.0.0.1:8798"\nkey_file = "{folder / "production.key"}"\n',
            encoding="utf-8",
        )
        with _served(folder, "--config", "web.toml") as (link, _crew):
            yield link
    finally:
        braze.terminate()
        braze.communicate()


@contextmanager
def _served(folder: Path, *more: str) -> Iterator[tuple[str, Crew]]:
    """``bulk-sender web``: its link, and the processes of its runs. All of them end with the block."""
    variables = _environment(folder)
    command = [
        sys.executable,
        "-m",
        "bulk_sender",
        "web",
        "--no-browser",
        "--port",
        "0",
        "--runs-dir",
        "bulk-sender-runs",
        *more,
    ]
    _run([sys.executable, "-m", "bulk_sender", "init", CUSTOMERS], folder)
    page = subprocess.Popen(  # noqa: S603 - the program itself
        command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert page.stdout is not None
    link = page.stdout.readline().strip()
    port = link.partition("/login")[0].rpartition(":")[2]
    state = State(folder / "state" / "bulk-sender" / f"web-{port}")
    crew = Crew(state.folder / "workers", folder / "bulk-sender-runs")
    try:
        yield link, crew
    finally:
        for run in ("spring-offer", "loyalty-points"):
            crew.post(run).ask("stop", by="you")
            until(lambda run=run: not crew.is_alive(run))  # type: ignore[misc]
        page.terminate()
        page.communicate()


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(  # noqa: S603 - the program itself
        command, cwd=folder, env=_environment(folder), capture_output=True, check=False
    )


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRAZE_", "BULK_SENDER_"))}
    return kept | {"XDG_STATE_HOME": str(folder / "state"), "LOGNAME": "you", "TZ": "UTC", "PYTHONPATH": str(ROOT)}
