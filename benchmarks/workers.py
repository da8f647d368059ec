"""One run sent by several processes: ``python benchmarks/workers.py`` prints a table in Markdown.

Each line is one run of ``--rows`` recipients without a rate limit: by one process with its journal in a file, then by
1, 2 and 4 processes (``send`` and ``join``) with one in PostgreSQL. The benchmark starts the database (the system's
programs, settings of ``initdb``, ``fsync`` on). All of them, the database and the counting server share the machine.

CPU of the workers is that of whole processes without what a process costs that sends one batch. CPU of the database is
that of its server and all its backends, from the start of the run to its end. A request costs at least two records:
an intent and an outcome.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count as numbers
from pathlib import Path

import measure
from figures import arrivals
from input import write_input
from ratio import BATCH, CHARTS, WITHOUT
from run import count, counting_server
from subjects import HERE, OPEN, environment

sys.path.insert(0, str(HERE.parent))
from tests.kit.postgres import Server, running

_TICKS = os.sysconf("SC_CLK_TCK")
_TIMEOUT_S = 600
_runs = numbers(1)


@dataclass
class Sent:
    """What a run came to. ``commits``: of its intents and outcomes in the database."""

    requests: int
    requests_per_s: float
    worker_cpu_s: float
    database_cpu_s: float = 0.0
    commits: int = 0


class Bench:
    def __init__(self, work: Path, database: Server | None = None) -> None:
        self.work, self.database = work, database

    def input(self, rows: int) -> Path:
        path = self.work / f"recipients-{rows}.csv"
        if not path.exists():
            write_input(path, rows)
        return path

    def send(self, rows: int, processes: int, rate: str = OPEN) -> Sent:
        """Raise RuntimeError when not everything arrived once."""
        run, log = f"run-{next(_runs)}", self.work / "arrivals"
        log.unlink(missing_ok=True)
        before_s = self._database_cpu_s()
        with counting_server(None, "--arrivals", str(log)) as url:
            place = ["--endpoint", url, "--campaign-id", "bench", "--rate", rate, "--yes"]
            commands = [["send", str(self.input(rows)), "--run-id", run, *place]]
            commands += [["join", run, "--until-finished"]] * (processes - 1)
            done = self._all_of(commands)
            taken = count(url)
        if any(each.exit_code for each in done) or taken["recipients"] != rows:
            raise RuntimeError(f"{taken} of {rows} recipients; {[each.stderr[-500:] for each in done]}")
        moments = sorted(arrivals(log))
        return Sent(
            requests=taken["requests"],
            requests_per_s=(len(moments) - 1) / (moments[-1] - moments[0]) if len(moments) > 1 else 0.0,
            worker_cpu_s=sum(each.cpu_s for each in done),
            database_cpu_s=self._database_cpu_s() - before_s,
            commits=self._commits(run),
        )

    def _all_of(self, commands: list[list[str]]) -> list[measure.Finished]:
        """Run each command in a folder of runs of its own, all at once."""
        done: list[measure.Finished] = []

        def run(command: list[str]) -> None:
            runs = Path(tempfile.mkdtemp(dir=self.work))
            done.append(
                measure.run(
                    [sys.executable, "-c", WITHOUT, CHARTS, *command, "--runs-dir", str(runs)],
                    env=self._environment(),
                    cwd=self.work,
                    core=None,
                    timeout_s=_TIMEOUT_S,
                )
            )

        threads = [threading.Thread(target=run, args=[command]) for command in commands]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return done

    def _environment(self) -> Mapping[str, str]:
        journal = {"BULK_SENDER_JOURNAL": self.database.address} if self.database is not None else {}
        return environment() | journal

    def init(self) -> None:
        command = [sys.executable, "-m", "bulk_sender", "journal", "init"]
        done = measure.run(command, env=self._environment(), cwd=self.work, core=None, timeout_s=60)
        if done.exit_code:
            raise RuntimeError(done.stderr)

    def _commits(self, run: str) -> int:
        if self.database is None:
            return 0
        query = (
            "SELECT sum(commit_no) FROM bulk_sender.epoch e JOIN bulk_sender.run r ON r.id = e.run WHERE r.name = %s"
        )
        [(commits,)] = self.database.sql(query, run)
        return int(commits)

    def _database_cpu_s(self) -> float:
        return 0.0 if self.database is None else database_cpu_s(self.database)


def database_cpu_s(database: Server) -> float:
    """CPU seconds of the database's processes, with those that have ended."""
    time.sleep(0.5)  # until the last backend has ended
    postmaster = int((database.data / "postmaster.pid").read_text().split()[0])
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(stat.parent.name) == postmaster:
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == postmaster:
            ticks += sum(map(int, fields[11:13]))
    return ticks / _TICKS


@contextmanager
def benches(work: Path) -> Iterator[tuple[Bench, Bench]]:
    """Yield one with journals in files, and one with them in a database."""
    with running(shared_buffers="128MB") as database:
        with_database = Bench(work, database)
        with_database.init()
        yield Bench(work), with_database


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="the fastest of them counts")
    parser.add_argument("--rate", default=OPEN, help="of all processes together")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, benches(Path(folder)) as (files, database):
        print("| journal | processes | requests/s | commits/s | requests a commit | worker CPU | database CPU |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for bench, processes in [(files, 1), (database, 1), (database, 2), (database, 4)]:
            start = min((bench.send(BATCH, 1) for _ in range(3)), key=lambda sent: sent.worker_cpu_s)
            best = max(
                (bench.send(arguments.rows, processes, arguments.rate) for _ in range(arguments.rounds)),
                key=lambda sent: sent.requests_per_s,
            )
            each_us = (best.worker_cpu_s - processes * start.worker_cpu_s) * 1e6 / best.requests
            seconds = best.requests / best.requests_per_s
            commits = ["–"] * 3
            if best.commits:
                database_us = (best.database_cpu_s - start.database_cpu_s) * 1e6 / best.requests
                each, size = best.commits / seconds, best.requests / best.commits
                commits = [f"{each:,.0f}", f"{size:.1f}", f"{database_us:.0f} µs"]
            journal = "SQLite" if bench.database is None else "PostgreSQL"
            cells = [journal, processes, f"{best.requests_per_s:,.0f}", *commits[:2], f"{each_us:.0f} µs", commits[2]]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
            print(json.dumps(best.__dict__), file=sys.stderr)


if __name__ == "__main__":
    main()
