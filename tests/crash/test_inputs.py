"""Changed inputs and settings: a resumed run refuses them before anything is sent."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

import bulk_sender as bs
from tests.crash.audit import audit
from tests.crash.nursery import Nursery
from tests.faults import FAULTS, Fault, FaultServer, Turn
from tests.kit.scene import Scene, requests_so_far, write_input

ROWS = 120_000
"""More than one chunk, so that the input is not read to its end."""
NOT_SMALL = 30_000
"""A file of so many rows is read alone. Small files are read together, before the first request."""


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _append(path: Path) -> None:
    with path.open("a") as file:
        file.write("one-more,1,plan 1\n")


def _reorder(path: Path) -> None:
    head, *rows = path.read_text().splitlines()
    random.Random(1).shuffle(rows)
    path.write_text("\n".join([head, *rows]) + "\n")


def _encode(path: Path) -> None:
    path.write_text(path.read_text(), encoding="utf-16")


def _replace_by_link(path: Path) -> None:
    other = write_input(path.with_name("other.csv"), 500, start=7)
    path.unlink()
    path.symlink_to(other)


CHANGES: dict[str, Callable[[Path], None]] = {
    "one byte": _flip,
    "appended": _append,
    "reordered": _reorder,
    "re-encoded": _encode,
    "replaced by a link": _replace_by_link,
    "emptied": lambda path: path.write_bytes(b""),
}


@pytest.fixture(scope="module")
def half_sent(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, FaultServer]:
    place = tmp_path_factory.mktemp("half") / "scene"
    with FaultServer() as server:
        scene = Scene(place, nursery, server.url).with_rows(ROWS)
        assert scene.run("send", failpoint="after_outcome:3").killed
        yield scene, server
        found = audit(scene, server.ledger)
        assert not found.wrong


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_input_is_refused(half_sent: tuple[Scene, FaultServer], change: str) -> None:
    scene, server = half_sent
    [path] = scene.inputs
    content, requests = path.read_bytes(), requests_so_far(server)
    try:
        CHANGES[change](path)
        for command in ("send", "resume"):
            ended = scene.run(command)
            assert ended.code == 2, ended
            if (command, change) != ("send", "emptied"):
                assert "changed since the run began" in ended.err or "with another input" in ended.err, ended
            assert "internal error" not in ended.err
        assert len(server.ledger.requests) == requests
    finally:
        path.unlink()
        path.write_bytes(content)


def test_what_the_journal_has_is_sent_without_the_input_and_the_rest_when_it_is_back(
    nursery: Nursery, tmp_path: Path
) -> None:
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url, chunk_cells=600).with_rows(2_000)
        assert scene.run("send", failpoint="after_outcome:3").killed
        killed = bs.status("run", runs_dir=scene.runs_dir)
        assert killed.later_rows_unread
        assert killed.reason == (
            "the process ended without closing the run; the input was not read to its end, later rows are not counted"
        )
        assert killed.to_dict()["later_rows_unread"] is True
        [path] = scene.inputs
        away = path.rename(path.with_name("away.csv"))
        ended = scene.run("send")
        assert (ended.code, "bulk-sender resume run sends the rows that the run has stored" in ended.err) == (2, True)
        ended = scene.run("resume")
        assert ended.code == 3
        assert "is gone, but the run has not read it to its end" in ended.summary["reason"]
        assert "later rows are not counted" in ended.summary["reason"]
        assert 0 < ended.summary["rows"] < 2_000
        assert ended.summary["not_sent"] == 0
        requests = requests_so_far(server)
        for command in ("resume", "send"):
            ended = scene.run(command)
            assert ended.code == 2, ended
            assert "new" not in ended.err and "run of" not in ended.err
        assert len(server.ledger.requests) == requests
        away.rename(path)
        assert scene.run("resume").code == 1
        found = audit(scene, server.ledger)
        assert (found.rows, found.wrong) == (2_000, {})


def test_a_copy_of_the_input_elsewhere_continues_the_run(nursery: Nursery, tmp_path: Path) -> None:
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url, chunk_cells=600).with_rows(2_000)
        assert scene.run("send", failpoint="after_outcome:3").killed
        scene.inputs[0] = scene.inputs[0].rename(tmp_path / "moved.csv")
        assert scene.run("send").code == 1
        assert not audit(scene, server.ledger).wrong


SETTINGS = {
    "braze.campaign_id": ["--campaign-id", "c2"],
    "braze.endpoint": ["--endpoint", "http://127.0.0.1:9"],
    "input.limit": ["--limit", "100"],
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_changed_setting_is_named(half_sent: tuple[Scene, FaultServer], name: str) -> None:
    scene, server = half_sent
    requests = requests_so_far(server)
    ended = scene.run("send", *SETTINGS[name])
    assert (ended.code, f"exists, with another {name}\n" in ended.err) == (2, True), ended
    assert len(server.ledger.requests) == requests


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('[recipient]\nexternal_user_id = "attributes.plan"\n', "recipient.external_user_id"),
        ('[message]\ntrigger_properties = { season = "summer" }\n', "message.trigger_properties.season"),
        ("[delivery]\nmax_body_kb = 64\n", "delivery.max_body_kb"),
        ('[delivery]\nserver_errors = "hold"\n', "delivery.server_errors"),
        ('[input]\nduplicates = "allow"\n', "input.duplicates"),
    ],
)
def test_a_changed_configuration_names_each_field(
    half_sent: tuple[Scene, FaultServer], tmp_path: Path, text: str, names: str
) -> None:
    scene, server = half_sent
    requests = requests_so_far(server)
    other = tmp_path / "other.toml"
    other.write_text('[braze]\ncampaign_id = "c1"\n' + text)
    command = scene.command("send")
    command[command.index(scene.config)] = other
    ended = scene.nursery.run(command, scene.env)
    assert (ended.code, names in ended.err) == (2, True), ended
    assert len(server.ledger.requests) == requests


def test_rate_and_concurrency_may_change_when_resuming(nursery: Nursery, tmp_path: Path) -> None:
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url).with_rows(400)
        assert scene.run("send", failpoint="before_intent").killed
        ended = scene.run("resume", "--rate", "9000/second", "--concurrency", "1")
        assert ended.code == 1, ended
        assert len(server.ledger.connections) == 1
        assert not audit(scene, server.ledger).wrong


def _flip_unseen(path: Path) -> None:
    """Flip a byte in place, and set the time of modification back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-20, os.SEEK_END)
        byte = file.read(1)
        file.seek(-20, os.SEEK_END)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", ["replaced", "one byte", "one byte, time set back", "another link"])
def test_an_input_changed_while_it_is_read_ends_the_run_with_correct_results(
    nursery: Nursery, tmp_path: Path, change: str
) -> None:
    def spoil(turn: Turn) -> Fault:
        if turn.index == 1:
            turn.read_whole()
            second = scene.inputs[1]
            if change == "one byte":
                _flip(second)
            elif change == "one byte, time set back":
                _flip_unseen(second)
            elif change == "replaced":
                write_input(tmp_path / "other.csv", 300, start=10_000_000).replace(second)
            else:
                _replace_by_link(second)
        return FAULTS["ok"]

    with FaultServer(spoil) as server:
        scene = Scene(tmp_path / "scene", nursery, server.url, {"concurrency": 1}).with_rows(600, NOT_SMALL)
        given = {line.partition(",")[0] for path in scene.inputs for line in path.read_text().splitlines()}
        ended = scene.run("send")
        assert set(server.ledger.accepted_ids()) <= given, "a recipient of the other file"
        assert ended.code == 3, ended
        assert "was changed while it was read" in ended.summary["reason"]
        assert not audit(scene, server.ledger).wrong
        again = scene.run("resume")
        assert (again.code, "has changed since the run began" in again.err) == (2, True)
