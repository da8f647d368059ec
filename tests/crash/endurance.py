"""Endurance: hours at the default rate, while one request in twenty meets a fault.

    python -m tests.crash.endurance --minutes 120 --seed 1

The server is another process. It notes for each row how often it took it, and looks each request up in the journal when
it arrives. Every minute a line shows the rate, memory, descriptors and the write-ahead log; a table follows at the end.
Exits with 1 when the account is wrong, memory or descriptors keep growing, the rate was not reached, or SIGTERM took
longer than ten seconds. Linux only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bulk_sender.config.model import Config
from bulk_sender.journal.sqlite.database import JOURNAL
from bulk_sender.reporting import rows as frames
from tests.faults import FAULTS, FaultServer, Turn
from tests.faults.ledger import external_user_ids
from tests.faults.script import Script
from tests.kit.command import command_line, environment
from tests.kit.journals import read
from tests.kit.target import KEY

RUN = "run"
BATCH = 50
MIX = {
    "json_503": 1.0,
    "rst_after_read": 0.5,
    "rst_after_read_not_taken": 0.5,
    "fin_after_read": 0.5,
    "fin_after_read_not_taken": 0.5,
    "half_body_rst": 0.4,
    "half_headers": 0.4,
    "chunked_truncated": 0.4,
    "html_502": 0.3,
    "accepted_html_504": 0.3,
    "json_500": 0.1,
    "hang_after_read": 0.05,
    "status_429": 0.02,
    "drip_answer": 0.03,
}
"""Faults, in per cent of all requests."""
_CHUNK = 1_000_000
_LEAVING_S = 10.0
"""The longest time from SIGTERM to the exit."""
_LATEST = 4096
"""How many of the latest attempts are searched for a request."""


# --- the server, a process of its own ---------------------------------------------------------------------------------


class FlatLedger:
    """A ledger whose size does not grow: one bit for each row, and counters."""

    def __init__(self, rows: int, journal: Path) -> None:
        self._taken, self._twice = bytearray(b"\0") * (rows // 8 + 1), 0
        self._journal, self._connection = journal, None
        self._lock = threading.Lock()
        self._seen: dict[int, str] = {}
        self._last = 0.0
        self.longest_s = 0.0
        self.count: Counter[str] = Counter()

    def opened(self, number: int, **known: Any) -> None:
        """Note nothing: connections are not counted."""

    def saw(self, index: int, connection: int, nth: int, **known: Any) -> None:
        """Note nothing before a request has been read."""

    def close(self) -> None:
        """Keep what was counted."""

    def read_whole(self, index: int, connection: int, nth: int, body: bytes) -> None:
        digest = hashlib.sha256(body).digest()
        with self._lock:
            now = time.monotonic()
            if self._last:
                self.longest_s = max(self.longest_s, now - self._last)
            self._last = now
            self.count["requests"] += 1
            if not self._is_announced(digest):
                self.count["unannounced"] += 1

    def _is_announced(self, digest: bytes) -> bool:
        """Whether the journal has the intent of this request now."""
        if self._connection is None:
            self._connection = sqlite3.connect(f"file:{self._journal}?mode=ro", uri=True, check_same_thread=False)
        found = self._connection.execute(
            "SELECT count(*) FROM attempt WHERE id > (SELECT max(id) FROM attempt) - ? AND body_sha256 = ?",
            (_LATEST, digest),
        )
        return bool(found.fetchone()[0])

    def accept(self, index: int, body: bytes, dispatch_id: str | None, fault: str) -> None:
        rows = [int(name[1:]) for name in external_user_ids(body)]
        with self._lock:
            self.count["accepted"] += 1
            for row in rows:
                bit = 1 << (row & 7)
                if self._taken[row >> 3] & bit:
                    self.count["twice"] += 1
                self._taken[row >> 3] |= bit

    def figures(self) -> dict[str, Any]:
        """What happened so far. Begins the search for the longest time without a request again."""
        with self._lock:
            now = time.monotonic()
            longest, self.longest_s = max(self.longest_s, now - self._last if self._last else 0.0), 0.0
            return {**self.count, "longest_s": longest, "rss_mb": rss_mb(os.getpid())}

    def save(self, path: Path) -> None:
        """Write the bits to a file."""
        path.write_bytes(self._taken)


def _serve(pipe: Connection, rows: int, seed: int, journal: Path, latency_s: float, bits: Path) -> None:
    ledger = FlatLedger(rows, journal)
    with FaultServer(_weather(seed, latency_s, ledger.count), patience=90.0) as server:
        server.ledger = ledger  # type: ignore[assignment]
        pipe.send(server.url)
        while pipe.recv() == "figures":
            pipe.send(ledger.figures())
    ledger.save(bits)
    pipe.send(ledger.figures())


def _weather(seed: int, latency_s: float, count: Counter[str]) -> Script:
    """One fault for each request, by its number."""
    ok = FAULTS["slow_link_201"].using(latency=latency_s, slice_size=1 << 20)
    quicker = {"drip_answer": {"delay": 0.002}, "half_body_rst": {"delay": 0.0}}
    faults = [FAULTS[name].using(**quicker.get(name, {})) for name in MIX]
    weights = [*MIX.values(), 100.0 - sum(MIX.values())]

    def decide(turn: Turn) -> Any:
        chosen = random.Random(f"{seed}:{turn.index}").choices([*faults, ok], weights)[0]
        if chosen is not ok:
            count["faults"] += 1
        return chosen

    return Script("endurance", decide)


# --- measuring --------------------------------------------------------------------------------------------------------


def rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208


@dataclass
class Minute:
    """What was seen in one minute. Memory in MB."""

    number: int
    rate: float = 0.0
    rss: float = 0.0
    files: int = 0
    log_mb: float = 0.0
    longest_s: float = 0.0
    server_rss: float = 0.0

    def line(self) -> str:
        return (
            f"minute {self.number}: {self.rate:.1f} requests/s, {self.rss:.0f} MB (server {self.server_rss:.0f} MB), "
            f"{self.files} descriptors, log {self.log_mb:.1f} MB, longest without a request {self.longest_s:.1f} s"
        )


@dataclass
class Figures:
    """The result. ``breaches``: what must not have happened."""

    asked: float
    minutes: list[Minute] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)
    account: dict[str, int] = field(default_factory=dict)
    leaving_s: float = 0.0
    code: int = 0
    breaches: list[str] = field(default_factory=list)

    def judge(self, least: float, err: str) -> None:
        """Fill in the breaches."""
        wrong = {name: count for name, count in self.account.items() if count and name not in ("rows", "doubt")}
        if wrong:
            self.breaches.append(f"the account: {wrong}")
        if "Traceback" in err or "internal error" in err:
            self.breaches.append(f"a traceback: {err[-2000:]}")
        if self.code not in (0, 1, 3, 128 + signal.SIGTERM):
            self.breaches.append(f"exit code {self.code}: {err[-500:]}")
        if self.leaving_s > _LEAVING_S:
            self.breaches.append(f"the exit took {self.leaving_s:.1f} s from SIGTERM")
        early, late = self._halves()
        if late and max(each.rss for each in late) > 1.25 * max(each.rss for each in early) + 32:
            self.breaches.append("the sender's memory grows")
        if late and max(each.server_rss for each in late) > 1.25 * max(each.server_rss for each in early) + 32:
            self.breaches.append("the server's memory grows: it measures nothing any more")
        if late and max(each.files for each in late) > max(each.files for each in early) + 40:
            self.breaches.append("descriptors grow")
        if self.rate() < least * self.asked:
            self.breaches.append(f"the rate: {self.rate():.1f} a second of {self.asked:.1f}")

    def _halves(self) -> tuple[list[Minute], list[Minute]]:
        """The first ten minutes (or the first half), and what follows."""
        until = min(10, max(1, len(self.minutes) // 2))
        return self.minutes[:until], self.minutes[until:]

    def rate(self) -> float:
        """Requests a second, without the first minute if there are others: it has the planning."""
        counted = self.minutes[1:] or self.minutes
        return sum(each.rate for each in counted) / max(1, len(counted))

    def table(self) -> Iterator[str]:
        """Yield the lines of a table in Markdown."""
        early, _ = self._halves()
        rates = sorted(each.rate for each in self.minutes)
        rows = {
            "time, requests": f"{len(self.minutes)} min, {self.counts.get('requests', 0):,}",
            "faults": f"{self.counts.get('faults', 0):,} of {len(MIX)} kinds",
            "rows planned, in doubt": f"{self.account.get('rows', 0):,}, {self.account.get('doubt', 0):,}",
            "lost, sent twice, ghosts, orphans, requests without an intent": ", ".join(
                str(self.account.get(name, "?")) for name in ("lost", "twice", "ghosts", "orphans", "unannounced")
            ),
            "requests a second": f"{self.rate():.1f} of {self.asked:.1f} "
            f"(median minute {rates[len(rates) // 2]:.1f}, lowest {rates[0]:.1f})",
            "longest time without a request": f"{max(each.longest_s for each in self.minutes):.1f} s",
            "memory at the start, after 10 minutes, at most, at the end": ", ".join(
                f"{value:.0f} MB"
                for value in (
                    self.minutes[0].rss,
                    early[-1].rss,
                    max(each.rss for each in self.minutes),
                    self.minutes[-1].rss,
                )
            ),
            "descriptors, at most": str(max(each.files for each in self.minutes)),
            "write-ahead log, at most": f"{max(each.log_mb for each in self.minutes):.1f} MB",
            "from SIGTERM to the exit": f"{self.leaving_s:.1f} s, exit code {self.code}",
        }
        yield from ("| what | figure |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows.items()))
        yield from (f"breach: {each}" for each in self.breaches)


# --- the run ----------------------------------------------------------------------------------------------------------


def write_input(path: Path, rows: int) -> None:
    """Write rows ``u0``, ``u1`` and so on, with one small property each."""
    with path.open("wb") as file:
        for first in range(0, rows, _CHUNK):
            numbers = pl.select(n=pl.int_range(first, min(rows, first + _CHUNK)))
            frame = numbers.select(
                external_user_id=pl.format("u{}", "n"), **{"trigger_properties.n": pl.col("n") % 1000}
            )
            frame.write_csv(file, include_header=first == 0)


def endure(place: Path, minutes: float, seed: int, *, latency_s: float, rate: str) -> tuple[Figures, str]:
    """Send for so many minutes, and audit the run. Return the figures and what the command wrote to stderr."""
    asked = Config.parse({"delivery": {"rate": rate}} if rate else {}, where="here").delivery.pace.per_second
    rows = int(minutes * 60 * asked * BATCH * 1.1)
    source, config, runs, bits = (place / name for name in ("in.csv", "job.toml", "runs", "bits"))
    write_input(source, rows)
    runs.mkdir()
    folder = runs / RUN
    config.write_text(
        '[braze]\ncampaign_id = "c1"\n[guard]\npreflight = false\n[delivery]\nshare_rate = false\n'
        + (f"rate = {json.dumps(rate)}\n" if rate else "")
    )
    ours, theirs = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    server = spawn.Process(target=_serve, args=(theirs, rows, seed, folder / JOURNAL, latency_s, bits), daemon=True)
    server.start()
    figures = Figures(asked)
    url = ours.recv()
    arguments = ["send", source, "--config", config, "--run-id", RUN, "--runs-dir", runs, "--yes", "--json", "--quiet"]
    with (place / "err").open("wb") as err:
        sender = subprocess.Popen(
            command_line(*map(str, arguments)),
            env=environment(BRAZE_API_KEY=KEY, BRAZE_ENDPOINT=url),
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
        try:
            _watch(sender, ours, folder, figures, minutes)
            asked_at = time.monotonic()
            sender.send_signal(signal.SIGTERM)
            figures.code = sender.wait(3600)
            figures.leaving_s = time.monotonic() - asked_at
        finally:
            if sender.poll() is None:
                sender.kill()
                sender.wait()
    ours.send("end")
    figures.counts = ours.recv()
    server.join(60)
    figures.account = account(folder, bits.read_bytes(), rows, figures.counts)
    return figures, (place / "err").read_text(errors="replace")


def _watch(sender: subprocess.Popen[bytes], server: Connection, folder: Path, figures: Figures, minutes: float) -> None:
    """Measure once a second, and print a line a minute."""
    began, before = time.monotonic(), 0
    for number in range(1, max(1, round(minutes)) + 1):
        minute, since = Minute(number), time.monotonic()
        while time.monotonic() < began + number * min(60.0, minutes * 60) and sender.poll() is None:
            time.sleep(1.0)
            try:
                minute.rss = max(minute.rss, rss_mb(sender.pid))
                minute.files = max(minute.files, descriptors(sender.pid))
                minute.log_mb = max(minute.log_mb, (folder / f"{JOURNAL}-wal").stat().st_size / (1 << 20))
            except (OSError, StopIteration):  # it has not begun yet, or has just ended
                continue
        server.send("figures")
        found = server.recv()
        requests = found.get("requests", 0)
        minute.rate = (requests - before) / (time.monotonic() - since)
        minute.longest_s, minute.server_rss, before = found["longest_s"], found["rss_mb"], requests
        figures.minutes.append(minute)
        print(minute.line(), flush=True)
        if sender.poll() is not None:
            return


def account(folder: Path, taken: bytes, rows: int, counts: dict[str, Any]) -> dict[str, int]:
    """Compare the journal with the rows that the server took."""
    bits = np.frombuffer(taken, np.uint8)
    found = dict.fromkeys(("rows", "doubt", "lost", "ghosts", "orphans"), 0)
    found |= {name: counts.get(name, 0) for name in ("twice", "unannounced")}
    with read(folder) as journal:
        complete = journal.is_plan_complete()
        for frame in frames.results(journal):
            row = frame["identifier"].str.slice(1).cast(pl.Int64).to_numpy()
            was_taken = pl.Series((bits[row >> 3] >> (row & 7) & 1).astype(bool))
            status = frame["status"]
            found["rows"] += len(frame)
            found["ghosts"] += int(((status == "accepted") & ~was_taken).sum())
            found["orphans"] += int((status.is_in(["failed", "not_sent"]) & was_taken).sum())
            found["doubt"] += int((status == "unknown").sum())
    if complete:
        found["lost"] = rows - found["rows"]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.endurance", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats the same faults")
    parser.add_argument("--latency-ms", type=float, default=50.0, help="how long the server takes to answer")
    parser.add_argument("--rate", default="", help="another rate than the default, such as 20/second")
    parser.add_argument("--least", type=float, default=0.9, help="the share of the rate that must be reached")
    parser.add_argument("--place", type=Path, help="a folder for the files, some 100 bytes for each row")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(dir=options.place) as place:
        figures, err = endure(
            Path(place), options.minutes, options.seed, latency_s=options.latency_ms / 1000, rate=options.rate
        )
    figures.judge(options.least, err)
    print("\n".join(figures.table()))
    return 1 if figures.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
