"""Runs of what can't be read twice: kept in the run's folder until every row is in the journal, then gone."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import polars as pl
import pytest

from bulk_sender.errors import InputError, RunMismatchError
from bulk_sender.operations.resume import resume
from bulk_sender.operations.send import send
from bulk_sender.reading import chunk
from bulk_sender.reading.source import Input

FRAME = pl.DataFrame({"external_user_id": [f"u{n}" for n in range(1000)]})


def test_a_frame_is_sent_and_sent_once(tmp_path: Path) -> None:
    first = send(FRAME, sandbox=True, runs_dir=tmp_path, run_id="one")
    assert (first.accepted, first.exit_code) == (1000, 0)
    again = send(FRAME.lazy(), sandbox=True, runs_dir=tmp_path, run_id="one")
    assert again.requests == first.requests
    with pytest.raises(RunMismatchError, match="another input"):
        send(FRAME[:999], sandbox=True, runs_dir=tmp_path, run_id="one")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.sqlite", "one"]
    assert not (tmp_path / "one" / "input").exists()


def test_standard_input_is_sent_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(FRAME.write_csv().encode())))
    summary = send("-", sandbox=True, runs_dir=tmp_path)
    assert summary.accepted == 1000
    results = pl.read_csv(summary.files["results"])
    assert results["source"].unique().to_list() == ["standard input"]


def test_an_interrupted_run_resumes_from_its_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk, "CHUNK_CELLS", 100)
    whole = Input.read

    def breaking(self: Input, start: object = None) -> object:
        for number, piece in enumerate(whole(self, start)):  # type: ignore[arg-type]
            if number == 4:
                raise InputError("the disk went away")
            yield piece

    with monkeypatch.context() as broken:
        broken.setattr(Input, "read", breaking)
        stopped = send(FRAME, sandbox=True, runs_dir=tmp_path, run_id="one")
    assert stopped.state == "stopped"
    [kept] = (tmp_path / "one" / "input").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    moved = tmp_path / "moved"
    moved.mkdir()
    (tmp_path / "one").rename(moved / "one")
    finished = resume("one", runs_dir=moved)
    assert (finished.state, finished.rows, finished.accepted) == ("finished", 1000, 1000)
    assert not (moved / "one" / "input").exists()


def test_a_refused_send_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data row"):
        send(FRAME[:0], sandbox=True, runs_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
