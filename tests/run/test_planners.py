"""A send whose input several processes plan: the same rows, verdicts and results as with one."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from bulk_sender.planning import prepared, tasks
from tests.kit.inputs import put


@pytest.fixture(autouse=True)
def units(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many units each plan by tasks had. They are small here."""
    found: list[int] = []

    def spying(job: Any, units: Any, *more: Any) -> Any:
        found.append(len(units))
        return real(job, units, *more)

    real = tasks.planned
    monkeypatch.setattr(tasks, "planned", spying)
    monkeypatch.setattr(prepared, "_UNIT_BYTES", 2000)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lists").mkdir()
    for number in range(4):
        lines = [f"u{(row * 7 + number) % 300},city {row}" for row in range(200)]
        lines[10] = ",nobody"
        put(tmp_path / "lists", f"{number}.csv", "\n".join(["external_user_id,attributes.city", *lines, ""]))
    return tmp_path / "lists"


def sent(place: Path, folder: Path, name: str, planners: int, **more: Any) -> tuple[bs.Summary, list[dict[str, str]]]:
    summary = bs.send(
        str(folder),
        config={"scale": {"planners": planners}},
        run_id=name,
        runs_dir=place / "runs",
        sandbox=True,
        **more,
    )
    with (place / "runs" / name / "results.csv").open(newline="") as file:
        return summary, list(csv.DictReader(file))


def told(rows: list[dict[str, str]]) -> list[tuple[str, ...]]:
    return [
        (row["row"], row["source"], row["source_row"], row["identifier"], row["status"], row["error"]) for row in rows
    ]


def test_two_planners_and_one_make_the_same_results(tmp_path: Path, folder: Path, units: list[int]) -> None:
    one, alone = sent(tmp_path, folder, "one", 1)
    assert not units
    two, shared = sent(tmp_path, folder, "two", 2, guards=bs.Guards(again=True))
    assert (two.state, two.rows, two.rejected) == ("finished", 800, 4)
    assert two.accepted == one.accepted == len({row["identifier"] for row in shared if row["status"] == "accepted"})
    assert told(shared) == told(alone)
    assert units == [4]
    assert not (tmp_path / "runs" / "two" / "input").exists()


def test_a_canary_and_a_limit_hold_with_two_planners(tmp_path: Path, folder: Path) -> None:
    held, _ = sent(tmp_path, folder, "winter", 2, guards=bs.Guards(canary=30), limit=450)
    assert (held.state, held.rows) == ("stopped", 450)
    assert held.accepted + held.rejected + held.duplicate >= 30 > held.accepted
