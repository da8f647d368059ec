from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

import bulk_sender as bs
from tests.kit.jobs import braze, options, recipients


def test_progress_is_reported_from_beginning_to_end_and_never_decreases(tmp_path: Path) -> None:
    moments: list[bs.Progress] = []
    with braze(latency_s=0.15) as running:
        given = options(tmp_path / "runs", running.url, concurrency=2, run_id="a")
        summary = bs.send(recipients(tmp_path), **given, on_progress=moments.append)
    assert len(moments) >= 3
    assert {moment.run_id for moment in moments} == {"a"}
    for name in ("rows", "accepted", "requests", "elapsed_s"):
        told = [getattr(moment, name) for moment in moments]
        assert told == sorted(told)
    last = moments[-1]
    assert (last.accepted, last.requests, last.in_flight, last.plan_complete) == (summary.accepted, 10, 0, True)


def test_progress_counts_what_is_not_sent_too(tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    path.write_text("external_user_id,trigger_properties.x\nsample-1,\n'',\nsample-1,\n,x\nsample-2,\n")
    moments: list[bs.Progress] = []
    with braze() as running:
        summary = bs.send(path, **options(tmp_path / "runs", running.url), on_progress=moments.append)
    last = moments[-1]
    assert (last.rows, last.accepted, last.rejected, last.duplicate) == (
        summary.rows,
        summary.accepted,
        summary.rejected,
        summary.duplicate,
    )
    assert summary.rejected
    assert summary.duplicate


def test_a_callback_that_raises_is_logged_and_not_called_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def broken(progress: bs.Progress) -> None:
        calls.append(progress)
        raise ValueError("a mistake of the caller")

    with braze(latency_s=0.1) as running, caplog.at_level(logging.WARNING, "bulk_sender"):
        given = options(tmp_path / "runs", running.url, concurrency=2)
        summary = bs.send(recipients(tmp_path), **given, on_progress=broken)
    assert (summary.accepted, summary.unknown, len(calls)) == (500, 0, 1)
    [record] = [record for record in caplog.records if record.name == "bulk_sender"]
    assert "on_progress" in record.getMessage()
    assert record.exc_info is not None


def test_a_control_stops_the_run_in_order_from_another_thread(tmp_path: Path) -> None:
    control = bs.Control()
    begun = threading.Event()
    with braze(latency_s=0.1) as running:
        given = options(tmp_path / "runs", running.url, concurrency=2, run_id="a")

        def stop() -> None:
            begun.wait(50)
            control.stop("the maintenance begins")

        thread = threading.Thread(target=stop)
        thread.start()
        on_progress = lambda moment: begun.set() if moment.accepted else None  # noqa: E731
        stopped = bs.send(recipients(tmp_path), **given, watch=bs.Watch(control=control, on_progress=on_progress))
        thread.join()
        assert (stopped.state, stopped.reason, stopped.unknown, stopped.exit_code) == (
            "stopped",
            "the maintenance begins",
            0,
            3,
        )
        assert 0 < stopped.accepted < 500
        finished = bs.send(recipients(tmp_path), **given)
    assert (finished.state, finished.accepted) == ("finished", 500)
    assert not running.ledger.twice()


def test_a_stop_before_the_beginning_counts_and_one_after_the_end_does_no_harm(tmp_path: Path) -> None:
    control = bs.Control()
    control.stop("too early")
    with braze() as running:
        stopped = bs.send(
            recipients(tmp_path), **options(tmp_path / "runs", running.url), watch=bs.Watch(control=control)
        )
    assert (stopped.reason, stopped.accepted, stopped.not_sent) == ("too early", 0, 500)
    control.stop("too late")
    control.abort()
