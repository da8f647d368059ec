"""What a run of several processes came to, as any machine that reaches the database sees it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.journal.place import Place
from bulk_sender.reporting.report.timeline import timeline
from tests.crash.nursery import Ended, Nursery, until
from tests.faults import FaultServer
from tests.kit.journals import read
from tests.kit.sandbox import run_in_thread
from tests.kit.scene import Scene
from tests.kit.target import CAMPAIGN, ENVIRONMENT
from tests.postgres.crew import Crew

ROWS = 6000
LASTING = ["row", "source", "source_row", "identifier_type", "identifier", "source_line"]
"""The columns that do not depend on how a run was sent, for rows that were."""


@pytest.fixture(scope="module")
def alone(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The same input, sent by one process with its journal in a file."""
    with FaultServer() as server:
        scene = Scene(tmp_path_factory.mktemp("alone") / "scene", nursery, server.url, run_id="winter")
        assert scene.with_rows(ROWS).run("send").code == 1
        return scene


@pytest.fixture
def crew(alone: Scene, nursery: Nursery, tmp_path: Path, here: Place) -> Iterator[Crew]:
    with FaultServer() as server:
        crew = Crew(tmp_path, nursery, server, here, ROWS, {"rate": "60/second"})
        crew.first.inputs = alone.inputs
        crew.first.chunk_cells = 240
        yield crew
        crew.end_quietly()


def test_every_command_sees_a_run_of_several_processes_from_a_machine_that_never_did(
    alone: Scene, crew: Crew, tmp_path: Path
) -> None:
    single = alone.rows()
    planner = crew.started()
    victim, other = crew.join(), crew.join()
    until(lambda: crew.requests_of(victim) > 5 and crew.requests_of(other) > 5, 30)
    crew.kill(victim)
    ended = crew.wait(planner, 90)
    assert ended.code == 1 and crew.wait(other).code == 0
    doubt = ended.summary["unknown"]
    assert not crew.audit().wrong and doubt <= 50 * 4

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    runs = elsewhere / "bulk-sender-runs"

    def run(*arguments: object) -> Ended:
        return crew.nursery.run(arguments, crew.first.env, cwd=elsewhere)

    assert "winter" in run("runs").out
    summary = run("status", "winter", "--json").summary
    assert {name: summary[name] for name in ("rows", "accepted", "unknown", "requests", "epochs")} == {
        name: ended.summary[name] for name in ("rows", "accepted", "unknown", "requests", "epochs")
    }
    assert summary["epochs"] == 3
    assert sorted(worker["state"] for worker in summary["workers"]) == ["ended", "ended", "given_up"]
    assert "u4321" in run("explain", "winter", 4322).out
    assert "winter" in run("find", "u4321").out
    assert not runs.exists(), "looking leaves nothing behind"

    for share in ("1/2", "2/2"):
        written = run("export", "winter", "--parts", "parts", "--share", share)
        assert written.code == 0, written
    assert {path.name for path in (elsewhere / "parts").iterdir()} == {
        "part-000001.parquet",
        "part-000002.parquet",
        "summary.json",
    }
    told = json.loads((elsewhere / "parts" / "summary.json").read_bytes())
    assert (told["rows"], told["unknown"], told["epochs"]) == (ROWS, doubt, 3)
    assert run("report", "winter").code == 0
    assert run("export", "winter").code == 0
    with (runs / "winter" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    parts = pl.read_parquet(elsewhere / "parts" / "part-*.parquet").cast(pl.String).fill_null("")
    assert parts.to_dicts() == rows == crew.first.rows()
    assert [{name: row[name] for name in LASTING} for row in rows] == [
        {name: row[name] for name in LASTING} for row in single
    ]
    assert [row["status"] for row in single] == [
        "accepted" if row["status"] == "unknown" else row["status"] for row in rows
    ]
    with read(crew.first.folder) as journal:
        over_time = timeline(journal, journal.facts().revived().delivery)
    assert sum(bucket.sent for bucket in over_time.buckets) == summary["requests"]
    assert [part.epochs for part in over_time.parts] == [(1, 2, 3)]

    if doubt:
        refused = run("resolve", "winter", "--as", "accepted", "--yes")
        assert refused.code == 2 and "may still be on their way to Braze" in refused.err
        crew.sql("UPDATE epoch SET fenced_at = fenced_at - interval '1 minute' RETURNING id")
    resolved = run("resolve", "winter", "--as", "accepted", "--yes", "--json")
    assert (resolved.code, resolved.summary["unknown"]) == (1, 0)
    assert run("retry", "winter", "--failed", "--yes").code == 1, "there is nothing to retry"
    assert run("export", "winter", "-o", "all.csv").code == 0
    with (elsewhere / "all.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == [row["status"] for row in single]


def test_what_braze_knows_of_a_run_is_recorded_from_another_machine(here: Place, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("external_user_id\n" + "".join(f"u{number}\n" for number in range(3000)))
    plain: dict[str, Any] = {"environment": ENVIRONMENT, "rate": "1000/second"}
    with run_in_thread(weather="lost-answers") as braze:
        sent = bs.send(
            people, campaign_id=CAMPAIGN, endpoint=braze.url, run_id="r", runs_dir=tmp_path / "first", **plain
        )
        assert sent.unknown > 0
        found = bs.reconcile("r", runs_dir=tmp_path / "second", apply=True, settle_s=0, **plain)
        assert found.summary is not None and found.summary.accepted == 3000
        assert not braze.ledger.twice()
    assert bs.status("r", runs_dir=tmp_path / "third").accepted == 3000
    assert {path.name for path in (tmp_path / "second" / "r").iterdir()} >= {"results.csv", "report.html"}


def test_parts_are_complete_only_together_and_are_not_replaced_unasked(crew: Crew, tmp_path: Path) -> None:
    assert crew.wait(crew.start()).code == 1
    runs_dir, parts = crew.first.runs_dir, tmp_path / "parts"
    assert not bs.export_parts("winter", parts, share="2/2", runs_dir=runs_dir)
    assert not (parts / "summary.json").exists()
    with pytest.raises(bs.ConfigError, match=r"part-000002.parquet already exists"):
        bs.export_parts("winter", parts, runs_dir=runs_dir)
    assert bs.export_parts("winter", parts, share="1/2", runs_dir=runs_dir)
    (parts / "part-000002.parquet").write_bytes((parts / "part-000001.parquet").read_bytes())
    assert not bs.export_parts("winter", parts, share="1/2", force=True, runs_dir=runs_dir), "rows are missing"
    assert not (parts / "summary.json").exists()
    some = tmp_path / "some"
    assert bs.export_parts("winter", some, status="duplicate", runs_dir=runs_dir)
    found = pl.read_parquet(some / "part-*.parquet")
    assert set(found["status"]) == {"duplicate"}
    assert len(found) == bs.status("winter", runs_dir=runs_dir).duplicate
    for wrong in ("0/2", "3/2", "2", "a/b", ""):
        with pytest.raises(bs.ConfigError, match="is not a valid share"):
            bs.export_parts("winter", tmp_path / "other", share=wrong, runs_dir=runs_dir)
