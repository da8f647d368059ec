"""A request whose intent is too old does not leave: the process was suspended in between."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

import bulk_sender as bs
from bulk_sender.delivery import attempt
from bulk_sender.delivery.staleness import STALE_S
from tests.faults import FaultServer
from tests.kit.tables import table
from tests.kit.target import ENVIRONMENT


def test_a_machine_that_slept_behind_an_intent_sends_the_batch_with_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "people.csv").write_text("external_user_id\n" + "".join(f"u{row}\n" for row in range(150)))
    looks = itertools.count(1)
    slept_s = 0.0

    def since_boot() -> float:
        nonlocal slept_s
        if next(looks) == 4:  # behind the second intent
            slept_s = STALE_S + 1.1
        return slept_s

    monkeypatch.setattr(attempt, "since_boot", since_boot)
    with FaultServer() as server:
        summary = bs.send(
            tmp_path / "people.csv",
            {"braze": {"campaign_id": "c"}, "guard": {"preflight": False}, "delivery": {"share_rate": False}},
            endpoint=server.url,
            rate="1000/second",
            concurrency=1,
            run_id="winter",
            runs_dir=tmp_path / "runs",
            environment=ENVIRONMENT,
        )
        assert (summary.exit_code, summary.accepted, summary.requests) == (0, 150, 4)
        assert set(server.ledger.accepted_ids().values()) == {1}
        assert len(server.ledger.requests) == 3
    outcomes = table(tmp_path / "runs" / "winter", "outcome")
    assert [(it["verdict"], it["code"]) for it in outcomes if it["verdict"] != "accepted"] == [("unsent", "held_up")]
