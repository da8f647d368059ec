"""SIGKILL at each failpoint, and at any time: no row is lost or sent twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulk_sender import journal as journals
from bulk_sender.failpoints import KINDS, PLACES, Failpoint
from bulk_sender.journal.store import RunRef
from tests.crash.audit import audit, file_digest, recovered_states, results_digest
from tests.crash.campaign import Figures, endure
from tests.crash.nursery import Nursery
from tests.faults import FaultServer, first_with, poison, until
from tests.kit.row_errors import named, telling
from tests.kit.scene import Scene, requests_so_far

SEEDS = ("1", "2", "3")
KILLS = 10


ANYWHERE = [name for name in PLACES if "decision" not in name]
IN_POSTGRES = [
    name
    for name in ANYWHERE
    if (name.startswith(("before_", "after_")) and name.partition("_")[2] in KINDS) or name == "inside_epoch"
]
"""A commit is a single statement there, with nothing inside, but for the beginning of an epoch."""


@pytest.mark.parametrize(
    ("store", "place"),
    [*(("files", name) for name in ANYWHERE), *(("postgres", name) for name in IN_POSTGRES)],
    indirect=["store"],
)
def test_a_run_killed_at_a_failpoint_resumes_with_the_same_command(
    nursery: Nursery, tmp_path: Path, store: str, place: str
) -> None:
    with FaultServer(poison("u130")) as server:
        scene = Scene(tmp_path / "scene", nursery, server.url, {"concurrency": 3}).with_rows(300, 100)
        assert scene.run("send", failpoint=place).killed
        if journals.exists(RunRef.at(scene.folder)):
            killed = audit(scene, server.ledger)
            assert not killed.wrong
            assert killed.doubt <= 50 * 3
            if store == "files":
                assert recovered_states(scene, 1) == recovered_states(scene, 2)
        ended = scene.run("send")
        assert ended.code == 1, ended
        found = audit(scene, server.ledger)
    assert not found.wrong
    assert found.rows == 400
    assert found.doubt <= 50 * 3
    assert file_digest(scene) == results_digest(scene)
    assert ended.summary["state"] == "finished"
    assert ended.summary["not_sent"] == 0
    assert not list(scene.folder.glob(".*.new")) + list(scene.folder.glob("*.sqlite.new*"))
    assert not (scene.folder / "ballast").exists()


@pytest.mark.parametrize(
    ("store", "moment"),
    [("files", "before"), ("files", "inside"), ("files", "after"), ("postgres", "before"), ("postgres", "after")],
    indirect=["store"],
)
def test_a_retry_killed_at_its_decision_sends_the_unknown_rows_once(
    nursery: Nursery, tmp_path: Path, store: str, moment: str
) -> None:
    with FaultServer(first_with("u60", "rst_after_read_not_taken")) as server:
        scene = Scene(tmp_path / "scene", nursery, server.url).with_rows(200)
        assert scene.run("send").summary["unknown"] == 50
        assert scene.run("retry", "--unknown", failpoint=f"{moment}_decision").killed
        ended = scene.run("resume")
        assert ended.summary["unknown"] == (0 if moment == "after" else 50)
        again = scene.run("retry", "--unknown")
        assert (again.summary["unknown"], again.summary["requests"]) == (0, 5)
        assert not audit(scene, server.ledger).wrong


@pytest.mark.parametrize("moment", ["before", "inside", "after"])
@pytest.mark.parametrize("kind", ["outcome", "split"])
def test_the_parts_of_an_accepted_batch_survive_a_kill_together_or_not_at_all(
    nursery: Nursery, tmp_path: Path, moment: str, kind: str
) -> None:
    with FaultServer(until(telling(named(16)), count=1, then="ok")) as server:
        scene = Scene(tmp_path / "scene", nursery, server.url, {"concurrency": 1}).with_rows(40)
        assert scene.run("send", failpoint=f"{moment}_{kind}").killed
        assert not audit(scene, server.ledger).wrong
        ended = scene.run("send")
        assert not audit(scene, server.ledger).wrong
        in_doubt = 1 if moment == "after" else 40
        assert (ended.summary["unknown"], ended.summary["requests"], len(server.ledger.requests)) == (in_doubt, 1, 1)
        again = scene.run("retry", "--unknown")
        assert (again.summary["unknown"], len(server.ledger.requests)) == (0, 2)
        assert file_digest(scene) == results_digest(scene)


@pytest.mark.parametrize("place", ["after_fact:1", "before_fact:2", "after_fact:2"])
def test_a_run_that_died_around_its_hold_is_not_sent_without_an_answer(
    nursery: Nursery, tmp_path: Path, place: str
) -> None:
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url).with_rows(200)
        assert scene.run("send", "--canary", "50", failpoint=place).killed
        held = scene.run("send")
        assert (held.code, held.summary["reason"]) == (3, "held after the first 50 rows")
        assert not audit(scene, server.ledger).wrong
        sent = {name for request in server.ledger.requests for name in request.external_user_ids}
        assert len(sent) <= 50
        assert scene.run("resume").summary["not_sent"] == 0
        assert not audit(scene, server.ledger).wrong


def test_a_yes_survives_the_death_of_the_process_and_one_that_was_not_recorded_does_not(
    nursery: Nursery, tmp_path: Path
) -> None:
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url).with_rows(200)
        assert scene.run("send", "--canary", "50").code == 3
        assert scene.run("resume", failpoint="before_fact").killed
        assert scene.run("send").code == 3, "the yes was not in the journal"
        assert scene.run("resume", failpoint="after_fact").killed
        ended = scene.run("send", "--canary", "50")
        assert (ended.code, ended.summary["state"], ended.summary["not_sent"]) == (1, "finished", 0)
        assert not audit(scene, server.ledger).wrong


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_killed_again_and_again_keeps_correct_results(nursery: Nursery, tmp_path: Path, seed: str) -> None:
    figures = Figures()
    for again in range(8):  # on a fast machine a run may finish between two kills: then start another
        endure(nursery, tmp_path / f"scene{again}", f"{seed}.{again}", figures, kills=KILLS - figures.kills)
        if figures.kills == KILLS:
            break
    assert figures.kills >= KILLS // 2, figures
    assert not figures.wrong


def test_ten_resumes_add_no_more_unknown_rows_than_their_requests(nursery: Nursery, tmp_path: Path) -> None:
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url, {"concurrency": 2}).with_rows(3000)
        doubt = 0
        for number in range(10):
            ended = scene.run("resume" if number else "send", failpoint="after_intent:2")
            assert ended.killed
            found = audit(scene, server.ledger)
            assert not found.wrong
            assert doubt < found.doubt <= doubt + 50 * 2
            doubt = found.doubt
        assert scene.run("resume").code == 1
        found = audit(scene, server.ledger)
    assert not found.wrong
    assert found.doubt == doubt


def test_a_finished_run_is_reported_and_rewrites_its_files_only_if_one_is_missing(
    nursery: Nursery, tmp_path: Path
) -> None:
    with FaultServer() as server:
        scene = Scene(tmp_path / "scene", nursery, server.url).with_rows(200)
        assert scene.run("send").code == 1
        requests = requests_so_far(server)

        def stamps() -> dict[str, int]:
            return {path.name: path.stat().st_mtime_ns for path in scene.folder.glob("*.*") if path.suffix != ".mark"}

        before = stamps()
        assert scene.run("send").code == 1
        assert scene.run("resume").code == 1
        assert stamps() == before
        digest = file_digest(scene)
        (scene.folder / "results.csv").unlink()
        assert scene.run("resume").code == 1
        assert file_digest(scene) == digest
        assert len(server.ledger.requests) == requests


def test_the_quick_kills_are_at_least_fifty() -> None:
    certain = sum("decision" not in name for name in PLACES) + 3 + 10
    assert certain + len(SEEDS) * (KILLS // 2) >= 50


def test_an_unknown_failpoint_is_refused() -> None:
    with pytest.raises(ValueError, match="'before_lunch' is not a failpoint"):
        Failpoint("before_lunch:1")
