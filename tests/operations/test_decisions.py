"""Decisions about some of a run's rows: whole requests, by row, batch, evidence or file."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from tests.faults import FaultServer, sequence
from tests.kit.running import ids, read_run, send
from tests.kit.target import KEY

LOST = ("fin_after_read", "fin_after_read_not_taken", "status_408")
"""What becomes of the first requests; the last one is likely not accepted."""


class Bench:
    """A run ``r`` of 250 rows in five requests of one worker: the first three are unknown, the others accepted."""

    def __init__(self, folder: Path, server: FaultServer) -> None:
        self.folder, self.server = folder, server
        self.common: dict[str, Any] = {"runs_dir": folder / "runs"}
        self.run = send(folder, server.url, 250, run_id="r", concurrency=1, breaker=100)

    def resolve(self, **options: Any) -> tuple[int, bs.Summary]:
        return bs.resolve("r", **self.common | {"by": "anna"} | options)

    def retry(self, **options: Any) -> bs.Summary:
        environment = {"BRAZE_API_KEY": KEY}
        return bs.retry("r", **self.common | {"environment": environment, "by": "ben"} | options)

    def statuses(self, *rows: int) -> list[str]:
        found = read_run(self.run.folder, bs.status("r", **self.common)).rows
        return [found[f"user-{row:05}"]["status"] for row in rows]

    def file(self, *lines: str, header: str = "row,verdict") -> Path:
        path = self.folder / "decided.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with FaultServer(sequence(*LOST)) as server:
        found = Bench(tmp_path, server)
        assert (found.run.summary.unknown, found.run.summary.accepted) == (150, 100)
        yield found


def test_some_rows_are_resolved_and_the_others_left(bench: Bench) -> None:
    count, summary = bench.resolve(verdict="accepted", which=bs.Which(rows="1-50,101-150"))
    assert (count, summary.accepted, summary.unknown) == (100, 200, 50)
    assert bench.statuses(1, 50, 51, 100, 101, 150) == [*["accepted"] * 2, *["unknown"] * 2, *["accepted"] * 2]


def test_the_list_of_runs_knows_a_decision(bench: Bench) -> None:
    bench.resolve(verdict="failed", which=bs.Which(rows="1-50"))
    [run] = bs.runs(bench.run.folder.parent)
    assert (run.failed, run.unknown, run.accepted) == (50, 100, 100)


@pytest.mark.parametrize("which", [bs.Which(rows=range(51, 101)), bs.Which(batches=(2,)), bs.Which(rows="51-100,60")])
def test_a_retry_sends_the_chosen_rows_and_no_others(which: bs.Which, bench: Bench) -> None:
    before = len(bench.server.ledger.requests)
    summary = bench.retry(unknown=True, which=which)
    assert (summary.accepted, summary.unknown) == (150, 100)
    sent = [request.external_user_ids for request in bench.server.ledger.requests[before:]]
    assert sent == [tuple(ids(250)[50:100])]


def test_rows_are_chosen_by_what_the_evidence_says(bench: Bench) -> None:
    count, summary = bench.resolve(verdict="failed", which=bs.Which(likely="not_accepted"))
    assert (count, summary.failed, summary.unknown) == (50, 50, 100)
    assert bench.statuses(101, 150) == ["failed", "failed"]
    assert bench.resolve(verdict="failed", which=bs.Which(likely="accepted"))[0] == 0


def test_part_of_a_request_is_refused_with_the_rest_of_its_rows(bench: Bench) -> None:
    for decide in (
        lambda which: bench.resolve(verdict="accepted", which=which),
        lambda which: bench.retry(unknown=True, which=which),
    ):
        with pytest.raises(bs.GuardrailError) as refused:
            decide(bs.Which(rows="8-57"))
        assert "rows 8-50 were in one request with rows 1-7 (batch 1)" in str(refused.value)
        assert "name all of its rows: 1-50" in refused.value.hint
    assert bs.status("r", **bench.common).unknown == 150


@pytest.mark.parametrize(
    ("which", "words"),
    [
        (bs.Which(rows="1-50,200"), "row 200 is accepted, not unknown"),
        (bs.Which(rows="101-151"), "row 151 is accepted, not unknown"),
        (bs.Which(rows="251"), "run 'r' has no row 251"),
        (bs.Which(batches=(4,)), "batch 4 has no row that is unknown"),
        (bs.Which(rows="5-1"), "rows '5-1' cannot be read"),
        (bs.Which(rows="one"), "rows 'one' cannot be read"),
        (bs.Which(rows="0"), "rows '0' cannot be read"),
    ],
    ids=str,
)
def test_rows_that_cannot_be_decided_about_are_named(which: bs.Which, words: str, bench: Bench) -> None:
    with pytest.raises(bs.ConfigError, match=words.replace("(", r"\(")):
        bench.resolve(verdict="accepted", which=which)
    assert bs.status("r", **bench.common).unknown == 150


def test_a_file_decides_row_by_row_in_one_step(bench: Bench) -> None:
    lines = [f"{row},{'accepted' if row <= 50 else 'failed' if row <= 100 else 'retry'}" for row in range(1, 151)]
    file = bench.file(*lines, "200,", "201,unknown")
    shown: list[bs.Doubt] = []

    def confirm(evidence: tuple[bs.Doubt, ...]) -> bool:
        shown.extend(evidence)
        return True

    count, summary = bench.resolve(which=bs.Which(file=file), confirm=confirm, why="looked")
    assert (count, summary.accepted, summary.failed, summary.unknown) == (100, 150, 50, 50)
    assert {(doubt.verdict, doubt.rows) for doubt in shown} == {("accepted", 50), ("failed", 50)}
    decisions = [bs.explain("r", row, **bench.common)["batches"][0]["decisions"] for row in (1, 51)]
    assert [(one["status"], one["user"], one["why"]) for [one] in decisions] == [
        ("accepted", "anna", "looked"),
        ("failed", "anna", "looked"),
    ]
    with pytest.raises(bs.ConfigError, match="row 1 is accepted, not unknown"):
        bench.resolve(which=bs.Which(file=file))
    before = len(bench.server.ledger.requests)
    assert bench.retry(which=bs.Which(file=file)).unknown == 0
    assert [len(one.external_user_ids) for one in bench.server.ledger.requests[before:]] == [50]
    [again] = bs.explain("r", 101, **bench.common)["batches"][0]["decisions"]
    assert (again["status"], again["user"]) == ("resend", "ben")


@pytest.mark.parametrize(
    ("lines", "header", "error", "words"),
    [
        (
            ["1,accepted"],
            "row,verdict",
            bs.GuardrailError,
            "rows 1-50 were one request .* accepted of 1, nothing of 2-50",
        ),
        (
            [f"{row};{'accepted' if row < 50 else 'failed'}" for row in range(1, 51)],
            "row;verdict",
            bs.GuardrailError,
            "accepted of 1-49, failed of 50",
        ),
        (["1,yes"], "row,verdict", bs.ConfigError, "line 2: 'yes' is not a verdict"),
        (["x,failed"], "row,verdict", bs.ConfigError, "line 2: 'x' is not the number of a row"),
        (["1,failed", "1,accepted"], "row,verdict", bs.ConfigError, "line 3: row 1 has two verdicts"),
        (["999,failed"], "row,verdict", bs.ConfigError, "has no row 999"),
        (["1,accepted"], "row,status", bs.InputError, "has no column 'verdict'"),
    ],
)
def test_a_file_that_cannot_be_followed_changes_nothing(
    lines: list[str], header: str, error: type[Exception], words: str, bench: Bench
) -> None:
    with pytest.raises(error, match=words):
        bench.resolve(which=bs.Which(file=bench.file(*lines, header=header)))
    assert bs.status("r", **bench.common).unknown == 150


def test_what_contradicts_itself_is_refused_before_the_run_is_opened(tmp_path: Path) -> None:
    with pytest.raises(bs.ConfigError, match="names its rows by itself"):
        bs.Which(file="decided.csv", rows="1")
    with pytest.raises(bs.ConfigError, match="not a likely outcome"):
        bs.Which(likely="perhaps")  # type: ignore[arg-type]
    with pytest.raises(bs.ConfigError, match="has its own verdicts"):
        bs.resolve("r", verdict="failed", which=bs.Which(file="decided.csv"), runs_dir=tmp_path)
    with pytest.raises(bs.ConfigError, match="no verdict is given"):
        bs.resolve("r", runs_dir=tmp_path)
    with pytest.raises(bs.ConfigError, match="names its rows by itself"):
        bs.retry("r", unknown=True, which=bs.Which(file="decided.csv"), runs_dir=tmp_path)


def test_the_preview_of_a_retry_shows_the_groups_that_it_sends(bench: Bench) -> None:
    shown: list[bs.Preview] = []

    def confirm(about: bs.Preview) -> bool:
        shown.append(about)
        return False

    with pytest.raises(bs.GuardrailError, match="not confirmed"):
        bench.retry(unknown=True, which=bs.Which(rows="101-150"), guards=bs.Guards(confirm=confirm))
    [about] = shown
    assert dict(about.again) == {"unknown": 50}
    assert [(doubt.rows, doubt.likely, doubt.verdict) for doubt in about.doubts] == [(50, "not_accepted", "resend")]
    assert bs.status("r", **bench.common).unknown == 150


def test_the_same_advice_for_python(bench: Bench) -> None:
    found = bs.advice(bs.status("r", **bench.common))
    page = (bench.run.folder / "report.html").read_text(encoding="utf-8")
    assert found[0].words.startswith("Ask Braze who received the message")
    assert all(escape(one.words) in page for one in found)
