"""The account against a model: whatever happens to a run, in whatever order, every recipient's fate is told truly.

``BULK_SENDER_ACCOUNT_STEPS`` makes it longer (examples; 8 by default). A failure prints the steps, and the blob that
plays them again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bulk_sender.failpoints import PLACES
from bulk_sender.journal.sqlite.database import JOURNAL
from bulk_sender.reporting import rows as frames
from tests.crash.audit import STATUSES, audit
from tests.crash.nursery import Ended, Nursery
from tests.faults import FAULTS, Fault, FaultServer, Turn
from tests.kit.journals import read
from tests.kit.scene import Scene, requests_so_far

EXAMPLES = int(os.environ.get("BULK_SENDER_ACCOUNT_STEPS", "8"))
ROWS = 330

FAULTS_PLAYED = ["ok", "fin_after_read", "rst_after_read_not_taken", "half_body_rst", "status_422"]
"""What the server may do to a request: accept it with or without an answer, do neither, half-answer or refuse it."""


class Account(RuleBasedStateMachine):
    """The model: who may have been accepted (by the server's ledger), and what the operator allowed to be resent."""

    nursery: ClassVar[Nursery]

    @initialize(rows=st.integers(1, ROWS), concurrency=st.sampled_from([1, 3]))
    def a_new_run(self, rows: int, concurrency: int) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.next_faults: list[str] = []
        self.server = FaultServer(self.decide)
        self.server.listen()
        self.scene = Scene(
            self.place / "scene", self.nursery, self.server.url, {"concurrency": concurrency, "attempts": 1}
        ).with_rows(rows)
        self.may_be_resent: set[str] = set()
        """Recipients that an operator's decision allows to be resent after a request that may have been accepted."""
        self.resolved: dict[str, str] = {}
        """Recipient → the operator's verdict; it holds for good, unless failed ones are retried."""

    def decide(self, turn: Turn) -> Fault:
        turn.read_whole()
        return FAULTS[self.next_faults.pop(0) if self.next_faults else "ok"]

    # --- what happens -------------------------------------------------------------------------------------------

    @rule(faults=st.lists(st.sampled_from(FAULTS_PLAYED), max_size=5))
    def the_server_misbehaves(self, faults: list[str]) -> None:
        self.next_faults = list(faults)

    @rule(command=st.sampled_from(["send", "resume"]))
    def sent(self, command: str) -> None:
        self.run(command)

    @rule(
        place=st.sampled_from([name for name in PLACES if "decision" not in name]),
        nth=st.integers(1, 4),
        command=st.sampled_from(["send", "resume"]),
    )
    def killed(self, place: str, nth: int, command: str) -> None:
        if not (self.scene.folder / JOURNAL).exists():
            command = "send"
        self.run(command, failpoint=f"{place}:{nth}")

    @precondition(lambda self: self.exists)
    @rule(
        what=st.sampled_from(["--failed", "--unknown"]),
        failpoint=st.sampled_from(["", "", "inside_decision:1", "after_decision:1", "after_intent:1"]),
    )
    def retried(self, what: str, failpoint: str) -> None:
        status = what.removeprefix("--")
        rows = self.statuses()[status]
        ended = self.run("retry", what, failpoint=failpoint, may_be_resent=rows if status == "unknown" else set())
        if "inside_decision" not in failpoint or not ended.killed:
            for name in rows:
                self.resolved.pop(name, None)

    @precondition(lambda self: self.exists)
    @rule(verdict=st.sampled_from(["accepted", "failed"]), failpoint=st.sampled_from(["", "", "after_decision:1"]))
    def resolved_by_the_operator(self, verdict: str, failpoint: str) -> None:
        unknown = self.statuses()["unknown"]
        requests = requests_so_far(self.server)
        self.run("resolve", "--as", verdict, failpoint=failpoint)
        assert len(self.server.ledger.requests) == requests, "a verdict sends nothing"
        self.resolved.update(dict.fromkeys(unknown, verdict))
        if verdict == "failed":
            self.may_be_resent |= unknown  # the operator decides that they were not accepted

    @precondition(lambda self: self.exists)
    @rule()
    def the_input_is_changed_for_a_moment(self) -> None:
        [path] = self.scene.inputs
        content, requests = path.read_bytes(), requests_so_far(self.server)
        path.write_bytes(content + b"one-more,1,x\n")
        for command in ("send", "resume"):
            ended = self.run(command)
            # A finished run is only reported, and resuming one does not need its input.
            assert ended.code == 2 or (command == "resume" and self.is_through), ended
        assert len(self.server.ledger.requests) == requests
        path.write_bytes(content)

    # --- what holds ---------------------------------------------------------------------------------------------

    @invariant()
    def the_account_is_true(self) -> None:
        if not self.exists:
            return
        found = audit(self.scene, self.server.ledger)
        assert not found.lost and not found.unannounced, found
        taken = self.server.ledger.accepted_ids()
        statuses = self.statuses()
        by_verdict = {name for name, verdict in self.resolved.items() if verdict == "accepted"}
        assert statuses["accepted"] - by_verdict <= taken.keys(), "a ghost"
        denied = {name for name, verdict in self.resolved.items() if verdict == "failed"}
        for status in ("failed", "not_sent"):
            assert not statuses[status] & taken.keys() - denied - self.may_be_resent, "an orphan"
        twice = {name for name, count in taken.items() if count > 1}
        assert twice <= self.may_be_resent, "sent twice without a decision"
        for name, verdict in self.resolved.items():
            assert name in statuses[verdict], "a verdict did not last"

    @property
    def exists(self) -> bool:
        return (self.scene.folder / JOURNAL).exists()

    @property
    def is_through(self) -> bool:
        """Whether the last command found nothing left to send."""
        return not self.statuses()["not_sent"] and self.all_planned

    @property
    def all_planned(self) -> bool:
        with read(self.scene.folder) as journal:
            return journal.is_plan_complete()

    def statuses(self) -> dict[str, set[str]]:
        """Return recipients by status, from the current journal."""
        found: dict[str, set[str]] = {name: set() for name in STATUSES}
        with read(self.scene.folder) as journal:
            for frame in frames.results(journal):
                for name, status in frame.select("identifier", "status").iter_rows():
                    if status not in ("rejected", "duplicate"):
                        found[status].add(name)
        return found

    def run(self, command: str, *more: object, failpoint: str = "", may_be_resent: set[str] | None = None) -> Ended:
        self.may_be_resent |= may_be_resent or set()
        ended = self.scene.run(command, *more, failpoint=failpoint)
        note(f"{command} {more} {failpoint} -> {ended.code}")
        assert "internal error" not in ended.err, ended
        if not self.exists:
            assert ended.code in (2, -9), ended
        else:
            assert ended.code in (0, 1, 2, 3, -9), ended
        return ended

    def teardown(self) -> None:
        if hasattr(self, "server"):
            self.server.close()
            assert not self.server.errors, self.server.errors
            shutil.rmtree(self.place)


def test_the_account_is_true_whatever_happens(nursery: Nursery, request: pytest.FixtureRequest) -> None:
    Account.nursery = nursery
    run_state_machine_as_test(
        Account,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=8,
            deadline=None,
            print_blob=True,
            phases=[Phase.explicit, Phase.generate] if EXAMPLES < 50 else list(Phase),
            suppress_health_check=list(HealthCheck),
        ),
    )
