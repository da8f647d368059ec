"""Decisions about rows in doubt and refused rows: real runs, real workers, and the counts after each decision."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import bulk_sender as bs
from bulk_sender.web import asking
from bulk_sender.web.profiles import Profile
from bulk_sender.web.roles import Person, Role
from bulk_sender.web.workers import Crew, Job
from tests.kit.command import until
from tests.reporting.runs import abused, rehearsed
from tests.web.test_pages import cells, refuse_anything_inline, refuse_barriers, texts, tree
from tests.web.visitor import Visitor

RUN = "lost-answers"
HERE = f"/runs/{RUN}/decide"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rehearsal in which four answers of 60 were lost, and a real run with refused and lost requests."""
    folder = tmp_path_factory.mktemp("made")
    rehearsed(folder, 3000, RUN)
    abused(folder)
    return folder


@pytest.fixture
def page(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    monkeypatch.delenv("BRAZE_API_KEY_FILE", raising=False)
    shutil.copytree(made, tmp_path / "runs")
    visitor = Visitor(tmp_path / "state", tmp_path / "runs").signed_in()
    yield visitor
    crew = visitor.site.crew
    for process in (*crew._started.values(), crew._spare):
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            if process.poll() is None:
                process.kill()
            process.wait()


def summary(page: Visitor, run: str = RUN) -> bs.Summary:
    found = bs.status(run, runs_dir=page.site.runs_dir)
    counts = (found.accepted, found.rejected, found.duplicate, found.failed, found.unknown, found.not_sent)
    assert sum(counts) == found.rows
    return found


def asked(page: Visitor) -> None:
    assert page.press(f"/runs/{RUN}/ask").headers["location"] == HERE
    until(lambda: not asking.question(page.site.crew, RUN).is_asking, 60)


def told(page: Visitor, **more: object) -> dict[str, object]:
    found = summary(page)
    starts = len(bs.facts(RUN, runs_dir=page.site.runs_dir).starts)
    return {"unknown": found.unknown, "starts": starts, "scope": "all"} | more


def test_the_page_offers_what_can_be_decided(page: Visitor) -> None:
    found = summary(page)
    assert found.unknown
    root = tree(page, HERE)
    refuse_anything_inline(root)
    refuse_barriers(root)
    assert texts(root, "h1") == [f"{found.unknown} people may or may not have the message"]
    checked = [each.attributes["value"] for each in root.all("input") if "checked" in each.attributes]
    assert checked == ["leave"]
    assert f"Up to {found.unknown} people get it twice" in root.text
    result = tree(page, f"/runs/{RUN}")
    assert f"Decide about {found.unknown} rows" in texts(result, "a")


def test_braze_is_asked_and_what_it_proves_is_recorded(page: Visitor) -> None:
    before = summary(page)
    asked(page)
    root = tree(page, HERE)
    refuse_barriers(root)
    [row] = [each for each in cells(root, "ask") if each[0] == "received"]
    assert summary(page) == before  # asking records nothing
    [button] = [text for text in texts(root, "button") if text.startswith("Record ") and "accepted" in text]
    assert button == f"Record {row[1]} as accepted"
    at = asking.question(page.site.crew, RUN).answer
    assert at is not None
    form = {"do": "proved", "unknown": before.unknown, "at": at.at}
    page.press(HERE, form)
    after = summary(page)
    assert after.accepted == before.accepted + int(row[1])
    assert after.unknown == before.unknown - int(row[1])
    assert page.press(HERE, form).headers["location"] == f"{HERE}?trouble=changed"  # a second click
    assert summary(page) == after
    number = bs.rows(RUN, status="accepted", runs_dir=page.site.runs_dir)
    assert number.rows
    assert [entry.did for entry in page.site.store.audit()][-2:] == [
        "asked Braze about rows in doubt",
        "decided about rows in doubt",
    ]


def test_a_reason_is_demanded_and_kept_with_the_name(page: Visitor) -> None:
    object.__setattr__(page.app, "identify", lambda headers: Person("Ada"))
    before = summary(page)
    answer = page.press(HERE, told(page, verdict="accepted"))
    assert "trouble=why" in answer.headers["location"]
    assert "Say why" in page.get(answer.headers["location"]).text
    assert summary(page) == before
    why = "<b>seen</b> in the log"
    assert page.press(HERE, told(page, verdict="accepted", why=why)).headers["location"] == f"/runs/{RUN}"
    after = summary(page)
    assert (after.unknown, after.accepted) == (0, before.accepted + before.unknown)
    row = next(each.row for each in bs.rows(RUN, status="accepted", limit=3000, runs_dir=page.site.runs_dir).rows)
    decided = [
        each
        for row in range(1, 3000, 25)
        for batch in bs.explain(RUN, row, runs_dir=page.site.runs_dir)["batches"]
        for each in batch["decisions"]
    ]
    assert row
    assert {(each["user"], each["why"]) for each in decided} == {("Ada", why)}


def test_some_requests_are_decided_and_a_part_of_one_is_refused(page: Visitor) -> None:
    before = summary(page)
    rows = bs.results(RUN, status="unknown", runs_dir=page.site.runs_dir)
    first = rows.filter(rows["batch"] == rows["batch"][0])["row"].to_list()
    part = page.press(HERE, told(page, verdict="failed", scope="rows", rows=str(first[0]), why="w"))
    assert part.status_code == 503
    assert "in one request" in part.text
    assert summary(page) == before
    nothing = page.press(HERE, told(page, verdict="failed", scope="rows", rows=" ", why="w"))
    assert "trouble=rows" in nothing.headers["location"]
    page.press(HERE, told(page, verdict="failed", scope="rows", rows=f"{first[0]}-{first[-1]}", why="w"))
    after = summary(page)
    assert (after.failed, after.unknown) == (len(first), before.unknown - len(first))
    assert f"Send {len(first)} refused rows again" in page.get(f"/runs/{RUN}").text


def test_what_somebody_else_decided_meanwhile_is_not_decided_again(page: Visitor) -> None:
    form = told(page, verdict="failed", why="w")
    page.press(HERE, told(page, verdict="accepted", why="w"))
    after = summary(page)
    assert page.press(HERE, form).headers["location"] == f"{HERE}?trouble=changed"
    assert summary(page) == after
    assert "This changed meanwhile" in page.get(f"{HERE}?trouble=changed").text


def test_sending_again_needs_the_typed_number_and_happens_once(page: Visitor) -> None:
    before = summary(page)
    for typed in ("", "1", str(before.rows)):
        answer = page.press(HERE, told(page, verdict="again", why="w", typed=typed))
        assert "trouble=typed" in answer.headers["location"]
    form = told(page, verdict="again", why="w", typed=str(before.unknown))
    for _ in range(2):
        page.press(HERE, form)
    until(lambda: len(bs.facts(RUN, runs_dir=page.site.runs_dir).starts) == 2, 60)
    until(lambda: summary(page).state == "finished", 60)
    until(lambda: not page.site.crew.is_alive(RUN), 60)
    page.press(HERE, form)
    assert [start.command for start in bs.facts(RUN, runs_dir=page.site.runs_dir).starts] == ["send", "retry"]
    assert summary(page).rows == before.rows


def test_refused_rows_are_sent_again_with_the_key_of_the_profile(
    page: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(page, "/runs/abused/decide")
    refuse_anything_inline(root)
    refuse_barriers(root)
    assert "This page has no key for the address of this run" in root.text
    assert "Ask Braze" not in texts(root, "button")
    assert "refused row" not in " ".join(texts(root, "button"))
    run = bs.facts("abused", runs_dir=page.site.runs_dir)
    key = tmp_path / "key"
    key.write_text("k" * 36)
    key.chmod(0o600)
    profile = Profile(endpoint=run.endpoint, key_file=str(key))
    object.__setattr__(page.site, "profiles", {"p": profile})
    assert "Send 1 refused row again" in texts(tree(page, "/runs/abused/decide"), "button")
    found = summary(page, "abused")
    form = {"failed": found.failed, "starts": 1}
    assert "trouble=why" in page.press("/runs/abused/retry", form).headers["location"]
    jobs: list[Job] = []

    def begin(crew: Crew, job: Job) -> bool:  # nobody is there to send to
        jobs.append(job)
        return True

    monkeypatch.setattr(Crew, "begin", begin)
    assert page.press("/runs/abused/retry", form | {"why": "fixed"}).headers["location"] == "/runs/abused/live"
    [job] = jobs
    assert (job.kind, job.status, job.key_file, job.why, job.starts) == ("retry", "failed", str(key), "fixed", 1)


def test_only_who_may_approve_decides(page: Visitor) -> None:
    object.__setattr__(page.app, "identify", lambda headers: Person("Bob", frozenset({Role.LOOK, Role.PREPARE})))
    before = summary(page)
    assert page.press(HERE, told(page, verdict="accepted", why="w")).status_code == 403
    assert page.press(f"/runs/{RUN}/retry", failed=1, why="w").status_code == 403
    assert "A person who may approve has to decide" in page.get(HERE).text
    assert summary(page) == before
