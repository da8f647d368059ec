"""What a recipient costs bulk-sender and two naive scripts: ``python benchmarks/ratio.py``.

CPU of whole processes, file to results, in this interpreter's own environment. Starting is left out: the cost of
sending one batch is taken off. ``--rows`` sets how many recipients are sent beyond it. The programs take turns, and
the least of ``--rounds`` counts for each: other work on the machine can only add to it. ``.ci/run`` measures it after
the tests, when nothing else runs.

``ratio`` is the cost of ``naive.py`` in units of bulk-sender's, ``sequential`` the cost of bulk-sender in units of
``sequential.py``. ``--transport`` says how bulk-sender is installed: with its extra ``fast`` alone, or without any.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import measure
from input import write_input
from run import count, counting_server
from subjects import HERE, OPEN, environment

BATCH = 50
Command = Callable[[str, Path, Path], list[str]]
"""URL, input file, an empty folder → a command."""
WITHOUT = """
import runpy, sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(",")))
runpy.run_module("bulk_sender", run_name="__main__", alter_sys=True)
"""
"""Run the program as if the packages of its first argument were not installed."""
CHARTS, FAST = "vl_convert", "httptools,uvloop"
"""The packages of two extras. Drawing a report's charts costs 0.4 s for any run that takes seconds."""


def bulk_sender(url: str, file: Path, folder: Path) -> list[str]:
    return _without(CHARTS, url, file, folder)


def bulk_sender_over_httpx(url: str, file: Path, folder: Path) -> list[str]:
    return _without(f"{CHARTS},{FAST}", url, file, folder)


def _without(packages: str, url: str, file: Path, folder: Path) -> list[str]:
    place = ["--endpoint", url, "--campaign-id", "bench", "--runs-dir", str(folder / "runs")]
    return [sys.executable, "-c", WITHOUT, packages, "send", str(file), *place, "--rate", OPEN, "--yes"]


def naive(url: str, file: Path, _: Path) -> list[str]:
    return [sys.executable, str(HERE / "naive.py"), url, str(file)]


def sequential(url: str, file: Path, _: Path) -> list[str]:
    return [sys.executable, str(HERE / "sequential.py"), url, str(file)]


SUBJECT: dict[str, Command] = {"fast": bulk_sender, "httpx": bulk_sender_over_httpx}


def cost_s(command: Command, rows: int, work: Path, environment: Mapping[str, str]) -> float:
    """CPU seconds to send ``rows`` recipients to a fresh server. Raises RuntimeError when some did not arrive."""
    file, folder = work / f"recipients-{rows}.csv", Path(tempfile.mkdtemp(dir=work))
    if not file.exists():
        write_input(file, rows)
    core, server_core = measure.cores()
    with counting_server(server_core) as url:
        done = measure.run(command(url, file, folder), env=environment, cwd=folder, core=core, timeout_s=300)
        if done.exit_code or count(url)["recipients"] != rows:
            raise RuntimeError(f"exit code {done.exit_code}, {count(url)} of {rows} recipients: {done.stderr[-500:]}")
    return done.cpu_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--transport", choices=SUBJECT, default="fast")
    parser.add_argument("--least", type=float, help="exit with 1 unless ratio is above this")
    parser.add_argument("--most", type=float, help="exit with 1 unless sequential is below this")
    arguments = parser.parse_args()
    rows: int = arguments.rows
    with tempfile.TemporaryDirectory() as folder:
        found: dict[Command, dict[int, list[float]]] = {SUBJECT[arguments.transport]: {}, naive: {}, sequential: {}}
        for _ in range(arguments.rounds):
            for command, costs in found.items():
                for size in (BATCH, rows + BATCH):
                    costs.setdefault(size, []).append(cost_s(command, size, Path(folder), environment()))
    ours, theirs, least = (min(costs[rows + BATCH]) - min(costs[BATCH]) for costs in found.values())
    each = {"bulk_sender_us": ours, "naive_us": theirs, "sequential_us": least}
    figures = {name: cost * 1e6 / rows for name, cost in each.items()}
    figures |= {"ratio": theirs / ours, "sequential": ours / least}
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))
    is_dear = arguments.least is not None and not theirs / ours > arguments.least
    sys.exit(is_dear or (arguments.most is not None and not ours / least < arguments.most))


if __name__ == "__main__":
    main()
