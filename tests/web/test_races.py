"""Bad moments: a second tab while a process begins, a full disk, a look that must not write."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from bulk_sender.errors import BulkSenderError
from bulk_sender.web import drafts, keys
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


def test_a_page_that_shows_alone_records_nothing(visitor: Visitor, tmp_path: Path) -> None:
    id, store = prepared(visitor), visitor.site.store
    shown = Visitor(tmp_path / "state", tmp_path / "runs", read_only=True).signed_in()
    for step in (
        lambda each: drafts.launched(each, each.run_id, 1.0, needs_approval=False),
        drafts.not_begun,
        drafts.asked,
        lambda each: drafts.approved(each, each.offer, "cleo", 1.0),
        lambda each: drafts.checking(drafts.expired(each, 1e9)),
    ):
        store.change(id, step, Entry("", "a step"))
        before = store.draft(id), store.count()
        for path in ("", "/progress", "/owner", "/rehearse"):
            shown.get(f"/new/{id}{path}")
        shown.get(f"/approvals/{id}/look")
        assert (store.draft(id), store.count()) == before
    upload = visitor.announce("other.csv", 4).json()["id"]
    found = store.draft(upload)
    assert found is not None
    (visitor.site.uploads.home(found) / ".part").write_bytes(b"id\n1")  # whole, not recorded yet
    assert shown.get(f"/new/{upload}").status_code == 404
    assert store.draft(upload) == found


def test_a_full_disk_is_said_in_a_sentence(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    id = prepared(visitor)
    monkeypatch.setattr("bulk_sender.web.uploads.make_folders", full)
    answer = visitor.announce("people.csv", 10)
    assert (answer.status_code, answer.json()["detail"]) == (507, "the disk of the server is full")
    monkeypatch.setattr("bulk_sender.web.checks.make_folders", full)
    draft = visitor.site.store.draft(id)
    assert draft is not None
    answer = visitor.press(f"/new/{id}/check", version=draft.version)
    assert answer.status_code == 507
    assert "The disk of the server is full" in answer.text


def test_a_full_disk_changes_no_record(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    id, store, connect = prepared(visitor), visitor.site.store, sqlite3.connect
    before = store.draft(id)

    def nearly_full(*given: Any, **more: Any) -> sqlite3.Connection:
        file: sqlite3.Connection = connect(*given, **more)
        file.execute(f"PRAGMA max_page_count = {file.execute('PRAGMA page_count').fetchone()[0]}")
        return file

    monkeypatch.setattr("bulk_sender.web.store.sqlite3.connect", nearly_full)
    with pytest.raises(BulkSenderError, match="database or disk is full"):
        store.change(id, lambda each: replace(each, config={"long": "x" * 100_000}), Entry("", "a step"))
    monkeypatch.undo()
    assert store.draft(id) == before
    assert store.verify()


@pytest.mark.parametrize("name", ["Production", "Staging"])
def test_a_run_keeps_the_key_of_its_own_workspace(visitor: Visitor, name: str) -> None:
    """Workspaces share an address, and each has a key of its own."""
    prepared(visitor)
    store = visitor.site.store
    (draft,) = store.drafts()
    store.change(draft.id, lambda each: replace(each, goes={**each.goes, "profile": name}), Entry("", "chose"))
    both = dict.fromkeys(("Production", "Staging"), visitor.site.profiles["Production"])
    both["Staging"] = both["Staging"].model_copy(update={"key_file": "/staging", "second_person_above": 1})
    object.__setattr__(visitor.site, "profiles", both)
    run: Any = SimpleNamespace(run_id="people-1", endpoint="http://127.0.0.1:9/", rehearsal=False)
    assert keys.profile_of(visitor.site, run) is both[name]
    by_hand: Any = SimpleNamespace(run_id="other", endpoint="http://127.0.0.1:9", rehearsal=False)
    assert keys.profile_of(visitor.site, by_hand) is both["Staging"]
