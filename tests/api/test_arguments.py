from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import bulk_sender as bs
from bulk_sender.sandbox import read_ledger
from tests.kit.jobs import braze, options, recipients
from tests.kit.target import CAMPAIGN


def test_plain_arguments_win_over_the_configuration(tmp_path: Path) -> None:
    job = tmp_path / "job.toml"
    job.write_text(f'[braze]\ncanvas_id = "{CAMPAIGN}"\nendpoint = "https://rest.example.com"\n[input]\nlimit = 7\n')
    ledger = tmp_path / "ledger"
    with braze(ledger_file=ledger) as running:
        summary = bs.send(recipients(tmp_path), config=job, **options(tmp_path / "runs", running.url, limit=120))
    assert (summary.rows, summary.accepted, summary.batches) == (120, 120, 3)
    assert {(accepted.target, accepted.target_id) for accepted in read_ledger(ledger)} == {("campaign_id", CAMPAIGN)}


@pytest.mark.parametrize(
    "config", [{"braze": {"canvas_id": "a"}}, bs.Config.parse({"braze": {"canvas_id": "a"}}, where="")]
)
def test_a_campaign_by_argument_replaces_a_configured_canvas(config: object, tmp_path: Path) -> None:
    with braze() as running:
        summary = bs.send(recipients(tmp_path, 1), config=config, **options(tmp_path / "runs", running.url))  # type: ignore[arg-type]
    assert summary.accepted == 1


def test_the_argument_for_the_endpoint_wins_over_the_environment(tmp_path: Path) -> None:
    with braze() as running:
        given = options(tmp_path / "runs", running.url)
        given["environment"] = given["environment"] | {"BRAZE_ENDPOINT": "https://rest.example.com"}
        assert bs.send(recipients(tmp_path, 1), **given).accepted == 1


def test_a_campaign_and_a_canvas_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(bs.ConfigError):
        bs.check(recipients(tmp_path), campaign_id="a", canvas_id="b")


def test_a_run_does_not_start_after_its_deadline(tmp_path: Path) -> None:
    with braze() as running:
        passed = bs.Guards(not_after=datetime.now(UTC) - timedelta(seconds=1))
        late = options(tmp_path / "runs", running.url, guards=passed)
        with pytest.raises(bs.GuardrailError, match="must not start after") as refused:
            bs.send(recipients(tmp_path), run_id="a", **late)
        assert refused.value.exit_code == 2
        assert not (tmp_path / "runs" / "a").exists()
        assert (
            bs.send(
                recipients(tmp_path), run_id="a", **late | {"guards": bs.Guards(not_after="2999-01-01T00:00Z")}
            ).accepted
            == 500
        )
    assert running.ledger.facts()["accepted_recipients"] == 500


def test_a_run_does_not_start_if_its_window_opens_only_after_its_deadline(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    opens, closes = now + timedelta(hours=2), now + timedelta(hours=3)
    window = f"{opens:%H:%M}-{closes:%H:%M} UTC"
    given = options(tmp_path / "runs", "http://127.0.0.1:9", guards=bs.Guards(not_after=now + timedelta(hours=1)))
    with pytest.raises(bs.GuardrailError):
        bs.send(recipients(tmp_path), **given | {"overrides": {"delivery.window": window}})


def test_a_finished_run_is_reported_even_after_its_deadline(tmp_path: Path) -> None:
    """The scheduler that repeats the command must learn that the work is done."""
    with braze() as running:
        given = options(tmp_path / "runs", running.url, run_id="a")
        first = bs.send(recipients(tmp_path), **given)
        again = bs.send(recipients(tmp_path), **given, guards=bs.Guards(not_after="2026-01-01T00:00Z"))
    assert again.accepted == first.accepted == 500
    assert running.ledger.facts()["accepted_recipients"] == 500
