"""Rehearsals from the page: a checked file, real processes, the simulated Braze, and clicks that come twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import bulk_sender as bs
from bulk_sender.web import words
from bulk_sender.web.drafts import Step
from tests.kit.command import until
from tests.kit.jobs import braze
from tests.reporting.markup import read
from tests.web.test_live import Desk
from tests.web.test_new_send import DATA, checked, form
from tests.web.test_pages import refuse_anything_inline, refuse_barriers, tree


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with braze() as server:
        desk = Desk(tmp_path, server)
        yield desk
        desk.visitor.end()


@pytest.fixture
def id(desk: Desk) -> str:
    id = desk.visitor.uploaded("new people.csv", DATA)
    checked(desk.visitor, desk.visitor.site.store, id)
    return id


def name_of(desk: Desk, id: str, number: int) -> str:
    draft = desk.visitor.site.store.draft(id)
    assert draft is not None
    return f"{draft.label}.rehearsal.{number}"


def test_a_checked_file_is_rehearsed_once_however_often_the_button_is_pressed(desk: Desk, id: str) -> None:
    check = tree(desk.visitor, f"/new/{id}/check")
    [link] = [each for each in check.all("a") if each.words() == words.REHEARSE]
    root = read(desk.visitor.get(link.attributes["href"]).text)
    refuse_anything_inline(root)
    refuse_barriers(root)
    assert root.all("h1")[0].words() == "Rehearse with 39 recipients"
    assert "nobody gets a message" in root.text
    [number] = [each.attributes["value"] for each in root.all("input") if each.attributes["name"] == "number"]

    answers = [desk.visitor.press(link.attributes["href"], day="calm", number=number) for _ in range(2)]
    name = name_of(desk, id, 1)
    assert [answer.headers["location"] for answer in answers] == [f"/runs/{name}/live"] * 2
    desk.until("ended", run=name)
    summary = desk.summary(name)
    assert (summary.state, summary.accepted, summary.rejected) == ("finished", 39, 1)
    assert [run.rehearsal for run in bs.runs(desk.runs)] == [True]
    assert len(bs.facts(name, runs_dir=desk.runs).starts) == 1
    assert desk.server.ledger.accepted_recipients == 0

    desk.visitor.press(link.attributes["href"], day="calm", number=number)  # the form of a page that was kept open
    assert len(bs.facts(name, runs_dir=desk.runs).starts) == 1
    assert name in tree(desk.visitor, f"/new/{id}/check").text
    assert len([each for each in desk.visitor.site.store.audit() if each.did == "began a rehearsal"]) == 1

    again = desk.visitor.press(link.attributes["href"], day="lost-answers", number=2)
    assert again.headers["location"] == f"/runs/{name_of(desk, id, 2)}/live"
    desk.until("ended", run=name_of(desk, id, 2))


def test_a_rehearsal_can_ask_after_the_first_rows(desk: Desk, id: str) -> None:
    desk.visitor.press(f"/new/{id}/rehearse", day="slow", number=1, first_rows="1")
    name = name_of(desk, id, 1)
    desk.until("held", run=name)
    page = desk.visitor.get(f"/runs/{name}/live").text
    assert "nobody gets a message" in page
    desk.visitor.press(f"/runs/{name}/first-rows", answer="send", typed=str(desk.moment(name).to_send))
    desk.until("ended", run=name)
    until(lambda: desk.summary(name).state == "finished")
    assert desk.summary(name).accepted == 39


@pytest.mark.parametrize(
    "wrong",
    [{"day": "sunny"}, {"day": ""}, {"number": "0"}, {"number": "3"}, {"number": "x"}, {"first_rows": "-1"}],
    ids=str,
)
def test_a_form_of_another_kind_begins_nothing(desk: Desk, id: str, wrong: dict[str, str]) -> None:
    answer = desk.visitor.press(f"/new/{id}/rehearse", {"day": "calm", "number": "1"} | wrong)
    assert answer.status_code in (400, 409)
    assert list(bs.runs(desk.runs)) == []
    draft = desk.visitor.site.store.draft(id)
    assert draft is not None
    assert draft.rehearsals == ()


def test_columns_that_changed_after_the_check_are_checked_first(desk: Desk, id: str) -> None:
    fields = form(desk.visitor, id, **{"use-1": ""})
    desk.visitor.press(f"/new/{id}", fields | {"do": "save"})
    draft = desk.visitor.site.store.draft(id)
    assert draft is not None
    assert draft.step is Step.MAPPED
    assert desk.visitor.get(f"/new/{id}/rehearse").headers["location"] == f"/new/{id}/check"
    assert desk.visitor.press(f"/new/{id}/rehearse", day="calm", number=1).status_code == 409
    assert list(bs.runs(desk.runs)) == []
