"""The figures of bulk-sender itself: ``python benchmarks/figures.py`` prints them as a table in Markdown.

Whole processes with the extra ``fast`` alone, journal with full sync, results written, nine columns, a counting server
on another core. What depends on the machine's speed is given beside something measured in the same run: the naive
script, or the server's own limit as wrk finds it (where wrk is installed). ``--only`` picks figures, ``--large`` sets
the rows of the large files.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import measure
import polars as pl
from ratio import CHARTS, WITHOUT
from run import count, counting_server
from subjects import HERE, OPEN, environment

MILLION = 1_000_000


@dataclass
class Bench:
    """Where the files are, and what has been measured."""

    work: Path
    large: int
    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def note(self, figure: str, value: str, goal: str) -> None:
        self.rows.append((figure, value, goal))
        print(f"| {figure} | {value} | {goal} |", flush=True)

    def input(self, rows: int, ending: str) -> Path:
        path = self.work / f"clean-{rows}.{ending}"
        if not path.exists():
            generator = HERE.parent / "sample_data" / "generate.py"
            command = [sys.executable, str(generator), "--rows", str(rows), "--clean", "--output", str(path)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return path

    def run(self, *arguments: str, on_one_core: bool = True) -> measure.Finished:
        core, _ = measure.cores()
        return measure.run(
            [sys.executable, "-c", WITHOUT, CHARTS, *arguments],
            env=environment(),
            cwd=self.work,
            core=core if on_one_core else None,
            timeout_s=1800,
        )

    def send(self, path: Path, url: str, run_id: str, *more: str, on_one_core: bool = True) -> measure.Finished:
        """Raise RuntimeError when not everything was sent."""
        self.forget()
        done = self.run(*_send(path, url, self.work, run_id), *more, on_one_core=on_one_core)
        if done.exit_code:
            raise RuntimeError(f"exit code {done.exit_code}: {done.stderr[-500:]}")
        return done

    def forget(self) -> None:
        """Begin an empty folder of runs: a run that is known, and gone, is not begun again."""
        shutil.rmtree(self.work / "runs", ignore_errors=True)
        (self.work / "runs").mkdir()


def _send(path: Path, url: str, work: Path, run_id: str) -> list[str]:
    place = ["--endpoint", url, "--campaign-id", "bench", "--runs-dir", str(work / "runs"), "--run-id", run_id]
    return ["send", str(path), *place, "--yes", "--json", "--quiet"]


def arrivals(path: Path) -> list[float]:
    data = path.read_bytes()
    return [moment for (moment,) in struct.iter_unpack("<d", data[: len(data) // 8 * 8])]


@contextmanager
def server(*options: str) -> Iterator[str]:
    with counting_server(measure.cores()[1], *options) as url:
        yield url


def cost(bench: Bench) -> None:
    """CPU for a million recipients, beside the naive script; and requests a second with the limiter open."""
    path = bench.input(MILLION, "csv")

    def send(*, on_one_core: bool = True) -> measure.Finished:
        with server() as url:
            return bench.send(path, url, "cost", "--rate", OPEN, on_one_core=on_one_core)

    def script() -> measure.Finished:
        core, _ = measure.cores()
        with server() as url:
            command = [sys.executable, str(HERE / "naive.py"), url, str(path)]
            return measure.run(command, env=environment(), cwd=bench.work, core=core, timeout_s=1800)

    # Of three, in turn, the cheapest: whatever else the machine does can only add to one.
    pairs = [(send(), script()) for _ in range(3)]
    ours = min((pair[0] for pair in pairs), key=lambda done: done.cpu_s)
    naive = min((pair[1] for pair in pairs), key=lambda done: done.cpu_s)
    bench.note("CPU seconds for a million recipients", f"{ours.cpu_s:.1f}", "at most 10")
    bench.note(
        "the naive script's CPU, in units of ours",
        f"{naive.cpu_s / ours.cpu_s:.1f} ({naive.cpu_s:.1f} s)",
        "at least 4",
    )
    limit = _wrk_limit()
    for where, done in (("on one core", ours), ("free to use two", send(on_one_core=False))):
        summary = json.loads(done.stdout)
        reached = summary["requests"] / summary["elapsed_s"]
        share = f"; {100 * reached / limit:.0f} % of wrk's {limit:,.0f}" if limit else ""
        bench.note(f"requests a second, limiter open, {where}", f"{reached:,.0f}{share}", "at least 2,500")
    bench.note("peak memory, 1 M rows of CSV, sent", f"{ours.max_rss_mb:.0f} MB", "at most 300 MB")


def _wrk_limit() -> float:
    if shutil.which("wrk") is None:
        return 0.0
    script = 'wrk.method="POST"; wrk.body=string.rep("x", 11000); wrk.headers["Content-Type"]="application/json"'
    with server() as url, tempfile.NamedTemporaryFile("w", suffix=".lua") as lua:
        lua.write(script)
        lua.flush()
        command = ["wrk", "-t1", "-c16", "-d3s", "-s", lua.name, f"{url}/campaigns/trigger/send"]
        core, _ = measure.cores()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, preexec_fn=lambda: measure.pin(core))
        return count(url)["requests"] / 3


def share(bench: Bench) -> None:
    """Of one core, at Braze's default rate, start and results included; and the least that this can cost."""
    requests = 70 * 60
    path = bench.input(requests * 50, "csv")
    with server() as url:
        ours = bench.send(path, url, "share", "--rate", "250000/hour")
    with server() as url:
        core, _ = measure.cores()
        command = [sys.executable, str(HERE / "floor.py"), url, str(requests)]
        floor = measure.run(command, env=environment(), cwd=bench.work, core=core, timeout_s=1800)
        assert count(url)["requests"] == requests, floor.stderr
    shares = [f"{100 * done.cpu_s / done.wall_s:.1f} %" for done in (ours, floor)]
    bench.note("share of a core at 69.4 requests a second, over a minute", shares[0], "at most 8 %")
    bench.note("the same with a bare connection, the pace and one sync (`floor.py`)", shares[1], "")


def pace(bench: Bench) -> None:
    """The rate reached, and the most in any second, at three rates."""
    for rate in (250_000 / 3600, 500.0, 1000.0):
        rows = int(rate * 50 * 60)
        path = bench.input(rows, "csv")
        log = bench.work / "arrivals"
        with server("--arrivals", str(log)) as url:
            bench.send(path, url, "pace", "--rate", f"{round(rate * 3600)}/hour", "--concurrency", "64")
            count(url)
        moments = arrivals(log)
        reached = (len(moments) - 1) / (moments[-1] - moments[0])
        most = _most_in_a_second(moments)
        value = f"{reached:.1f} ({100 * (reached / rate - 1):+.1f} %), at most {most} in any second"
        bench.note(f"pace asked {rate:.1f} a second, a minute", value, "within 1 %, one second's worth")


def _most_in_a_second(moments: list[float]) -> int:
    most = first = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def memory(bench: Bench) -> None:
    """Peak memory of sending the large files."""
    for ending in ("csv", "parquet"):
        path = bench.input(bench.large, ending)
        log = bench.work / "arrivals"
        with server("--arrivals", str(log)) as url:
            started = time.monotonic()
            ours = bench.send(path, url, "memory", "--rate", OPEN)
            count(url)
        millions = bench.large / MILLION
        bench.note(f"peak memory, {millions:g} M rows of {ending}, sent", f"{ours.max_rss_mb:.0f} MB", "at most 300 MB")
        goal = "under 3 s" if ending == "parquet" else "under 8 s"
        bench.note(f"first request, {millions:g} M rows of {ending}", f"{arrivals(log)[0] - started:.1f} s", goal)
    written = bench.run("export", "memory", "--runs-dir", str(bench.work / "runs"), "--output", str(_fresh(bench)))
    value = f"{written.wall_s:.1f} s, {written.max_rss_mb:.0f} MB"
    bench.note(f"results of {bench.large / MILLION:g} M rows", value, "at most 30 s, flat")
    bench.forget()


def _fresh(bench: Bench) -> Path:
    path = bench.work / "export.csv"
    path.unlink(missing_ok=True)
    return path


def resume(bench: Bench) -> None:
    """A large run interrupted at nine tenths: how long until its next request."""
    path = bench.input(bench.large, "csv")
    log = bench.work / "arrivals"
    bench.forget()
    core, _ = measure.cores()
    with server() as url:
        send = _send(path, url, bench.work, "resume")
        command = [sys.executable, "-c", WITHOUT, CHARTS, *send, "--rate", OPEN]
        process = subprocess.Popen(
            command,
            env=environment(),
            cwd=bench.work,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: measure.pin(core),
        )
        deadline = time.monotonic() + 1200
        while count(url)["recipients"] < 0.9 * bench.large and time.monotonic() < deadline:
            time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        port = url.rsplit(":", 1)[1]
    with server("--port", port, "--arrivals", str(log)) as url:
        started = time.monotonic()
        bench.run("resume", "resume", "--runs-dir", str(bench.work / "runs"), "--yes", "--quiet", "--json")
        count(url)
    value = f"{arrivals(log)[0] - started:.1f} s"
    bench.note(f"first request of a {bench.large / MILLION:g} M-row run resumed at 90 %", value, "within 5 s")
    bench.forget()


PARTS, PART_ROWS = 1_000, 100


def files(bench: Bench) -> None:
    """Many small files against the same rows in one file: CPU time of ``check``, start included."""
    for ending, write in (("csv", "csv"), ("parquet", "parquet"), ("ndjson", "ndjson"), ("arrow", "ipc")):
        rows = pl.read_csv(bench.input(PARTS * PART_ROWS, "csv"), infer_schema=False)
        one, folder = bench.work / f"one.{ending}", bench.work / f"parts-{ending}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        getattr(rows, f"write_{write}")(one)
        for part in range(PARTS):
            getattr(rows.slice(part * PART_ROWS, PART_ROWS), f"write_{write}")(folder / f"part-{part:04}.{ending}")
        alone, together = (bench.run("check", str(path), "--json").cpu_s for path in (one, folder))
        value = f"{together / alone:.2f} ({together:.1f} s of CPU)"
        bench.note(f"{PARTS:,} {ending} files of {PART_ROWS} rows, in units of one file", value, "at most 2")


FIGURES: dict[str, Callable[[Bench], None]] = {
    "cost": cost,
    "share": share,
    "pace": pace,
    "memory": memory,
    "resume": resume,
    "files": files,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(FIGURES), help="figures, joined by commas")
    parser.add_argument("--large", type=int, default=10 * MILLION, metavar="ROWS")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "bulk-sender-figures")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(options.work.resolve(), options.large)
    print("| figure | measured | goal |\n| --- | --- | --- |")
    for name in options.only.split(","):
        FIGURES[name](bench)


if __name__ == "__main__":
    main()
