"""Whatever makes a run wait is in its progress, and a run that never reaches Braze ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from tests.faults.unreachable import refusing_port
from tests.kit.posting import TRANSPORTS
from tests.kit.scripted import Answer, scripted
from tests.kit.target import ENVIRONMENT

SHORT = bs.Waits(backoff_base_s=0.4, backoff_cap_s=0.5, unreached_cap_s=0.5, unreached_s=1.5, shortest_s=0.02)


def send(folder: Path, url: str, seen: list[bs.Progress], **delivery: Any) -> bs.Summary:
    people = folder / "people.csv"
    people.write_text("external_user_id\n" + "".join(f"u{number}\n" for number in range(200)))
    config = {
        "braze": {"endpoint": url, "campaign_id": "c"},
        "delivery": {"share_rate": False, "attempts": 100, "breaker": 100} | delivery,
        "guard": {"preflight": False},
    }
    return bs.send(
        people,
        config,
        runs_dir=folder / "runs",
        run_id="r",
        environment=ENVIRONMENT,
        waits=SHORT,
        on_progress=seen.append,
    )


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_run_that_never_connects_says_why_and_ends(tmp_path: Path, transport: str) -> None:
    seen: list[bs.Progress] = []
    with refusing_port() as url:
        summary = send(tmp_path, url, seen, transport=transport)
    assert (summary.exit_code, summary.state, summary.not_sent) == (3, "stopped", 200)
    assert summary.reason is not None
    assert "cannot connect to Braze" in summary.reason
    waits = [moment for moment in seen if moment.waiting_on == "connection"]
    assert waits
    assert any("of 100: cannot connect to Braze (connection refused)" in moment.waiting_for for moment in waits)
    assert all(0 <= moment.waiting_s <= 0.5 for moment in waits)
    report = Path(summary.files["report"]).read_text(encoding="utf-8")
    assert "found no connection to Braze" in " ".join(report.split())


def test_fewer_requests_at_once_are_said(tmp_path: Path) -> None:
    seen: list[bs.Progress] = []
    left = [3]

    def script(_: str, __: dict[str, Any]) -> Answer:
        left[0] -= 1
        if left[0] >= 0:
            return Answer(429, {"message": "Rate limit exceeded"})
        return Answer(201, {"message": "success", "dispatch_id": f"{abs(left[0]):032x}"})

    with scripted(script) as braze:
        assert send(tmp_path, braze.url, seen, concurrency=2).accepted == 200
    assert any("of 2 requests at once" in moment.slowed_by for moment in seen)


def test_errors_of_braze_are_said_without_its_words(tmp_path: Path) -> None:
    seen: list[bs.Progress] = []
    left = [6]

    def script(_: str, __: dict[str, Any]) -> Answer:
        left[0] -= 1
        if left[0] >= 0:
            return Answer(503, {"message": "try later, someone@example.com"})
        return Answer(201, {"message": "success", "dispatch_id": f"{abs(left[0]):032x}"})

    with scripted(script) as braze:
        summary = send(tmp_path, braze.url, seen, concurrency=2)
    assert summary.accepted == 200
    told = {moment.waiting_for for moment in seen if moment.waiting_on == "errors"}
    assert any("Braze answered HTTP 503" in words for words in told)
    assert not any("example.com" in words for words in told)
    assert "temporary errors" in Path(summary.files["report"]).read_text(encoding="utf-8")
