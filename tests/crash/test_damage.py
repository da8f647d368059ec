"""A journal that was flipped, cut, swapped, emptied or moved: nothing is sent from it, and it is said why."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from bulk_sender.errors import JournalError, RunNotFoundError
from bulk_sender.journal.sql.rows import TABLES
from bulk_sender.journal.sqlite.database import JOURNAL
from bulk_sender.journal.sqlite.mark import MARK
from tests.crash.nursery import Nursery
from tests.faults import FaultServer, nth
from tests.kit.journals import opened, read
from tests.kit.scene import Scene, requests_so_far
from tests.kit.tables import tables

WAL = f"{JOURNAL}-wal"
FLIPS, CUTS = 200, 60


@pytest.fixture(scope="module")
def run_killed(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A killed run, with most of its journal in the -wal file."""
    with FaultServer() as server:
        scene = Scene(tmp_path_factory.mktemp("killed") / "scene", nursery, server.url, {"concurrency": 1})
        assert scene.with_rows(600).run("send", failpoint="after_outcome:4").killed
        assert (scene.folder / WAL).stat().st_size > 10_000
    return scene


@pytest.fixture(scope="module")
def run_ended(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A run that ended with rows in doubt: its journal is in one file."""
    with FaultServer(nth(3, "fin_after_read")) as server:
        scene = Scene(tmp_path_factory.mktemp("ended") / "scene", nursery, server.url, {"concurrency": 2})
        assert scene.with_rows(600).run("send").summary["unknown"] > 0
        assert not (scene.folder / WAL).exists()
    return scene


@pytest.fixture(params=["run_killed", "run_ended"])
def run(request: pytest.FixtureRequest) -> Scene:
    return request.getfixturevalue(request.param)


def copied(scene: Scene, place: Path) -> Path:
    folder = place / scene.run_id
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(scene.folder, folder)
    return folder


def everything(folder: Path) -> dict[str, list[dict[str, Any]]]:
    with read(folder):
        return tables(folder)


def refused_or_right(folder: Path, truth: dict[str, list[dict[str, Any]]]) -> bool:
    """Whether readers and senders refused the journal; if they did not, assert that it is correct."""
    refusals = []
    for open_it in (read, opened):
        before = {path: path.read_bytes() for path in (folder / JOURNAL, folder / WAL) if path.exists()}
        try:
            with open_it(folder):
                assert tables(folder) == truth
        except JournalError as error:
            refusals.append(str(error))
            for path, content in before.items():
                assert path.read_bytes() == content, "a damaged journal is left as it was found"
    assert len(refusals) in (0, 2), refusals
    return bool(refusals)


@pytest.mark.parametrize("name", [JOURNAL, WAL])
def test_a_journal_with_a_flipped_byte_is_refused_or_unchanged(run: Scene, tmp_path: Path, name: str) -> None:
    if not (run.folder / name).exists():
        pytest.skip("this run has no such file")
    truth = everything(copied(run, tmp_path))
    content = (run.folder / name).read_bytes()
    rng = random.Random(f"{name} {len(content)}")
    refused = 0
    for number in range(FLIPS):
        place = number * len(content) // FLIPS + rng.randrange(len(content) // FLIPS)
        folder = copied(run, tmp_path)
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << rng.randrange(8)
        (folder / name).write_bytes(spoilt)
        refused += refused_or_right(folder, truth)
    if name == WAL or not (run.folder / WAL).exists():  # the pages in a -wal file stand before those in the journal
        assert refused > FLIPS // 4, "many bytes of a journal mean something"


@pytest.mark.parametrize("name", [JOURNAL, WAL])
def test_a_truncated_journal_is_refused(run: Scene, tmp_path: Path, name: str) -> None:
    if not (run.folder / name).exists():
        pytest.skip("this run has no such file")
    truth = everything(copied(run, tmp_path))
    size = (run.folder / name).stat().st_size
    for number in range(CUTS):
        folder = copied(run, tmp_path)
        with (folder / name).open("rb+") as file:
            file.truncate(number * size // CUTS)
        refused = refused_or_right(folder, truth)
        assert refused or (number and name == JOURNAL and (run.folder / WAL).exists()), f"cut at {number}/{CUTS}"


@pytest.mark.parametrize("flips", [5, 100, 5000])
def test_a_journal_with_many_flipped_bytes_is_refused(run: Scene, tmp_path: Path, flips: int) -> None:
    truth = everything(copied(run, tmp_path))
    for seed in range(10):
        folder = copied(run, tmp_path)
        rng = random.Random(seed)
        spoilt = bytearray((folder / JOURNAL).read_bytes())
        for _ in range(flips):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        (folder / JOURNAL).write_bytes(spoilt)
        assert refused_or_right(folder, truth) or flips < 100 or (run.folder / WAL).exists()


def test_each_kind_of_record_is_sealed(run_ended: Scene, tmp_path: Path) -> None:
    """Changed through SQLite itself, so that nothing but the seal can tell."""
    changes = {
        "run": "UPDATE run SET value = '\"c2\"' WHERE name = 'config'",
        "epoch": "UPDATE epoch SET command = 'sent'",
        "ending": "UPDATE ending SET state = 'stopped'",
        "chunk": "UPDATE chunk SET frame = zeroblob(length(frame))",
        "batch": "UPDATE batch SET size = size - 1 WHERE id = 1",
        "attempt": "UPDATE attempt SET at = '2020-01-01T00:00:00.000Z' WHERE id = 1",
        "outcome": "UPDATE outcome SET status = 'not_sent' WHERE status = 'unknown'",
        "decision": "UPDATE decision SET status = 'resend'",
    }
    assert set(changes) == set(TABLES)
    bs.resolve(run_ended.run_id, runs_dir=run_ended.runs_dir, verdict="accepted", why="seen in Braze")
    for table, change in changes.items():
        folder = copied(run_ended, tmp_path)
        _with_sqlite(folder, change)
        with pytest.raises(JournalError, match=f"a record of {table} .* fails its checksum"):
            opened(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DELETE FROM outcome WHERE attempt = 1; DELETE FROM attempt WHERE id = 1", "records, and had"),
        ("DELETE FROM epoch WHERE id = 1", "missing|gone|records, and had"),
        ("DROP INDEX attempt_by_batch", "its tables are not those of a journal"),
        ("ALTER TABLE outcome RENAME COLUMN likely TO likelier", "its tables are not those of a journal"),
    ],
)
def test_missing_records_are_detected(run_ended: Scene, tmp_path: Path, change: str, told: str) -> None:
    folder = copied(run_ended, tmp_path)
    _with_sqlite(folder, change)
    with pytest.raises(JournalError, match=told):
        opened(folder)


def _with_sqlite(folder: Path, change: str) -> None:
    connection = sqlite3.connect(folder / JOURNAL)
    connection.executescript(change)
    connection.commit()
    connection.close()


def _lose(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, other: (folder / name).unlink()


def _take(*names: str) -> Callable[[Path, Path], None]:
    def take(folder: Path, other: Path) -> None:
        for name in names:
            shutil.copy(other / name, folder / name)

    return take


def _empty(folder: Path, other: Path) -> None:
    (folder / JOURNAL).write_bytes(b"")


def _text(folder: Path, other: Path) -> None:
    (folder / JOURNAL).write_text("row,status\n1,accepted\n")


ACCIDENTS: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "the -wal file is lost": (_lose(WAL), "records, and had"),
    "the journal is lost": (_lose(JOURNAL), "has no journal"),
    "the mark is lost": (_lose(MARK), "is gone or belongs to another run"),
    "another run's journal and -wal": (_take(JOURNAL, WAL), "belongs to run 'other'"),
    "another run's -wal": (_take(WAL), "damaged|belongs to run 'other'"),
    "another run's mark": (_take(MARK), "belongs to another run"),
    "the journal is empty": (_empty, "damaged"),
    "the journal is a text": (_text, "damaged"),
}


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_no_command_sends_from_a_damaged_journal(nursery: Nursery, tmp_path: Path, accident: str) -> None:
    happens, told = ACCIDENTS[accident]
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url, {"concurrency": 1}).with_rows(400)
        for name in ("other", "run"):
            scene.run_id = name
            assert scene.run("send", "--again", failpoint="after_intent:3").killed
        requests = requests_so_far(server)
        happens(scene.folder, scene.runs_dir / "other")
        for command, *more in (
            ("resume",),
            ("send",),
            ("retry", "--unknown"),
            ("resolve", "--as", "failed"),
        ):
            ended = scene.run(command, *more)
            assert ended.code == 2, (command, ended)
            assert re.search(f"{told}|already exists, but is not a run", ended.err), (command, ended)
            assert "internal error" not in ended.err
        for command in (["status", "run"], ["explain", "run", "1"], ["export", "run", "--status", "unknown"]):
            ended = nursery.run([*command, "--runs-dir", scene.runs_dir])
            assert ended.code == 2, (command, ended)
            assert re.search(told, ended.err), (command, ended)
        assert len(server.ledger.requests) == requests


def test_a_run_under_another_name_is_refused(run: Scene, tmp_path: Path) -> None:
    folder = copied(run, tmp_path).rename(tmp_path / "renamed")
    for look in (read, opened):
        with pytest.raises(JournalError, match="belongs to run 'run', not to 'renamed'"):
            look(folder)


def test_an_older_copy_of_the_journal_is_refused(nursery: Nursery, tmp_path: Path) -> None:
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url).with_rows(400)
        assert scene.run("send", failpoint="after_intent:2").killed
        old = {path.name: path.read_bytes() for path in scene.folder.glob(f"{JOURNAL}*")}
        assert scene.run("send").code == 1
        for path in scene.folder.glob(f"{JOURNAL}*"):
            path.unlink()
        for name, content in old.items():
            (scene.folder / name).write_bytes(content)
        ended = scene.run("resume")
        assert (ended.code, "an old copy was put back" in ended.err) == (2, True)


def test_files_left_behind_by_sqlite_do_not_matter(run_killed: Scene, tmp_path: Path) -> None:
    folder = copied(run_killed, tmp_path)
    truth = everything(folder)
    (folder / f"{JOURNAL}-shm").write_bytes(b"\xff" * 40_000)
    assert not refused_or_right(folder, truth)
    folder = copied(run_killed, tmp_path)
    (folder / f"{JOURNAL}-shm").unlink()
    assert not refused_or_right(folder, truth)


def test_a_missing_run_and_a_damaged_run_raise_different_errors(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match="there is no run 'run'"):
        read(tmp_path / "run")
    (tmp_path / "run").mkdir()
    with pytest.raises(RunNotFoundError, match="has no journal"):
        opened(tmp_path / "run")


def test_the_list_of_runs_has_what_the_index_knows_of_unreadable_runs(run: Scene, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    assert [summary.run_id for summary in bs.runs(tmp_path)] == ["run"]
    (folder / JOURNAL).write_bytes(b"nonsense" * 1000)
    assert [summary.run_id for summary in bs.runs(tmp_path)] == ["run"]
    (tmp_path / "index.sqlite").unlink()
    assert list(bs.runs(tmp_path)) == []
