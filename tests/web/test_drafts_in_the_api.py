"""Programs prepare and send: upload, columns, check and one launch, by the same rules as people on the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import bulk_sender as bs
from bulk_sender.sandbox import RunningSandbox
from bulk_sender.web.problems import TITLES, URN
from bulk_sender.web.profiles import Profile
from tests.kit.jobs import braze
from tests.kit.target import CAMPAIGN
from tests.web.test_review import DATA, Office
from tests.web.visitor import Visitor


@pytest.fixture
def server() -> Iterator[RunningSandbox]:
    with braze() as server:
        yield server


@pytest.fixture
def office(tmp_path: Path, server: RunningSandbox) -> Iterator[Office]:
    office = Office(tmp_path, server, second_person_above=300, canary=0)
    office.visitor = Visitor(tmp_path / "state", office.runs, has_api=True, profiles=office.profiles)
    yield office.at_once()
    office.visitor.end()


@pytest.fixture
def visitor(tmp_path: Path) -> Visitor:
    """A page whose profile leads nowhere."""
    profile = Profile(endpoint="https://rest.iad-01.braze.com", key_file="/key", canary=100)
    return Visitor(tmp_path / "state", tmp_path / "runs", has_api=True, profiles={"Production": profile})


class Program:
    """A program with a token."""

    def __init__(self, visitor: Visitor, name: str = "crm") -> None:
        self._visitor = visitor
        self._token = {"Authorization": f"Bearer {visitor.site.tokens.make(name, 'prepare')}"}

    def ask(self, method: str, path: str, told: Any = None, **headers: str) -> httpx.Response:
        body = b"" if told is None else told if isinstance(told, bytes) else json.dumps(told).encode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._visitor.ask(method, f"/api/v1/{path}", self._token | given, body)

    def uploaded(self, data: bytes = DATA) -> str:
        id: str = self.ask("POST", "uploads", {"name": "winter sale.csv", "size": len(data)}).json()["id"]
        assert self.ask("PUT", f"uploads/{id}?offset=0", data).json()["done"]
        return id

    def draft(self, id: str) -> Any:
        answer = self.ask("GET", f"drafts/{id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def put(self, id: str, **told: Any) -> httpx.Response:
        return self.ask("PUT", f"drafts/{id}", {"version": self.draft(id)["version"]} | told)

    def checked(self, **told: Any) -> Any:
        id = self.uploaded()
        place = {"profile": "Production", "kind": "campaign", "target": CAMPAIGN}
        assert self.put(id, **place | told).status_code == 200
        answer = self.ask("POST", f"drafts/{id}/check")
        assert answer.status_code == 202, answer.text
        return self.draft(id)

    def launch(self, draft: Any, key: str | None = None, recipients: Any = 300) -> httpx.Response:
        headers = {"Idempotency_Key": draft["run_id"] if key is None else key}
        return self.ask("POST", f"drafts/{draft['id']}/launch", {"recipients": recipients}, **headers)


def refused(answer: httpx.Response, status: int, code: str) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["type"], told["title"], told["status"]) == (URN + code, TITLES[code], status)
    assert told["detail"]
    return told


def test_a_program_uploads_checks_and_sends_once(office: Office) -> None:
    crm = Program(office.visitor)
    id = crm.uploaded()
    first = crm.draft(id)
    assert (first["step"], first["report"], first["run_id"]) == ("uploaded", None, "")
    assert [each["guess"]["use"] for each in first["columns"]] == ["external_user_id", "trigger_properties"]
    refused(crm.ask("POST", f"drafts/{id}/check"), 409, "not_ready")
    refused(crm.launch(first, key="x"), 409, "not_ready")
    columns = [{"column": "id", "use": "external_user_id"}]
    saved = crm.put(id, profile="Production", target=CAMPAIGN, columns=columns).json()
    assert [each["use"] for each in saved["columns"]] == ["external_user_id", ""]
    assert (saved["kind"], saved["canary"], saved["problems"]) == ("campaign", 0, [])
    assert crm.ask("POST", f"drafts/{id}/check", {}).status_code == 202
    draft = crm.draft(id)
    assert (draft["step"], draft["report"]["valid"], draft["needs_second_person"]) == ("checked", 300, False)
    assert draft["run_id"].startswith("winter-sale-")
    assert draft["offer"] == office.draft(id).offer
    assert "Ann1" not in json.dumps([first, draft])
    assert "000001" not in json.dumps([first, draft])
    assert str(office.folder) not in json.dumps([first, draft])

    assert refused(crm.launch(draft, key=""), 400, "not_valid")["where"] == "Idempotency-Key"
    refused(crm.launch(draft, key="another"), 409, "another_key")
    refused(crm.launch(draft, recipients=299), 409, "wrong_count")
    assert refused(crm.launch(draft, recipients="300"), 400, "not_valid")["where"] == "recipients"
    assert not office.runs.exists()
    answers = [crm.launch(draft) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 200]
    assert {answer.json()["run_id"] for answer in answers} == {draft["run_id"]}
    refused(crm.launch(draft, key="another"), 409, "another_key")
    office.until_run(draft["run_id"], "ended")
    assert bs.status(draft["run_id"], runs_dir=office.runs).accepted == 300
    assert crm.draft(id)["step"] == "launched"
    refused(crm.put(id, label="x"), 409, "not_possible")
    assert [did for who, did in office.log if who == "token crm"].count("sent it") == 1


def test_above_the_limit_a_person_is_needed(office: Office) -> None:
    office.profiles["Production"] = office.profile(second_person_above=299)
    crm = Program(office.visitor)
    draft = crm.checked()
    assert draft["needs_second_person"] is True
    assert "approval" in refused(crm.launch(draft), 403, "needs_second_person")["hint"]
    assert not office.runs.exists()
    for path in ("approve", "ask", "fix"):
        refused(crm.ask("POST", f"drafts/{draft['id']}/{path}"), 404, "not_found")


def test_a_campaign_that_sends_nothing_and_changed_settings_are_refused(office: Office) -> None:
    crm = Program(office.visitor)
    draft = crm.checked()
    office.profiles["Production"] = office.profile(max_recipients=10, canary=0)
    assert "At most 10 recipients" in refused(crm.launch(draft), 409, "not_possible")["detail"]
    office.profiles["Production"] = office.profile(campaigns=("another",), canary=0)
    refused(crm.launch(draft), 409, "not_possible")
    refused(crm.ask("POST", f"drafts/{draft['id']}/check"), 409, "not_ready")


def test_a_draft_of_another_program_or_person_is_not_there(office: Office) -> None:
    draft, other = Program(office.visitor).checked(), Program(office.visitor, "other")
    refused(other.ask("GET", f"drafts/{draft['id']}"), 404, "not_found")
    refused(other.ask("PUT", f"drafts/{draft['id']}", {"version": draft["version"]}), 404, "not_found")
    refused(other.ask("POST", f"drafts/{draft['id']}/check"), 404, "not_found")
    refused(other.launch(draft), 404, "not_found")
    assert office.draft(draft["id"]).version == draft["version"]


def test_a_draft_that_changed_meanwhile_has_another_version(office: Office) -> None:
    crm = Program(office.visitor)
    draft = crm.checked()
    told = refused(crm.put(draft["id"], version=1), 409, "changed")
    assert told["version"] == draft["version"]
    assert crm.put(draft["id"], columns=[]).json()["run_id"] == ""
    begun = crm.ask("POST", "uploads", {"name": "a.csv", "size": 9}).json()["id"]
    refused(crm.ask("GET", f"drafts/{begun}"), 409, "not_ready")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"endpoint": "https://evil.example"}, "endpoint"),
    ({"version": None}, "version"),
    ({"version": True}, "version"),
    ({"profile": "nowhere"}, "profile"),
    ({"profile": 1}, "profile"),
    ({"kind": "broadcast"}, "kind"),
    ({"profile": "Production", "target": CAMPAIGN, "canary": 99}, "canary"),
    ({"columns": {}}, "columns"),
    ({"columns": [{"column": "nowhere"}]}, "columns.column"),
    ({"columns": [{"column": "id"}, {"column": "id"}]}, "columns.column"),
    ({"columns": [{"column": "id", "use": "api_key"}]}, "columns.use"),
    ({"columns": [{"column": "id", "type": "secret"}]}, "columns.type"),
    ({"columns": [{"column": "id", "env": "HOME"}]}, "columns"),
    ({"reading": []}, "reading"),
    ({"reading": {"filter": "true"}}, "reading"),
    ({"reading": {"encoding": 8}}, "reading.encoding"),
    ({"reading": {"encoding": "klingon"}}, "reading"),
    ({"reading": {"header_row": 0}}, "reading.header_row"),
    ({"reading": {"null_values": ["a|b"]}}, "reading.null_values"),
]


def test_what_cannot_be_taken_is_named(visitor: Visitor) -> None:
    crm = Program(visitor)
    id = crm.uploaded()
    before = visitor.site.store.draft(id)
    assert before is not None
    for told, where in WRONG:
        answer = refused(crm.ask("PUT", f"drafts/{id}", {"version": before.version} | told), 400, "not_valid")
        assert answer["where"] == where
        assert answer["hint"]
    assert visitor.site.store.draft(id) == before
    assert refused(crm.ask("PUT", f"drafts/{id}", b"[]"), 400, "not_valid")["where"] == "body"


def test_every_refusal_has_a_code(visitor: Visitor) -> None:
    crm = Program(visitor)
    refused(visitor.ask("GET", "/api/v1/runs"), 401, "no_token")
    refused(visitor.ask("POST", "/api/v1/uploads"), 403, "from_elsewhere")
    refused(visitor.ask("GET", "/api/v1/runs", {"Host": "evil.example"}), 421, "wrong_host")
    refused(crm.ask("DELETE", "runs"), 405, "method_not_allowed")
    refused(crm.ask("GET", "nowhere"), 404, "not_found")
    refused(crm.ask("GET", "runs/nowhere"), 404, "not_found")
    refused(crm.ask("GET", "runs?limit=0"), 400, "not_valid")
    refused(crm.ask("POST", "uploads", {"name": "a.csv", "size": 2**40}), 413, "too_large")
    begun = crm.ask("POST", "uploads", {"name": "a.csv", "size": 9}).json()["id"]
    assert refused(crm.ask("PUT", f"uploads/{begun}?offset=5", b"x"), 409, "wrong_offset")["offset"] == 0
    refused(crm.ask("PUT", f"drafts/{begun}", b"x" * (1 << 20) + b"x"), 413, "too_large")
