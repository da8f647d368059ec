"""How a run was started, for those who look at it later."""

from __future__ import annotations

import getpass
import hashlib
import socket
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from tests.kit.jobs import braze, options, recipients
from tests.kit.target import CAMPAIGN


def test_the_facts_of_a_run_say_what_went_where_and_by_whom(tmp_path: Path) -> None:
    people = recipients(tmp_path, 20)
    with braze() as running:
        given: dict[str, Any] = options(tmp_path / "runs", running.url)
        plan = tmp_path / "plan.json"
        settings = {name: given[name] for name in ("campaign_id", "endpoint", "rate", "overrides")}
        report = bs.check(people, write_plan=plan, guards=bs.Guards(canary=5), **settings)
        guards = bs.Guards(canary=5, plan_file=plan)
        held = bs.send(people, run_id="r", guards=guards, **given)
        assert held.held is not None

        async def yes(_: bs.Progress) -> bool:
            return True

        bs.resume("r", runs_dir=tmp_path / "runs", environment=given["environment"], watch=bs.Watch(on_canary=yes))
    found = bs.facts("r", runs_dir=tmp_path / "runs")
    content = people.read_bytes()
    assert (found.run_id, found.kind, found.target, found.endpoint) == ("r", "campaign", CAMPAIGN, running.url)
    assert (found.sandbox, found.broadcast, found.exclude, found.parents) == ("", False, (), ())
    assert found.plan == report.bodies_sha256 != ""
    assert found.files == (bs.InputFacts(str(people), str(people), len(content), hashlib.sha256(content).hexdigest()),)
    assert found.target_name, "the name of the campaign in the sandbox"
    assert found.tool == f"bulk-sender {bs.__version__}"
    assert found.created_at <= found.starts[0].at
    assert [(it.command, it.state) for it in found.starts] == [("send", "stopped"), ("resume", "finished")]
    assert {(it.by, it.host) for it in found.starts} == {(getpass.getuser(), socket.gethostname())}
    assert found.starts[0].reason == "held after the first 5 rows"


def test_a_rehearsal_says_so(tmp_path: Path) -> None:
    people = recipients(tmp_path, 5)
    bs.send(people, {"braze": {"canvas_id": "c-1"}}, sandbox=bs.Sandbox(weather="slow"), run_id="r", runs_dir=tmp_path)
    found = bs.facts("r", runs_dir=tmp_path)
    assert (found.kind, found.target, found.sandbox) == ("canvas", "c-1", "slow")
    assert found.given is None, "no command can express a table"


def test_the_facts_of_a_broadcast_have_no_files(tmp_path: Path) -> None:
    spring = {"braze": {"campaign_id": "spring"}}
    bs.broadcast(spring, confirm_campaign="spring", sandbox=True, run_id="b", runs_dir=tmp_path)
    found = bs.facts("b", runs_dir=tmp_path)
    assert (found.broadcast, found.target, found.files, len(found.starts)) == (True, "spring", (), 1)


def test_the_facts_of_a_run_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(bs.RunNotFoundError):
        bs.facts("none", runs_dir=tmp_path)
