"""What a person rehearses against a sandbox: a campaign that is not live, and Braze's rare answers."""

from __future__ import annotations

from pathlib import Path

import pytest

import bulk_sender as bs
from tests.kit.jobs import braze, options, recipients
from tests.kit.running import QUICK


@pytest.mark.parametrize("state", ["paused", "stopped", "archived"])
def test_a_run_to_a_campaign_that_is_not_live_is_sent_once_it_is(tmp_path: Path, state: str) -> None:
    file = recipients(tmp_path, 500)
    with braze(state=state, details=False) as sandbox:
        more = options(tmp_path / "runs", sandbox.url, run_id="winter", concurrency=2)
        stopped = bs.send(file, **more)
        assert (stopped.state, stopped.exit_code, stopped.accepted) == ("stopped", 3, 0)
        assert f"The campaign is {state}." in (stopped.reason or "")
        assert stopped.failed == 50 * stopped.requests
        assert stopped.failed + stopped.not_sent == 500
        assert sandbox.ledger.accepted_requests == 0
        sandbox.rehearse(state="live")
        retried = bs.retry(
            "winter", failed=True, runs_dir=tmp_path / "runs", environment=more["environment"], waits=QUICK
        )
        assert (retried.state, retried.exit_code, retried.accepted) == ("finished", 0, 500)
        assert len(sandbox.ledger.recipients) == 500
        assert sandbox.ledger.twice() == {}


def test_what_would_have_had_no_effect_is_said_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "people.csv"
    file.write_text("external_user_id,attributes.country\nanna,FR\nben,Nowhere\n")
    sent = bs.send(file, sandbox=True, run_id="r", runs_dir=tmp_path / "runs")
    assert (sent.exit_code, sent.accepted) == (0, 2)
    said = [record.getMessage() for record in caplog.records if "real Braze" in record.getMessage()]
    assert said == ["a real Braze would have done less than asked: 1 attribute update dropped: unknown country (1)"]


def test_a_429_with_nothing_but_a_time_to_wait_is_sent_again(tmp_path: Path) -> None:
    file = recipients(tmp_path, 100)
    with braze(answers="retry-after-only") as sandbox:
        sent = bs.send(file, **options(tmp_path / "runs", sandbox.url, concurrency=1))
    assert (sent.exit_code, sent.accepted) == (0, 100)
    assert sandbox.ledger.outcomes["429"] >= 1


def test_the_page_of_a_cache_makes_its_rows_unknown(tmp_path: Path) -> None:
    file = recipients(tmp_path, 100)
    with braze(answers="varnish") as sandbox:
        sent = bs.send(file, **options(tmp_path / "runs", sandbox.url, concurrency=1))
    assert (sent.exit_code, sent.accepted, sent.unknown) == (1, 50, 50)
    assert len(sandbox.ledger.recipients) == 100


def test_a_queued_request_is_accepted(tmp_path: Path) -> None:
    with braze(answers="queued") as sandbox:
        sent = bs.send(recipients(tmp_path, 100), **options(tmp_path / "runs", sandbox.url))
    assert (sent.exit_code, sent.accepted) == (0, 100)


def test_a_refused_key_stops_the_run_and_is_not_shown(tmp_path: Path) -> None:
    with braze(answers="unauthorized") as sandbox:
        more = options(tmp_path / "runs", sandbox.url)
        sent = bs.send(recipients(tmp_path, 100), **more)
    assert (sent.exit_code, sent.accepted) == (3, 0)
    assert more["environment"]["BRAZE_API_KEY"] not in (sent.reason or "")
