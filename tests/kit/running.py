"""Whole runs through the public door against a fault server, and the comparison of the two accounts."""

from __future__ import annotations

import csv
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import bulk_sender as bs
from bulk_sender.reporting.summary import Summary
from tests.faults import Fault, Ledger, Turn
from tests.kit.posting import authority_file
from tests.kit.target import KEY

_runs = count(1)


@dataclass
class Run:
    """One run that has ended: its summary, its results by identifier, and where its files lie."""

    summary: Summary
    folder: Path
    rows: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def statuses(self) -> Counter[str]:
        return Counter(row["status"] for row in self.rows.values())

    def of(self, status: str) -> set[str]:
        return {name for name, row in self.rows.items() if row["status"] == status}


def ids(size: int) -> list[str]:
    return [f"user-{number:05}" for number in range(1, size + 1)]


def write_input(folder: Path, size: int) -> Path:
    file = folder / f"recipients-{size}.csv"
    if not file.exists():
        file.write_text("external_user_id,trigger_properties.n\n" + "".join(f"{name},1\n" for name in ids(size)))
    return file


def settings(url: str, braze: dict[str, Any] | None = None, **delivery: Any) -> dict[str, Any]:
    quick = {"rate": "100000/second", "concurrency": 4, "timeout": 10.0, "transport": "wire", **delivery}
    trusted = {"endpoint": url, "campaign_id": "campaign-1", "ca_bundle": str(authority_file()), **(braze or {})}
    # Faults are for the sender: its first request has to be the first that the server sees.
    return {"braze": trusted, "delivery": quick, "guard": {"preflight": False}}


QUICK = bs.Waits(backoff_base_s=0.002, backoff_cap_s=0.02, shortest_s=0.02, longest_s=2.5)
"""Pauses of milliseconds. No run waits for a limit that resets at the full hour."""


def send(folder: Path, url: str, size: int, *, run_id: str = "", waits: bs.Waits = QUICK, **delivery: Any) -> Run:
    """Send ``size`` rows to ``url`` and read what the run says of them."""
    run_id = run_id or f"run-{next(_runs)}"
    summary = bs.send(
        write_input(folder, size),
        config=settings(url, **delivery),
        run_id=run_id,
        runs_dir=folder / "runs",
        environment={"BRAZE_API_KEY": KEY},
        waits=waits,
    )
    return read_run(folder / "runs" / run_id, summary)


def read_run(folder: Path, summary: Summary) -> Run:
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["row"] for row in rows}) == len(rows) == summary.rows
    return Run(summary, folder, {row["identifier"]: row for row in rows})


def compare(run: Run, ledger: Ledger, size: int) -> None:
    """Row by row: nothing lost, duplicated, accepted by the results alone or by the server alone."""
    assert sorted(run.rows) == ids(size), "each row stands in the results once"
    taken = ledger.accepted_ids()
    duplicated = {name for name, times in taken.items() if times > 1}
    ghosts = {name for name in run.of("accepted") if name not in taken}
    orphans = {name for name in taken if run.rows[name]["status"] not in ("accepted", "unknown")}
    assert (duplicated, ghosts, orphans) == (set(), set(), set()), run.summary
    named = {name: entry for entry in ledger.accepted for name in entry.external_user_ids}
    for name in run.of("accepted"):
        # Damage within the id itself leaves an answer that nobody can tell from a true one.
        if named[name].fault != "damaged_201":
            assert run.rows[name]["dispatch_id"] in ("", named[name].dispatch_id)
    said = {status: getattr(run.summary, status) for status in ("accepted", "failed", "unknown", "not_sent")}
    assert said == {status: run.statuses[status] for status in said}
    assert sum(said.values()) == size
    for request in ledger.requests:
        assert len(request.external_user_ids) <= 50
    undone = run.summary.unknown + run.summary.failed + run.summary.not_sent
    assert (run.summary.exit_code == 0) == (undone == 0)


@dataclass
class Crowd:
    """How many requests were under way together, request by request."""

    seen: list[int] = field(default_factory=list)
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def one_more(self) -> Iterator[None]:
        with self._lock:
            self._now += 1
            self.seen.append(self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1

    def watching(self, fault: Fault, linger_s: float = 0.02) -> Fault:
        """The same fault, counted, with its answer held back a little."""

        def play(turn: Turn) -> None:
            turn.read_whole()
            with self.one_more():
                turn.wire.hang(linger_s)
                fault.play(turn)

        return Fault(f"watched({fault.name})", fault.id, fault.stage, fault.accepts, fault.expect, play, fault.also)
