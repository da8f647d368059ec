"""What many machines would need of a database: ``python benchmarks/capacity.py`` simulates it and prints a table.

A simulation, not a measurement: no more than one machine was there to measure. Each worker gathers what arrives while
its last commit is on its way, as the journal's thread does. A commit takes a trip to the database, time of one of its
cores, and a sync of its log, which takes along all commits that wait for it. What a commit costs the database was
measured (``workers.py``); ``workers.py --rate`` measures
what ``--workers`` and ``--rate`` simulate, for as much as one machine can send.
"""

from __future__ import annotations

import argparse
import heapq
import random
from dataclasses import dataclass

COMMIT_US, REQUEST_US = 300.0, 130.0
"""The database's CPU time for a commit, and for each request in it, as whole runs have it (``workers.py``)."""
REQUEST_BYTES, LOG_BYTES = 490, 860
"""On disk with the indexes, and in the write-ahead log: of the intent and the outcome of a request."""
WORKER_US = 370.0
"""A worker's CPU time for a request: planning, sending, its part of the commit, results (``workers.py``)."""
SECONDS = 20.0
ROWS = 50


@dataclass(frozen=True)
class Case:
    """``workers`` send ``rate`` requests a second in all. ``cores``: of the database."""

    workers: int
    rate: float
    cores: int
    trip_s: float = 0.0005
    sync_s: float = 0.002
    """To the disk of the server and of its synchronous standby."""


@dataclass(frozen=True)
class Found:
    """``median_s``, ``slow_s``: how long an intent waits for its commit, and the 99th percentile of that."""

    commits_per_s: float
    requests_per_s: float
    requests_per_commit: float
    busy_cores: float
    median_s: float
    slow_s: float


def simulate(case: Case, seed: int = 1) -> Found:
    """Let the workers send for some seconds."""
    rng = random.Random(seed)
    each = case.rate / case.workers
    free_at = [0.0] * case.cores
    sync_ends = next_sync_ends = 0.0
    commits = requests = 0
    busy_s = 0.0
    waits: list[float] = []
    # When a worker begins its next commit, its number, the requests in it, and for how long they have been gathered.
    due = [(rng.expovariate(each), number, 1, 0.0) for number in range(case.workers)]
    heapq.heapify(due)
    while due[0][0] < SECONDS:
        now, number, size, gathered_s = heapq.heappop(due)
        cost_s = (COMMIT_US + REQUEST_US * size) / 1e6
        written = max(now + case.trip_s / 2, heapq.heappop(free_at)) + cost_s
        heapq.heappush(free_at, written)
        if written >= next_sync_ends:
            sync_ends = next_sync_ends = written + case.sync_s
        else:  # it takes part in the sync after the one that is under way
            if written >= sync_ends:
                sync_ends = next_sync_ends
            next_sync_ends = sync_ends + case.sync_s
        done = next_sync_ends + case.trip_s / 2
        commits, requests, busy_s = commits + 1, requests + size, busy_s + cost_s
        waits.append(done - now + gathered_s * rng.random())
        arrived = _poisson(rng, each * (done - now))
        following = (done, number, arrived, done - now) if arrived else (done + rng.expovariate(each), number, 1, 0.0)
        heapq.heappush(due, following)
    waits.sort()
    return Found(
        commits / SECONDS,
        requests / SECONDS,
        requests / commits,
        busy_s / SECONDS,
        waits[len(waits) // 2],
        waits[len(waits) * 99 // 100],
    )


def _poisson(rng: random.Random, mean: float) -> int:
    """Return how many requests arrive where ``mean`` are expected."""
    count, left = 0, mean
    while (left := left - rng.expovariate(1.0)) > 0:
        count += 1
    return count


CASES = (
    Case(1, 250_000 / 3600, 2),
    Case(1, 1_000, 2),
    Case(4, 5_000, 4),
    Case(20, 20_000, 8),
    Case(100, 100_000, 32),
    Case(100, 100_000, 16),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, help="simulate only this, with --rate")
    parser.add_argument("--rate", type=float, help="requests a second of all workers together")
    parser.add_argument("--cores", type=int, default=2, help="of the database")
    parser.add_argument("--sync-ms", type=float, default=2.0, help="a sync of the log")
    arguments = parser.parse_args()
    cases: tuple[Case, ...] = CASES
    if arguments.workers and arguments.rate:
        cases = (Case(arguments.workers, arguments.rate, arguments.cores, sync_s=arguments.sync_ms / 1e3),)
    print(
        "| requests/s | workers | rows/s | commits/s | requests a commit | an intent waits: median, 99 % "
        "| cores of the workers | of the database | log | disk | a billion rows |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for case in cases:
        found = simulate(case)
        cells = [
            f"{found.requests_per_s:,.0f}",
            f"{case.workers}",
            f"{found.requests_per_s * ROWS:,.0f}",
            f"{found.commits_per_s:,.0f}",
            f"{found.requests_per_commit:.1f}",
            f"{found.median_s * 1e3:.0f}, {found.slow_s * 1e3:.0f} ms",
            f"{found.requests_per_s * WORKER_US / 1e6:.2g}",
            f"{found.busy_cores:.2g} of {case.cores}",
            f"{found.requests_per_s * LOG_BYTES / 1e6:.2g} MB/s",
            f"{found.requests_per_s * REQUEST_BYTES * 3600 / 1e9:.1f} GB/h",
            _duration(1e9 / ROWS / found.requests_per_s),
        ]
        print("| " + " | ".join(cells) + " |")


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds > 2 * 3600 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    main()
