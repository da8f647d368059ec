"""A run over time: nothing is counted twice or lost, and pauses are found where they were."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sender.journal.store import RunReader
from bulk_sender.reporting.report.timeline import MOST_BUCKETS, Timeline, bucket_width, edges, timeline
from tests.kit.journals import Sent, read, written
from tests.reporting.runs import Run


def of(journal: RunReader) -> Timeline:
    return timeline(journal, journal.facts().revived().delivery)


@given(st.floats(0.001, 1e8), st.integers(1, 10**9))
def test_there_are_never_too_many_buckets(span_s: float, attempts: int) -> None:
    width_s = bucket_width(span_s, attempts)
    assert len(edges(span_s, width_s)) - 1 <= MOST_BUCKETS + 1


@given(st.floats(0.1, 1e5), st.floats(0.0001, 200.0))
def test_buckets_cover_a_span_without_gap_and_none_is_a_sliver(width_s: float, times: float) -> None:
    span_s = max(0.001, times * width_s)
    borders = edges(span_s, width_s)
    assert borders[0] == 0.0 and borders[-1] == span_s
    widths = [end - start for start, end in pairwise(borders)]
    assert all(width > 0 for width in widths)
    assert len(widths) == 1 or min(widths) >= 0.499 * width_s


def test_every_request_of_a_run_is_in_exactly_one_bucket(any_run: Run) -> None:
    with read(any_run.folder) as journal:
        found = of(journal)
    assert sum(bucket.sent for bucket in found.buckets) == any_run.summary.requests
    assert found.answers.total() == any_run.summary.requests
    assert sum(bucket.recipients for bucket in found.buckets) == any_run.summary.accepted


def test_requests_are_counted_when_they_left(tmp_path: Path) -> None:
    sent = [Sent(second + part / 10) for second in range(20) for part in range(10 if second < 10 else 5)]
    found = of(written(tmp_path / "run", sent))
    assert found.width_s == 1
    assert [bucket.sent for bucket in found.buckets[:19]] == [10] * 10 + [5] * 9
    assert [bucket.per_second(bucket.recipients) for bucket in found.buckets[:2]] == [500, 500]
    assert str(found.buckets[3].at) == "2026-02-28 10:15:03+00:00"


def test_latencies_are_the_exact_quantiles_of_the_answers_without_429s(tmp_path: Path) -> None:
    answers = [Sent(number / 1000, elapsed_s=number / 1000) for number in range(101)]
    others = [Sent(0.2, "throttled", 9.0), Sent(0.201, "unknown", 60.0), Sent(0.202, "open")]
    first = of(written(tmp_path / "run", [*answers, *others])).buckets[0]
    assert first.sent == 104
    assert (first.p50_s, first.p95_s) == pytest.approx((0.05, 0.095))


def test_an_attempt_of_which_nothing_was_recorded_counts_as_unknown(tmp_path: Path) -> None:
    found = of(written(tmp_path / "run", [Sent(0), Sent(0.1, "open")]))
    assert sum(bucket.requests("unknown") for bucket in found.buckets) == 1


def test_the_time_between_two_epochs_takes_no_room(tmp_path: Path) -> None:
    first = [Sent(second, elapsed_s=0.5) for second in range(60)]
    next_day = [Sent(86_400 + second, elapsed_s=0.5) for second in range(30)]
    found = of(written(tmp_path / "run", first, [], next_day))
    assert [part.epochs for part in found.parts] == [(1,), (3,)]
    assert found.span_s == pytest.approx(59.5 + 29.5)
    assert found.parts[1].start_s == pytest.approx(59.5)
    assert found.pauses == ()
    assert [bucket.sent for bucket in found.buckets if bucket.sent == 0] == []


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(0.0, 1.5), st.floats(2.5, 500.0)), min_size=0, max_size=6), st.integers(1, 20))
def test_every_pause_is_found_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[tuple[float, float]], between: int
) -> None:
    now_s, sent, pauses = 0.0, [Sent(0.0)], []
    for short_s, long_s in gaps:
        for _ in range(between):
            now_s += round(short_s, 3)
            sent.append(Sent(now_s))
        pauses.append((now_s, round(long_s, 3)))
        now_s += round(long_s, 3)
        sent.append(Sent(now_s))
    with written(tmp_path_factory.mktemp("pauses") / "run", sent) as journal:
        found = of(journal).pauses
    expected = [value for pause in pauses for value in pause]
    assert [value for pause in found for value in (pause.start_s, pause.seconds)] == pytest.approx(expected, abs=0.003)


@pytest.mark.parametrize(
    ("verdict", "why"), [("throttled", "429"), ("unsent", "did not accept"), ("unknown", "without an answer")]
)
def test_the_last_answers_before_a_pause_explain_it(tmp_path: Path, verdict: str, why: str) -> None:
    sent = [Sent(second / 10) for second in range(20)] + [Sent(2.0, verdict), Sent(10.0), Sent(10.1)]
    [pause] = of(written(tmp_path / "run", sent)).pauses
    assert pause.seconds == pytest.approx(8.0)
    assert why in pause.why


def test_a_429_long_before_a_pause_does_not_explain_it(tmp_path: Path) -> None:
    sent = [Sent(0.0, "throttled")] + [Sent(1 + second / 10) for second in range(30)] + [Sent(20.0)]
    [pause] = of(written(tmp_path / "run", sent)).pauses
    assert "429" not in pause.why


def test_the_gaps_of_a_slow_rate_are_not_pauses(tmp_path: Path) -> None:
    found = of(written(tmp_path / "run", [Sent(6.0 * number) for number in range(20)], rate="10/minute"))
    assert found.pauses == ()


def test_a_clock_that_was_set_back_loses_no_request(tmp_path: Path) -> None:
    sent = [Sent(second) for second in range(30)] + [Sent(second - 3600) for second in range(30, 60)]
    found = of(written(tmp_path / "run", sent))
    assert sum(bucket.sent for bucket in found.buckets) == 60


def test_a_run_that_sent_nothing_has_no_buckets(tmp_path: Path) -> None:
    found = of(written(tmp_path / "run", []))
    assert found.buckets == () and found.parts == ()
