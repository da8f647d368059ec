"""Runs that the page begins: real processes, a real sandbox over loopback, kills, and clicks that come twice."""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

import bulk_sender as bs
from bulk_sender.sandbox import RunningSandbox
from bulk_sender.web import keys
from bulk_sender.web.drafts import Draft
from bulk_sender.web.live import live
from bulk_sender.web.profiles import Profile
from bulk_sender.web.roles import ALL, Person, Role
from bulk_sender.web.store import Entry
from bulk_sender.web.workers import Crew, Job, Moment
from tests.kit.command import Place, until
from tests.kit.jobs import braze, recipients
from tests.kit.target import CAMPAIGN, ENVIRONMENT, KEY
from tests.web.test_pages import refuse_anything_inline, refuse_barriers, tree
from tests.web.visitor import Visitor

SLOW = "8/second"
"""400 rows take a second."""


class Desk:
    """A page, the sandbox that its runs go to, and a person with all roles."""

    def __init__(self, folder: Path, server: RunningSandbox) -> None:
        self.folder, self.server, self.runs = folder, server, folder / "runs"
        self.key_file = folder / "key"
        self.key_file.write_text(KEY)
        self.key_file.chmod(0o600)
        self.visitor = Visitor(folder / "state", self.runs).signed_in()
        self.workers: list[int] = []

    @property
    def crew(self) -> Crew:
        return self.visitor.site.crew

    def job(self, run: str = "r", rows: int = 500, rate: str = SLOW, **more: Any) -> Job:
        config = {
            "braze": {"endpoint": self.server.url, "campaign_id": CAMPAIGN},
            "delivery": {"rate": rate, "share_rate": False},
        }
        file = recipients(self.folder, rows)
        given = {"kind": "send", "by": "Ada", "key_file": str(self.key_file)} | more
        return Job(run_id=run, files=(str(file),), config=config, **given)

    def moment(self, run: str = "r") -> Moment:
        return self.crew.post(run).moment() or Moment()

    def state(self, run: str = "r") -> str:
        return live(self.crew, self.runs, run).state

    def until(self, *states: str, run: str = "r") -> None:
        def is_there() -> bool:
            with suppress(bs.RunNotFoundError):
                return self.state(run) in states
            return False

        until(is_there, 100)

    def until_sending(self, run: str = "r", accepted: int = 50) -> None:
        until(lambda: self.moment(run).accepted >= accepted, 100)

    def pid(self, run: str = "r") -> int:
        return self.crew._started[run].pid

    def summary(self, run: str = "r") -> bs.Summary:
        return bs.status(run, runs_dir=self.runs)

    def stopped(self, run: str = "r", rows: int = 500) -> None:
        """A run that was stopped after its first request."""
        control = bs.Control()

        def stop(progress: bs.Progress) -> None:
            if progress.accepted:
                control.stop("enough")

        job = self.job(run, rows)
        watch = bs.Watch(control=control, on_progress=stop)
        given: dict[str, Any] = {"config": job.config, "run_id": run, "runs_dir": self.runs, "environment": ENVIRONMENT}
        assert bs.send(job.files[0], watch=watch, **given).state == "stopped"

    def as_person(self, *roles: Role) -> None:
        object.__setattr__(self.visitor.app, "identify", lambda headers: Person("Bob", frozenset(roles) or ALL))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with braze() as server:
        desk = Desk(tmp_path, server)
        monkeypatch.setenv("BRAZE_API_KEY_FILE", str(desk.key_file))
        yield desk
        desk.visitor.end()


def test_a_run_is_sent_by_a_process_that_reads_the_key_by_itself(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAZE_API_KEY", "not-a-key-of-anything")
    desk.crew.prepare()
    assert desk.crew.begin(desk.job(rate="1000/second"))
    assert desk.state() in ("preparing", "queued", "sending", "ended")
    desk.until("ended")
    summary = desk.summary()
    assert (summary.state, summary.accepted) == ("finished", 500)
    assert desk.server.ledger.accepted_recipients == 500
    [start] = bs.facts("r", runs_dir=desk.runs).starts
    assert start.command == "send"
    post = desk.crew.post("r")
    until(lambda: not post.address())
    assert stat.S_IMODE(post.log.stat().st_mode) == 0o600
    written = [path.read_bytes() for path in (desk.folder / "state").rglob("*") if path.is_file()]
    assert not any(KEY.encode() in text for text in written)
    assert desk.visitor.get("/runs/r/live").headers["location"] == "/runs/r"


def test_two_clicks_and_a_form_that_is_sent_again_make_one_run(desk: Desk) -> None:
    job = desk.job(rows=200)
    assert [desk.crew.begin(job) for _ in range(3)] == [True, False, False]
    desk.until_sending()
    assert not desk.crew.begin(job)
    desk.until("ended")
    assert not desk.crew.begin(job)
    assert len(bs.facts("r", runs_dir=desk.runs).starts) == 1
    assert desk.server.ledger.accepted_recipients == 200


def test_it_shows_the_run_and_stops_it_and_sends_the_rest_once(desk: Desk) -> None:
    desk.crew.begin(desk.job(rows=1000))
    desk.until_sending()
    path = desk.crew.post("r").address()
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    shown = tree(desk.visitor, "/runs/r/live")
    refuse_anything_inline(shown)
    refuse_barriers(shown)
    assert "r is being sent" in shown.text
    assert desk.moment().rows == 1000  # also those that are not read yet
    assert desk.visitor.get("/").text.count('href="/runs/r/live"') == 1

    for _ in range(2):
        assert desk.visitor.press("/runs/r/stop").headers["location"] == "/runs/r/live"
    desk.until("ended")
    summary = desk.summary()
    assert (summary.state, summary.reason) == (
        "stopped",
        f"{getpass.getuser()} stopped it on the page",
    )
    left = summary.not_sent
    shown = tree(desk.visitor, "/runs/r")
    assert f"Resume and send the {left} unsent rows" in shown.text or "Resume and send the rest" in shown.text

    desk.as_person()
    for _ in range(2):
        assert desk.visitor.press("/runs/r/resume", starts="1").headers["location"] == "/runs/r/live"
    desk.until("ended")
    assert desk.visitor.press("/runs/r/resume", starts="1").status_code == 303  # a form of before
    starts = bs.facts("r", runs_dir=desk.runs).starts
    assert [(start.command, start.by) for start in starts] == [("send", "Ada"), ("resume", "Bob")]
    assert "Bob (resumed)" in tree(desk.visitor, "/runs/r").text
    assert (desk.summary().state, desk.summary().accepted) == ("finished", 1000)
    assert desk.server.ledger.accepted_recipients == 1000


def test_a_run_is_paused_with_the_name_and_resumed(desk: Desk) -> None:
    desk.as_person()
    desk.crew.begin(desk.job(rows=1000))
    desk.until_sending()
    assert "Pause" in [button.words() for button in tree(desk.visitor, "/runs/r/live").all("button")]
    desk.visitor.press("/runs/r/stop", how="pause")
    desk.until("ended")
    assert (desk.summary().state, desk.summary().reason) == ("stopped", "paused by Bob")
    shown = tree(desk.visitor, "/runs/r")
    assert "Paused by Bob" in shown.text
    assert "Resume and send the" in shown.text


def test_who_prepared_a_large_run_does_not_answer_after_its_first_rows(desk: Desk) -> None:
    site = desk.visitor.site
    profile = Profile(endpoint=desk.server.url, key_file=str(desk.key_file), second_person_above=299)
    object.__setattr__(site, "profiles", {"p": profile})
    object.__setattr__(site, "team", True)
    draft = site.store.create(Draft("", "x.csv", 1, "Bob", run_id="r"), Entry("Bob", "chose a file"))
    desk.as_person()
    desk.crew.begin(desk.job(rows=300, canary=100, rate="1000/second"))
    desk.until("held")
    shown = tree(desk.visitor, "/runs/r/live")
    refuse_barriers(shown)
    assert "Another person has to answer" in shown.text
    assert [button.words() for button in shown.all("button")] == ["Stop here"]
    answer = desk.visitor.press("/runs/r/first-rows", answer="send", typed="200")
    assert answer.headers["location"] == "/runs/r/live?trouble=second"
    assert desk.server.ledger.accepted_recipients == 100
    site.store.change(draft.id, lambda found: replace(found, hands=("Eve",)), Entry("Eve", "took it over"))
    assert "Send the other 200" in desk.visitor.get("/runs/r/live").text
    desk.visitor.press("/runs/r/first-rows", answer="send", typed="200")
    desk.until("ended")
    assert desk.server.ledger.accepted_recipients == 300


@pytest.mark.parametrize(
    ("team", "recipients", "who", "needed"),
    [
        (True, 300, "Bob", True),
        (True, None, "Bob", True),
        (True, 299, "Bob", False),
        (True, 300, "Ann", False),
        (False, 300, "Bob", False),
    ],
)
def test_a_second_person_is_needed_above_the_threshold(
    tmp_path: Path, team: bool, recipients: int | None, who: str, needed: bool
) -> None:
    site = Visitor(tmp_path / "state", tmp_path / "runs").site
    profile = Profile(endpoint="https://rest.iad-01.braze.com", key_file="/key", second_person_above=299)
    object.__setattr__(site, "profiles", {"p": profile})
    object.__setattr__(site, "team", team)
    site.store.create(Draft("", "x.csv", 1, "Bob", run_id="r"), Entry("Bob", "chose a file"))
    run: Any = SimpleNamespace(run_id="r", endpoint="https://rest.iad-01.braze.com/", rehearsal=False)
    assert keys.needs_another(site, run, recipients, who) is needed


def test_a_worker_that_is_killed_leaves_a_run_that_can_be_resumed(desk: Desk) -> None:
    desk.crew.begin(desk.job(rows=600))
    desk.until_sending()
    os.kill(desk.pid(), signal.SIGKILL)
    desk.until("ended")
    assert Path(desk.crew.post("r").address()).exists()  # its socket is left, and says nothing
    shown = tree(desk.visitor, "/runs/r")
    assert "The process ended without closing the run" in shown.text
    before = desk.summary()
    assert before.state == "stopped"
    desk.visitor.press("/runs/r/resume", starts="1")
    desk.until("ended")
    after = desk.summary()
    assert after.state == "finished"
    assert after.accepted + after.unknown == 600
    assert after.unknown == before.unknown


def test_a_page_that_is_killed_finds_its_run_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(desk.folder / "home"))
    desk.stopped(rows=20_000)
    place = Place(desk.folder)
    place.variables = {"BRAZE_API_KEY_FILE": str(desk.key_file)}
    with served(place, "0", desk.runs) as (process, browser):
        assert browser.post("/runs/r/resume", data={"starts": "1"}, headers=form(browser)).status_code == 303
        until(lambda: "is being sent" in browser.get("/runs/r/live").text, 30)
        port = str(browser.base_url.port)
        process.kill()
        process.wait()
        assert desk.summary().state == "running"
    with served(place, port, desk.runs) as (_, browser):
        assert "is being sent" in browser.get("/runs/r/live").text
        browser.post("/runs/r/stop", headers=form(browser))
        until(lambda: desk.summary().state == "stopped", 30)
        assert desk.summary().unknown == 0
        assert [start.command for start in bs.facts("r", runs_dir=desk.runs).starts] == ["send", "resume"]


@contextmanager
def served(place: Place, port: str, runs: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """``bulk-sender web``, and a browser that is signed in."""
    process = place.start("web", "--no-browser", "--port", port, "--runs-dir", runs, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        with httpx.Client(base_url=link.partition("/login")[0], trust_env=False) as browser:
            assert browser.get(link).status_code == 200
            yield process, browser
    finally:
        process.kill()
        process.communicate()


def form(browser: httpx.Client) -> dict[str, str]:
    return {"Origin": str(browser.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}


def test_first_rows_wait_for_a_person_who_types_the_count(desk: Desk) -> None:
    desk.crew.begin(desk.job(rows=300, canary=100, rate="1000/second"))
    desk.until("held")
    shown = tree(desk.visitor, "/runs/r/live")
    refuse_anything_inline(shown)
    refuse_barriers(shown)
    assert "The first 100 rows were sent. Send the other 200?" in shown.text
    for typed in ("", "300", "2000", "many"):
        answer = desk.visitor.press("/runs/r/first-rows", answer="send", typed=typed)
        assert answer.headers["location"] == "/runs/r/live?trouble=typed"
    assert "what you typed does not fit" in desk.visitor.get("/runs/r/live?trouble=typed").text
    desk.as_person(Role.LOOK, Role.PREPARE)
    assert desk.visitor.press("/runs/r/first-rows", answer="send", typed="200").status_code == 403
    assert "A person who may approve has to answer" in desk.visitor.get("/runs/r/live").text
    assert desk.server.ledger.accepted_recipients == 100

    desk.as_person()
    for _ in range(2):
        desk.visitor.press("/runs/r/first-rows", answer="send", typed="2 00")
    desk.until("ended")
    assert (desk.summary().state, desk.server.ledger.accepted_recipients) == ("finished", 300)


@pytest.mark.parametrize("how", ["stop", "no"])
def test_a_held_run_can_be_stopped_and_asks_again(desk: Desk, how: str) -> None:
    desk.crew.begin(desk.job(rows=300, canary=100, rate="1000/second"))
    desk.until("held")
    if how == "stop":
        desk.visitor.press("/runs/r/stop")
    else:
        desk.visitor.press("/runs/r/first-rows", answer="stop")
    desk.until("ended")
    assert (desk.summary().state, desk.server.ledger.accepted_recipients) == ("stopped", 100)
    desk.visitor.press("/runs/r/resume", starts="1")
    desk.until("held")
    assert desk.server.ledger.accepted_recipients == 100
    assert desk.moment().to_send == 200  # its first process has counted them
    desk.visitor.press("/runs/r/first-rows", answer="send", typed="200")
    desk.until("ended")
    assert (desk.summary().state, desk.server.ledger.accepted_recipients) == ("finished", 300)


def test_a_refused_run_says_why_and_can_be_begun_again(desk: Desk) -> None:
    desk.key_file.chmod(0o644)
    desk.crew.begin(desk.job(rows=100, key_file=str(desk.folder / "nowhere")))
    desk.until("refused")
    shown = tree(desk.visitor, "/runs/r/live")
    refuse_anything_inline(shown)
    assert "r did not start" in shown.text
    assert "nowhere" in shown.text
    desk.key_file.chmod(0o600)
    assert desk.crew.begin(desk.job(rows=100))
    desk.until("ended")
    assert desk.summary().accepted == 100


def test_a_resume_that_is_refused_says_why(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BRAZE_API_KEY_FILE", raising=False)
    desk.stopped()
    desk.visitor.press("/runs/r/resume", starts="1")
    desk.until("ended")
    shown = desk.visitor.get("/runs/r").text
    assert "The run was not resumed" in shown
    assert "BRAZE_API_KEY" in shown


def test_a_rehearsal_needs_no_key_and_nobody_gets_anything(desk: Desk) -> None:
    desk.crew.begin(desk.job(rows=100, rate="1000/second", kind="rehearse", key_file=""))
    desk.until("ended")
    assert (desk.summary().accepted, desk.server.ledger.accepted_recipients) == (100, 0)
    assert bs.facts("r", runs_dir=desk.runs).sandbox == "calm"


def test_a_rehearsal_that_waits_for_an_answer_needs_attention(desk: Desk) -> None:
    desk.crew.begin(desk.job(rows=300, rate="1000/second", kind="rehearse", key_file="", canary=100))
    desk.until("held")
    root = tree(desk.visitor, "/")
    assert "Needs attention (1)" in root.text
    assert "Finished" not in root.text
    desk.visitor.press("/runs/r/first-rows", answer="stop")
    desk.until("ended")
    assert "Needs attention" not in tree(desk.visitor, "/").text  # nobody needs to resume a rehearsal


def test_a_run_too_many_waits_for_its_turn(desk: Desk) -> None:
    desk.crew._most_runs = 1
    desk.crew.begin(desk.job("first", rows=300, canary=100, rate="1000/second"))
    desk.until("held", run="first")  # it is not being sent, so that another may be
    desk.crew.begin(desk.job("second", rows=2000))
    desk.until_sending("second")
    desk.visitor.press("/runs/first/first-rows", answer="send", typed="200")
    desk.until("queued", run="first")
    assert "waits for its turn" in desk.visitor.get("/runs/first/live").text
    desk.crew.begin(desk.job("third", rows=100))
    desk.until("queued", run="third")
    desk.visitor.press("/runs/third/stop")
    desk.until("refused", run="third")
    desk.visitor.press("/runs/second/stop")
    desk.until("ended", run="first")
    assert desk.summary("first").state == "finished"


def test_a_command_is_acknowledged_before_the_connection_closes(desk: Desk) -> None:
    desk.crew.begin(desk.job(rows=1000))
    desk.until_sending()
    post = desk.crew.post("r")
    assert post.ask("answer", granted=True) == {"refused": "not_held"}
    assert post.ask("dance") == {"refused": "unknown"}
    for broken in (b"\n", b"[]\n", b"x" * 5000 + b"\n", b"{", b""):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(post.address())
            connection.sendall(broken)
    assert len(json.dumps(post.ask("moment"))) < 1024
    assert post.ask("stop", by="Ada") == {"done": "stop"}
    desk.until("ended")
    assert desk.summary().reason == "Ada stopped it on the page"


def test_a_stream_tells_moments_and_closes_at_the_end(desk: Desk) -> None:
    desk.crew.begin(desk.job(rows=300))
    desk.until("preparing", "sending")
    answer = desk.visitor.get("/api/v1/runs/r/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.text.endswith("event: end\ndata: {}\n\n")
    told = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith('data: {"s')]
    assert told[-1]["state"] == "ended"
    assert {"sending"} < {each["state"] for each in told}
    assert any("of 300 rows done" in each["said"] for each in told)


def test_a_spare_worker_ends_with_the_page(desk: Desk) -> None:
    desk.crew.prepare()
    spare = desk.crew._spare
    assert spare is not None
    assert spare.stdin is not None
    spare.stdin.close()
    assert spare.wait(60) == 0
