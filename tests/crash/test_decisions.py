"""Operator decisions about unknown rows: made once, recorded with a name, and only the requested rows are sent."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import bulk_sender as bs
from bulk_sender.errors import GuardrailError
from bulk_sender.journal.records import RESEND
from tests.crash.nursery import Nursery
from tests.faults import FaultServer, Plan, by_body, poison, sequence
from tests.kit.journals import opened
from tests.kit.scene import Scene, requests_so_far


@pytest.fixture
def scene(nursery: Nursery, tmp_path: Path) -> Scene:
    return Scene(tmp_path / "scene", nursery, "", {"concurrency": 1, "attempts": 1})


@contextmanager
def serve(scene: Scene, plan: Plan) -> Iterator[FaultServer]:
    """A server for the scene."""
    with FaultServer(plan) as server:
        scene.url = server.url
        yield server


def sent_ids(server: FaultServer, since: int) -> Counter[str]:
    """Return the recipients of all requests after the first ``since``."""
    return Counter(name for seen in server.ledger.requests[since:] for name in seen.external_user_ids)


def test_a_retry_sends_exactly_the_rows_asked_for(scene: Scene) -> None:
    """Batch 2 in doubt, one row of batch 3 refused, the others taken."""
    first = sequence("ok", "rst_after_read_not_taken", then=poison("u120"))
    with serve(scene, first) as server:
        summary = scene.with_rows(300).run("send").summary
        assert (summary["unknown"], summary["failed"]) == (50, 1)
        by_status = {name: {row["identifier"] for row in scene.rows() if row["status"] == name} for name in summary}
        since = requests_so_far(server)
        retried = scene.run("retry", "--unknown").summary
        assert (retried["unknown"], retried["failed"]) == (0, 1)
        assert sent_ids(server, since) == dict.fromkeys(by_status["unknown"], 1)
        since = requests_so_far(server)
        retried = scene.run("retry", "--failed").summary
        assert retried["failed"] == 1
        assert sent_ids(server, since) == {"u120": 1}
        since = requests_so_far(server)
        assert scene.run("resume").summary["failed"] == 1
        assert len(server.ledger.requests) == since, "a resume decides nothing"
    attempts = {row["identifier"]: int(row["attempts"]) for row in scene.rows()}
    assert attempts["u0"] == 1
    assert attempts[min(by_status["unknown"])] == 2
    assert attempts["u120"] > 2
    assert server.ledger.accepted_ids().most_common(1)[0][1] == 1


def test_a_verdict_is_recorded_with_its_reason_and_sends_nothing(scene: Scene) -> None:
    with serve(scene, sequence("ok", "fin_after_read")) as server:
        assert scene.with_rows(200).run("send").summary["unknown"] == 50
        row = next(row for row in scene.rows() if row["status"] == "unknown")
        assert "no answer came" in row["error"], "the evidence"
        since = requests_so_far(server)
        ended = scene.run("resolve", "--as", "accepted", "--why", "seen in the message log")
        assert ended.summary["unknown"] == 0
        assert len(server.ledger.requests) == since
    row = scene.rows()[int(row["row"]) - 1]
    assert row["status"] == "accepted"
    assert "decided: accepted (seen in the message log)" in row["error"]
    story = bs.explain("run", int(row["row"]), runs_dir=scene.runs_dir)
    [decision] = story["batches"][-1]["decisions"]
    assert (decision["user"], decision["why"]) == (getpass.getuser(), "seen in the message log")
    assert decision["at"] > story["batches"][-1]["attempts"][-1]["answered_at"]


def test_a_verdict_of_failed_may_be_followed_by_a_retry_and_one_of_accepted_may_not(scene: Scene) -> None:
    with serve(scene, sequence("fin_after_read_not_taken", "fin_after_read")) as server:
        assert scene.with_rows(100).run("send").summary["unknown"] > 50
        assert scene.run("resolve", "--as", "failed").summary["failed"] > 50
        assert scene.run("resolve", "--as", "accepted").summary["failed"] > 50, "decided rows are not in doubt"
        since = requests_so_far(server)
        assert scene.run("retry", "--unknown").code == 1
        assert len(server.ledger.requests) == since
        assert scene.run("retry", "--failed").summary["failed"] == 0
        assert len(server.ledger.requests) == since + 2


def test_a_second_verdict_on_the_same_attempt_is_refused(scene: Scene) -> None:
    with serve(scene, "fin_after_read"):
        assert scene.with_rows(40).run("send").summary["unknown"] == 40
    with opened(scene.folder) as journal:
        [attempt] = [batch.last_attempt for batch in journal.batches_with("unknown")]
        assert attempt is not None
        journal.decide({attempt: "failed"}, "first", "user")
        for verdict in ("accepted", "failed"):
            with pytest.raises(GuardrailError, match=r"attempt 1 was decided to be 'failed' at .* by "):
                journal.decide({attempt: verdict}, "second", "user")
        journal.decide({attempt: RESEND}, "third", "user")
        for verdict in ("accepted", "failed", RESEND):
            with pytest.raises(GuardrailError, match="was decided to be 'resend'"):
                journal.decide({attempt: verdict}, "fourth", "user")
        assert [decided.why for decided in journal.decided()] == ["first", "third"]


def test_an_acceptance_that_the_program_revokes_is_not_a_verdict(scene: Scene) -> None:
    same = by_body(lambda body: True, "repeated_dispatch_id")
    with serve(scene, same):
        ended = scene.with_rows(100).run("send")
        assert ended.summary["unknown"] > 50, "two batches under one dispatch_id"
        assert scene.run("resolve", "--as", "accepted").summary["unknown"] == 0


def test_a_killed_resolve_applies_completely_or_not_at_all(scene: Scene) -> None:
    with serve(scene, "fin_after_read"):
        assert scene.with_rows(200).run("send").code in (1, 3)
        before = bs.status("run", runs_dir=scene.runs_dir)
        assert scene.run("resolve", "--as", "failed", failpoint="inside_decision").killed
        assert bs.status("run", runs_dir=scene.runs_dir).unknown == before.unknown
        assert scene.run("resolve", "--as", "failed", failpoint="after_decision").killed
        assert bs.status("run", runs_dir=scene.runs_dir).failed == before.unknown
        assert scene.run("resolve", "--as", "accepted").summary["failed"] == before.unknown
    assert {row["status"] for row in scene.rows()} >= {"failed"}
