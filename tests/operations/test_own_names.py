"""Inputs whose columns have the names that results and ``rejected.csv`` use: their cells go out, and come back."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.reading.added import ADDED, added_columns, names_to_add
from bulk_sender.reporting.rows import RESULTS

NAMES = [
    *ADDED,
    *(f"bulk_sender_{name}" for name in ADDED),
    *(name for name in RESULTS if name not in ADDED),
    "recipient",
    "verdict",
    "who",
    "filled",
    "why",
]
WRITERS = {"csv": "write_csv", "parquet": "write_parquet", "ndjson": "write_ndjson", "xlsx": "write_excel"}


def sent(run: str, runs: Path) -> dict[str, Any]:
    """Identifier → properties of the accepted rows."""
    rows = [bs.explain(run, int(row), runs_dir=runs) for row in bs.results(run, runs_dir=runs)["row"]]
    return {row["identifier"]: row["recipient"].get("trigger_properties") for row in rows if row["recipient"]}


def fix(path: Path, column: str, value: str) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        [header, *rows] = list(csv.reader(file, strict=True))
    for row in rows:
        row[header.index(column)] = value
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def there_and_back(path: Path, names: list[str], tmp_path: Path) -> tuple[Any, Any]:
    """What was sent of both rows: of the first at once, and of the second after its identifier was filled in."""
    properties = {f"p{place}": name for place, name in enumerate(names)}
    config = {"recipient": {"external_user_id": "customer", "trigger_properties": properties}}
    runs = tmp_path / "runs"
    first = bs.send(path, config, run_id="first", runs_dir=runs, sandbox=True)
    assert (first.accepted, first.rejected) == (1, 1)
    rejected = runs / "first" / "rejected.csv"
    unfixed = bs.send(rejected, config, run_id="unfixed", runs_dir=runs, sandbox=True)
    assert (unfixed.accepted, unfixed.rejected) == (0, 1)
    fix(rejected, "customer", "u2")
    again = bs.send(rejected, config, run_id="again", runs_dir=runs, sandbox=True)
    assert (again.accepted, again.rejected) == (1, 0)
    return sent("first", runs)["u1"], sent("again", runs)["u2"]


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("names", [NAMES, ["error"], ["bulk_sender_error"], ["error", "bulk_sender_error"], ["run"]])
def test_a_column_with_a_name_of_ours_keeps_its_cells(tmp_path: Path, kind: str, names: list[str]) -> None:
    frame = pl.DataFrame({"customer": ["u1", None], **{name: [f"{name} one", f"{name} two"] for name in names}})
    path = tmp_path / f"people.{kind}"
    getattr(frame, WRITERS[kind])(path)
    one, two = there_and_back(path, names, tmp_path)
    assert one == {f"p{place}": f"{name} one" for place, name in enumerate(names)}
    assert two == {f"p{place}": f"{name} two" for place, name in enumerate(names)}


@pytest.mark.parametrize("name", ["error", "source_line", "run"])
@pytest.mark.parametrize(
    ("values", "shown"),
    [([7, 8], (7, 8)), ([{"code": 1}, {"code": 2}], ({"code": 1}, {"code": 2})), ([[1], [2]], ([1], [2]))],
)
def test_a_typed_column_with_a_name_of_ours_keeps_its_cells(
    tmp_path: Path, name: str, values: list[Any], shown: tuple[Any, Any]
) -> None:
    pl.DataFrame({"customer": ["u1", None], name: values}).write_parquet(tmp_path / "people.parquet")
    one, two = there_and_back(tmp_path / "people.parquet", [name], tmp_path)
    assert (one, two) == ({"p0": shown[0]}, {"p0": shown[1]})


@pytest.mark.parametrize(
    ("own", "added"),
    [
        (["id"], ("error", "source_line", "run")),
        (["id", "error"], ("bulk_sender_error", "source_line", "run")),
        (["id", "error:integer"], ("bulk_sender_error", "source_line", "run")),
        (["id", "run.name", "run.no:integer"], ("error", "source_line", "bulk_sender_run")),
        (["error", "bulk_sender_error"], ("bulk_sender_bulk_sender_error", "source_line", "run")),
        (["bulk_sender_error"], ("error", "source_line", "run")),
        (["error", "source_line"], ("bulk_sender_error", "bulk_sender_source_line", "run")),
    ],
)
def test_added_columns_have_free_names_and_are_found_again(own: list[str], added: tuple[str, ...]) -> None:
    assert names_to_add(own) == added
    assert added_columns([*own, *added]) == added
    assert names_to_add([*own, *added]) == added


def test_the_customers_own_reason_is_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("id,error\nu1,E42 disk full\n,E43 no paper\n")
    config = {"recipient": {"external_user_id": "id", "trigger_properties": {"err": "error"}}}
    bs.send(path, config, run_id="r", runs_dir=tmp_path / "runs", sandbox=True)
    rejected = tmp_path / "runs" / "r" / "rejected.csv"
    fix(rejected, "id", "u2")
    bs.send(rejected, config, run_id="s", runs_dir=tmp_path / "runs", sandbox=True)
    assert json.dumps(sent("s", tmp_path / "runs")) == '{"u2": {"err": "E43 no paper"}}'
