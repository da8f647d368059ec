"""What the pages show of runs, and that markup from outside stays text."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.web import live, runs, show, trial_routes, words, words_settings
from bulk_sender.web.asking import Answer, Question
from bulk_sender.web.decide_routes import Group
from bulk_sender.web.drafts import Draft, Step
from bulk_sender.web.fix_routes import Screen
from bulk_sender.web.fixes import Fixes
from bulk_sender.web.fixing import Alike, Cell, Fault, Row, Trial, Wrong
from bulk_sender.web.gate import REPORT_POLICY
from bulk_sender.web.mapping import READING, Choice, Choices, Sight
from bulk_sender.web.profiles import Profile
from bulk_sender.web.rendering import assets, page
from bulk_sender.web.review_routes import Earlier
from bulk_sender.web.roles import Person, Role
from bulk_sender.web.server_files import ServerFile
from bulk_sender.web.space import Disk, space
from bulk_sender.web.store import Entry
from bulk_sender.web.workers import Moment
from tests.reporting.markup import Element, read
from tests.web.visitor import Visitor

ROW = bs.ResultRow("r", 1, "in.csv", 1, None, None, "accepted", None, 1, 1, 201, None, None, None, 2)

MOMENT = Moment(stage="held", rows=10, not_sent=5, accepted=5, to_send=5, held_after=5, waiting_s=1, waiting_on="hours")
TEMPLATES = Path(show.__file__).parent / "templates"
WHOLE = ["/", "/new", "/runs/calm", "/runs/abused", "/runs/shout", "/settings", "/settings/audit"]
PARTS = [
    "/people?who=someone",
    "/?q=calm&show=rehearsals",
    "/runs/calm?status=all",
    "/runs/calm?status=accepted&after=50",
    "/runs/abused?q=%3Cscript%3Ealert(1)%3C/script%3E%22onx=",
    "/runs/abused/rows/30",
    "/runs/abused/rows/100",
    "/runs/abused/rows/180",
    "/runs/calm/rows/1",
]
ERRORS = ["/nowhere", "/runs/nobody", "/runs/calm/rows/201", "/runs/calm/files/journal"]


@pytest.fixture
def visitor(onlooker: Visitor) -> Visitor:
    """These tests only look."""
    return onlooker


def tree(visitor: Visitor, path: str, code: int = 200) -> Element:
    answer = visitor.get(path)
    assert answer.status_code == code
    return read(answer.text)


def texts(root: Element, tag: str) -> list[str]:
    return [element.words() for element in root.all(tag)]


def cells(root: Element, section: str) -> list[list[str]]:
    [part] = [each for each in root.all("section") if each.attributes.get("aria-labelledby") == section]
    [body] = part.all("tbody")
    return [[cell.words() for cell in row.children] for row in body.all("tr")]


def refuse_anything_inline(root: Element) -> None:
    for element in root.all():
        if element.tag == "script":  # one of our own, and nothing in it
            assert (set(element.attributes), element.text) == ({"src", "type"}, "")
            assert element.attributes["type"] == "module"
            assert element.attributes["src"] in {f"/static/{name}" for name in assets()}
            continue
        assert element.tag not in {
            "style",
            "base",
            "iframe",
            "object",
            "img",
            "b" if element.text == "take" else "",
        }
        for name, value in element.attributes.items():
            assert not name.startswith("on"), (element.tag, name)
            assert name != "style", element.tag
            if name in {"href", "src", "action"}:
                assert value.startswith(("/", "#", "data:,")), value
                assert not value.startswith("//")


def refuse_barriers(root: Element) -> None:
    """Every field has a label, every page a language, a title, one h1, and a link that skips the menu."""
    [html] = root.all("html")
    assert html.attributes["lang"] == "en"
    assert len(root.all("h1")) == 1
    assert texts(root, "title")[0]
    assert root.all("a")[0].attributes["href"] == "#main"
    labelled = {id(field) for label in root.all("label") for field in label.all() if field.tag in ("input", "select")}
    for field in root.all("input") + root.all("select"):
        assert id(field) in labelled or field.attributes.get("type") == "hidden" or field.attributes.get("aria-label")
    ids = [element.attributes["id"] for element in root.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for element in root.all():
        assert set(element.attributes.get("aria-labelledby", "").split()) <= set(ids)
    levels = [int(element.tag[1]) for element in root.all() if re.fullmatch("h[1-6]", element.tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


@pytest.mark.parametrize("path", WHOLE + PARTS)
def test_a_page_is_sound_and_nothing_in_it_can_run(visitor: Visitor, path: str) -> None:
    root = tree(visitor, path)
    refuse_anything_inline(root)
    refuse_barriers(root)


@pytest.mark.parametrize("path", ERRORS)
def test_an_error_is_a_page_with_a_next_step(visitor: Visitor, path: str) -> None:
    root = tree(visitor, path, 404)
    refuse_anything_inline(root)
    refuse_barriers(root)
    assert root.all("main")[0].all("p")[0].words()
    assert [link.attributes["href"] for link in root.all("nav")[0].all("a")] == ["/"]


def test_a_wrong_method_is_answered_with_a_page(visitor: Visitor) -> None:
    answer = visitor.press("/settings")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert "That does not work here" in answer.text


HOSTILE = [
    "<script>alert(1)</script>",
    '"onx="',
    "'><img src=x onerror=alert(1)>",
    "x" * 10_000,
    "\u202eevil\u2066",
    "مرحبا",
    "😀\x00\x1b[31m",
    "=cmd()",
    "{{ 77 * 77 }}{% raw %}",
    "\udcff",
    "",
]


PROFILE = Profile(endpoint="http://127.0.0.1:1", key_file="/key", campaigns=("<script>",))


def checked_draft(text: str) -> Draft:
    goes = {"profile": text, "kind": "canvas", "target": text, "endpoint": f"https://{text}", "canary": 1}
    report = {"rows": 2, "valid": 1, "rejected": 1, "duplicate": 0, "requests": 1}
    more: dict[str, Any] = {
        "asked_by": text,
        "refused_by": text,
        "refused_why": text,
        "asked_at": 1.0,
        "plan": "ab" * 32,
    }
    return Draft("d", text, 10, text, step=Step.ASKED, goes=goes, pace={"rate": text}, report=report, **more)


SEND_PARTS = ("where", "offer", "check_next", "waiting", "tests")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("template", sorted(path.name.split(".")[0] for path in TEMPLATES.glob("*.jinja")))
def test_hostile_text_in_any_place_of_any_template_stays_text(visitor: Visitor, template: str, text: str) -> None:
    if template in (
        "layout",
        "macros",
        "place",
        "six",
        "stop",
        "stages",
        "recipient",
        *SEND_PARTS,
        "personal",
    ):  # parts of the others
        return
    run = replace(
        next(each for each in bs.runs(visitor.site.runs_dir) if each.run_id == "abused"),
        target=text,
        endpoint=f"https://{text}",
        inputs=(text, text),
        reason=text,
        state="stopped",
    )
    attempt = {
        "sent_at": "2026-11-24T10:00:00.000Z",
        "status": "split",
        "code": text,
        "http_status": 400,
        "reach": 5,
        "elapsed_s": 0.1,
        "message": text,
        "dispatch_id": text,
        "likely": text,
    }
    decision = {"status": "accepted", "at": "2026-11-24T10:00:00.000Z", "user": text, "why": text}
    batch = {"id": 1, "size": 50, "parent": 2, "attempts": [attempt], "decisions": [decision]}
    facts: dict[str, Any] = {
        "drafts": [(Draft("d", text, 10, text), 5), (Draft("e", text, 10, text, step=Step.MAPPED), 10)],
        "files": [ServerFile("f", text, 10, 0.0, Path("/f"))],
        "folders": [text],
        "draft": checked_draft(text),
        "waiting": [checked_draft(text)],
        "draft_id": "d",
        "profile": PROFILE,
        "seen": {
            **dict.fromkeys(("name", "state", "why_not", "problem"), text),
            "at": 1.0,
            "row": 1,
            "messages": [{"channel": text, "name": text, "fields": {text: text}, "left": [text], "faults": [text]}],
        },
        "is_looking": False,
        "look_trouble": None,
        "may_see": True,
        "needs": True,
        "sent_lately": 5,
        "is_own": False,
        "rate": text,
        "hours": text,
        "canary": 1,
        "typed": dict.fromkeys(("canary", "window", "rate"), text),
        "wrong": dict.fromkeys(("canary", "window", "rate"), text),
        "took": 5.0,
        "earlier": [Earlier(run, True, True)],
        "said": "",
        "choices": Choices((Choice(text, "attributes", text, "date", text),), {}, text, True, text, like=text),
        "problems": [text],
        "reading": dict.fromkeys(READING, text),
        "delimiter": text,
        "sight": Sight(1, text, text, bs.CheckReport()),
        "report": {
            **dict.fromkeys(("rows", "valid", "rejected", "duplicate", "filtered", "requests"), 1),
            "reasons": [{"code": text, "count": 1, "row": 1, "identifier": text, "error": text}],
            "warnings": [text],
        },
        "recipients": 1,
        "number": 1,
        "days": {text: (text, text)},
        "trouble": (text, text),
        "has_rejects": True,
        "most": 1,
        "most_plain": 1,
        "part": 1,
        "accept": text,
        "person": Person(text),
        "site": replace(visitor.site, profiles={text: Profile(endpoint="https://a.braze.eu", key_file="/k")}),
        "Role": Role,
        "current": "runs",
        "run": run,
        "parts": list(runs.parts(run)),
        "status": "all",
        "code": text,
        "query": text,
        "after": 0,
        "rows": bs.RowsPage((replace(ROW, identifier=text, status="failed", error=text),), 50),
        "total": 200,
        "details": runs.Details(
            (runs.Reason("failed", text, 1, 1, text, text),), 3, tuple([bs.Advice(text, text, text)] * 4)
        ),
        "has_report": True,
        "first": "?after=1",
        "following": "?after=1",
        "groups": runs.Groups([run], [run], [run]),
        "found": [run],
        "count": 1,
        "shown": "all",
        "live": live.Live(text, "held" if template == "first_rows" else "refused", run, MOMENT, True, (text, text)),
        "moment": MOMENT,
        "problem": (text, text),
        "starts": 1,
        "question": Question(False, Answer(text, (1,), stopped=text), (text, text)),
        "given": dict.fromkeys(("verdict", "scope", "rows", "why"), text),
        "has_key": True,
        "queued": ["r"],
        "tests": [(text, text)],
        "begun": [bs.Start("send", "2026-11-24T10:00:00.000Z", text, text)],
        "needs_another": False,
        "disk": Disk(5, 100),
        "has_workbook": True,
        "requests": 1,
        "fix": _hostile_fix(text),
        "is_tried": True,
        "here": "/runs/r/fix",
        "prepared": Draft("d", text, 10, text),
        "refusal": (text, text),
        "older": "?skip=50",
        "newer": "?skip=0",
        "row": 1,
        "facts": {
            "status": "failed",
            "error": text,
            "identifier": text,
            "identifier_type": text,
            "source": text,
            "source_row": 1,
            "source_line": 2,
            "recipient": {text: [text, 1234567, {"a": text}]},
            "batches": [batch],
        },
        "own": words_settings,
        "checks": {
            text: {"at": 0.0, "found": [{"name": text, "state": text, "text": text, "hint": text}]},
        },
        "keys": (),
        "space": space(visitor.site),
        "entries": [Entry(text, text, text, text, text, text)],
        "personal": template == "explain",
        "can_show": True,
        "no_reason": True,
        "shown_now": {"q": text},
        "version": text,
        "heading": text,
        "step": text,
        "command": text,
        "back": "/new/d",
        "code_shown": text,
    }
    if template == "test":
        trial = trial_routes.Trial((text,), 2, 1, {text: text}, None, {})
        facts |= {"trial": trial, "recipient": text, "told": {"people": [text], "row": 1}, "hours": text}
        facts |= {"uses": ["external_user_id"]}
    if template == "result":
        facts["files"] = {"results": "results.csv"}
    if template == "people":
        found = replace(ROW, identifier=text, status="failed", error=text)
        facts |= {"who": text, "found": bs.Search((found,), 1, {"r": text})}
    if template == "decide":
        facts["question"] = Question(False, Answer("2026-11-24T10:00:00+00:00", (1,), stopped=text), (text, text))
        facts["groups"] = [Group("proved", (1,), 2)]
    if template == "columns":
        cell = bs.Cell(1, text, 1, text)
        column = bs.Column(text, text, (text,), 1, 1.0, (cell,), (), text, (), 1, text, (cell,))
        facts["found"] = SimpleNamespace(
            columns=[column], rows=1, sampled=1, encoding=None, delimiter=None, sheet=SimpleNamespace(value=text)
        )
    root = read(bytes(page(template, **facts).body).decode())
    refuse_anything_inline(root)
    assert len(root.all("h1")) == 1
    shown = root.text
    assert not set(shown) & set("\u202e\u2066\x00\x1b")
    assert "5929" not in shown or template == "fix"  # whose cells are there to be changed


def _hostile_fix(text: str) -> Screen:
    """A row whose column, cell and reason would like to be markup."""
    text = text.encode("utf-8", "replace").decode() or "x"  # a frame holds nothing else
    columns = [text, f"{text} 2", f"{text} 3", "error", "source_line", "run"]
    wrong = Wrong("r", pl.DataFrame({column: [text] for column in columns}), (1,), (1,), 1)
    fault = Fault(1, text, text)
    cells = (
        Cell("c-1-0", text, text, "c-1-0", text),
        Cell("c-1-1", text, text, "c-1-1", text, True),
        Cell("x", text, text),
    )
    rows = (Row(1, 1, cells, False, text), Row(2, 2, 3 * cells[2:], True))
    trial = Trial((fault,), 1, 1, text)
    draft = Draft("d", text, 10, text, wanted_name=text)
    return Screen(wrong, Fixes(by=text), trial, rows, (2, 0, 1), (Alike(text, text, 2),), 1, text, draft)


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.jinja")), ids=lambda path: path.name)
def test_templates_hold_no_words(path: Path) -> None:
    """So that another language needs one module."""
    text = re.sub(r"{%.*?%}|{{.*?}}|<[^>]*>", " ", path.read_text(), flags=re.DOTALL)
    assert re.findall(r"[A-Za-z]+", text) == []


def listed(root: Element) -> list[str]:
    """The names of the finished runs."""
    return [row.all("a")[0].words() for part in root.all("section")[-1:] for row in part.all("tbody")[0].all("tr")]


def test_home_groups_the_runs(visitor: Visitor) -> None:
    root = tree(visitor, "/")
    assert texts(root, "h2") == ["Needs attention (1)", "Finished (2)"]
    [needs] = cells(root, "attention")
    assert needs[0] == "abusedhostile.csv"
    assert needs[2] == "48 rows are unknown1 row was refused by Braze2 rows are wrongDecide about 48 rows Fix 2 rows"
    [broadcast, rehearsal] = cells(root, "ended")
    assert broadcast[:1] + broadcast[2:5] == ["shoutbroadcast", "accepted", "", ""]
    assert rehearsal[:5] == ["calmcustomers.csv", "rehearsal", "4 rejected, 2 duplicate", "194", "200"]


@pytest.mark.parametrize(
    ("query", "found"),
    [("?q=CALM", ["calm"]), ("?q=customers", ["calm"]), ("?show=rehearsals", ["calm"]), ("?show=real", ["shout"])],
)
def test_home_finds_runs(visitor: Visitor, query: str, found: list[str]) -> None:
    assert listed(tree(visitor, f"/{query}")) == found


@pytest.mark.parametrize("query", ["?q=nothing", "?q=calm&show=real"])
def test_home_says_when_it_finds_nothing(visitor: Visitor, query: str) -> None:
    assert "No finished run fits this search" in visitor.get(f"/{query}").text


@pytest.mark.parametrize("skip", ["-1", "x", "9" * 30, "50", "²"])
def test_a_strange_place_in_the_list_is_no_trouble(visitor: Visitor, skip: str) -> None:
    assert len(cells(tree(visitor, f"/?skip={skip}"), "ended")) == 2


def test_a_long_list_has_pages(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulk_sender.web.pages._RUNS_ON_A_PAGE", 1)
    first, second = tree(visitor, "/?show=all"), tree(visitor, "/?show=all&skip=1")
    assert [listed(root) for root in (first, second)] == [["shout"], ["calm"]]
    assert [link.words() for link in first.all("a") if "skip" in link.attributes["href"]] == ["Older runs"]
    assert "Newer runs" in texts(second, "a")


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    root = tree(Visitor(tmp_path / "state", tmp_path / "nowhere").signed_in(), "/")
    refuse_barriers(root)
    assert "No runs yet" in root.text
    assert not (tmp_path / "nowhere").exists()


def test_a_result_has_the_six_counts_as_links(visitor: Visitor) -> None:
    root = tree(visitor, "/runs/calm")
    assert texts(root, "h1") == ["4 of 200 rows need your attention; 194 are accepted"]
    [six] = [each for each in root.all("ul") if each.attributes.get("class") == "six"]
    found = {link.attributes["href"]: texts(link, "strong")[0] for link in six.all("a")}
    assert found == {
        "/runs/calm?status=unknown#rows": "0",
        "/runs/calm?status=failed#rows": "0",
        "/runs/calm?status=rejected#rows": "4",
        "/runs/calm?status=not_sent#rows": "0",
        "/runs/calm?status=accepted#rows": "194",
        "/runs/calm?status=duplicate#rows": "2",
    }
    [current] = [link for link in six.all("a") if "aria-current" in link.attributes]
    assert "rejected" in current.text


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("", ["50", "100", "150", "200"]),
        ("?status=duplicate", ["70", "140"]),
        ("?status=rejected&code=invalid_value", ["50", "100", "150", "200"]),
        ("?status=accepted&code=invalid_value", []),
        ("?q=70", ["70"]),
        ("?q=customer-000003", ["3"]),
        ("?q=customer-000001", ["1", "70", "140"]),
        ("?q=CUSTOMER-000003", []),
        ("?q=customer", []),
        ("?status=rejected&after=100", ["150", "200"]),
        ("?status=nonsense&after=x", ["50", "100", "150", "200"]),
    ],
)
def test_rows_are_filtered_searched_and_paged(visitor: Visitor, query: str, rows: list[str]) -> None:
    root = tree(visitor, f"/runs/calm{query}")
    if not rows:
        assert "No rows here." in root.text
        return
    assert [row[0] for row in cells(root, "rows")] == rows


def test_all_rows_are_reached_by_pages(visitor: Visitor) -> None:
    seen: list[str] = []
    path: str | None = "/runs/calm?status=all"
    while path is not None:
        root = tree(visitor, path)
        seen += [row[0] for row in cells(root, "rows")]
        links = {link.words(): link.attributes["href"] for link in root.all("a")}
        assert ("First rows" in links) == ("after" in path)
        path = links.get("Next rows")
    assert seen == [f"{row:,}" for row in range(1, 201)]


@pytest.mark.parametrize(
    ("count", "more", "after", "total", "told"),
    [
        (4, False, 0, 4, "4 rows"),
        (1, False, 0, None, "1 row"),
        (50, True, 0, 2140, "the first 50 of 2,140 rows"),
        (50, True, 150, 2140, "50 of 2,140 rows, after row 150"),
        (50, True, 0, None, "the first 50 rows"),
        (7, False, 1150, None, "7 rows, after row 1,150"),
    ],
)
def test_it_says_which_rows_are_shown(count: int, more: bool, after: int, total: int | None, told: str) -> None:
    assert words.shown_rows(bs.RowsPage((ROW,) * count, 50 if more else None), after, total) == told


def test_reasons_are_counted_with_an_example(visitor: Visitor) -> None:
    found = cells(tree(visitor, "/runs/abused"), "reasons")
    assert [(row[0], row[1], row[3]) for row in found] == [
        ("unknown", "http_504", "48"),
        ("failed", "http_400", "1"),
        ("rejected", "invalid_value", "2"),
    ]
    assert found[2][2].startswith("row 100: column")


def test_details_are_read_once_until_the_counts_change(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    remembered = runs.Remembered(visitor.site.runs_dir)
    run = runs.overview(visitor.site.runs_dir, "abused")
    first = remembered.of(run)
    monkeypatch.setattr(runs, "_reasons", lambda *given: [])
    assert remembered.of(run) is first
    assert remembered.of(replace(run, sent_again=1)) is not first


IDENTIFIERS = re.compile(r"customer-\d{6}|someone@example|<script>(?:take|refuse|lose)</script>-\d{4}")


@pytest.mark.parametrize("path", [each for each in WHOLE + PARTS if "q=" not in each])
def test_no_page_shows_personal_data(visitor: Visitor, path: str) -> None:
    assert IDENTIFIERS.findall(tree(visitor, path).text) == []


@pytest.mark.parametrize(
    ("identifier", "shown"),
    [
        ("customer-000104", "cu…04"),
        ("0000000104", "00…04"),
        ("1234567", "12…"),
        ("short", "…"),
        ("anna@example.com", "an…"),
        ("", ""),
        (None, ""),
    ],
)
def test_an_identifier_is_masked_but_told_apart(identifier: str | None, shown: str) -> None:
    assert show.who(identifier) == shown


def test_a_recipient_is_masked() -> None:
    given = {"email": "anna@example.com", "tp": {"name": "Anna Example", "n": 93.55, "ok": True, "none": None}}
    found = json.loads(show.recipient(given | {"phone": 33612345678, "list": ["abcdefgh", 7]}))
    assert found == {
        "email": "an…",
        "tp": {"name": "An…", "n": 93.55, "ok": True, "none": None},
        "phone": "33…",
        "list": ["ab…", 7],
    }


def test_a_row_is_explained(visitor: Visitor) -> None:
    root = tree(visitor, "/runs/calm/rows/3")
    assert texts(root, "h1") == ["Row 3: accepted"]
    assert "customers.csv, line 4" in root.text
    assert "Batch 1 with 50 recipients" in root.text
    assert re.search(r"Braze answered HTTP 201 after \d+ ms\.", root.text)
    assert json.loads(root.all("pre")[0].text) == {
        "external_user_id": "cu…",
        "trigger_properties": {"name": "Na…"},
        "attributes": {"age": 40},
    }
    links = {link.words(): link.attributes["href"] for link in root.all("a")}
    assert links["Previous row"] == "/runs/calm/rows/2"
    assert links["Next row"] == "/runs/calm/rows/4"


def test_the_first_and_the_last_row_have_one_neighbour(visitor: Visitor) -> None:
    assert "Previous row" not in visitor.get("/runs/calm/rows/1").text
    assert "Next row" not in visitor.get("/runs/calm/rows/200").text


def test_a_split_batch_is_explained_part_by_part(visitor: Visitor) -> None:
    root = tree(visitor, "/runs/abused/rows/30")
    assert "refused, and sent again in two halves" in root.text
    assert re.search(r"Batch [56] with 25 recipients, a part of batch 1", root.text)  # batch 4 may be planned later
    assert texts(root, "h1") == ["Row 30: failed"]


def test_the_report_may_run_nothing(visitor: Visitor) -> None:
    answer = visitor.get("/runs/abused/report")
    assert answer.headers["content-security-policy"] == REPORT_POLICY
    assert REPORT_POLICY.startswith("sandbox ")
    assert "allow-scripts" not in REPORT_POLICY
    assert "allow-forms" not in REPORT_POLICY
    assert answer.text == (visitor.site.runs_dir / "abused" / "report.html").read_text()
    for name in re.findall(r'href="([\w.]+)"', answer.text):
        assert visitor.get(f"/runs/abused/{name}").status_code == 303, name


def test_results_are_downloaded_whole(visitor: Visitor) -> None:
    answer = visitor.get("/runs/calm/files/results")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''calm-results.csv"
    assert answer.content == (visitor.site.runs_dir / "calm" / "results.csv").read_bytes()
    assert len(list(csv.DictReader(io.StringIO(answer.text)))) == 200


def test_rejected_rows_are_offered_only_where_there_are_some(visitor: Visitor) -> None:
    assert "rejected.csv" in texts(tree(visitor, "/runs/calm"), "a")
    assert "rejected.csv" not in texts(tree(visitor, "/runs/shout"), "a")


@pytest.mark.parametrize(
    "name", ["journal", "report", "%2e%2e", "..%2f..%2fetc%2fpasswd", "results.csv", "lock", "results%00"]
)
def test_no_other_file_is_served(visitor: Visitor, name: str) -> None:
    assert visitor.get(f"/runs/calm/files/{name}").status_code == 404


@pytest.mark.parametrize("run", ["%2e%2e", "..%2f..", "nobody", "index.sqlite", "calm%00", "%0a", "x" * 5000])
@pytest.mark.parametrize("end", ["", "/report", "/rows/1", "/files/results"])
def test_no_other_folder_is_served(visitor: Visitor, run: str, end: str) -> None:
    assert visitor.get(f"/runs/{run}{end}").status_code == 404


@pytest.fixture
def own(tmp_path: Path) -> Visitor:
    """A page over a run that a test may damage."""
    from tests.reporting.runs import rehearsed

    (tmp_path / "runs").mkdir()
    rehearsed(tmp_path / "runs", 60)
    return Visitor(tmp_path / "state", tmp_path / "runs").signed_in()


def test_files_that_are_links_are_not_served_and_a_missing_report_is_written(own: Visitor, tmp_path: Path) -> None:
    folder = own.site.runs_dir / "calm"
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    for name in ("results.csv", "report.html", "rejected.csv", "summary.json"):
        (folder / name).unlink()
    (folder / "results.csv").symlink_to(secret)
    os.mkfifo(folder / "rejected.csv")
    assert own.get("/runs/calm/files/results").status_code == 404
    assert own.get("/runs/calm/files/rejected").status_code == 404
    assert own.get("/runs/calm/report").status_code == 404
    assert own.get("/runs/calm/files/summary").json()["accepted"] == 59
    assert "Write the report" in texts(tree(own, "/runs/calm"), "button")
    assert own.press("/runs/calm/report").headers["location"] == "/runs/calm/report"
    assert own.get("/runs/calm/report").status_code == 200
    assert "Write the report" not in own.get("/runs/calm").text


def test_a_run_whose_folder_is_gone_is_listed_and_not_linked(own: Visitor) -> None:
    (own.site.runs_dir / "calm").rename(own.site.runs_dir.parent / "elsewhere")
    root = tree(own, "/")
    assert "the run's folder is gone" in root.text
    assert "/runs/calm" not in [link.attributes["href"] for link in root.all("a")]
    assert own.get("/runs/calm").status_code == 404


def test_a_damaged_journal_is_a_page_without_a_traceback(own: Visitor) -> None:
    (own.site.runs_dir / "calm" / "journal.sqlite").write_bytes(b"nonsense" * 1000)
    answer = own.get("/runs/calm/rows/1")
    assert answer.status_code == 503
    assert "Traceback" not in answer.text
    refuse_barriers(read(answer.text))


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"state": "running", "accepted": 10, "not_sent": 90}, "In progress: 10 of 100 rows accepted so far"),
        ({"accepted": 100}, "All 100 rows accepted"),
        ({"accepted": 97, "duplicate": 3}, "97 of 100 rows accepted; 3 duplicate"),
        ({"state": "stopped", "accepted": 60, "not_sent": 40}, "The run stopped early: 40 of 100 rows were not sent"),
        ({"accepted": 99, "unknown": 1}, "1 of 100 rows needs your attention; 99 are accepted"),
        ({"rows": 0}, "The run has no rows"),
        (
            {"accepted": 50, "not_sent": 50, "held": bs.Hold(50, ""), "state": "stopped"},
            "The first 50 rows were sent; the rest wait for an answer",
        ),
    ],
)
def test_the_headline_says_how_a_run_stands(visitor: Visitor, facts: dict[str, Any], told: str) -> None:
    counts = dict.fromkeys(words.NAMES, 0) | {"rows": 100}
    run = replace(next(iter(bs.runs(visitor.site.runs_dir))), **counts | facts)
    assert words.headline(run) == told


def test_a_held_run_needs_attention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visitor: Visitor) -> None:
    run = next(iter(bs.runs(visitor.site.runs_dir)))
    held = replace(run, state="running", held=bs.Hold(50, ""), rehearsal=False)
    stopped = replace(run, state="interrupted", rehearsal=False)
    sending = replace(run, state="running")
    monkeypatch.setattr(runs, "newest_first", lambda folder: [held, stopped, sending, run])
    found = runs.groups(tmp_path)
    assert (found.attention, found.running, found.ended) == ([held, stopped], [sending], [run])


def test_the_settings_show_no_key(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAZE_API_KEY", "a-key-that-nobody-sees")
    text = visitor.get("/settings").text
    assert "a-key-that-nobody-sees" not in text
    assert str(visitor.site.runs_dir) in text
    assert bs.__version__ in text
