"""Kills and disk errors at the n-th system call: inside a commit, inside a rename, between two packets.

The ordinary suite tests some values of n, the soak test all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from bulk_sender.journal.sqlite.database import JOURNAL
from tests.crash.audit import audit, file_digest, results_digest
from tests.crash.nursery import Ended, Nursery
from tests.faults import FaultServer, failing_at, killed_at, needs_strace
from tests.kit.scene import Scene

pytestmark = needs_strace

MOST = 250
TO_BRAZE = "sendto" if find_spec("uvloop") is None else "write"
"""How a request leaves: by asyncio, or by uvloop, whose ``write`` is also that to a terminal or a log."""
SOME = {"fdatasync": [2, 11], "pwrite64": [23, 67], "rename": [2], TO_BRAZE: [4]}


@pytest.mark.parametrize("call", SOME)
def test_a_run_killed_in_a_system_call_can_be_resumed(nursery: Nursery, tmp_path: Path, call: str) -> None:
    killed = _sweep(nursery, tmp_path, call, SOME[call], _killed)
    assert killed, "nothing was struck"


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_a_run_stops_when_the_disk_fails_and_can_be_resumed_when_it_works_again(
    nursery: Nursery, tmp_path: Path, call: str
) -> None:
    codes = _sweep(nursery, tmp_path, call, SOME[call], _spoiled)
    assert 3 in codes, codes


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("strike", ["killed", "spoiled"])
@pytest.mark.parametrize("call", SOME)
def test_every_occurrence_of_a_system_call(nursery: Nursery, tmp_path: Path, call: str, strike: str) -> None:
    if strike == "spoiled" and call not in ("fdatasync", "pwrite64"):
        pytest.skip("a network that fails is tested elsewhere")
    codes = _sweep(nursery, tmp_path, call, range(1, MOST), _killed if strike == "killed" else _spoiled)
    assert codes, "nothing was struck"
    print(f"{strike} at {call}: {len(codes)} runs")


def _sweep(
    nursery: Nursery,
    place: Path,
    call: str,
    numbers: list[int] | range,
    strike: Callable[[Scene, FaultServer, str, str, int], Ended],
) -> list[int]:
    """Inject at the n-th ``call`` of a new and of a resumed run. Return the exit codes of the affected commands."""
    codes = []
    for command in ("send", "resume"):
        for n in numbers:
            with FaultServer() as server:
                scene = Scene(place / f"{command}{n}", nursery, server.url, {"concurrency": 2}).with_rows(160, 40)
                if command == "resume":
                    assert scene.run("send", failpoint="before_intent").killed
                ended = strike(scene, server, command, call, n)
                assert "internal error" not in ended.err, ended
                assert "Traceback" not in ended.err, ended
                if (scene.folder / JOURNAL).exists():
                    found = audit(scene, server.ledger)
                    assert not found.wrong, (command, n, found)
                    assert found.doubt <= 100
                assert scene.run("send").code == 1
                found = audit(scene, server.ledger)
                assert not found.wrong, (command, n, found)
                assert found.doubt <= 100
                assert file_digest(scene) == results_digest(scene)
            if ended.code in (0, 1) and len(numbers) > 10:
                break  # it finished: there is no n-th call
            codes.append(ended.code)
    return codes


def _killed(scene: Scene, server: FaultServer, command: str, call: str, n: int) -> Ended:
    return scene.run(command, traced=[killed_at(call, n)])


def _spoiled(scene: Scene, server: FaultServer, command: str, call: str, n: int) -> Ended:
    """Make the n-th call and all later ones fail, as when the disk is permanently gone."""
    ended = scene.run(command, traced=[failing_at(call, n, onwards=True)])
    assert ended.code in (0, 1, 2, 3), ended
    if ended.code == 2:
        assert not server.ledger.requests, "exit 2 says that nothing was sent"
    return ended
