"""A test to a few colleagues before a send: the values of one row, and nothing for a profile."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

import bulk_sender as bs
from bulk_sender.sandbox import RunningSandbox
from bulk_sender.web import drafts, going, trials, words, words_trial
from bulk_sender.web.drafts import Draft, Step
from bulk_sender.web.mapping import Choices
from bulk_sender.web.roles import Role
from bulk_sender.web.store import Entry
from bulk_sender.web.worker import Slots, Worker
from bulk_sender.web.workers import Job
from tests.kit.jobs import braze
from tests.kit.scripted import Answer, scripted
from tests.kit.target import CAMPAIGN, KEY
from tests.reporting.markup import Element, read
from tests.web.test_pages import refuse_anything_inline, refuse_barriers, texts
from tests.web.test_review import PREPARE, Office, run_in_another_thread

DATA = "\n".join(["id;First name;tier", "000001;Ann;gold", "000002;Bob;<b>silver</b>", "000003;Cy;"]).encode()
HOSTILE = ["<script>alert(1)</script>", '"onx="', "=cmd()", "\u202eevil", "😀" * 30]


class Tried(Office):
    """A page whose Braze is a sandbox, with a record of each request that it accepted."""

    sent: list[tuple[str, dict[str, Any]]]

    def all_at_once(self) -> Tried:
        """Send in this process, too."""
        crew = self.at_once().visitor.site.crew

        def begun(job: Job) -> bool:
            worker = Worker(job, self.runs, crew.post(job.run_id), Slots(self.folder / "slots", 1))
            crew.post(job.run_id).write("refusal", "")
            run_in_another_thread(worker._deliver)
            return True

        crew.begin = begun  # type: ignore[method-assign]
        return self

    def checked(self, kind: str = "campaign", *, is_known: bool = True) -> str:
        """A file that was checked, with an attribute. ``is_known``: Braze said lately what the campaign is."""
        site = self.visitor.site
        goes = {"profile": "Production", "kind": kind, "target": CAMPAIGN, "endpoint": self.server.url, "canary": 100}
        id = self.visitor.uploaded("people.csv", DATA)
        told = Choices.of(COLUMNS).to_dict()
        report: dict[str, Any] = {
            "rows": 3,
            "valid": 3,
            "rejected": 0,
            "duplicate": 0,
            "filtered": 0,
            "requests": 1,
            "seconds": 0.1,
        }
        report |= {"refused": "", "reasons": [], "warnings": [], "wrong_rows": []}
        for step in (
            lambda found: drafts.mapped(found, told, "Ann", goes),
            drafts.checking,
            lambda found: drafts.checked(found, report, "plan", "people-run"),
        ):
            site.store.change(id, step, Entry("Ann", "prepared it"))
        if is_known:
            draft = self.draft(id)
            seen: dict[str, Any] = {
                "at": time.time(),
                "asked_row": None,
                "row": 1,
                "messages": [],
                "problem": "",
                "why_not": "",
            }
            seen |= {"name": "Winter", "state": "live", "refusal": "", "channels": []}
            home = site.uploads.home(draft)
            (home / f"look-{draft.terms[:16]}.json").write_text(json.dumps(seen))
        return id

    def choose(self, id: str, people: str, **more: Any) -> httpx.Response:  # type: ignore[override]
        return self.visitor.press(f"/new/{id}/test", {"people": people, "use": "external_user_id", "row": ""} | more)

    def page(self, id: str) -> Element:
        answer = self.visitor.get(f"/new/{id}/test")
        assert answer.status_code == 200, answer.headers
        root = read(answer.text)
        refuse_anything_inline(root)
        refuse_barriers(root)
        return root

    def press(self, root: Element, id: str) -> httpx.Response:
        """Press the red button of a page."""
        hidden = {
            each.attributes["name"]: each.attributes["value"]
            for each in root.all("input")
            if each.attributes.get("type") == "hidden"
        }
        return self.visitor.press(f"/new/{id}/test/send", hidden)


COLUMNS = {
    "columns": [
        {"column": "id", "use": "external_user_id"},
        {"column": "First name", "use": "trigger_properties", "name": "first_name"},
        {"column": "tier", "use": "attributes", "name": "loyalty_tier"},
    ]
}


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Tried]:
    """Every request passes a record on its way to the sandbox."""
    sent: list[tuple[str, dict[str, Any]]] = []
    with braze() as sandbox, httpx.Client(headers={"Authorization": f"Bearer {KEY}"}) as client:

        def passed(path: str, body: dict[str, Any]) -> Answer:
            answer = client.post(f"{sandbox.url}{path}", json=body)
            if answer.status_code == 201:
                sent.append((path, body))
            return Answer(answer.status_code, answer.json())

        def asked(path: str) -> Answer:
            answer = client.get(f"{sandbox.url}{path}")
            return Answer(answer.status_code, answer.json())

        with scripted(passed, asked) as front:
            server = SimpleNamespace(url=front.url, ledger=sandbox.ledger, rehearse=sandbox.rehearse)
            office = Tried(tmp_path, cast(RunningSandbox, server), rate="1000/second")
            office.sent = sent
            yield office
            office.visitor.end()


@pytest.fixture
def office(real: Tried) -> Tried:
    return real.all_at_once()


def buttons(root: Element) -> list[str]:
    return [text for text in texts(root, "button") if text != words_trial.SHOW]


def test_colleagues_get_the_message_of_a_row_and_no_attributes(office: Tried) -> None:
    id = office.checked()
    for path in ("check", "review"):
        assert f'href="/new/{id}/test"' in office.visitor.get(f"/new/{id}/{path}").text
    assert buttons(office.page(id)) == []
    assert office.choose(id, "000777\r\n\r\n 000888 \r\n000777", row="2").headers["location"] == f"/new/{id}/test"
    root = office.page(id)
    assert buttons(root) == ["Send the test to 2 people"]
    assert words.REAL in root.text
    [shown] = [each.text for each in root.all("pre")]
    assert json.loads(shown) == {"external_user_id": "000777", "trigger_properties": {"first_name": "Bob"}}
    assert "With the values of row 2." in root.text
    assert office.sent == []

    run = f"{office.draft(id).label}.test.1"
    assert office.press(root, id).headers["location"] == f"/runs/{run}/live"
    [(path, body)] = office.sent
    assert path == "/campaigns/trigger/send"
    assert body["recipients"] == [
        {"external_user_id": "000777", "trigger_properties": {"first_name": "Bob"}},
        {"external_user_id": "000888", "trigger_properties": {"first_name": "Bob"}},
    ]
    assert "attributes" not in json.dumps(body)
    assert body["campaign_id"] == CAMPAIGN
    assert bs.status(run, runs_dir=office.runs).accepted == 2
    assert "Test sent to 2 people, 2 accepted." in office.visitor.get(f"/new/{id}/review").text
    assert "same campaign" not in office.visitor.get(f"/new/{id}/review").text  # its test is no earlier run
    draft = office.draft(id)
    assert (draft.step, draft.run_id) == (Step.CHECKED, "people-run")
    [entry] = [each for each in office.visitor.site.store.audit() if each.did == "sent a test"]
    assert (entry.who, entry.told.partition(": ")[0]) == ("Ann", run)
    assert "000777" not in "".join(each.told for each in office.visitor.site.store.audit())
    assert going.lately([draft], draft, "Ann", draft.tests[0]["at"] + 60) == 2
    assert going.lately([draft], draft, "Ann", draft.tests[0]["at"] + going.DAY_S + 60) == 0
    assert going.lately([draft], draft, "Ben", draft.tests[0]["at"] + 60) == 0


def test_clicks_at_the_same_time_make_one_test(real: Tried) -> None:
    office = real
    office.at_once()
    id = office.checked()
    office.choose(id, "000777")
    root = office.page(id)
    found: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: found.append(office.press(root, id))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run = f"{office.draft(id).label}.test.1"
    assert {answer.headers.get("location") for answer in found} == {f"/runs/{run}/live"}
    office.until_run(run, "ended")
    assert office.press(root, id).headers["location"] == f"/runs/{run}/live"  # the form of a page that was kept open
    assert len(office.sent) == 1
    assert len(office.draft(id).tests) == 1
    assert len(bs.facts(run, runs_dir=office.runs).starts) == 1


def test_a_canvas_gets_the_values_as_its_context(office: Tried) -> None:
    id = office.checked("canvas")
    office.choose(id, "000777", row="1")
    root = office.page(id)
    assert '"context"' in root.all("pre")[0].text
    office.press(root, id)
    [(path, body)] = office.sent
    assert path == "/canvas/trigger/send"
    assert body["recipients"] == [{"external_user_id": "000777", "context": {"first_name": "Ann"}}]


def test_addresses_go_with_a_prioritization(office: Tried) -> None:
    id = office.checked()
    office.choose(id, "ann@example.com", use="email")
    office.press(office.page(id), id)
    [(_, body)] = office.sent
    assert body["recipients"] == [
        {
            "email": "ann@example.com",
            "prioritization": ["identified", "most_recently_updated"],
            "trigger_properties": {"first_name": "Ann"},
        }
    ]


@pytest.mark.parametrize(
    ("people", "told"),
    [
        ("", words_trial.NOBODY),
        (" \n\n", words_trial.NOBODY),
        ("\n".join("abcdef"), "A test goes to at most 5 people."),
        ("x" * 513, "An identifier has at most 512 characters."),
    ],
)
def test_a_list_that_is_empty_or_too_long_is_refused(office: Tried, people: str, told: str) -> None:
    id = office.checked()
    answer = office.choose(id, people)
    assert answer.status_code == 409
    assert told in read(answer.text).text
    assert office.draft(id).trial == {}
    assert office.visitor.press(f"/new/{id}/test/send", number=1, test="").status_code == 409
    assert office.sent == []


def test_what_cannot_be_sent_is_said_and_has_no_button(office: Tried) -> None:
    id = office.checked()
    office.choose(id, "not an address", use="email")
    root = office.page(id)
    assert "Line 1: " in root.text
    assert buttons(root) == []
    assert office.press(root, id).status_code == 409
    office.choose(id, "000777", row="99")
    root = office.page(id)
    assert "99" in root.all("li")[-1].text or "99" in root.text
    assert buttons(root) == []
    assert office.sent == []


def test_a_form_of_before_a_change_sends_nothing(office: Tried) -> None:
    id = office.checked()
    office.choose(id, "000777")
    before = office.page(id)
    office.choose(id, "000888")
    assert office.press(before, id).status_code == 409
    office.visitor.site.store.change(id, lambda found: drafts.mapped(found, {}, "Ann"), Entry("Ann", "changed it"))
    assert office.press(before, id).status_code == 409
    assert office.visitor.get(f"/new/{id}/test").headers["location"] == f"/new/{id}/check"
    assert office.sent == []


def test_a_campaign_that_sends_nothing_is_refused(office: Tried) -> None:
    id = office.checked(is_known=False)
    office.server.rehearse(state="archived")
    office.choose(id, "000777")
    office.page(id)  # asks Braze
    root = office.page(id)
    assert "requests to it send nothing" in root.text
    assert buttons(root) == []
    assert office.visitor.press(f"/new/{id}/test/send", number=1, test=office.draft(id).trial_digest).status_code == 409
    assert office.sent == []


def test_tests_count_towards_the_limit_of_one_person(office: Tried) -> None:
    object.__setattr__(office.visitor.site, "team", True)
    office.profiles["Production"] = office.profile(second_person_above=3, rate="1000/second")
    office.be("Ann", PREPARE)
    id = office.checked()
    office.choose(id, "000777\n000888")
    assert office.press(office.page(id), id).status_code == 303
    root = office.page(id)
    assert "More than 3 recipients within 24 hours need another person" in root.text
    assert buttons(root) == []
    again = office.visitor.press(f"/new/{id}/test/send", number=2, test=office.draft(id).trial_digest)
    assert again.status_code == 409
    assert len(office.sent) == 1
    assert "Ask for approval" in office.visitor.get(f"/new/{id}/review").text


def test_who_may_not_see_personal_data_sees_it_masked(office: Tried) -> None:
    office.be("Ann", frozenset({Role.LOOK, Role.PREPARE}))
    id = office.checked()
    office.choose(id, "customer-000777")
    root = office.page(id)
    [shown] = [each.text for each in root.all("pre")]
    assert "customer-000777" not in shown
    assert "Ann" not in shown
    assert "You may not see personal data" in root.text
    assert buttons(root) == ["Send the test to 1 person"]
    office.visitor.site.store.change(id, lambda found: drafts.taken_over(found, "Ben", 1.0), Entry("Ben", "took it"))
    office.be("Ben", frozenset({Role.LOOK, Role.PREPARE}))
    assert "customer-000777" not in office.visitor.get(f"/new/{id}/test").text


def test_hostile_text_stays_text(office: Tried) -> None:
    id = office.checked()
    office.choose(id, "\n".join(HOSTILE), row="2")
    root = office.page(id)
    assert "alert(1)" not in "".join(each.text for each in root.all("script"))
    office.press(root, id)
    [(_, body)] = office.sent
    assert [each["external_user_id"] for each in body["recipients"]] == HOSTILE


def test_values_keep_their_types_and_an_alias_its_label() -> None:
    recipient = {
        "user_alias": {"alias_name": "a", "alias_label": "crm"},
        "trigger_properties": {"order.total": 12.5, "items": [1, {"x": 'a"b'}], "text": "00,1\n", "yes": True},
        "attributes": {"tier": "gold"},
    }
    config: dict[str, Any] = {"recipient": {"user_alias": {}, "attributes": {"tier": "t"}}, "input": {"delimiter": ";"}}
    assert trials.uses(config) == ("user_alias.alias_name", "external_user_id", "email")
    own = trials.config_of(config, "user_alias.alias_name", recipient)
    assert own["recipient"]["user_alias"]["alias_label"] == {"value": "crm"}
    assert "attributes" not in own["recipient"]
    text = trials.file_of(["00123"], recipient)
    assert '"00123","12.5","[1, {""x"": ""a\\""b""}]","""00,1\\n""","true"' in text


def test_the_same_test_twice_is_one_and_another_needs_the_next_number() -> None:
    draft = Draft("id", "people.csv", 1, "Ann", step=Step.CHECKED, trial={"people": ["a"]})
    test = {"run": "people.test.1"}
    once = drafts.tested(draft, test, 1, draft.trial_digest)
    assert drafts.tested(once, test, 1, "") == once
    with pytest.raises(drafts.IllegalStepError):
        drafts.tested(once, {"run": "people.test.3"}, 3, draft.trial_digest)
    with pytest.raises(drafts.IllegalStepError):
        drafts.tested(once, {"run": "people.test.2"}, 2, "0" * 64)
    approved = replace(draft, step=Step.APPROVED, approved_offer=draft.offer)
    assert drafts.tested(approved, test, 1, draft.trial_digest).offer == draft.offer
