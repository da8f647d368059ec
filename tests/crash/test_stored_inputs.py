"""Runs of standard input: killed while the input gets its place, and continued when the stored copy is spoiled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bulk_sender.reading.spool import Spool, left_over
from tests.crash.audit import audit
from tests.crash.nursery import Nursery, until
from tests.faults import FaultServer, killed_at, needs_strace
from tests.kit.scene import Scene, requests_so_far

ROWS = 1_200
CHUNK_CELLS = 600
"""So few that the input has six chunks, and is not read to its end when the process is killed."""


def _scene(place: Path, nursery: Nursery, server: FaultServer, rows: int) -> Scene:
    return Scene(place / "scene", nursery, server.url, is_piped=True, chunk_cells=CHUNK_CELLS).with_rows(rows)


def _no_data_is_left(scene: Scene) -> None:
    assert sorted(path.name for path in scene.runs_dir.iterdir()) == ["index.sqlite", "run"]
    assert not (scene.folder / "input").exists()


@needs_strace
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_run_killed_at_a_rename_continues_with_the_same_command(nursery: Nursery, tmp_path: Path, n: int) -> None:
    with FaultServer() as server:
        scene = _scene(tmp_path, nursery, server, 200)
        assert scene.run("send", traced=[killed_at("rename", n)]).killed
        ended = scene.run("send")
        assert ended.code == 1, ended
        assert not audit(scene, server.ledger).wrong
        _no_data_is_left(scene)


@pytest.mark.parametrize("failpoint", ["before_publishing", "after_epoch", "before_intent"])
def test_a_run_killed_at_its_beginning_continues_with_the_same_command(
    nursery: Nursery, tmp_path: Path, failpoint: str
) -> None:
    with FaultServer() as server:
        scene = _scene(tmp_path, nursery, server, 200)
        assert scene.run("send", failpoint=failpoint).killed
        assert scene.run("send").code == 1
        assert not audit(scene, server.ledger).wrong
        _no_data_is_left(scene)


def _flip(copy: Path) -> None:
    content = bytearray(copy.read_bytes())
    content[-100] ^= 1
    copy.write_bytes(content)


SPOILED: dict[str, Callable[[Path], object]] = {
    "short": lambda copy: copy.write_bytes(copy.read_bytes()[:5000]),
    "one byte": _flip,
    "gone with its folder": lambda copy: shutil.rmtree(copy.parent),
}


@pytest.mark.parametrize("how", SPOILED)
def test_the_same_bytes_take_the_place_of_a_spoiled_copy(nursery: Nursery, tmp_path: Path, how: str) -> None:
    with FaultServer() as server:
        scene = _scene(tmp_path, nursery, server, ROWS)
        assert scene.run("send", failpoint="after_outcome:3").killed
        [copy] = (scene.folder / "input").glob("*.bytes")
        SPOILED[how](copy)
        assert scene.run("send", failpoint="before_intent:2").killed
        assert copy.read_bytes() == scene.inputs[0].read_bytes()
        assert copy.stat().st_mode & 0o777 == 0o600
        assert copy.parent.stat().st_mode & 0o777 == 0o700
        assert scene.run("resume").code == 1
        found = audit(scene, server.ledger)
        assert (found.rows, found.wrong) == (ROWS, {})
        _no_data_is_left(scene)


@needs_strace
def test_a_kill_while_the_bytes_take_their_place_loses_nothing(nursery: Nursery, tmp_path: Path) -> None:
    with FaultServer() as server:
        scene = _scene(tmp_path, nursery, server, ROWS)
        assert scene.run("send", failpoint="after_outcome:3").killed
        [copy] = (scene.folder / "input").glob("*.bytes")
        copy.unlink()
        assert scene.run("send", traced=[killed_at("rename", 1)]).killed
        assert scene.run("resume").code == 1, "the bytes lie in the folder of the killed process"
        assert not audit(scene, server.ledger).wrong


def test_what_the_journal_has_is_sent_without_the_copy(nursery: Nursery, tmp_path: Path) -> None:
    with FaultServer() as server:
        scene = _scene(tmp_path, nursery, server, ROWS)
        assert scene.run("send", failpoint="after_chunk:2").killed
        [copy] = (scene.folder / "input").glob("*.bytes")
        copy.write_bytes(b"")
        ended = scene.run("resume")
        assert (ended.code, ended.summary["not_sent"]) == (3, 0)
        assert 0 < ended.summary["rows"] < ROWS
        assert "the run's copy of standard input, is damaged" in ended.summary["reason"]
        assert "give the same input once more with the command that began the run" in ended.summary["reason"]
        requests = requests_so_far(server)
        other = tmp_path / "other.csv"
        other.write_bytes(scene.inputs[0].read_bytes() + b"one-more,1,plan 1\n")
        for ended in (scene.run("resume"), scene.run("send", piped=other), scene.run("send", piped=Path("/dev/null"))):
            assert ended.code == 2, ended
        assert len(server.ledger.requests) == requests
        assert scene.run("send").code == 1
        found = audit(scene, server.ledger)
        assert (found.rows, found.wrong) == (ROWS, {})


def test_what_killed_processes_left_is_removed_and_what_is_in_use_is_not(nursery: Nursery, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    with FaultServer() as server:
        scene = _scene(tmp_path, nursery, server, 200)
        scene.runs_dir.mkdir()
        with Spool(scene.runs_dir) as spool:
            in_use = spool.place(".bytes").parent
            os.utime(in_use, (0, 0))
            older = scene.runs_dir / ".input-of-an-earlier-release"
            older.mkdir()
            (older / "0001.bytes").write_bytes(b"x")
            reading = scene.start("send", piped=pipe)
            until(lambda: len(_stored(scene)) == 3 and all(any(each.glob("*.bytes")) for each in _stored(scene)))
            reading.signal()
            assert reading.wait().killed
            assert [folder for folder in left_over(scene.runs_dir) if folder != older] != []
            assert scene.run("send").code == 1
            assert _stored(scene) == sorted([in_use, older])
            assert left_over(scene.runs_dir) == [older]
    os.close(writer)
    assert _stored(scene) == [older]


def _stored(scene: Scene) -> list[Path]:
    return sorted(path for path in scene.runs_dir.iterdir() if path.name.startswith(".input-"))
