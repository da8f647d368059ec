"""A send while its database is killed, stopped, full or far away: nothing goes twice, and nothing goes unrecorded."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from bulk_sender.journal.place import SCHEMA_VARIABLE, VARIABLE, Place, write_pointer
from tests.crash.audit import audit
from tests.crash.nursery import Child, Nursery, until
from tests.faults import FaultServer, Turn
from tests.faults.fault import FAULTS, Fault
from tests.kit.pg_proxy import Proxy
from tests.kit.postgres import Server, find_programs, running
from tests.kit.scene import Scene, write_input

ROWS = 3000
SETTINGS = {"concurrency": 4, "share_rate": True}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that only these tests hurt."""
    with running() as server:
        yield server


@pytest.fixture
def scene(server: Server, nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    place = server.place()
    monkeypatch.setenv(VARIABLE, place.address)
    monkeypatch.setenv(SCHEMA_VARIABLE, place.schema)
    return Scene(tmp_path / "scene", nursery, "", SETTINGS).with_rows(ROWS)


def slowly(turn: Turn) -> Fault:
    """Accepts each request after a while, so that there is time for trouble."""
    turn.read_whole()
    time.sleep(0.04)
    return FAULTS["ok"]


def begun(scene: Scene, braze: FaultServer, requests: int = 6) -> Child:
    child = scene.start("send")
    assert braze.ledger.wait(lambda ledger: len(ledger.accepted) >= requests, 60)
    return child


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT, signal.SIGINT], ids=["kill -9", "immediate", "fast"])
def test_a_database_that_restarts_during_a_send_costs_nothing(
    server: Server, scene: Scene, how: signal.Signals
) -> None:
    with FaultServer(slowly) as braze:
        scene.url = braze.url
        child = begun(scene, braze)
        for _ in range(2):
            server.end(how)
            server.start()
            accepted = len(braze.ledger.accepted)
            braze.ledger.wait(lambda ledger, before=accepted: len(ledger.accepted) > before + 3, 30)
        ended = child.wait(60)
        found = audit(scene, braze.ledger)
    assert not found.wrong
    assert (ended.code, ended.summary["unknown"], ended.summary["not_sent"]) == (1, 0, 0), ended


def test_while_the_database_is_away_no_request_leaves(server: Server, scene: Scene) -> None:
    with FaultServer(slowly) as braze:
        scene.url = braze.url
        child = begun(scene, braze)
        server.end(signal.SIGQUIT)
        time.sleep(1.5)  # those whose intents were durable may still leave
        requests = len(braze.ledger.requests)
        time.sleep(2.0)
        assert len(braze.ledger.requests) == requests
        server.start()
        assert child.wait(60).summary["unknown"] == 0
        assert not audit(scene, braze.ledger).wrong


@pytest.mark.parametrize("trouble", ["cut", "lost answers"])
def test_a_connection_that_is_cut_again_and_again_costs_nothing(
    server: Server, scene: Scene, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    with FaultServer(slowly) as braze, Proxy(server.port) as proxy:
        scene.url = braze.url
        with monkeypatch.context() as patch:
            patch.setenv(VARIABLE, server.address_of("postgres", proxy.port))
            child = begun(scene, braze)
        for _ in range(8):
            proxy.cut() if trouble == "cut" else proxy.lose_answer()
            time.sleep(0.15)
        ended = child.wait(60)
        found = audit(scene, braze.ledger)
    assert not found.wrong
    assert (ended.code, ended.summary["unknown"], ended.summary["not_sent"]) == (1, 0, 0), ended


@pytest.mark.parametrize(
    ("how", "helps"), [("swallows packets", False), ("killed", True)], ids=["alone", "beside the one that started it"]
)
def test_sigterm_ends_a_send_in_time_while_the_database_is_away(
    server: Server, scene: Scene, monkeypatch: pytest.MonkeyPatch, how: str, helps: bool
) -> None:
    """A supervisor kills a process some seconds after SIGTERM. What was in flight is in doubt."""
    with FaultServer(slowly) as braze, Proxy(server.port) as proxy:
        scene.url = braze.url
        planner = None
        scene.runs_dir.mkdir()
        write_pointer(scene.runs_dir, Place(server.address, os.environ[SCHEMA_VARIABLE], 3.0))
        if helps:
            scene = replace(scene, chunk_cells=300, settings={**SETTINGS, "rate": "40/second"})
            scene.inputs = [write_input(scene.place / "in.csv", ROWS)]
            planner = begun(scene, braze)
        with monkeypatch.context() as patch:
            patch.setenv(VARIABLE, server.address_of("postgres", proxy.port))
            child = scene.start("join") if helps else begun(scene, braze)
        until(lambda: requests_of(server, child) > 3, 30)
        proxy.freeze() if how == "swallows packets" else server.end(signal.SIGQUIT)
        time.sleep(1.5)
        began = time.monotonic()
        child.signal(signal.SIGTERM)
        ended = child.wait(90)
        assert time.monotonic() - began < 8.0
        assert ended.code == 3, ended
        assert "the database of the journal could not be used when the process had to end" in ended.err
        proxy.thaw()
        if how == "killed":
            server.start()
        if planner is not None:
            planner.wait(60)
        until(lambda: scene.run("send").code == 1, 60)
        assert not audit(scene, braze.ledger).wrong


def requests_of(server: Server, child: Child) -> int:
    schema = os.environ[SCHEMA_VARIABLE]
    sent = f"{schema}.attempt a JOIN {schema}.epoch e ON e.run = a.run AND e.id = a.epoch"
    return int(server.sql(f"SELECT count(*) FROM {sent} WHERE pid = %s", child.pid)[0][0])


def test_a_server_without_a_free_connection_is_waited_for(server: Server, scene: Scene) -> None:
    with FaultServer(slowly) as braze:
        scene.url = braze.url
        child = begun(scene, braze)
        server.end(signal.SIGQUIT)
        server.settings["max_connections"] = 4  # all of them for superusers, who may use them up
        server.settings["superuser_reserved_connections"] = 0
        server.start()
        taken = []
        while True:
            try:
                taken.append(psycopg.connect(server.address))
            except psycopg.OperationalError:
                break
        time.sleep(1.0)
        for connection in taken:
            connection.close()
        ended = child.wait(60)
        assert (ended.code, ended.summary["not_sent"]) == (1, 0), ended
        assert not audit(scene, braze.ledger).wrong
    server.end()
    del server.settings["max_connections"], server.settings["superuser_reserved_connections"]
    server.start()


@pytest.fixture
def small(nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Scene, Path]]:
    """A server on a disk of 96 MB."""
    programs = find_programs()
    disk = tmp_path / "disk"
    disk.mkdir()
    if programs is None or os.getuid() != 0:
        pytest.skip("needs the right to mount a small disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", disk], check=False).returncode:
        pytest.skip("may not mount a small disk")
    for folder in (disk, *disk.parents):
        if folder.owner() == "root" and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    server = Server(programs, disk, wal_recycle="off", min_wal_size="32MB", max_wal_size="32MB")
    try:
        server.made().start()
        place = server.place()
        monkeypatch.setenv(VARIABLE, place.address)
        monkeypatch.setenv(SCHEMA_VARIABLE, place.schema)
        yield server, Scene(tmp_path / "scene", nursery, "", SETTINGS).with_rows(ROWS), disk
    finally:
        server.remove()
        subprocess.run(["umount", disk], check=True)


def test_a_full_disk_stops_requests_and_a_disk_with_room_again_lets_them_go_on(
    small: tuple[Server, Scene, Path],
) -> None:
    server, scene, disk = small
    with FaultServer(slowly) as braze:
        scene.url = braze.url
        child = begun(scene, braze)
        filler = disk / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            except OSError:
                pass
        end = time.monotonic() + 20
        while "No space left" not in server.log() and time.monotonic() < end:
            with suppress(psycopg.Error):  # it may end by itself
                server.sql("SELECT pg_switch_wal()")
            time.sleep(0.2)
        assert "No space left" in server.log()
        time.sleep(1.0)
        filler.unlink(missing_ok=True)
        if server.is_down():
            server.start()
        ended = child.wait(90)
        found = audit(scene, braze.ledger)
    assert not found.wrong
    assert ended.code in (1, 3), ended
    if ended.code == 3:
        assert scene.run("send").code == 1
