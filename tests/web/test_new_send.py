"""From a file to its check: the columns, the exact recipient, what is wrong, and two people at one send."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from bulk_sender.web import mapping
from bulk_sender.web.drafts import Draft, Step
from bulk_sender.web.mapping import Choice, Choices
from bulk_sender.web.roles import Person, Role
from bulk_sender.web.store import Entry, Store
from tests.kit.command import until
from tests.reporting.markup import Element, read
from tests.web.test_pages import refuse_anything_inline, refuse_barriers, texts
from tests.web.visitor import Visitor

ROWS = ["Customer no;First name;mail;Points;Joined"] + [
    f"{number:06d};Ann{number};a{number}@example.com;{number};2026-03-{number % 28 + 1:02d}" for number in range(1, 41)
]
ROWS[32] = ";Nobody;;3;2026-03-01"
DATA = "\n".join(ROWS).encode()


@pytest.fixture
def store(visitor: Visitor) -> Store:
    return Store(visitor.state.folder)


@pytest.fixture
def id(visitor: Visitor) -> str:
    return visitor.uploaded("people.csv", DATA)


def form(visitor: Visitor, id: str, **changed: object) -> dict[str, object]:
    """The fields of the columns page, as a browser would send them."""
    root = read(visitor.get(f"/new/{id}").text)
    [found] = [each for each in root.all("form") if each.attributes.get("id") == "columns"]
    fields: dict[str, object] = {}
    for each in found.all("input"):
        if each.attributes.get("type") != "checkbox" or "checked" in each.attributes:
            fields[each.attributes["name"]] = each.attributes.get("value", "")
    for each in found.all("select"):
        [selected] = [option for option in each.all("option") if "selected" in option.attributes]
        fields[each.attributes["name"]] = selected.attributes["value"]
    return fields | changed


def recipient(page: str) -> Any:
    [shown] = re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", page, re.DOTALL)
    return json.loads(html.unescape(shown))


def draft_of(store: Store, id: str) -> Draft:
    found = store.draft(id)
    assert found is not None
    return found


def test_the_columns_are_shown_with_a_guess_and_the_exact_recipient(visitor: Visitor, store: Store, id: str) -> None:
    page = visitor.get(f"/new/{id}").text
    root = read(page)
    refuse_anything_inline(root)
    assert "people.csv · 5 columns · 40 rows" in root.text
    assert "1 cell is empty (row 32)" in root.text
    assert recipient(page) == {
        "external_user_id": "000001",
        "trigger_properties": {"first_name": "Ann1", "loyalty_points": 1, "joined": "2026-03-02"},
    }
    assert "Of the first 40 rows: 39 could be sent, 1 are wrong, 0 are duplicates." in root.text
    assert draft_of(store, id).step is Step.UPLOADED  # looking changes nothing


def test_a_choice_is_kept_and_reaches_the_recipient(visitor: Visitor, store: Store, id: str) -> None:
    told = form(
        visitor, id, do="save", row="2", **{"use-0": "", "use-2": "email", "name-3": "score", "type-3": "string"}
    )
    answer = visitor.press(f"/new/{id}", told)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/new/{id}?row=2")
    found = recipient(visitor.get(f"/new/{id}?row=2").text)
    assert found["email"] == "a2@example.com"
    assert found["trigger_properties"]["score"] == "2"
    draft = draft_of(store, id)
    assert (draft.step, draft.version) == (Step.MAPPED, 3)
    assert form(visitor, id)["name-3"] == "score"


def test_the_preview_follows_a_form_that_is_not_saved(visitor: Visitor, store: Store, id: str) -> None:
    answer = visitor.press(f"/new/{id}/preview", form(visitor, id, row="5", **{"name-1": "given_name"}))
    assert answer.status_code == 200
    assert recipient(answer.text)["trigger_properties"]["given_name"] == "Ann5"
    assert draft_of(store, id).step is Step.UPLOADED
    wrong = visitor.press(f"/new/{id}/preview", form(visitor, id, row="32"))
    assert "row 32 would not be sent" in wrong.text


def test_two_columns_on_one_field_are_said_at_once(visitor: Visitor, id: str) -> None:
    told = form(visitor, id, do="check", **{"name-1": "x", "name-3": "x"})
    answer = visitor.press(f"/new/{id}", told)
    assert answer.headers["location"].startswith(f"/new/{id}")
    assert "check" not in answer.headers["location"]
    root = read(visitor.get(f"/new/{id}").text)
    told_problem = "Two columns go out as one field (Message property x): First name and Points. Choose one of them."
    assert told_problem in html.unescape(root.text)
    refuse_barriers(root)


def test_nobody_chosen_is_said(visitor: Visitor, id: str) -> None:
    visitor.press(f"/new/{id}", form(visitor, id, do="save", **{"use-0": "", "use-2": ""}))
    assert "No column says who gets the message" in visitor.get(f"/new/{id}").text


def test_who_saw_an_earlier_version_is_refused(visitor: Visitor, store: Store, id: str) -> None:
    told = form(visitor, id, do="save")
    assert visitor.press(f"/new/{id}", told).status_code == 303
    answer = visitor.press(f"/new/{id}", told | {"use-1": ""})
    assert answer.status_code == 409
    assert "changed this send meanwhile" in answer.text
    assert draft_of(store, id).version == 3


def launched(visitor: Visitor, store: Store, id: str, run: str, **changed: object) -> None:
    visitor.press(f"/new/{id}", form(visitor, id, do="save", **changed))
    store.change(id, lambda found: replace(found, step=Step.LAUNCHED, run_id=run), Entry("Ann", "sent it"))


def test_columns_are_chosen_as_in_the_latest_send_with_nearly_the_same(visitor: Visitor, store: Store, id: str) -> None:
    launched(visitor, store, visitor.uploaded("other.csv", b"id;x\n1;2\n"), "other-run")
    launched(visitor, store, visitor.uploaded("older.csv", DATA), "older-run", **{"name-3": "old"})
    launched(visitor, store, id, "people-run", **{"use-1": "", "name-3": "score", "type-3": "string"})
    more = "\n".join(row.replace(";", ",") + ",Shop" for row in ROWS)
    second = visitor.uploaded("next.csv", more.encode())
    page = visitor.get(f"/new/{second}").text
    assert "chosen as in people-run" in read(page).text
    assert recipient(page) == {
        "external_user_id": "000001",
        "trigger_properties": {"score": "1", "joined": "2026-03-02"},
    }
    visitor.press(f"/new/{second}", form(visitor, second, do="guess"))
    page = visitor.get(f"/new/{second}").text
    assert "chosen as in" not in read(page).text
    assert recipient(page)["trigger_properties"]["loyalty_points"] == 1


@pytest.mark.parametrize(
    "header", [b"Customer no;First name;mail;Points;When", b"Customer no;First name;Points;Joined;a;b;c", b"mail;x"]
)
def test_a_file_with_other_columns_gets_a_guess(visitor: Visitor, store: Store, id: str, header: bytes) -> None:
    launched(visitor, store, id, "people-run", **{"name-3": "score"})
    second = visitor.uploaded("next.csv", header + b"\n" + b";".join([b"1"] * (header.count(b";") + 1)))
    assert "chosen as in" not in visitor.get(f"/new/{second}").text


def test_a_form_shown_before_another_send_began_is_shown_again(visitor: Visitor, store: Store, id: str) -> None:
    second = visitor.uploaded("next.csv", DATA)
    before = form(visitor, second, do="check")
    launched(visitor, store, id, "people-run", **{"name-3": "score"})
    assert visitor.press(f"/new/{second}", before).status_code == 409
    assert draft_of(store, second).step is Step.UPLOADED
    assert form(visitor, second)["name-3"] == "score"


FORBIDDEN = {
    "braze.endpoint": "http://evil.example",
    "endpoint": "http://evil.example",
    "filter": "1 = 1",
    "input.filter": "1 = 1",
    "proxy": "http://evil.example",
    "use-1": "braze.endpoint",
    "type-1": "query",
    "column-1": "../../etc/passwd",
    "column-99": "Customer no",
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_only_known_keys_reach_the_configuration(visitor: Visitor, store: Store, id: str, name: str) -> None:
    visitor.press(f"/new/{id}", form(visitor, id, do="save", **{name: FORBIDDEN[name]}))
    config = Choices.of(draft_of(store, id).config).config()
    assert set(config) == {"recipient", "input"}
    assert set(config["input"]) <= set(mapping.READING)
    assert set(config["recipient"]) <= {"external_user_id", "email", "prioritization", "trigger_properties"}
    assert FORBIDDEN[name] not in json.dumps(config).replace('"Customer no"', "")


def test_a_suggested_filter_can_only_be_dropped(visitor: Visitor, store: Store) -> None:
    rows = ["id;Newsletter consent"] + [f"{number};{'yes' if number % 4 else 'no'}" for number in range(1, 101)]
    id = visitor.uploaded("consent.csv", "\n".join(rows).encode())
    told = form(visitor, id, do="save", filter="1 = 1")
    assert told["uses_filter"] in ("", "on")
    visitor.press(f"/new/{id}", told)
    kept = Choices.of(draft_of(store, id).config)
    assert kept.config()["input"]["filter"] == kept.filter != "1 = 1"
    told = form(visitor, id, do="save")
    del told["uses_filter"]
    visitor.press(f"/new/{id}", told)
    assert "filter" not in Choices.of(draft_of(store, id).config).config()["input"]


def test_a_file_is_read_differently(visitor: Visitor, id: str) -> None:
    told = {"do": "read", "version": form(visitor, id)["version"], "delimiter": ",", "null_values": "n/a | -"}
    visitor.press(f"/new/{id}", told)
    root = read(visitor.get(f"/new/{id}").text)
    assert "1 column" in root.text
    [field] = [each for each in root.all("input") if each.attributes.get("name") == "null_values"]
    assert field.attributes["value"] == "n/a|-"


@pytest.mark.parametrize("data", [b"\x00" * 100, b"", b"id\n", b"PAR1" + b"x" * 50, b"PK\x03\x04" + b"x" * 50])
def test_a_file_that_cannot_be_read_is_a_page_with_the_reason(visitor: Visitor, data: bytes) -> None:
    id = visitor.uploaded("people.csv", data or b"\n")
    root = read(visitor.get(f"/new/{id}").text)
    refuse_barriers(root)
    assert root.all("li")


def test_hostile_columns_and_cells_stay_text(visitor: Visitor) -> None:
    hostile = '<script>alert(1)</script>"onx=\u202e'
    made = io.StringIO()
    csv.writer(made).writerows(
        [["id", hostile, "=cmd()", "'><img src=x>"]] + [[str(n), hostile, "=x", "<b>"] for n in range(9)]
    )
    id = visitor.uploaded("people.csv", made.getvalue().encode())
    root = read(visitor.get(f"/new/{id}").text)
    refuse_anything_inline(root)
    assert "\u202e" not in root.text


def test_who_may_not_see_personal_data_gets_a_masked_recipient(visitor: Visitor, id: str) -> None:
    roles = frozenset({Role.LOOK, Role.PREPARE})
    object.__setattr__(visitor.app, "identify", lambda headers: Person("a colleague", roles))
    assert visitor.get(f"/new/{id}").headers["location"] == f"/new/{id}/owner"
    visitor.press(f"/new/{id}/owner")
    found = recipient(visitor.get(f"/new/{id}").text)
    assert found["external_user_id"] != "000001"
    assert visitor.get(f"/new/{id}/rejected").status_code == 403


def checked(visitor: Visitor, store: Store, id: str) -> Element:
    answer = visitor.press(f"/new/{id}", form(visitor, id, do="check"))
    assert answer.headers["location"] == f"/new/{id}/check"
    until(lambda: not visitor.get(f"/new/{id}/progress").json()["running"])
    return read(visitor.get(f"/new/{id}/check").text)


def test_a_check_counts_all_rows_and_offers_those_that_are_wrong(visitor: Visitor, store: Store, id: str) -> None:
    root = checked(visitor, store, id)
    refuse_anything_inline(root)
    refuse_barriers(root)
    assert texts(root, "h1") == ["39 of 40 rows could be sent"]
    assert "1 row is wrong" in texts(root, "h2")
    draft = draft_of(store, id)
    assert (draft.step, draft.digest) == (Step.CHECKED, draft.terms)
    answer = visitor.get(f"/new/{id}/rejected")
    assert answer.headers["content-disposition"].startswith("attachment")
    [row] = list(csv.DictReader(io.StringIO(answer.text), delimiter=";"))
    assert row["First name"] == "Nobody"
    assert [entry.did for entry in store.audit()][-2:] == ["checked all rows", "downloaded the wrong rows"]


def test_other_columns_make_a_check_void(visitor: Visitor, store: Store, id: str) -> None:
    checked(visitor, store, id)
    visitor.press(f"/new/{id}", form(visitor, id, do="save", **{"use-1": ""}))
    assert draft_of(store, id).step is Step.MAPPED
    assert texts(read(visitor.get(f"/new/{id}/check").text), "h1") == ["Check all rows"]
    assert visitor.get(f"/new/{id}/rejected").status_code == 404


def test_a_check_that_fails_says_why(visitor: Visitor, store: Store, id: str, tmp_path: Path) -> None:
    visitor.press(f"/new/{id}", form(visitor, id, do="save"))
    (store.folder / "uploads" / id / "input" / "people.csv").unlink()
    version = draft_of(store, id).version
    visitor.press(f"/new/{id}/check", {"version": version})
    until(lambda: not visitor.get(f"/new/{id}/progress").json()["running"])
    page = visitor.get(f"/new/{id}/check").text
    assert "Input file not found" in page
    assert draft_of(store, id).step is Step.MAPPED


def test_a_check_is_stopped(visitor: Visitor, store: Store) -> None:
    rows = "".join(f"{number:07d};Ann\n" for number in range(600_000))
    id = visitor.uploaded("people.csv", b"Customer no;First name\n" + rows.encode())
    told = form(visitor, id, do="check")
    visitor.press(f"/new/{id}", told)
    page = visitor.get(f"/new/{id}/check").text
    assert "Stop the check" in page
    refuse_barriers(read(page))
    assert visitor.press(f"/new/{id}", told).status_code == 409  # a second click
    visitor.press(f"/new/{id}/stop")
    until(lambda: not visitor.get(f"/new/{id}/progress").json()["running"])
    assert "stopped it on the page" in visitor.get(f"/new/{id}/check").text
    assert draft_of(store, id).step is Step.MAPPED


def test_a_check_outlives_the_page(visitor: Visitor, store: Store, id: str) -> None:
    visitor.press(f"/new/{id}", form(visitor, id, do="check"))
    again = Visitor(visitor.state.folder, visitor.site.runs_dir).signed_in()  # the page was restarted
    until(
        lambda: draft_of(store, id).step is not Step.CHECKING or not again.get(f"/new/{id}/progress").json()["running"]
    )
    assert texts(read(again.get(f"/new/{id}/check").text), "h1") == ["39 of 40 rows could be sent"]


def test_a_check_that_ended_with_the_server_can_begin_again(visitor: Visitor, store: Store, id: str) -> None:
    from bulk_sender.web import drafts
    from bulk_sender.web.store import Entry

    visitor.press(f"/new/{id}", form(visitor, id, do="save"))
    store.change(id, drafts.checking, Entry("ann", "began a check"))
    assert "Check all rows" in visitor.get(f"/new/{id}/check").text
    assert draft_of(store, id).step is Step.MAPPED


@pytest.mark.parametrize("path", ["", "/check", "/progress", "/rejected"])
def test_an_upload_that_is_not_whole_has_no_columns(visitor: Visitor, path: str) -> None:
    id = visitor.announce("half.csv", 100).json()["id"]
    assert visitor.get(f"/new/{id}{path}").status_code == 404


@pytest.mark.parametrize(
    ("columns", "problems"),
    [
        ([("a", "external_user_id"), ("b", "external_user_id")], 1),
        ([("a", "user_alias.alias_name")], 1),
        ([("a", "user_alias.alias_name"), ("b", "user_alias.alias_label")], 0),
        ([("a", "external_user_id"), ("b", "user_alias.alias_label")], 1),
        ([("a", "external_user_id"), ("x", "trigger_properties"), ("y", "attributes")], 0),
        ([], 1),
    ],
)
def test_choices_that_do_not_fit_are_named(columns: list[tuple[str, str]], problems: int) -> None:
    found = Choices(tuple(Choice(*each) for each in columns))
    assert len(list(found.problems())) == problems
    if not problems:
        bs.Config.parse(found.config(), where="the form")


def test_a_label_for_all_aliases_is_enough() -> None:
    found = Choices((Choice("a", "user_alias.alias_name"),), label="crm")
    assert list(found.problems()) == []
    assert found.config()["recipient"]["user_alias"]["alias_label"] == {"value": "crm"}


def test_choices_come_back_from_their_record() -> None:
    found = Choices((Choice("a", "email", type="string"),), {"decimal": ","}, "x = 1", True, "crm")
    assert Choices.of(json.loads(json.dumps(found.to_dict()))) == found
