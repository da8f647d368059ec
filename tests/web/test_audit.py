"""The audit log on the page and in a terminal: who did what, and a proof that nothing was changed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from bulk_sender.web.settings_routes import ENTRIES_ON_A_PAGE
from bulk_sender.web.state import State
from bulk_sender.web.store import Entry, Store
from tests.kit.command import Here, Place
from tests.web.test_pages import refuse_anything_inline, refuse_barriers, texts, tree
from tests.web.visitor import Visitor


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    found = Place(tmp_path)
    found.variables["XDG_STATE_HOME"] = str(tmp_path / "state")
    return found


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(capsys, monkeypatch)


def store(place: Place, port: int = 8799) -> Store:
    return Store(State.of(port).folder)


def forge(found: Store) -> None:
    with sqlite3.connect(found.path) as open_file:
        open_file.execute("DROP TRIGGER audit_is_not_changed")
        open_file.execute("UPDATE audit SET who = 'Eve' WHERE id = 1")


def test_the_command_prints_who_did_what(place: Place, here: Here) -> None:
    store(place).record(Entry("Ada", "stopped the run", "autumn", told="too\nlate\x1b[31m", address="192.0.2.7"))
    ended = here.run(place, "web", "audit")
    assert ended.code == 0
    [line] = ended.out.splitlines()
    assert line.partition(" · ")[2] == "Ada · stopped the run · autumn · too late · 192.0.2.7"
    [told] = here.run(place, "web", "audit", "--json").json
    assert (told["who"], told["object"], told["address"]) == ("Ada", "autumn", "192.0.2.7")


def test_a_log_is_proved_and_a_changed_one_is_refused(place: Place, here: Here) -> None:
    found = store(place, 9000)
    for number in range(3):
        found.record(Entry("Ada", f"did {number}"))
    good = here.run(place, "web", "audit", "--port", "9000", "--verify")
    assert good.code == 0
    assert "The log is whole: 3 entries" in good.out
    assert found.proof().digest in good.out.replace("\n", "")
    proof = here.run(place, "web", "audit", "--port", "9000", "--verify", "--json").json
    assert proof == {"entries": 3, "digest": found.proof().digest}
    forge(found)
    bad = here.run(place, "web", "audit", "--port", "9000", "--verify")
    assert bad.code == 2
    assert "the audit log was changed: entry 1" in bad.err
    assert bad.out == ""


def test_without_a_log_it_says_where_to_look(place: Place, here: Here) -> None:
    ended = here.run(place, "web", "audit", "--port", "9001")
    assert ended.code == 2
    assert "no page of yours has recorded anything on port 9001" in ended.err
    assert not list((place.folder / "state").rglob("web.sqlite"))


def test_the_page_shows_the_latest_first_in_pages(visitor: Visitor) -> None:
    for number in range(ENTRIES_ON_A_PAGE + 5):
        visitor.site.store.record(Entry("<script>", f"did {number}", "<b>", told="=cmd()", address="\u202e"))
    first, second = tree(visitor, "/settings/audit"), tree(visitor, f"/settings/audit?skip={ENTRIES_ON_A_PAGE}")
    for root in (first, second):
        refuse_anything_inline(root)
        refuse_barriers(root)
    assert f"The log is whole: {ENTRIES_ON_A_PAGE + 6} entries" in first.text  # with the signing in
    assert f"did {ENTRIES_ON_A_PAGE + 4}" in first.all("tbody")[0].all("tr")[0].text
    assert "signed in" in second.text
    assert ("Earlier entries" in texts(first, "a"), "Later entries" in texts(second, "a")) == (True, True)


@pytest.mark.parametrize("skip", ["-1", "x", "9" * 17])
def test_a_strange_place_in_the_log_is_no_trouble(visitor: Visitor, skip: str) -> None:
    refuse_barriers(tree(visitor, f"/settings/audit?skip={skip}"))


def test_the_page_says_when_the_log_was_changed(visitor: Visitor) -> None:
    forge(visitor.site.store)
    text = visitor.get("/settings/audit").text
    assert "the audit log was changed: entry 1" in text
    assert "The log is whole" not in text


def test_an_entry_without_a_person_is_of_the_page(place: Place, here: Here) -> None:
    store(place).record(Entry("", "the check ended with the server"))
    assert "the page · the check ended" in here.run(place, "web", "audit").out
    assert json.loads(here.run(place, "web", "audit", "--json").out)[0]["who"] == ""
