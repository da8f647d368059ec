"""After a run: its results as a workbook, a person in all runs, runs that wait, and a disk that is almost full."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import bulk_sender as bs
from bulk_sender.web.workers import Job
from tests.web.test_pages import cells, refuse_barriers, texts, tree
from tests.web.visitor import Visitor


def test_results_are_a_workbook_with_identifiers_as_text(visitor: Visitor) -> None:
    assert "As an Excel file" in texts(tree(visitor, "/runs/calm"), "a")
    answer = visitor.get("/runs/calm/files/workbook")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''calm-results.xlsx"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
        assert "customer-000001" in book.read("xl/worksheets/sheet1.xml").decode()
    assert [entry.did for entry in visitor.site.store.audit()] == ["signed in", "downloaded workbook"]
    assert visitor.get("/runs/shout/files/workbook").status_code == 404


def test_a_run_that_no_sheet_holds_says_so(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulk_sender.web.downloads.MOST_IN_A_SHEET", 199)
    answer = visitor.get("/runs/calm/files/workbook")
    assert (answer.status_code, "too many rows for a workbook" in answer.text) == (409, True)
    assert "As an Excel file" not in texts(tree(visitor, "/runs/calm"), "a")


def test_a_person_is_found_in_all_runs(visitor: Visitor) -> None:
    assert "Find a person in all runs" in visitor.get("/").text
    root = tree(visitor, "/people?who=customer-000003")
    refuse_barriers(root)
    assert texts(root, "h1") == ["Found in 1 row"]
    assert "/runs/calm/rows/3" in [link.attributes["href"] for link in root.all("a")]
    assert texts(tree(visitor, "/people?who=nobody"), "h1") == ["No run has this identifier."]
    assert visitor.get("/people?who=+").headers["location"] == "/"


def test_a_run_that_waits_is_listed(visitor: Visitor) -> None:
    crew = visitor.site.crew
    for run, stage in (("waits", "queued"), ("asks\0ask", "queued"), ("over", "")):
        post = crew.post(run)
        post.write("run", run)
        post.write("lock", "")
        post.write("over", "" if stage else "yes")
    with crew.post("waits").held(), crew.post("asks\0ask").held(), crew.post("over").held():
        root = tree(visitor, "/")
        assert "Waiting for a turn (1)" in texts(root, "h2")
        assert "/runs/waits/live" in [link.attributes["href"] for link in root.all("a")]
    assert "Waiting for a turn" not in visitor.get("/").text
    assert Job(run_id="r", kind="ask", by="").seat != "r"


def test_a_disk_that_is_almost_full_is_said(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cells(tree(visitor, "/"), "ended")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=5, total=100))
    assert "almost full: 5 % is free" in visitor.get("/").text
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=20, total=100))
    assert "almost full" not in visitor.get("/").text


def test_results_are_exported_to_a_new_file(runs_dir: Path, tmp_path: Path) -> None:
    path = bs.export("calm", tmp_path / "x.csv", status="rejected", runs_dir=runs_dir)
    assert path.read_text().count("\n") == 5
    with pytest.raises(bs.ConfigError, match="already exists"):
        bs.export("calm", path, runs_dir=runs_dir)
    with pytest.raises(bs.ConfigError, match="not a format"):
        bs.export("calm", tmp_path / "x.doc", runs_dir=runs_dir)
