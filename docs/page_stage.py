"""Page processes, simulated Braze and tabs of a browser, from which pictures of ``bulk-sender web`` are made."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error, Page, expect

import bulk_sender as bs
from bulk_sender.sandbox import run_in_thread
from bulk_sender.web.state import State
from bulk_sender.web.workers import Crew, Job, Moment, Post

ROOT = Path(__file__).parents[1]
PATIENCE_S = 90.0
CAMPAIGN = "3f5cbdf1-2c5d-4b0e-9a57-0b1d8f2b6c11"
CUSTOMERS, RECIPIENTS = "sample_data/customers.csv", "sample_data/recipients.csv"
MESSAGE = {
    "app": {
        "channel": "email",
        "name": "Newsletter",
        "subject": "{{api_trigger_properties.${first_name}}}, your points",
        "body": "You have {{api_trigger_properties.${loyalty_points}}} points.",
    }
}
PEOPLE = {"ada@example.com": "marketing", "bea@example.com": "leads", "cyd@example.com": ""}
"""Of the team: who may prepare, who may approve, and who may only look."""
ADA, BEA, CYD = PEOPLE
_BRAZE_PORT = 8798
_PROFILE = """
[profiles.{name}]
endpoint = "http://127.0.0.1:{port}"
key_file = "{key}"
"""
_TEAM = """
canary = 50
second_person_above = 100
rate = "250/minute"
[files]
folders = ["{inbox}"]
[team]
hosts = ["127.0.0.1:{port}"]
believe = ["127.0.0.1/32"]
user_header = "X-Forwarded-Email"
groups_header = "X-Forwarded-Groups"
https = false
sign_out = "/oauth2/sign_out"
[team.roles]
look = ["everyone"]
prepare = ["marketing", "leads"]
approve = ["leads"]
personal = ["leads", "marketing"]
"""


@dataclass(frozen=True)
class Server:
    """A page process: its address, its runs, and their processes."""

    link: str
    runs: Path
    workers: Path
    crew: Crew

    @property
    def url(self) -> str:
        return self.link.partition("/login")[0]

    def moment(self, run: str) -> Moment:
        return self.crew.post(run).moment() or Moment()

    def begin(self, run: str, file: Path, delivery: Mapping[str, Any], **more: Any) -> str:
        """Begin a rehearsal, as the button does, and return the address of its page."""
        config = {"delivery": {"share_rate": False, **delivery}}
        given = {"kind": "rehearse", "by": "you", "again": True, **more}
        if not self.crew.begin(Job(run_id=run, files=(str(file),), config=config, **given)):
            raise SystemExit(f"{run} did not start")
        return f"/runs/{run}/live"

    def stop(self) -> None:
        """Stop all runs, and wait for them."""
        for lock in self.workers.glob("*/lock"):
            post = Post(lock.parent)
            if post.is_held():
                post.ask("stop", by="you")
            until(lambda post=post: not post.is_held())  # type: ignore[misc]


@dataclass
class Stage:
    """What the pictures need: begun when a picture asks for it, and ended with the stage."""

    folder: Path
    browser: Browser
    dark: bool
    width: int
    height: int
    ends: ExitStack
    _servers: dict[str, Server] = field(default_factory=dict)
    _tabs: dict[tuple[str, str], Page] = field(default_factory=dict)
    _done: dict[str, str] = field(default_factory=dict)

    def once(self, prepare: Callable[[Stage], str]) -> str:
        """Return what ``prepare`` returned the first time."""
        if prepare.__name__ not in self._done:
            self._done[prepare.__name__] = prepare(self)
        return self._done[prepare.__name__]

    def server(self, name: str = "own") -> Server:
        """Return a page process.

        ``own``: for one person, without a profile. ``real``: the same, with a profile that leads to a simulated Braze.
        ``team``: for the people of a team, with profile. ``locked``: the runs of ``own``, read-only.
        """
        if name not in self._servers:
            more = {"real": self._profile, "team": self._team, "locked": lambda: ("--read-only",)}.get(name, tuple)()
            runs = self.folder / ("own" if name == "locked" else name) / "bulk-sender-runs"
            self._servers[name] = self.ends.enter_context(_served(self.folder, runs, name, more))
        return self._servers[name]

    def tab(self, server: str = "own", person: str = "") -> Page:
        """Return a signed-in tab."""
        if (server, person) not in self._tabs:
            told = {"X-Forwarded-Email": person, "X-Forwarded-Groups": PEOPLE[person]} if person else {}
            tab = self.new_tab(told)
            tab.goto(self.server(server).link)
            tab.wait_for_url("**/")
            self._tabs[server, person] = tab
        return self._tabs[server, person]

    def new_tab(self, headers: Mapping[str, str] | None = None) -> Page:
        """Return a tab without a session."""
        tab = self.browser.new_context(
            viewport={"width": self.width, "height": self.height},
            color_scheme="dark" if self.dark else "light",
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
            extra_http_headers=dict(headers or {}),
        ).new_page()
        tab.set_default_timeout(1000 * PATIENCE_S)
        return tab

    def at(self, path: str, server: str = "own", person: str = "") -> Page:
        """Open a path in a signed-in tab."""
        tab = self.tab(server, person)
        with suppress(Error):  # the page before may have loaded itself again at this moment
            tab.goto(f"{self.server(server).url}{path}")
            return tab
        tab.goto(f"{self.server(server).url}{path}")
        return tab

    @cached_property
    def _key(self) -> Path:
        found = self.folder / "production.key"
        found.write_text("00000000-0000-4000-8000-000000000000", encoding="utf-8")
        found.chmod(0o600)
        return found

    @cached_property
    def _braze(self) -> int:
        return self.ends.enter_context(_braze(self.folder))

    def _profile(self) -> tuple[str, ...]:
        text = _PROFILE.format(name="Production", port=self._braze, key=self._key)
        (self.folder / "web.toml").write_text(text, encoding="utf-8")
        return "--config", "web.toml"

    def _team(self) -> tuple[str, ...]:
        (self.folder / "inbox").mkdir()
        (self.folder / "inbox" / "spring-newsletter.csv").write_bytes((self.folder / CUSTOMERS).read_bytes())
        port = _free_port()
        text = _PROFILE.format(name="Production", port=self._braze, key=self._key)
        text += _TEAM.format(inbox=self.folder / "inbox", port=port)
        text += _PROFILE.format(name="Trial", port=self._braze, key=self.folder / "no.key")
        (self.folder / "team.toml").write_text(text, encoding="utf-8")
        return "--config", "team.toml", "--port", str(port)


# ----- what people do in a tab


def upload(stage: Stage, file: Path, server: str = "own", person: str = "") -> Page:
    """Choose a file, and return the tab that asks what each column is."""
    tab = stage.at("/new", server, person)
    tab.locator("input[type=file]").set_input_files(file)
    expect(tab.locator("h1")).to_contain_text("What is each column")
    return tab


def check(tab: Page) -> str:
    """Check all rows, and return the address of the send."""
    tab.get_by_role("button", name="Check all rows").click()
    expect(tab.locator("h1")).to_contain_text("could be sent")
    return path_of(tab).removesuffix("/check")


def prepare(stage: Stage, server: str, person: str = "") -> str:
    """Prepare a send to real people, and return its address."""
    tab = upload(stage, stage.folder / CUSTOMERS, server, person)
    tab.get_by_label("Workspace").select_option("Production")
    tab.get_by_label("ID of the campaign or Canvas").fill(CAMPAIGN)
    return check(tab)


def reviewed(tab: Page) -> Page:
    """Wait until a review shows the message of a person."""
    expect(tab.locator("article.message")).to_be_visible()
    return tab


def press(tab: Page, name: str) -> Page:
    tab.get_by_role("button", name=name, exact=True).first.click()
    return tab


def path_of(tab: Page) -> str:
    return "/" + tab.url.split("/", 3)[3].partition("?")[0]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("a picture took too long")
        time.sleep(0.05)


# ----- what happened before


def send(stage: Stage, file: str, run: str, *more: str, **variables: str) -> None:
    """Rehearse a file from a terminal."""
    runs = stage.server().runs
    command = ["send", file, "--sandbox", "--yes", "--run-id", run, "--runs-dir", str(runs), *more]
    _command(stage.folder, *command, **variables)


def deliver(stage: Stage, rows: int, run: str, answers: str = "usual") -> None:
    """Send to so many people, to a simulated Braze that answers in its own way."""
    with ThreadPoolExecutor(1) as thread:  # this one has the event loop of the browser
        thread.submit(_deliver, people(stage.folder / f"{run}.csv", rows), run, stage.server().runs, answers).result()


def _deliver(source: Path, run: str, runs: Path, answers: str) -> None:
    with run_in_thread(answers=answers) as braze:
        config = {"braze": {"endpoint": braze.url, "campaign_id": CAMPAIGN}}
        bs.send(source, config=config, run_id=run, runs_dir=runs, environment={"BRAZE_API_KEY": "0" * 36})


def people(path: Path, rows: int, age: str = "40") -> Path:
    """Write a file of so many people."""
    text = "".join(f"customer-{number:06d},Name {number},{age}\n" for number in range(1, rows + 1))
    path.write_text(f"external_user_id,trigger_properties.name,trigger_properties.age:integer\n{text}", "utf-8")
    return path


def held(stage: Stage) -> str:
    """Return the address of a rehearsal that waits after its first rows."""
    server = stage.server()
    page = server.begin("loyalty-points", stage.folder / RECIPIENTS, {"rate": "50/second"}, canary=100)
    until(lambda: server.moment("loyalty-points").stage == "held")
    return page


def broadcast(stage: Stage, run: str) -> None:
    (stage.folder / "broadcast.toml").write_text(f'[braze]\ncampaign_id = "{CAMPAIGN}"\n', encoding="utf-8")
    more = ["--confirm", CAMPAIGN, "--sandbox", "--yes", "--run-id", run, "--runs-dir", str(stage.server().runs)]
    _command(stage.folder, "broadcast", "--config", "broadcast.toml", *more)


# ----- processes


@contextmanager
def _braze(folder: Path) -> Iterator[int]:
    """A simulated Braze as a process: its port."""
    (folder / "message.json").write_text(json.dumps(MESSAGE), encoding="utf-8")
    command = ["sandbox", "--port", str(_BRAZE_PORT), "--message", "message.json"]
    process = _process(folder, *command)
    try:
        if not process.stdout or not process.stdout.readline():
            raise SystemExit(f"port {_BRAZE_PORT} is in use")
        yield _BRAZE_PORT
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def _served(folder: Path, runs: Path, name: str, more: tuple[str, ...]) -> Iterator[Server]:
    """``bulk-sender web``. All of its runs end with the block."""
    if not (folder / "customers.toml").exists():
        _command(folder, "init", CUSTOMERS)
    runs.mkdir(parents=True, exist_ok=True)
    command = ["web", "--no-browser", "--runs-dir", str(runs), *more]
    page = _process(folder, *command, *(() if "--port" in more else ("--port", "0")))
    assert page.stdout is not None
    link = page.stdout.readline().strip()
    if not link:
        raise SystemExit(f"the page did not start: {name}")
    port = link.partition("/login")[0].rpartition(":")[2]
    workers = State(folder / "state" / "bulk-sender" / f"web-{port}").folder / "workers"
    server = Server(link, runs, workers, Crew(workers, runs))
    try:
        yield server
    finally:
        server.stop()
        page.terminate()
        page.communicate()


def _process(folder: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - the program itself
        [sys.executable, "-m", "bulk_sender", *command],
        cwd=folder,
        env=_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _command(folder: Path, *command: str, **variables: str) -> None:
    subprocess.run(  # noqa: S603 - the program itself
        [sys.executable, "-m", "bulk_sender", *command],
        cwd=folder,
        env=_environment(folder) | variables,
        capture_output=True,
        check=False,
    )


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRAZE_", "BULK_SENDER_"))}
    return kept | {"XDG_STATE_HOME": str(folder / "state"), "LOGNAME": "you", "TZ": "UTC", "PYTHONPATH": str(ROOT)}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
