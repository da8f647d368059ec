"""Who sees what of people: masked for all, whole once for those with the right and a reason, and always recorded."""

from __future__ import annotations

import html
import re
import time
from pathlib import Path

import pytest

from bulk_sender.web import disclosures, show
from bulk_sender.web.disclosures import Disclosures
from bulk_sender.web.roles import ALL, Person, Role
from bulk_sender.web.store import Entry
from tests.web.test_pages import cells, refuse_anything_inline, refuse_barriers, tree
from tests.web.visitor import Visitor

EMAILS = b"id,mail,age\n" + b"".join(b"00%04d,ada%d@example.com,%d\n" % (n, n, n) for n in range(20)) + b"x,,abcde\n"


def as_one_who_may(visitor: Visitor, *roles: Role, name: str = "Ada") -> Visitor:
    object.__setattr__(visitor.app, "identify", lambda headers: Person(name, frozenset(roles)))
    return visitor


def last(visitor: Visitor) -> Entry:
    return visitor.site.store.audit()[-1]


def first_who(visitor: Visitor, path: str) -> str:
    return cells(tree(visitor, path), "rows")[0][1]


def test_rows_are_whole_once_after_a_reason_and_that_is_recorded(visitor: Visitor) -> None:
    masked = first_who(visitor, "/runs/calm?status=accepted")
    assert "…" in masked
    answer = visitor.press("/runs/calm/personal", status="accepted", reason="A customer asked")
    assert answer.status_code == 303
    path = answer.headers["location"]
    whole = first_who(visitor, path.partition("#")[0])
    assert "…" not in whole
    assert whole[:2] == masked[:2]
    assert first_who(visitor, path.partition("#")[0]) == masked
    entry = last(visitor)
    assert (entry.did, entry.object, entry.told) == ("saw personal data", "calm", "rows: accepted: A customer asked")


def test_one_row_is_whole_once(visitor: Visitor) -> None:
    path = visitor.press("/runs/calm/personal", row=1, reason="asked").headers["location"]
    assert path.startswith("/runs/calm/rows/1?shown=")
    first, second = visitor.get(path).text, visitor.get(path).text
    assert "Personal data is shown on this page once" in first
    [told] = re.findall("<pre[^>]*><code>(.*?)</code>", html.unescape(first), re.DOTALL)
    assert "…" not in told
    assert "…" in html.unescape(second)
    assert last(visitor).told == "row 1: asked"


@pytest.mark.parametrize("reason", ["", "  ", "ab", "\x00\x00\x00\x00"])
@pytest.mark.parametrize("row", ["", "1"])
def test_without_a_reason_nothing_is_shown_or_recorded(visitor: Visitor, reason: str, row: str) -> None:
    before = len(visitor.site.store.audit())
    answer = visitor.press("/runs/calm/personal", reason=reason, row=row)
    path = answer.headers["location"].partition("#")[0]
    assert "shown=" not in path
    assert "Write a reason" in visitor.get(path).text
    assert len(visitor.site.store.audit()) == before


def test_a_page_with_the_form_and_with_the_data_is_sound(visitor: Visitor) -> None:
    shown = visitor.press("/runs/abused/personal", row=30, reason="look").headers["location"]
    for path in (shown, "/runs/abused?status=all&reason=missing", "/runs/abused/rows/30?reason=missing"):
        root = tree(visitor, path)
        refuse_anything_inline(root)
        refuse_barriers(root)


def test_a_reason_is_text_and_bounded(visitor: Visitor) -> None:
    visitor.press("/runs/calm/personal", reason="<script>\n\x1b[31m" + "x" * 5000)
    assert last(visitor).told.startswith("rows: all: <script> x")
    assert len(last(visitor).told) < 250


def test_who_may_only_look_gets_neither_form_nor_data(visitor: Visitor) -> None:
    shown = visitor.press("/runs/calm/personal", reason="asked").headers["location"].partition("#")[0]
    as_one_who_may(visitor, Role.LOOK, Role.PREPARE, Role.APPROVE)
    assert "Show personal data" not in visitor.get("/runs/calm").text
    assert "…" in first_who(visitor, shown)
    assert visitor.press("/runs/calm/personal", reason="asked").status_code == 403


def test_a_ticket_is_for_one_person_and_one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    tickets = Disclosures()
    assert not tickets.take(tickets.give("Ada", "/runs/a"), "Eve", "/runs/a")
    assert not tickets.take(tickets.give("Ada", "/runs/a"), "Ada", "/runs/b")
    assert not tickets.take("", "Ada", "/runs/a")
    ticket = tickets.give("Ada", "/runs/a")
    assert tickets.take(ticket, "Ada", "/runs/a")
    assert not tickets.take(ticket, "Ada", "/runs/a")
    late = tickets.give("Ada", "/runs/a")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + disclosures.LASTS_S + 1)
    assert not tickets.take(late, "Ada", "/runs/a")


def test_cells_of_an_upload_are_shown_by_their_form_without_the_right(visitor: Visitor) -> None:
    as_one_who_may(visitor, *ALL)
    draft = visitor.uploaded("people.csv", EMAILS)
    assert "ada1@example.com" in visitor.get(f"/new/{draft}").text
    text = as_one_who_may(visitor, Role.LOOK, Role.PREPARE).get(f"/new/{draft}").text
    assert "ada" not in text.replace("Ada", "")
    assert "xxx9@xxxxxxx.xxx" in text
    assert "x is a letter, 9 is a digit" in text


def test_the_form_of_a_cell_says_nothing_of_the_person() -> None:
    assert show.shape("Zoë 0049-171 <a@b>") == "xxx 9999-999 <x@x>"


@pytest.mark.parametrize("which", ["results", "rejected", "summary"])
def test_a_download_is_recorded(visitor: Visitor, which: str) -> None:
    as_one_who_may(visitor, *ALL, name="Bea")
    assert visitor.ask("HEAD", f"/runs/calm/files/{which}").status_code == 200
    assert not visitor.site.store.audit() or last(visitor).did != f"downloaded {which}"
    assert visitor.get(f"/runs/calm/files/{which}").status_code == 200
    entry = last(visitor)
    assert (entry.who, entry.did, entry.object, entry.address) == ("Bea", f"downloaded {which}", "calm", "127.0.0.1")


def test_signing_in_and_out_is_recorded(tmp_path: Path, runs_dir: Path) -> None:
    visitor = Visitor(tmp_path / "state", runs_dir).signed_in()
    visitor.press("/sign-out")
    assert [entry.did for entry in visitor.site.store.audit()] == ["signed in", "signed out"]
    assert {entry.address for entry in visitor.site.store.audit()} == {"127.0.0.1"}
    assert {entry.who for entry in visitor.site.store.audit()} == {visitor.site.owner}
