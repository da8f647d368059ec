"""Rejected rows that are fixed on the page, and sent as a run that knows the one before."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.web import inherit, mapping
from bulk_sender.web.drafts import Draft, Step
from bulk_sender.web.mapping import Choice, Choices
from bulk_sender.web.roles import Person, Role
from tests.kit.command import until
from tests.reporting.markup import Element
from tests.reporting.runs import abused
from tests.web.test_pages import refuse_anything_inline, refuse_barriers, texts, tree
from tests.web.visitor import Visitor

HEADER = "Customer no;First name;Total;Basket"
ROWS = [f"{number:06d};Ann{number};{number}.50;[1]" for number in range(1, 41)]
ROWS[31] = ";=cmd();32.50;[1]"
ROWS[32] = "000033;<script>alert(1)</script>;free;[1]"
ROWS[33] = "000034;Zoë;free;[1]"
ROWS[34] = '000035;"two\nlines";35.50;[1'
CONFIG = {
    "recipient": {
        "external_user_id": "Customer no",
        "trigger_properties": {
            "first_name": {"column": "First name"},
            "total": {"column": "Total", "type": "float"},
            "basket": {"column": "Basket", "type": "json"},
            "season": {"value": "winter"},
        },
    },
    "message": {"trigger_properties": {"shop": "Lyon"}},
    "delivery": {"rate": "1000/second"},
}


@pytest.fixture
def page(tmp_path: Path) -> Visitor:
    """A page over a rehearsal ``r`` with 4 wrong rows of 40."""
    source = tmp_path / "people.csv"
    source.write_text("\n".join([HEADER, *ROWS]))
    bs.send(source, config=CONFIG, run_id="r", runs_dir=tmp_path / "runs", sandbox=bs.Sandbox())
    return Visitor(tmp_path / "state", tmp_path / "runs").signed_in()


def form(visitor: Visitor, at: str = "/runs/r/fix", /, **changed: object) -> dict[str, object]:
    """The fields of the page, as a browser would send them."""
    [found] = [each for each in tree(visitor, at).all("form") if each.attributes["action"].endswith("/fix")]
    fields: dict[str, object] = {
        each.attributes["name"]: each.attributes.get("value", "") for each in found.all("input")
    }
    for each in found.all("textarea"):
        fields[each.attributes["name"]] = each.text.removeprefix("\n").replace("\n", "\r\n")
    for each in found.all("select"):
        fields[each.attributes["name"]] = "0"
    return fields | changed


def button(root: Element) -> str:
    [found] = [each for each in root.all("button") if each.attributes.get("class") == "primary"]
    return found.words()


def drafts_of(visitor: Visitor) -> list[Draft]:
    return visitor.site.store.drafts()


RIGHT: dict[str, object] = {"c-32-0": "000032", "c-33-2": "33", "c-34-2": "34", "c-35-3": "[1]"}


def checked(page: Visitor) -> Draft:
    """The one draft, once its check has ended."""
    [draft] = drafts_of(page)
    until(lambda: not page.get(f"/new/{draft.id}/progress").json()["running"])
    page.get(f"/new/{draft.id}/check")
    [draft] = drafts_of(page)
    return draft


def test_wrong_cells_are_fields_with_the_reason(page: Visitor) -> None:
    root = tree(page, "/runs/r/fix")
    refuse_anything_inline(root)
    refuse_barriers(root)
    assert texts(root, "h1") == ["Fix 4 rows"]
    assert button(root) == "Check and send 4 rows…"
    assert "4 rows are still wrong" in root.text
    names = {each.attributes["name"] for each in root.all("input") if each.attributes.get("name", "").startswith("c-")}
    assert names == {"c-32-0", "c-33-2", "c-34-2", "c-35-3"}
    heads = [each.words() for each in root.all("th") if each.attributes["scope"] == "col"]
    assert heads[:5] == ["Row", "Customer no", "Total", "Basket", "First name"]  # first those to fix
    bad = [cell.words() for cell in root.all("td") if cell.attributes.get("class") == "bad"]
    assert len(bad) == 4
    assert "number" in bad[1]
    assert "<script>" not in page.get("/runs/r/fix").text.replace("<script src", "")
    assert "r-fixed" in root.text


def test_what_is_still_wrong_is_said_with_links_to_the_cells(page: Visitor) -> None:
    answer = page.press("/runs/r/fix", form(page, do="send", **{"c-32-0": "000032"}))
    assert answer.headers["location"] == "/runs/r/fix?trouble=wrong"
    root = tree(page, answer.headers["location"])
    refuse_barriers(root)
    links = [each.attributes["href"] for each in root.all("a") if each.attributes["href"].startswith("#c-")]
    assert links == ["#c-33-2", "#c-34-2", "#c-35-3"]
    ids = {each.attributes.get("id") for each in root.all("input")}
    assert {link[1:] for link in links} <= ids
    assert "3 rows are still wrong" in root.text
    assert form(page)["c-32-0"] == "000032"
    assert drafts_of(page) == []


def test_fixed_rows_become_a_draft_with_the_columns_of_the_run(page: Visitor) -> None:
    told = form(page, **RIGHT | {"do": "send"})
    answer = page.press("/runs/r/fix", told)
    [draft] = drafts_of(page)
    assert answer.headers["location"] == f"/new/{draft.id}/check"
    again = page.press("/runs/r/fix", told)  # a second click
    assert again.headers["location"] == answer.headers["location"]
    draft = checked(page)
    assert (draft.parent, draft.wanted_name, list(draft.first_rows)) == ("r", "r-fixed", [32, 33, 34, 35])
    assert (draft.step, draft.report["valid"], draft.digest) == (Step.CHECKED, 4, draft.terms)

    path = page.site.uploads.path(draft)
    rows = list(csv.DictReader(io.StringIO(path.read_text(), newline="")))
    assert [row["Customer no"] for row in rows] == ["000032", "000033", "000034", "000035"]
    assert [row["First name"] for row in rows] == ["=cmd()", "<script>alert(1)</script>", "Zoë", "two\nlines"]
    assert [row["source_line"] for row in rows] == ["33", "34", "35", "36"]
    assert {row["run"] for row in rows} == {"r"}

    config = Choices.of(draft.config).config()
    summary = bs.send(
        path,
        config=config | {"delivery": CONFIG["delivery"]},
        run_id=draft.wanted_name,
        runs_dir=page.site.runs_dir,
        sandbox=bs.Sandbox(),
    )
    assert summary.accepted == 4
    assert bs.facts("r-fixed", runs_dir=page.site.runs_dir).parents == ("r",)
    sent = bs.explain("r-fixed", 1, runs_dir=page.site.runs_dir)["recipient"]
    before = bs.explain("r", 1, runs_dir=page.site.runs_dir)["recipient"]
    assert sent["external_user_id"] == "000032"
    assert set(sent["trigger_properties"]) == set(before["trigger_properties"])
    assert sent["trigger_properties"]["season"] == "winter"
    assert [entry.did for entry in page.site.store.audit()].count("fixed wrong rows") == 1


def test_fixed_rows_of_a_typed_table_keep_their_types(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"id": ["001", None], "n": [1, 2], "when": [date(2026, 1, 2)] * 2, "o": [{"a": 1, "b": "x"}] * 2}
    )
    frame.write_parquet(tmp_path / "x.parquet")
    named = {"n": {"column": "n"}, "w": {"column": "when"}, "o": {"column": "o"}}
    config: dict[str, Any] = {"recipient": {"external_user_id": "id", "trigger_properties": named}}
    runs = tmp_path / "runs"
    bs.send(tmp_path / "x.parquet", config=config, run_id="r", runs_dir=runs, sandbox=bs.Sandbox())
    page = Visitor(tmp_path / "state", runs).signed_in()
    page.press("/runs/r/fix", form(page) | {"do": "send", "c-2-0": "002"})
    [draft] = drafts_of(page)
    found = json.loads(mapping.sight(page.site.uploads.path(draft), Choices.of(draft.config), 1, runs).recipient)
    assert found == {
        "external_user_id": "002",
        "trigger_properties": {"n": 2, "w": "2026-01-02", "o": {"a": 1, "b": "x"}},
    }


def test_choices_of_a_typed_table_fit_its_rejected_rows() -> None:
    before = Choices((Choice("id", "external_user_id"), Choice("n", "attributes"), Choice("o", "attributes", "order")))
    after = inherit.renamed(before, ["id", "n:integer", "o.a:integer", "error"])
    assert after.config()["recipient"] == {
        "external_user_id": {"column": "id"},
        "attributes": {"n": {"column": "n:integer", "type": "integer"}, "order": {"column": "o"}},
    }


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_wrong_rows_of_a_check_are_fixed_before_anything_is_sent(tmp_path: Path, kind: str) -> None:
    page = Visitor(tmp_path / "state", tmp_path / "runs").signed_in()
    if kind == "csv":
        data = "\n".join(["Customer no;First name", *[f"{n:06d};Ann{n}" for n in range(1, 30)], ";=cmd()", ";Zoë"])
        id = page.uploaded("people.csv", data.encode())
    else:
        names: list[str | None] = [f"{n:06d}" for n in range(1, 30)]
        frame = pl.DataFrame({"Customer no": [*names, None, None], "Points": range(31)})
        frame.write_parquet(tmp_path / "x.parquet")
        id = page.uploaded("people.parquet", (tmp_path / "x.parquet").read_bytes())
    columns = tree(page, f"/new/{id}")
    [found] = [each for each in columns.all("form") if each.attributes.get("id") == "columns"]
    fields = {each.attributes["name"]: each.attributes.get("value", "") for each in found.all("input")}
    for each in found.all("select"):
        [selected] = [option for option in each.all("option") if "selected" in option.attributes]
        fields[each.attributes["name"]] = selected.attributes["value"]
    page.press(f"/new/{id}", fields | {"do": "check"})
    until(lambda: not page.get(f"/new/{id}/progress").json()["running"])
    assert "Fix the 2 wrong rows" in texts(tree(page, f"/new/{id}/check"), "a")
    here = f"/new/{id}/fix"
    root = tree(page, here)
    refuse_anything_inline(root)
    refuse_barriers(root)
    assert "together with the rest" in root.text
    told = form(page, here)
    assert {"c-30-0", "c-31-0"} <= set(told)
    page.press(here, told | {"do": "leave-31", "c-30-0": "000030"})
    assert page.press(here, form(page, here) | {"do": "send"}).headers["location"] == f"/new/{id}/check"
    draft = checked(page)
    assert (draft.step, draft.report["valid"], draft.report["rejected"], draft.path) == (Step.CHECKED, 30, 0, "")
    path = page.site.uploads.path(draft)
    assert path.name == "people-fixed.csv"
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [row["Customer no"] for row in rows] == [f"{n:06d}" for n in range(1, 31)]
    sight = mapping.sight(path, Choices.of(draft.config), 30)
    if kind == "csv":
        assert rows[29]["First name"] == "=cmd()"
    else:
        assert 29 in json.loads(sight.recipient)["trigger_properties"].values()  # a number, not a text
    assert page.get(here).status_code == 200
    assert "No row" in page.get(here).text


def test_rows_that_are_left_out_stay_behind(page: Visitor) -> None:
    page.press("/runs/r/fix", form(page, **RIGHT | {"do": "leave-35"}))
    root = tree(page, "/runs/r/fix")
    assert button(root) == "Check and send 3 rows…"
    assert "Bring back" in root.text
    page.press("/runs/r/fix", form(page, do="keep-35"))
    assert button(tree(page, "/runs/r/fix")) == "Check and send 4 rows…"
    for row in (32, 33, 34, 35):
        page.press("/runs/r/fix", form(page, do=f"leave-{row}"))
    answer = page.press("/runs/r/fix", form(page, do="send"))
    assert answer.headers["location"] == "/runs/r/fix?trouble=nothing"
    page.press("/runs/r/fix", form(page, do="keep-34"))
    page.press("/runs/r/fix", form(page, do="send"))
    draft = checked(page)
    assert (draft.report["valid"], list(draft.first_rows)) == (1, [34])


def test_the_same_is_done_in_all_rows_alike(page: Visitor) -> None:
    options = [each.words() for each in tree(page, "/runs/r/fix").all("option")]
    assert options[0] == "Total: free (2 rows)"
    page.press("/runs/r/fix", form(page, do="alike", which="0", put="0"))
    assert "2 rows are still wrong" in page.get("/runs/r/fix").text
    fields = form(page)
    assert (fields["c-33-2"], fields["c-34-2"]) == ("0", "0")
    page.press("/runs/r/fix", form(page, do="alike_leave", which="0"))
    assert button(tree(page, "/runs/r/fix")) == "Check and send 3 rows…"


def test_another_person_meanwhile_loses_nothing(page: Visitor) -> None:
    mine = form(page, do="save", **{"c-33-2": "1"})
    page.press("/runs/r/fix", form(page, do="save", **{"c-33-2": "2"}))
    assert page.press("/runs/r/fix", mine).headers["location"] == "/runs/r/fix?trouble=changed"
    assert "Somebody changed these rows meanwhile" in page.get("/runs/r/fix?trouble=changed").text
    assert form(page)["c-33-2"] == "2"


def test_a_browser_cannot_change_other_cells_than_those_of_the_rows(page: Visitor) -> None:
    page.press("/runs/r/fix", form(page, do="save", **{"c-1-0": "x", "c-32-9": "x", "c-32-": "x", "c-٣-0": "x"}))
    page.press("/runs/r/fix", form(page, do="leave-1"))
    page.press("/runs/r/fix", form(page, do="open-9999999999999999999999"))
    assert button(tree(page, "/runs/r/fix")) == "Check and send 4 rows…"


def test_other_cells_of_a_row_can_be_opened(page: Visitor) -> None:
    answer = page.press("/runs/r/fix", form(page, do="open-35"))
    assert answer.headers["location"] == "/runs/r/fix?row=35#r-35"
    fields = form(page, "/runs/r/fix?row=35")
    assert fields["c-35-1"] == "two\r\nlines"
    page.press("/runs/r/fix", fields | {"do": "save"})
    assert page.site.state.folder.joinpath("fixes").is_dir()
    assert "c-35-1" not in form(page)  # line ends of a browser are no change


def test_a_fixed_file_can_be_uploaded_in_two_ways(page: Visitor) -> None:
    text = bs.rejected("r", runs_dir=page.site.runs_dir).write_csv().replace("free", "7")
    boundary = "b"
    body = f'--b\r\nContent-Disposition: form-data; name="file"; filename="x.csv"\r\n\r\n{text}\r\n--b--\r\n'.encode()
    from tests.web.visitor import OURS

    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = page.ask("POST", "/runs/r/fix/upload", OURS | kind, body)
    [draft] = drafts_of(page)
    assert answer.headers["location"] == f"/new/{draft.id}"
    assert (draft.parent, draft.wanted_name) == ("r", "r-fixed")
    id = page.uploaded("y.csv", text.encode())
    shown = page.get(f"/new/{id}").text
    assert "season" in shown
    assert "winter" in shown


def test_a_person_who_may_have_the_message_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    abused(tmp_path / "runs")
    page = Visitor(tmp_path / "state", tmp_path / "runs").signed_in()
    here = "/runs/abused/fix"
    root = tree(page, here)
    refuse_anything_inline(root)
    fields = form(page, here)
    assert {"c-100-1", "c-200-1"} <= set(fields)
    page.press(here, fields | {"do": "save", "c-100-1": "7", "c-200-1": "8"})
    assert "All of these rows can be sent" in page.get(here).text
    fields = form(page, f"{here}?row=100")
    page.press(here, fields | {"do": "save", "c-100-0": "<script>take</script>-0001"})  # row 1 was accepted
    assert "1 row can be sent. 1 row would be left out" in page.get(here).text
    page.press(here, form(page, here) | {"do": "send"})
    draft = checked(page)
    assert (draft.report["valid"], draft.report["duplicate"]) == (1, 1)
    assert page.get(f"/new/{draft.id}/check").status_code == 200
    assert page.get(f"/new/{draft.id}").status_code == 200


def test_who_may_not_see_personal_data_may_not_fix(page: Visitor) -> None:
    object.__setattr__(page.app, "identify", lambda headers: Person("Bob", frozenset({Role.LOOK, Role.PREPARE})))
    for answer in (page.get("/runs/r/fix"), page.press("/runs/r/fix", do="save")):
        assert answer.status_code == 403
        assert "You may not do this" in answer.text


def test_many_wrong_rows_are_fixed_in_a_spreadsheet(page: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulk_sender.web.fixing.MOST_ROWS", 3)
    root = tree(page, "/runs/r/fix")
    refuse_barriers(root)
    assert "4 rows are wrong" in root.text
    assert "Download as CSV" in texts(root, "a")
