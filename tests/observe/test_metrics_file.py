from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

import bulk_sender as bs
from bulk_sender.observe import metrics_file
from bulk_sender.observe.metrics_file import EVERY_S, HELP, MetricsFile, Sample, exposition
from tests.kit.jobs import braze, options, recipients
from tests.observe.moments import NOTHING, beginning, ending, moment

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(path: Path) -> dict[str, Any]:
    """By metric, and by the label state or status where there is one."""
    found: dict[str, Any] = {}
    for family in openmetrics(path.read_text()):
        for sample in family.samples:
            name = sample.name.removeprefix("bulk_sender_")
            label = sample.labels.get("state") or sample.labels.get("status")
            found[f"{name} {label}" if label else name] = sample.value
    return found


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_end_of_a_run_is_in_the_file_as_it_is_in_the_summary(tmp_path: Path) -> None:
    path = tmp_path / "winter.prom"
    with braze() as running:
        summary = bs.send(
            recipients(tmp_path), **options(tmp_path / "runs", running.url), watch=bs.Watch(metrics_file=path)
        )
    told = read(path)
    for status in NOTHING:
        assert told[f"rows {status}"] == getattr(summary, status)
    assert (told["run_exit_code"], told["run_state finished"], told["run_state running"]) == (0, 1, 0)
    assert (told["requests"], told["input_complete"]) == (10, 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [file.name for file in tmp_path.glob("*prom*")] + [file.name for file in tmp_path.glob(".*")] == [
        "winter.prom"
    ]
    assert "sample-" not in path.read_text()


def test_it_is_written_at_once_then_every_fifteen_seconds_and_at_the_end(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "a.prom"
    file = MetricsFile(path, clock=clock, wall=clock)
    file.began(beginning())
    file.moment(moment(rows=10, accepted=1))
    assert read(path)["rows accepted"] == 1
    file.moment(moment(rows=10, accepted=2))
    assert read(path)["rows accepted"] == 1
    clock.now += EVERY_S
    file.moment(moment(rows=10, accepted=3, in_flight=2))
    told = read(path)
    assert (told["rows accepted"], told["rows not_sent"], told["requests_in_flight"]) == (3, 7, 2)
    assert "run_exit_code" not in told
    file.ended(ending(accepted=9, unknown=1))
    told = read(path)
    assert (told["rows accepted"], told["rows unknown"], told["rows not_sent"]) == (9, 1, 0)
    assert (told["run_exit_code"], told["requests_in_flight"]) == (1, 0)


def test_a_resumed_run_counts_what_it_had_before(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "a.prom")
    file.began(beginning(counts={**NOTHING, "accepted": 50, "rejected": 3, "not_sent": 100}))
    file.moment(moment(rows=200, accepted=20, rejected=1, duplicate=2, failed=4, unknown=5))
    told = read(tmp_path / "a.prom")
    assert {status: told[f"rows {status}"] for status in NOTHING} == {
        "accepted": 70,
        "rejected": 4,
        "duplicate": 2,
        "failed": 4,
        "unknown": 5,
        "not_sent": 115,
    }


@given(st.text(), st.text())
def test_whatever_the_names_both_parsers_read_them_back(name: str, run_id: str) -> None:
    text = exposition([Sample("run_info", 1, {"run_id": run_id})], name)
    for parse in (openmetrics, prometheus):
        [family] = parse(text)
        [sample] = family.samples
        assert sample.labels == {"name": name, "run_id": run_id}


def test_every_metric_is_documented_and_every_documented_one_is_there() -> None:
    documented = set(re.findall(r"^bulk_sender_(\w+) ", metrics_file.__doc__ or "", re.MULTILINE))
    assert documented == set(HELP)
    howto = (Path(__file__).parents[2] / "docs" / "howto" / "observability.md").read_text()
    for name in HELP:
        assert f"`bulk_sender_{name}`" in howto


def test_a_place_that_can_not_be_written_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with braze() as running:
        for place in (tmp_path, tmp_path / "missing" / "a.prom"):
            with pytest.raises(bs.ConfigError, match="metrics file"):
                bs.send(
                    recipients(tmp_path), **options(tmp_path / "runs", running.url), watch=bs.Watch(metrics_file=place)
                )
    assert running.ledger.facts()["accepted_recipients"] == 0


def test_a_file_that_can_not_be_written_any_more_does_not_disturb_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()

    def spoil(progress: bs.Progress) -> None:
        if folder.is_dir():
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()

    with braze(latency_s=0.1) as running:
        given = options(tmp_path / "runs", running.url, concurrency=2)
        summary = bs.send(
            recipients(tmp_path), **given, watch=bs.Watch(metrics_file=folder / "a.prom", on_progress=spoil)
        )
    assert summary.accepted == 500
    assert "MetricsFile failed (FileNotFoundError)" in caplog.text
