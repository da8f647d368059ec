"""bulk-sender beside its peers: the same file, the same server, one after another in one run.

``python benchmarks/run.py`` makes two tables, prints them in Markdown and writes ``benchmarks/results.json``:

* calm weather: CPU seconds for a million recipients, against a server that answers at once;
* lost answers: a server that takes every batch but is silent on every 200th, and what each subject claims
  beside what the server counted.

Each subject is pinned to one core and the server to another. Environments, made on the first run, and input
files are kept under ``--work``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import measure
import report
from environments import SetupError
from input import write_input
from report import Calm, Lost
from subjects import HERE, SUBJECTS, Claim, Subject, SubjectError, perform

MILLION = 1_000_000
BATCH = 50
DROP_EVERY = 200


@dataclass(frozen=True)
class Outcome:
    """One subject's run: what it used and claimed, and what the server counted."""

    finished: measure.Finished
    claim: Claim
    counted: dict[str, int]


@contextmanager
def counting_server(core: int | None, *options: str) -> Iterator[str]:
    """A fresh server on ``core``; yields its URL."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "server.py"), *options],
        stdout=subprocess.PIPE,
        preexec_fn=lambda: measure.pin(core),
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
    finally:
        process.terminate()
        process.wait()


def count(url: str) -> dict[str, int]:
    """What the server counted."""
    with urllib.request.urlopen(url + "/count", timeout=30) as answer:
        counted: dict[str, int] = json.load(answer)
        return counted


def send(subject: Subject, program: Path, file: Path, *server_options: str, timeout_s: float) -> Outcome:
    """Let ``subject`` send ``file`` to a fresh server."""
    core, server_core = measure.cores()
    with counting_server(server_core, *server_options) as url:
        finished, claim = perform(subject, program, url, file, core=core, timeout_s=timeout_s)
        return Outcome(finished, claim, count(url))


def calm(subject: Subject, program: Path, files: dict[int, Path], options: argparse.Namespace) -> Calm:
    """CPU for a million recipients; with fewer rows, on the line from one batch through all of them.

    Of ``--repeat`` sendings the cheapest counts: whatever else the machine does can only add to one.
    """
    rows: int = options.rows

    def cheapest(size: int) -> Outcome:
        outcomes = [send(subject, program, files[size], timeout_s=options.timeout) for _ in range(options.repeat)]
        return min(outcomes, key=lambda outcome: outcome.finished.cpu_s)

    start, outcome = cheapest(BATCH).finished, cheapest(rows)
    used = outcome.finished
    a_row = (used.cpu_s - start.cpu_s) / (rows - BATCH)
    return Calm(
        subject=subject.name,
        title=subject.title,
        rows=rows,
        cpu_s_per_million=round(used.cpu_s + a_row * (MILLION - rows), 2),
        start_cpu_s=round(start.cpu_s, 2),
        cpu_s=round(used.cpu_s, 2),
        wall_s=round(used.wall_s, 2),
        max_rss_mb=round(used.max_rss_mb),
        requests=outcome.counted["requests"],
        recipients=outcome.counted["recipients"],
        exit_code=used.exit_code,
    )


def lost(subject: Subject, program: Path, files: dict[int, Path], options: argparse.Namespace) -> Lost:
    """The claim beside the count, where every 200th answer is lost."""
    rows: int = options.lost_rows
    weather = ("--keep-ids", "--drop-every", str(DROP_EVERY))
    outcome = send(subject, program, files[rows], *weather, timeout_s=options.timeout)
    counted = outcome.counted
    return Lost(
        subject=subject.name,
        title=subject.title,
        rows=rows,
        **asdict(outcome.claim),
        requests=counted["requests"],
        dropped=counted["dropped"],
        distinct=counted["distinct"],
        doubled=counted["doubled"],
        missing=rows - counted["distinct"],
        wall_s=round(outcome.finished.wall_s, 2),
        exit_code=outcome.finished.exit_code,
    )


def machine() -> dict[str, str | int | None]:
    """What the figures depend on."""
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def inputs(work: Path, sizes: set[int]) -> dict[int, Path]:
    """The input files by their number of rows, written where they are not there yet."""
    files = {rows: work / f"recipients-{rows}.csv" for rows in sizes}
    for rows, path in files.items():
        if not path.exists():
            unfinished = path.with_suffix(".part")
            write_input(unfinished, rows)
            unfinished.rename(path)
    return files


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [subject.name for subject in SUBJECTS]
    parser.add_argument("--only", default=",".join(names), metavar="A,B", help=f"subjects: {', '.join(names)}")
    parser.add_argument("--table", choices=("calm", "lost", "both"), default="both")
    parser.add_argument("--rows", type=int, default=MILLION, help="rows in calm weather (default 1,000,000)")
    parser.add_argument("--lost-rows", type=int, default=100_000, help="rows with lost answers (default 100,000)")
    parser.add_argument(
        "--quick", action="store_true", help="50,000 rows in calm weather, scaled; 20,000 with lost answers"
    )
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="in calm weather, the cheapest of N (default 1)"
    )
    parser.add_argument("--timeout", type=float, default=600, metavar="S", help="for one subject (default 600)")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "bulk-sender-benchmarks")
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.lost_rows = 50_000, 20_000
    for rows in (options.rows, options.lost_rows):
        if rows % BATCH or rows <= BATCH:
            parser.error(f"a number of rows must be a multiple of {BATCH} and more than that")
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(names):
        parser.error(f"no subject named {', '.join(sorted(unknown))}")
    return options


def main() -> int:
    options = arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    files = inputs(options.work, {BATCH, options.rows, options.lost_rows})
    calm_rows: list[Calm] = []
    lost_rows: list[Lost] = []
    failed = False
    for subject in (subject for subject in SUBJECTS if subject.name in options.only):
        try:
            print(f"{subject.name}: environment", file=sys.stderr)
            program = subject.install(options.work)
            if options.table in ("lost", "both"):
                print(f"{subject.name}: lost answers", file=sys.stderr)
                lost_rows.append(lost(subject, program, files, options))
            if options.table in ("calm", "both"):
                print(f"{subject.name}: calm weather", file=sys.stderr)
                calm_rows.append(calm(subject, program, files, options))
        except (SetupError, SubjectError) as error:
            failed = True
            print(f"{subject.name}: {error}", file=sys.stderr)
    print(report.calm_table(calm_rows), report.lost_table(lost_rows), sep="\n")
    results = {
        "machine": machine(),
        "calm": [asdict(row) for row in calm_rows],
        "lost": [asdict(row) for row in lost_rows],
    }
    options.output.write_text(json.dumps(results, indent=2) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
