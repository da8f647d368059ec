"""Several processes send one run: each row once, whoever is killed, and a closed account at the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import bulk_sender as bs
from tests.crash.audit import audit
from tests.crash.nursery import Nursery
from tests.faults import FaultServer
from tests.kit.scene import Scene

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def machines(nursery: Nursery, tmp_path: Path) -> list[Scene]:
    settings = {"concurrency": 4, "timeout": 5}
    first = Scene(tmp_path / "first", nursery, "", settings, run_id="winter", chunk_cells=1500).with_rows(6000)
    return [first, *(replace(first, place=tmp_path / name) for name in ("second", "third", "fourth"))]


def test_two_processes_share_a_run(machines: list[Scene]) -> None:
    with FaultServer() as server:
        first, second = (replace(one, url=server.url) for one in machines[:2])
        first.inputs = machines[0].inputs
        planner = first.start("send")
        assert server.ledger.wait(lambda ledger: ledger.accepted, 30)
        joiner = second.start("join")
        ended = planner.wait(60)
        joined = joiner.wait(30)
        print(ended, joined)
        assert (ended.code, joined.code) == (1, 0)
        first.inputs = machines[0].inputs
        found = audit(first, server.ledger)
        assert not found.wrong and not found.doubt, found
        summary = bs.status("winter", runs_dir=first.runs_dir)
        print(summary.workers)
        assert 0
