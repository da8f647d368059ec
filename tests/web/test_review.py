"""From a checked file to a real send: review, approval by a second person, and one run for any number of clicks."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import bulk_sender as bs
from bulk_sender.sandbox import RunningSandbox
from bulk_sender.web import drafts
from bulk_sender.web.desk import Desk
from bulk_sender.web.drafts import Draft, Step
from bulk_sender.web.live import live
from bulk_sender.web.profiles import Profile
from bulk_sender.web.roles import ALL, Person, Role
from bulk_sender.web.store import Entry
from bulk_sender.web.worker import Slots, Worker
from bulk_sender.web.workers import ERRANDS, Job, Moment
from tests.kit.command import until
from tests.kit.jobs import braze
from tests.kit.target import CAMPAIGN, KEY
from tests.reporting.markup import Element, read
from tests.web.test_new_send import form
from tests.web.test_pages import refuse_anything_inline, refuse_barriers, texts
from tests.web.visitor import Visitor

ROWS = ["id;First name"] + [f"{number:06d};Ann{number}" for number in range(1, 301)]
DATA = "\n".join(ROWS).encode()
MESSAGE = {"a": {"channel": "email", "subject": "Hello {{api_trigger_properties.${first_name}}}", "body": "x"}}
PREPARE = frozenset({Role.LOOK, Role.PREPARE, Role.PERSONAL})
APPROVE = frozenset({Role.LOOK, Role.APPROVE, Role.PERSONAL})


class Office:
    """A page with a profile that leads to a sandbox, and the people who use it."""

    def __init__(self, folder: Path, server: RunningSandbox, *, team: bool = False, **more: Any) -> None:
        self.folder, self.server, self.runs = folder, server, folder / "runs"
        self.key_file = folder / "key"
        self.key_file.write_text(KEY)
        self.key_file.chmod(0o600)
        self.profiles = {"Production": self.profile(**more)}
        self.visitor = Visitor(folder / "state", self.runs, team=team, profiles=self.profiles).signed_in()
        self.be("Ann", PREPARE if team else ALL)

    def at_once(self) -> Office:
        """Do errands in this process from now on: no test needs a second one for each."""
        crew = self.visitor.site.crew
        begin = crew.begin

        def begun(job: Job) -> bool:
            if job.kind not in ERRANDS:
                return begin(job)
            crew.post(job.run_id).write("refusal", "")
            worker = Worker(job, self.runs, crew.post(job.run_id), Slots(self.folder / "slots", 1))
            run_in_another_thread(worker._deliver)
            return True

        crew.begin = begun  # type: ignore[method-assign]
        return self

    def profile(self, **more: Any) -> Profile:
        given: dict[str, Any] = {"endpoint": self.server.url, "key_file": str(self.key_file), "canary": 100}
        return Profile(**given | more)

    def be(self, name: str, roles: frozenset[Role] = PREPARE) -> None:
        """The next requests come from this person."""
        object.__setattr__(self.visitor.app, "identify", lambda headers: Person(name, roles))

    def draft(self, id: str) -> Draft:
        found = self.visitor.site.store.draft(id)
        assert found is not None
        return found

    def prepared(self, data: bytes = DATA, target: str = CAMPAIGN, name: str = "winter sale.csv") -> str:
        """A checked file, on its way to the profile."""
        id = self.visitor.uploaded(name, data)
        told = form(self.visitor, id, do="check", profile="Production", kind="campaign", target=target)
        assert self.visitor.press(f"/new/{id}", told).headers["location"] == f"/new/{id}/check"
        self.until_checked(id)
        return id

    def until_checked(self, id: str) -> None:
        until(lambda: not self.visitor.get(f"/new/{id}/progress").json()["running"], 60)
        assert self.draft(id).step is Step.CHECKED

    def review(self, id: str, query: str = "", where: str = "/new/{}/review") -> Element:
        """The review, once Braze was asked."""
        here = where.format(id)
        self.visitor.get(f"{here}{query}")
        until(lambda: not self.visitor.get(here.replace("/review", "") + "/look").json()["running"], 60)
        answer = self.visitor.get(f"{here}{query}")
        assert answer.status_code == 200, answer.headers
        return read(answer.text)

    def send(self, id: str, typed: str = "300", **more: Any) -> httpx.Response:
        return self.visitor.press(f"/new/{id}/send", {"offer": self.draft(id).offer, "typed": typed} | more)

    def choose(self, id: str, **options: Any) -> httpx.Response:
        given = {"canary": "100", "window": "", "rate": "", "version": self.draft(id).version}
        return self.visitor.press(f"/new/{id}/options", given | options)

    def refused(self, id: str, **options: Any) -> Element:
        """The review after options that were not saved."""
        return read(self.visitor.get(self.choose(id, **options).headers["location"]).text)

    def ask(self, id: str) -> httpx.Response:
        return self.visitor.press(f"/new/{id}/ask", offer=self.draft(id).offer)

    def answer(self, id: str, answer: str, **more: Any) -> httpx.Response:
        return self.visitor.press(f"/approvals/{id}", {"offer": self.draft(id).offer, "answer": answer} | more)

    def state(self, run: str) -> str:
        try:
            return live(self.visitor.site.crew, self.runs, run).state
        except bs.RunNotFoundError:
            return ""

    def until_run(self, run: str, *states: str) -> None:
        until(lambda: self.state(run) in states, 100)

    def moment(self, run: str) -> Moment:
        return self.visitor.site.crew.post(run).moment() or Moment()

    @property
    def log(self) -> list[tuple[str, str]]:
        return [(entry.who, entry.did) for entry in self.visitor.site.store.audit()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningSandbox]:
    message = tmp_path / "message.json"
    message.write_text(json.dumps(MESSAGE))
    with braze(message=message) as server:
        yield server


@pytest.fixture
def whole(tmp_path: Path, server: RunningSandbox) -> Iterator[Office]:
    """Everything as it is: checks and questions are processes."""
    office = Office(tmp_path, server)
    yield office
    office.visitor.end()


@pytest.fixture
def office(tmp_path: Path, server: RunningSandbox) -> Iterator[Office]:
    office = Office(tmp_path, server).at_once()
    yield office
    office.visitor.end()


@pytest.fixture
def team(tmp_path: Path, server: RunningSandbox) -> Iterator[Office]:
    office = Office(tmp_path, server, team=True, second_person_above=200, canary=0).at_once()
    yield office
    office.visitor.end()


def run_in_another_thread(work: Any) -> None:
    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    thread.join()


def buttons(root: Element) -> list[str]:
    return [text for text in texts(root, "button") if text not in ("Show this row", "Save these options")]


def test_the_whole_way_from_a_file_to_its_last_row(whole: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office = whole
    monkeypatch.setenv("BRAZE_ENDPOINT", "http://127.0.0.1:9")  # the profile is what counts
    visitor = office.visitor
    id = office.prepared()
    assert "Review the send" in visitor.get(f"/new/{id}/check").text
    root = office.review(id)
    refuse_anything_inline(root)
    refuse_barriers(root)
    assert texts(root, "h1") == ["Send to 300 people?"]
    assert buttons(root) == ["Send the first 100 rows"]
    assert "Sandbox campaign" in root.text
    assert "active, looked up in Braze at" in root.text
    assert "Hello Ann1" in root.text
    assert "Hello Ann7" in office.review(id, "?row=7").text
    assert "No run of this campaign or with this file" in root.text
    draft = office.draft(id)
    assert draft.plan == bs.PlanFile.read(visitor.site.uploads.plan(draft)).digest
    assert draft.run_id.startswith("winter-sale-")

    for typed in ("", "299", "30", "many"):
        assert office.send(id, typed).headers["location"] == f"/new/{id}/review?trouble=typed"
    assert "what you typed is not the number of recipients" in visitor.get(f"/new/{id}/review?trouble=typed").text
    assert not office.runs.exists()

    run = draft.run_id
    assert office.send(id, "3 00").headers["location"] == f"/runs/{run}/live"
    for path in ("", "/check", "/review"):  # back, reload, and another tab
        assert visitor.get(f"/new/{id}{path}").headers["location"] == f"/runs/{run}/live"
    assert office.send(id).headers["location"] == f"/runs/{run}/live"
    office.until_run(run, "held")
    assert office.server.ledger.accepted_recipients == 100
    visitor.press(f"/runs/{run}/stop")
    office.until_run(run, "ended")
    visitor.press(f"/runs/{run}/resume", starts="1")  # with the key of its profile
    office.until_run(run, "held")
    visitor.press(f"/runs/{run}/first-rows", answer="send", typed="200")
    office.until_run(run, "ended")
    summary = bs.status(run, runs_dir=office.runs)
    assert (summary.state, summary.accepted, office.server.ledger.accepted_recipients) == ("finished", 300, 300)
    assert [start.command for start in bs.facts(run, runs_dir=office.runs).starts] == ["send", "resume"]
    assert visitor.press(f"/new/{id}/delete").status_code == 409  # the file belongs to a run
    written = [path.read_bytes() for path in (office.folder / "state").rglob("*") if path.is_file()]
    assert not any(KEY.encode() in text for text in written)
    assert ("Ann", "sent it") in office.log
    assert visitor.site.store.verify()


def test_two_clicks_at_the_same_time_make_one_run(office: Office) -> None:
    office.profiles["Production"] = office.profile(canary=0)
    id = office.prepared()
    offer, run = office.draft(id).offer, office.draft(id).run_id
    found: list[httpx.Response] = []

    def click() -> None:
        found.append(office.visitor.press(f"/new/{id}/send", offer=offer, typed="300"))

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.headers["location"] for answer in found} == {f"/runs/{run}/live"}
    office.until_run(run, "ended")
    assert office.server.ledger.accepted_recipients == 300
    assert len(bs.facts(run, runs_dir=office.runs).starts) == 1
    assert [did for _, did in office.log].count("sent it") == 1


def test_a_page_that_ended_between_the_click_and_the_process_asks_again(office: Office) -> None:
    id = office.prepared()
    draft = office.draft(id)
    launch = Entry("Ann", "sent it")
    office.visitor.site.store.change(
        id, lambda found: drafts.launched(found, draft.run_id, 1.0, needs_approval=False), launch
    )
    assert f'href="/new/{id}"' in office.visitor.get("/new").text
    assert office.draft(id).step is Step.CHECKED
    assert buttons(office.review(id)) == ["Send the first 100 rows"]
    assert office.draft(id).run_id == draft.run_id
    assert ("", "the send did not begin") in office.log
    assert office.send(id).headers["location"] == f"/runs/{draft.run_id}/live"
    assert office.state(draft.run_id) == "preparing"


def test_another_number_of_first_rows_is_checked_and_sent(office: Office) -> None:
    id = office.prepared()
    before = office.draft(id)
    for wrong in ("99", "0", "", "many"):
        assert "were not saved" in office.refused(id, canary=wrong).text
    assert office.choose(id, canary="150").headers["location"] == f"/new/{id}/check"
    office.until_checked(id)
    after = office.draft(id)
    assert after.plan != before.plan
    assert bs.PlanFile.read(office.visitor.site.uploads.plan(after)).canary == 150
    assert buttons(office.review(id)) == ["Send the first 150 rows"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rate": "20000/hour"}, "The rate may be 10000/hour at most"),
        ({"rate": "fast"}, "nvalid rate 'fast'"),
        ({"window": "08:00-12:00 Europe/Paris"}, "The hours must be within mon-fri 09:00-20:00 Europe/Paris"),
        ({"window": "mon-sun 10:00-12:00 Europe/Paris"}, "The hours must be within"),
        ({"window": "mon-fri 10:00-12:00 Europe/London"}, "in the same time zone"),
        ({"window": "always"}, "is not a valid window"),
    ],
)
def test_options_outside_the_profile_are_refused(office: Office, options: dict[str, str], told: str) -> None:
    office.profiles["Production"] = office.profile(rate="10000/hour", window="mon-fri 09:00-20:00 Europe/Paris")
    store = office.visitor.site.store
    goes = {
        "profile": "Production",
        "kind": "campaign",
        "target": CAMPAIGN,
        "endpoint": office.server.url,
        "canary": 100,
    }
    id = office.visitor.uploaded("people.csv", DATA)
    for step in (lambda found: drafts.mapped(found, {}, "Ann", goes), drafts.checking):
        store.change(id, step, Entry("Ann", "prepared it"))
    report = {"rows": 300, "valid": 300, "rejected": 0, "duplicate": 0, "filtered": 0, "requests": 6}
    store.change(id, lambda found: drafts.checked(found, report, "plan", "r"), Entry("Ann", "checked"))
    root = office.refused(id, **options)
    refuse_anything_inline(root)
    refuse_barriers(root)
    assert told in root.text
    [name] = options
    [field] = [each for each in root.all("input") if "aria-invalid" in each.attributes]
    assert (field.attributes["name"], field.attributes["value"]) == (name, options[name])
    assert office.draft(id).pace == {}
    fits = {"rate": "9000/hour", "window": "mon-thu 10:00-12:00 Europe/Paris"}
    assert office.choose(id, **fits).status_code == 303
    assert office.draft(id).pace == fits


@pytest.mark.parametrize("state", ["archived", "draft", "stopped"])
def test_a_campaign_that_sends_nothing_is_refused_in_a_sentence(office: Office, state: str) -> None:
    id = office.prepared()
    office.server.rehearse(state=state)
    root = office.review(id)
    assert buttons(root) == []
    assert "requests to it send nothing" in root.text
    assert office.send(id).status_code == 409
    assert office.draft(id).step is Step.CHECKED


def test_a_campaign_archived_after_the_review_is_refused_by_the_process(office: Office) -> None:
    id = office.prepared()
    office.review(id)
    office.server.rehearse(state="archived")
    run = office.draft(id).run_id
    office.send(id)
    office.until_run(run, "refused")
    page = office.visitor.get(f"/runs/{run}/live").text
    assert "did not start" in page
    assert f"/new/{id}/review" in page
    root = office.review(id)
    assert "The send did not start. Nothing was sent." in root.text
    assert "is archived in Braze" in root.text
    office.server.rehearse(state="live")
    office.visitor.get(f"/new/{id}/review?row=1")  # asks again
    assert office.send(id).headers["location"] == f"/runs/{run}/live"


def test_a_key_that_may_not_look_is_said_and_may_send(office: Office) -> None:
    office.server.rehearse(details=False)
    id = office.prepared()
    root = office.review(id)
    assert "the key lacks the permission campaigns.details" in root.text
    assert buttons(root) == ["Send the first 100 rows"]


def test_a_plan_file_of_something_else_is_refused(office: Office) -> None:
    id = office.prepared()
    draft = office.draft(id)
    plan = office.visitor.site.uploads.plan(draft)
    told = json.loads(plan.read_text())
    plan.write_text(json.dumps(told | {"bodies_sha256": "0" * 64}))
    answer = office.send(id)
    assert answer.status_code == 409
    assert "not the one that was reviewed" in answer.text
    assert office.state(draft.run_id) == ""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (None, "is not in the settings of this page any more"),
        ({"endpoint": "http://127.0.0.1:9"}, "The address of this workspace was changed"),
        ({"campaigns": ("another",)}, "This ID is not one that may be used in Production"),
        ({"max_recipients": 299}, "At most 299 recipients may be sent to at once"),
        ({"canary": 200}, "At least 200 rows must be sent first"),
    ],
)
def test_settings_that_changed_after_the_check_stop_it(office: Office, change: Any, told: str) -> None:
    id = office.prepared()
    if change is None:
        del office.profiles["Production"]
    else:
        office.profiles["Production"] = office.profile(**change)
    answer = office.visitor.get(f"/new/{id}/review")
    assert told in read(answer.text).text
    assert buttons(read(answer.text)) == []
    assert office.send(id).status_code == 409
    assert office.draft(id).step is Step.CHECKED


def test_a_form_of_before_a_change_sends_nothing(office: Office) -> None:
    id = office.prepared()
    offer = office.draft(id).offer
    office.choose(id, rate="1000/hour")
    assert office.visitor.press(f"/new/{id}/send", offer=offer, typed="300").status_code == 409
    assert office.draft(id).step is Step.CHECKED


def test_another_place_makes_a_check_void(office: Office) -> None:
    id = office.prepared()
    told = form(office.visitor, id, do="save", target="campaign-2")
    office.visitor.press(f"/new/{id}", told)
    draft = office.draft(id)
    assert (draft.step, draft.plan, draft.run_id) == (Step.MAPPED, "", "")
    assert office.visitor.get(f"/new/{id}/review").headers["location"] == f"/new/{id}/check"


def test_a_browser_names_no_address_and_no_unlisted_campaign(office: Office) -> None:
    office.profiles["Production"] = office.profile(campaigns=(CAMPAIGN,))
    id = office.visitor.uploaded("people.csv", DATA)
    told = form(office.visitor, id, do="check", profile="Production", target="other", endpoint="http://evil.example")
    office.visitor.press(f"/new/{id}", told)
    assert office.draft(id).step is Step.MAPPED
    assert office.draft(id).goes["endpoint"] == office.server.url
    assert "This ID is not one that may be used" in office.visitor.get(f"/new/{id}").text
    office.visitor.press(f"/new/{id}", form(office.visitor, id, do="save", profile="nowhere"))
    assert office.draft(id).goes == {}


def test_without_profiles_the_page_says_what_to_do(visitor: Visitor) -> None:
    id = visitor.uploaded("people.csv", DATA)
    page = visitor.get(f"/new/{id}").text
    assert "Nothing can be sent to real people from this page." in page
    assert "[profiles.NAME]" in page


def test_the_same_file_again_is_named_and_needs_a_tick(office: Office) -> None:
    office.profiles["Production"] = office.profile(canary=0)
    second = office.prepared()
    environment = {"BRAZE_API_KEY": KEY}
    where: Any = {"campaign_id": CAMPAIGN, "endpoint": office.server.url, "environment": environment}
    (office.folder / "again.csv").write_bytes(DATA)
    config = {"recipient": {"external_user_id": "id"}}
    bs.send(office.folder / "again.csv", config, runs_dir=office.runs, **where)
    root = office.review(second)
    assert "same campaign and same file, 300 rows accepted" in root.text
    run = office.draft(second).run_id
    office.send(second)
    office.until_run(run, "refused")
    assert office.server.ledger.accepted_recipients == 300
    assert "The send did not start" in office.review(second).text
    office.choose(second, canary="0", again="on")
    office.send(second)
    office.until_run(run, "ended")
    assert office.server.ledger.accepted_recipients == 600


# --- a second person --------------------------------------------------------------------------------------------


def test_a_large_send_needs_a_second_person(team: Office) -> None:
    id = team.prepared()
    root = team.review(id)
    assert buttons(root) == ["Ask for approval"]
    assert "another person has to approve it" in root.text
    assert team.send(id).status_code == 409
    for _ in range(2):
        assert team.ask(id).headers["location"] == f"/new/{id}/review"
    assert buttons(team.review(id)) == []
    assert team.send(id).status_code == 409
    assert team.visitor.get(f"/approvals/{id}").status_code == 403  # who prepares only
    assert f"/new/{id}/review" in team.visitor.get("/").text

    team.be("Ann", APPROVE | PREPARE)
    assert "another person has to approve it" in team.review(id, where="/approvals/{}").text
    assert team.answer(id, "approve").status_code == 409

    team.be("Cleo", APPROVE)
    assert f'href="/approvals/{id}"' in team.visitor.get("/").text
    root = team.review(id, where="/approvals/{}")
    refuse_anything_inline(root)
    refuse_barriers(root)
    assert buttons(root) == ["Approve", "Refuse"]
    assert "Hello Ann1" in root.text
    assert team.answer(id, "approve", offer="0" * 64).status_code == 409
    assert team.answer(id, "approve").status_code == 303
    assert team.draft(id).approved_by == "Cleo"
    assert team.send(id).status_code == 403  # who approves does not send

    team.be("Ann", PREPARE)
    root = team.review(id)
    assert "Cleo approved it" in root.text
    assert buttons(root) == ["Send to 300 people"]
    run = team.draft(id).run_id
    assert team.send(id).headers["location"] == f"/runs/{run}/live"
    team.until_run(run, "ended")
    assert team.server.ledger.accepted_recipients == 300
    entries = {entry.did: entry for entry in team.visitor.site.store.audit()}
    assert [entries[did].who for did in ("asked for an approval", "approved it", "sent it")] == ["Ann", "Cleo", "Ann"]
    assert entries["approved it"].digest == entries["sent it"].digest == team.draft(id).offer
    assert team.draft(id).plan in entries["approved it"].told


def test_a_refusal_needs_a_reason_and_is_shown(team: Office) -> None:
    id = team.prepared()
    team.ask(id)
    team.be("Cleo", APPROVE)
    assert team.answer(id, "refuse", why=" ").headers["location"] == f"/approvals/{id}?trouble=why"
    assert "a refusal needs a reason" in team.visitor.get(f"/approvals/{id}?trouble=why").text
    assert team.answer(id, "maybe").status_code == 400
    team.answer(id, "refuse", why="<b>wrong</b> list")
    assert team.answer(id, "approve").status_code == 409
    team.be("Ann")
    root = team.review(id)
    assert "Cleo refused it: <b>wrong</b> list" in root.text
    assert buttons(root) == ["Ask for approval"]
    assert [entry.told for entry in team.visitor.site.store.audit() if entry.did == "refused it"] == [
        "<b>wrong</b> list"
    ]


@pytest.mark.parametrize("change", ["columns", "place", "pace", "first rows", "time", "owner"])
def test_an_approval_ends_with_any_change(team: Office, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    id = team.prepared()
    team.ask(id)
    team.be("Cleo", APPROVE | PREPARE)
    team.answer(id, "approve")
    assert team.draft(id).step is Step.APPROVED
    team.be("Ann")
    if change == "columns":
        team.visitor.press(f"/new/{id}", form(team.visitor, id, do="save", **{"use-1": ""}))
    elif change == "place":
        team.visitor.press(f"/new/{id}", form(team.visitor, id, do="save", target="campaign-2"))
    elif change == "pace":
        team.choose(id, canary="0", rate="1000/hour")
    elif change == "first rows":
        team.choose(id, canary="10")
        team.until_checked(id)
    elif change == "time":
        later = team.draft(id).approved_at + drafts.APPROVAL_LASTS_S
        monkeypatch.setattr("bulk_sender.web.desk.time.time", lambda: later)
        team.visitor.get(f"/new/{id}/review")
    else:
        team.be("Cleo", APPROVE | PREPARE)
        team.visitor.press(f"/new/{id}/owner")
    draft = team.draft(id)
    assert (draft.approved_by, draft.approved_offer) == ("", "")
    assert draft.step in (Step.MAPPED, Step.CHECKED)
    if draft.step is Step.CHECKED:
        assert team.send(id).status_code in (303, 409)
        assert team.draft(id).step is Step.CHECKED


def test_a_file_in_two_halves_needs_a_second_person_too(team: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    first = team.prepared("\n".join(ROWS[:161]).encode())
    assert buttons(team.review(first)) == ["Send to 160 people"]
    monkeypatch.setattr(team.visitor.site.crew, "begin", lambda job: True)
    monkeypatch.setattr(Desk, "_launched", lambda self, draft: draft)  # as if the run had begun
    team.send(first, "160")
    monkeypatch.undo()
    monkeypatch.setattr(Desk, "_launched", lambda self, draft: draft)
    assert team.draft(first).step is Step.LAUNCHED
    second = team.prepared("\n".join([ROWS[0], *ROWS[161:]]).encode())
    root = team.review(second)
    assert buttons(root) == ["Ask for approval"]
    assert "Your 160 of the last 24 hours count, too." in root.text
    assert team.send(second, "140").status_code == 409
    other = team.prepared("\n".join([ROWS[0], *ROWS[161:]]).encode(), target="campaign-2")
    assert buttons(team.review(other)) == ["Send to 140 people"]


def test_a_send_of_another_person_is_taken_over_first(team: Office) -> None:
    id = team.prepared()
    team.be("Ben")
    for path in ("", "/check", "/review"):
        assert team.visitor.get(f"/new/{id}{path}").headers["location"] == f"/new/{id}/owner"
    for path in ("", "/check", "/stop", "/options", "/ask", "/send", "/delete"):
        offer = team.draft(id).offer
        answer = team.visitor.press(f"/new/{id}{path}", offer=offer, typed="300", do="save", version="5")
        assert answer.headers["location"] == f"/new/{id}/owner"
    assert team.draft(id).person == "Ann"
    root = read(team.visitor.get(f"/new/{id}/owner").text)
    refuse_anything_inline(root)
    refuse_barriers(root)
    assert texts(root, "h1")[0].startswith("Ann has worked on it since")
    assert team.visitor.press(f"/new/{id}/owner").headers["location"] == f"/new/{id}"
    draft = team.draft(id)
    assert (draft.person, draft.hands) == ("Ben", ("Ann", "Ben"))
    assert ("Ben", "took it over") in team.log
    assert team.visitor.get(f"/new/{id}/check").status_code == 200


def test_who_prepared_a_large_send_does_not_answer_for_its_first_rows(team: Office) -> None:
    id = team.prepared()
    team.choose(id, canary="50")
    team.until_checked(id)
    team.ask(id)
    team.be("Cleo", APPROVE)
    team.answer(id, "approve")
    team.be("Ann", PREPARE | APPROVE)
    run = team.draft(id).run_id
    assert team.send(id).headers["location"] == f"/runs/{run}/live"
    team.until_run(run, "held")
    answer = team.visitor.press(f"/runs/{run}/first-rows", answer="send", typed="250")
    assert answer.headers["location"] == f"/runs/{run}/live?trouble=own"
    assert "you worked on this send" in team.visitor.get(f"/runs/{run}/live?trouble=own").text
    team.be("Cleo", APPROVE)
    team.visitor.press(f"/runs/{run}/first-rows", answer="send", typed="250")
    team.until_run(run, "ended")
    assert team.server.ledger.accepted_recipients == 300


def test_files_are_deleted_a_week_after_their_run(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.profiles["Production"] = office.profile(canary=0)
    id = office.prepared()
    office.send(id)
    office.until_run(office.draft(id).run_id, "ended")
    desk, home = Desk(office.visitor.site), office.visitor.site.uploads.home(office.draft(id))
    finished = time.time()
    desk.clean_up(finished + 6 * 86400)
    assert home.is_dir()
    desk.clean_up(finished + 8 * 86400)
    assert not home.exists()
    assert office.visitor.site.store.draft(id) is None


def test_who_may_not_see_personal_data_sees_no_message(team: Office) -> None:
    id = team.prepared()
    team.be("Ann", PREPARE - {Role.PERSONAL})
    root = team.review(id)
    assert "Hello Ann" not in root.text
    assert "You may not see personal data" in root.text


def test_one_person_alone_confirms_by_the_count(tmp_path: Path, server: RunningSandbox) -> None:
    office = Office(tmp_path, server, second_person_above=0, canary=0).at_once()
    id = office.prepared()
    assert buttons(office.review(id)) == ["Send to 300 people"]
    office.visitor.end()
