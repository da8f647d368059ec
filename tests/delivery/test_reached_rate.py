"""The asked rate over real HTTP: reached quickly at any latency, and kept in spite of faults unrelated to load."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from bulk_sender.config.rate import Rate
from tests.faults import FAULTS, Fault, FaultServer, Turn
from tests.kit.running import Run, compare, send

RATE = 30
SETTLED_S, MEASURED_S = 1.5, 2.0
UNRELATED = ("rst_after_read", "fin_after_read", "half_body_fin", "empty_object_201")


class Slow:
    """A server that answers after ``latency_s``, whatever the load; every ``every``-th request ends in a fault."""

    def __init__(self, latency_s: float, *, every: int, hung: tuple[int, ...] = ()) -> None:
        self.came: list[float] = []
        self._latency_s, self._every, self._hung = latency_s, every, hung
        self._lock = threading.Lock()

    def __call__(self, turn: Turn) -> Fault:
        with self._lock:
            self.came.append(time.monotonic())
            number = len(self.came)
        if number in self._hung:
            return FAULTS["hang_after_read"]
        chosen = (
            FAULTS[UNRELATED[number // self._every % len(UNRELATED)]] if number % self._every == 0 else FAULTS["ok"]
        )

        def play(played: Turn) -> None:
            played.read_whole()
            played.wire.hang(self._latency_s)
            chosen.play(played)

        return Fault(chosen.name, chosen.id, chosen.stage, chosen.accepts, chosen.expect, play, chosen.also)

    def rate(self) -> float:
        """Return the most requests per second in any window once the run had settled: the machine may be busy."""
        starts = [at for at in self.came if at >= self.came[0] + SETTLED_S and at + MEASURED_S <= self.came[-1]]
        return max(sum(since <= at < since + MEASURED_S for at in self.came) for since in starts) / MEASURED_S

    def mean_rate(self, after_s: float) -> float:
        """Return the requests per second from ``after_s`` seconds after the first one to the last one."""
        late = [at for at in self.came if at >= self.came[0] + after_s]
        return (len(late) - 1) / (late[-1] - late[0])


def sent(folder: Path, slow: Slow, rate: str = f"{RATE}/second", seconds: float = 5.0, **delivery: object) -> Run:
    size = 50 * int(Rate.parse(rate).per_second * seconds)
    with FaultServer(slow) as server:
        run = send(folder, server.url, size, rate=rate, concurrency=32, **delivery)
        compare(run, server.ledger, size)
    return run


@pytest.mark.parametrize("latency_s", [0.05, 0.1, 0.3], ids=["50 ms", "100 ms", "300 ms"])
def test_two_per_cent_of_unrelated_faults_leave_nine_tenths_of_the_asked_rate(latency_s: float, tmp_path: Path) -> None:
    """A busy machine gets further runs: one that is fast enough shows that nothing holds requests back."""
    reached: list[float] = []
    while len(reached) < 3 and (not reached or max(reached) < 0.9 * RATE):
        slow = Slow(latency_s, every=50)
        assert sent(tmp_path, slow).summary.state == "finished"
        reached.append(slow.rate())
    assert max(reached) >= 0.9 * RATE, reached


def test_requests_that_hang_do_not_hold_the_others_back(tmp_path: Path) -> None:
    """26 of 32 workers wait for an answer that never comes."""
    reached: list[float] = []
    while len(reached) < 3 and (not reached or max(reached) < 0.9 * RATE):
        slow = Slow(0.05, every=10_000, hung=tuple(range(20, 72, 2)))
        run = sent(tmp_path, slow, timeout=4.0, breaker=100)
        assert run.summary.unknown == 26 * 50
        reached.append(slow.rate())
    assert max(reached) >= 0.9 * RATE, reached


@pytest.mark.soak
@pytest.mark.parametrize("every", [10**9, 50], ids=["no faults", "2 % faults"])
@pytest.mark.parametrize("latency_s", [0.05, 0.1, 0.3], ids=["50 ms", "100 ms", "300 ms"])
def test_the_default_rate_is_reached_in_three_seconds_and_kept(latency_s: float, every: int, tmp_path: Path) -> None:
    """For a quiet machine; prints the rate from the third second on."""
    slow = Slow(latency_s, every=every)
    assert sent(tmp_path, slow, "250000/hour", seconds=20).summary.state == "finished"
    rate = slow.mean_rate(3.0)
    print(f"\n{latency_s * 1000:.0f} ms, {100 / every:.0f} % faults: {rate:.1f} of 69.4 requests per second")
    assert rate >= 0.9 * 250_000 / 3600
