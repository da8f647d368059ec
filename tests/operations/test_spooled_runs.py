"""Runs of what can't be read twice: kept in the run's folder until every row is in the journal, then gone."""

from __future__ import annotations

import errno
import io
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bulk_sender as bs
from bulk_sender.errors import BulkSenderError, InputError, RunHeldError, RunMismatchError
from bulk_sender.operations.resume import resume
from bulk_sender.operations.send import send
from bulk_sender.reading import chunk, csv, spool
from bulk_sender.reading.source import Input
from tests.kit.web import serving

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


def _stopped(given: Any, runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send until the disk fails while the input is read."""
    whole = Input.read

    def breaking(self: Input, start: object = None) -> object:
        for number, piece in enumerate(whole(self, start)):  # type: ignore[arg-type]
            if number == 4:
                raise InputError("the disk went away")
            yield piece

    with monkeypatch.context() as broken:
        broken.setattr(Input, "read", breaking)
        assert send(given, sandbox=True, runs_dir=runs_dir, run_id="one").state == "stopped"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path) as url:
        yield url


@pytest.mark.parametrize("kind", ["frame", "rows", "cursor", "url"])
def test_whatever_cannot_be_read_twice_is_taken_when_it_is_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: str, kind: str
) -> None:
    monkeypatch.setattr(chunk, "CHUNK_CELLS", 100)
    monkeypatch.setattr(csv, "BLOCK_BYTES", 512)
    FRAME.write_csv(tmp_path / "people.csv")
    database = sqlite3.connect(tmp_path / "people.db")
    database.execute("CREATE TABLE people (external_user_id TEXT)")
    database.executemany("INSERT INTO people VALUES (?)", FRAME.rows())

    def given() -> Any:
        if kind == "cursor":
            return database.execute("SELECT external_user_id FROM people ORDER BY rowid")
        return {"frame": FRAME, "rows": FRAME.to_dicts(), "url": f"{web}/people.csv"}[kind]

    runs_dir = tmp_path / "runs"
    _stopped(given(), runs_dir, monkeypatch)
    [copy] = (runs_dir / "one" / "input").iterdir()
    content = copy.read_bytes()
    copy.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    finished = send(given(), sandbox=True, runs_dir=runs_dir, run_id="one")
    assert (finished.rows, finished.accepted, finished.unknown) == (1000, 1000, 0)
    database.close()


def test_an_interrupted_run_resumes_from_its_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk, "CHUNK_CELLS", 100)
    _stopped(FRAME, tmp_path, monkeypatch)
    [kept] = (tmp_path / "one" / "input").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    moved = tmp_path / "moved"
    moved.mkdir()
    (tmp_path / "one").rename(moved / "one")
    finished = resume("one", runs_dir=moved)
    assert (finished.state, finished.rows, finished.accepted) == ("finished", 1000, 1000)
    assert not (moved / "one" / "input").exists()


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux names open files")


def _name(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


@needs_proc
def test_the_stored_input_is_durable_before_a_journal_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, str]] = []
    syncing, renaming = os.fsync, os.rename

    def sync(descriptor: int) -> None:
        syncing(descriptor)
        done.append(("sync", _name(descriptor)))

    def rename(old: str, new: str, **where: Any) -> None:
        renaming(old, new, **where)
        done.append(("rename", str(new)))

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "rename", rename)
    list_of_people = tmp_path / "list.csv"
    list_of_people.write_text("external_user_id\nu1\n")
    guards = bs.Guards(exclude=(list_of_people,))
    assert send(FRAME, sandbox=True, runs_dir=tmp_path / "runs", run_id="one", guards=guards).accepted == 999
    run = tmp_path / "runs" / "one"
    moved, published = done.index(("rename", f"{run}/input")), done.index(("rename", f"{run}/journal.sqlite"))
    before = {Path(path).name.partition("-")[0] for kind, path in done[:moved] if kind == "sync"}
    assert {"0001.arrow", "0002.excluded", ".input", "one"} <= before
    assert {("sync", f"{run}/input"), ("sync", str(run))} <= set(done[moved:published])


@needs_proc
def test_a_disk_that_fails_to_sync_the_input_refuses_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncing = os.fsync

    def failing(descriptor: int) -> None:
        if _name(descriptor).endswith(".arrow"):
            raise OSError(errno.EIO, "Input/output error")
        syncing(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(InputError, match="the input cannot be saved to disk: Input/output error"):
        send(FRAME, sandbox=True, runs_dir=tmp_path, run_id="one")
    assert not list(tmp_path.rglob("*.arrow"))


def test_a_run_that_another_process_began_in_the_meantime_is_not_called_a_folder_to_remove(tmp_path: Path) -> None:
    def begun_meanwhile(_: object) -> bool:
        return send(FRAME, sandbox=True, runs_dir=tmp_path, run_id="one").accepted == 1000

    with pytest.raises(RunHeldError, match="run 'one' has been started in the meantime") as raised:
        send(FRAME, sandbox=True, runs_dir=tmp_path, run_id="one", guards=bs.Guards(confirm=begun_meanwhile))
    assert raised.value.hint == "run this command again"
    assert send(FRAME, sandbox=True, runs_dir=tmp_path, run_id="one").accepted == 1000


def test_a_folder_named_input_that_is_no_runs_is_never_replaced(tmp_path: Path) -> None:
    own = tmp_path / "one" / "input" / "mine.csv"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    with pytest.raises(BulkSenderError, match="already exists, but is not a run"):
        send(FRAME, sandbox=True, runs_dir=tmp_path, run_id="one")
    assert own.read_text() == "mine"
    bs.prune("0s", runs_dir=tmp_path)
    assert own.read_text() == "mine"


def _dead_spool(parent: Path | None) -> Path:
    """Leave a folder as a killed process does: its lock is free."""
    dead = spool.Spool(parent)
    file = dead.place(".bytes")
    file.write_text("people")
    dead.release()
    return file.parent


def test_what_a_killed_process_left_is_named_by_doctor_and_removed_by_prune(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = _dead_spool(tmp_path)
    with spool.Spool(tmp_path) as used:
        in_use = used.place(".bytes")
        [found] = [each for each in bs.doctor(runs_dir=tmp_path, environment={}).found if each.name == "left over"]
        assert (found.state, str(dead) in found.text, str(in_use.parent) in found.text) == ("warning", True, False)
        assert "runs prune" in found.hint
        bs.prune("90d", runs_dir=tmp_path)
        assert (dead.exists(), in_use.exists()) == (False, True)
    older = tmp_path / ".input-of-an-earlier-release"
    older.mkdir()
    (older / "0001.bytes").write_text("people")
    bs.prune("90d", runs_dir=tmp_path)
    [found] = [each for each in bs.doctor(runs_dir=tmp_path, environment={}).found if each.name == "left over"]
    assert (str(older) in found.text, "earlier release" in found.hint) == (True, True)


def test_what_a_killed_check_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = _dead_spool(None)
    assert dead.parent == tmp_path
    assert bs.check(FRAME).valid == 1000
    assert list(tmp_path.iterdir()) == []


def test_an_input_of_a_process_killed_before_its_run_began_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "one"
    run.mkdir()
    (run / "journal.sqlite.new").touch()
    _dead_spool(tmp_path).rename(run / "input")
    send(FRAME, sandbox=True, runs_dir=tmp_path, run_id="two")
    assert [path.name for path in run.iterdir()] == ["journal.sqlite.new"]


def test_a_finished_run_keeps_no_copy_that_a_kill_left(tmp_path: Path) -> None:
    send(FRAME, sandbox=True, runs_dir=tmp_path, run_id="one")
    (tmp_path / "one" / "input").mkdir()
    (tmp_path / "one" / "input" / "0001.arrow").write_text("people")
    assert resume("one", runs_dir=tmp_path).state == "finished"
    assert not (tmp_path / "one" / "input").exists()


def test_a_refused_send_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data row"):
        send(FRAME[:0], sandbox=True, runs_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
