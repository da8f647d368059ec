"""Results and rejected rows as frames: identifiers stay text, times are times, and a large run is read by pieces."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import bulk_sender as bs
from bulk_sender.reporting import rows as frames
from bulk_sender.reporting.rows import RESULTS
from tests.kit.jobs import braze, options

HEADER = "external_user_id,attributes.gender,run"
ROWS = ["000000,F,x", "000017,M,y", ",O,z", "000000,F,x", "000042,Q,w"]


async def approve(_: bs.Progress) -> bool:
    return True


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run ``r`` with two accepted rows, one rejected, one duplicate and one failed; and ``big``, of many chunks."""
    folder = tmp_path_factory.mktemp("frames")
    with braze() as running:
        for name, lines in (("r", ROWS), ("big", [f"u{number:06},F,x" for number in range(30_000)])):
            source = folder / f"{name}.csv"
            source.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
            given = {"guards": bs.Guards(canary=100), "watch": bs.Watch(on_canary=approve)} if name == "big" else {}
            given["overrides"] = {"delivery.share_rate": False, "delivery.ramp": 0}
            bs.send(source, **options(folder / "runs", running.url, run_id=name, **given))
    return folder / "runs"


def test_the_results_of_a_run_are_a_frame_like_its_file(runs: Path) -> None:
    found = bs.results("r", runs_dir=runs)
    assert found.columns == list(RESULTS)
    assert found["identifier"].to_list() == ["000000", "000017", None, "000000", "000042"]
    assert found["status"].to_list() == ["accepted", "accepted", "rejected", "duplicate", "failed"]
    assert found.schema["sent_at"] == pl.Datetime("ms", "UTC")
    assert (datetime.now(UTC) - found["sent_at"][0]).total_seconds() < 3600
    with (runs / "r" / "results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["sent_at"] for line in lines] == [
        "" if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z") for at in found["sent_at"]
    ]
    assert [line["error"] for line in lines] == [error or "" for error in found["error"]]


@pytest.mark.parametrize(("status", "rows"), [("failed", [5]), (("failed", "rejected"), [3, 5]), ("unknown", [])])
def test_only_rows_of_these_statuses(status: Any, rows: list[int], runs: Path) -> None:
    found = bs.results("r", status=status, runs_dir=runs)
    assert found["row"].to_list() == rows
    assert found.schema == bs.results("r", runs_dir=runs).schema


def test_a_status_that_is_none_names_the_nearest(runs: Path) -> None:
    with pytest.raises(bs.ConfigError, match="'unkown' is not a status") as refused:
        bs.results("r", status="unkown", runs_dir=runs)
    assert refused.value.hint == "did you mean 'unknown'?"
    with pytest.raises(bs.ConfigError, match="is not a kind of frame"):
        bs.results("r", like="spark", runs_dir=runs)  # type: ignore[call-overload]


def test_a_lazy_frame_can_be_collected_again_and_filtered(runs: Path) -> None:
    lazy = bs.results("big", like="lazy", runs_dir=runs)
    whole = bs.results("big", runs_dir=runs)
    assert_frame_equal(lazy.collect(), whole)
    assert lazy.select(pl.len()).collect().item() == 30_000
    assert_frame_equal(lazy.head(3).collect(), whole.head(3))
    late = lazy.filter(pl.col("identifier") == "u029999").select("row", "identifier").collect()
    assert late.rows() == [(30_000, "u029999")]


def test_a_lazy_frame_reads_one_chunk_at_a_time(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    chunk_rows = frames.chunk_rows

    def counted(journal: Any, chunk: int, *columns: Any) -> pl.DataFrame:
        read.append(chunk)
        return chunk_rows(journal, chunk, *columns)

    monkeypatch.setattr(frames, "chunk_rows", counted)
    bs.results("big", like="lazy", runs_dir=runs).head(2).collect()
    with_head = len(read)
    bs.results("big", like="lazy", runs_dir=runs).collect()
    assert with_head < len(read) - with_head


def test_a_pandas_frame_keeps_text_integers_and_times(runs: Path) -> None:
    pytest.importorskip("pandas")
    found = bs.results("r", like="pandas", runs_dir=runs)
    assert found["identifier"].tolist()[:2] == ["000000", "000017"]
    assert str(found["http_status"].dtype) == "int64[pyarrow]"
    assert found["http_status"].tolist()[4] == 400
    assert str(found["sent_at"].dtype) == "timestamp[ms, tz=UTC][pyarrow]"


def test_an_arrow_table_has_the_same_rows(runs: Path) -> None:
    pytest.importorskip("pyarrow")
    found = bs.results("r", status="accepted", like="arrow", runs_dir=runs)
    assert found.column("identifier").to_pylist() == ["000000", "000017"]


def test_rejected_rows_keep_their_own_columns(runs: Path) -> None:
    found = bs.rejected("r", runs_dir=runs)
    assert found.columns == [*HEADER.split(","), "error", "source_line", "bulk_sender_run"]
    [row] = found.to_dicts()
    assert (row["external_user_id"], row["attributes.gender"], row["run"]) == (None, "O", "z")
    assert "identifier" in row["error"]
    assert row["bulk_sender_run"] == "r"
    assert bs.rejected("big", runs_dir=runs).columns == found.columns
    assert len(bs.rejected("big", runs_dir=runs)) == 0
    assert_frame_equal(bs.rejected("r", like="lazy", runs_dir=runs).collect(), found)


def test_a_missing_package_is_named(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError("pyarrow")

    monkeypatch.setattr(pl.DataFrame, "to_pandas", missing)
    with pytest.raises(bs.ConfigError, match="needs pandas and pyarrow") as refused:
        bs.results("r", like="pandas", runs_dir=runs)
    assert refused.value.hint == "pip install pandas pyarrow"


def test_a_run_that_is_not_there_is_named_at_once(tmp_path: Path) -> None:
    for like in ("polars", "lazy"):
        with pytest.raises(bs.RunNotFoundError):
            bs.results("nothing", like=like, runs_dir=tmp_path)  # type: ignore[call-overload]
