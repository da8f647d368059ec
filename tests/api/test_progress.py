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


def test_progress_says_how_much_is_left_of_an_input_that_was_counted(tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    people = [f"sample-{number}," for number in range(500)]
    path.write_text("\n".join(["external_user_id,trigger_properties.x", *people, people[0], ",x\n"]))
    moments: list[bs.Progress] = []
    with braze(latency_s=0.1) as running:
        given = options(tmp_path / "runs", running.url, concurrency=2)
        summary = bs.send(path, **given, guards=bs.Guards(max_recipients=500), on_progress=moments.append)
    to_send = [moment.to_send for moment in moments]
    assert to_send[0] == 500
    assert to_send == sorted(to_send, reverse=True), "it is known from the beginning and never grows"
    assert all(moment.to_send == 500 - moment.so_far.accepted for moment in moments)
    assert any(moment.seconds_left for moment in moments)
    last = moments[-1]
    assert (last.to_send, last.seconds_left) == (0, 0.0)
    assert last.so_far == bs.Counts(502, accepted=500, rejected=1, duplicate=1)
    assert summary.accepted == 500


def test_progress_of_an_input_that_was_not_counted_knows_what_is_left_once_it_is_read(tmp_path: Path) -> None:
    moments: list[bs.Progress] = []
    with braze(latency_s=0.1) as running:
        given = options(tmp_path / "runs", running.url, concurrency=2)
        bs.send(recipients(tmp_path), **given, on_progress=moments.append)
    assert all((moment.to_send is None) == (not moment.plan_complete) for moment in moments)
    assert moments[-1].to_send == 0


def test_progress_of_a_resumed_run_has_what_earlier_processes_did(tmp_path: Path) -> None:
    control, moments = bs.Control(), list[bs.Progress]()
    path = recipients(tmp_path)
    with braze(latency_s=0.1) as running:
        given = options(tmp_path / "runs", running.url, concurrency=2, run_id="a")
        on_progress = lambda moment: control.stop("enough") if moment.accepted else None  # noqa: E731
        stopped = bs.send(path, **given, watch=bs.Watch(control=control, on_progress=on_progress))
        assert 0 < stopped.accepted < 500
        bs.send(path, **given, on_progress=moments.append)
    first, last = moments[0], moments[-1]
    assert (first.accepted, first.so_far.accepted, first.rows) == (0, stopped.accepted, 500)
    assert (first.to_send, last.to_send) == (stopped.not_sent, 0)
    assert (last.accepted, last.so_far) == (stopped.not_sent, bs.Counts(500, accepted=500))
    for moment in moments:
        counts = moment.so_far
        assert counts.accepted + counts.not_sent == counts.rows == 500


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
