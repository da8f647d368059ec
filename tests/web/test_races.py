"""Two tabs, two people, or a page that ended, at the moment when a process begins or a file is deleted."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from bulk_sender.web import drafts
from bulk_sender.web.drafts import Step
from bulk_sender.web.profiles import Profile
from bulk_sender.web.roles import Person, Role
from bulk_sender.web.store import Entry
from bulk_sender.web.workers import Job
from tests.web.visitor import Visitor

DATA = b"id\n" + b"".join(b"%06d\n" % number for number in range(30))


@pytest.fixture
def visitor(tmp_path: Path) -> Iterator[Visitor]:
    """A page with a profile, whose processes never come about."""
    profile = Profile(endpoint="http://127.0.0.1:9", key_file=str(tmp_path / "key"), canary=0)
    visitor = Visitor(tmp_path / "state", tmp_path / "runs", profiles={"Production": profile}).signed_in()
    yield visitor
    visitor.end()


def prepared(visitor: Visitor) -> str:
    """Return the id of a checked send. Its check did not happen: these tests are about what follows."""
    id = visitor.uploaded("people.csv", DATA)
    goes = {"profile": "Production", "kind": "campaign", "target": "c", "endpoint": "http://127.0.0.1:9", "canary": 0}
    store = visitor.site.store
    for step in (lambda found: drafts.mapped(found, {}, "", goes), drafts.checking):
        store.change(id, step, Entry("", "prepared it"))
    store.change(id, lambda found: drafts.checked(found, {"valid": 30}, "plan", "people-1"), Entry("", "checked"))
    return id


def be(visitor: Visitor, name: str) -> None:
    """The next requests come from this person."""
    person = Person(name, frozenset({Role.LOOK, Role.PREPARE}))
    object.__setattr__(visitor.app, "identify", lambda headers: person)


def meanwhile(visitor: Visitor, path: str, found: list[httpx.Response]) -> Callable[[Job], bool]:
    """Return a way to begin a process, during which another tab asks for a page."""

    def begin(job: Job) -> bool:
        tab = threading.Thread(target=lambda: found.append(visitor.get(path)))
        tab.start()
        tab.join(0.5)
        visitor.site.crew.post(job.run_id).write("begun", f"{os.getpid()} {time.time()}")
        tabs.append(tab)
        return True

    tabs: list[threading.Thread] = []
    begin.tabs = tabs  # type: ignore[attr-defined]
    return begin


def test_a_tab_that_looks_before_the_process_began_does_not_undo_the_launch(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, found = prepared(visitor), list[httpx.Response]()
    visitor.get("/runs/people-1/live")  # the next look is quick
    begin = meanwhile(visitor, f"/new/{id}/progress", found)
    monkeypatch.setattr(visitor.site.crew, "begin", begin)
    monkeypatch.setattr("bulk_sender.PlanFile.read", lambda path: type("Plan", (), {"digest": "plan"}))
    draft = visitor.site.store.draft(id)
    assert draft is not None
    answer = visitor.press(f"/new/{id}/send", offer=draft.offer, typed="30")
    begin.tabs[0].join()  # type: ignore[attr-defined]
    assert answer.headers["location"] == "/runs/people-1/live"
    assert found[0].headers.get("location") == "/runs/people-1/live"
    launched = visitor.site.store.draft(id)
    assert launched is not None
    assert launched.step is Step.LAUNCHED


def test_a_tab_that_looks_before_a_check_began_does_not_end_it(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, found = prepared(visitor), list[httpx.Response]()
    begin = meanwhile(visitor, f"/new/{id}/progress", found)
    monkeypatch.setattr(visitor.site.crew, "begin", begin)
    draft = visitor.site.store.draft(id)
    assert draft is not None
    visitor.press(f"/new/{id}/check", version=draft.version)
    begin.tabs[0].join()  # type: ignore[attr-defined]
    assert found[0].json()["running"]


def test_a_send_that_began_meanwhile_keeps_its_file(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    id, store = prepared(visitor), visitor.site.store
    seen = store.draft(id)
    assert seen is not None
    path = visitor.site.uploads.path(seen)
    store.change(id, lambda each: drafts.launched(each, each.run_id, 1.0, needs_approval=False), Entry("", "sent it"))
    monkeypatch.setattr(type(store), "draft", lambda self, wanted: seen)  # what another tab read before
    assert visitor.press(f"/new/{id}/delete").status_code == 409
    monkeypatch.setattr(type(store), "drafts", lambda self: [seen])
    visitor.site.uploads.clean_up(seen.touched_at + 30 * 86400)
    monkeypatch.undo()
    assert path.read_bytes() == DATA
    kept = store.draft(id)
    assert kept is not None
    assert kept.step is Step.LAUNCHED


def test_nobody_adds_bytes_to_the_file_of_another_person(visitor: Visitor) -> None:
    be(visitor, "ann")
    id = visitor.announce("people.csv", len(DATA)).json()["id"]
    visitor.put(id, 0, DATA[:10])
    be(visitor, "ben")
    assert visitor.put(id, 10, DATA[10:]).status_code == 403
    be(visitor, "ann")
    assert visitor.put(id, 10, DATA[10:]).json()["done"]
    draft = visitor.site.store.draft(id)
    assert draft is not None
    assert draft.hands == ("ann",)
