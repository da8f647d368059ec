"""What it costs to start a send of 50 rows, in units of importing its libraries: ``python benchmarks/start.py``.

CPU of whole processes in this interpreter's own environment, so that an extra is measured where it is installed. The
two take turns, and the least of ``--rounds`` counts for each. A first round, which compiles modules, does not count.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import measure
from ratio import BATCH, bulk_sender, cost_s
from subjects import environment

LIBRARIES = "import polars, httpx, pydantic, anyio, sqlite3"


def imports_s(work: Path, environment: dict[str, str]) -> float:
    """CPU seconds to import the libraries."""
    core, _ = measure.cores()
    done = measure.run([sys.executable, "-c", LIBRARIES], env=environment, cwd=work, core=core, timeout_s=60)
    if done.exit_code:
        raise RuntimeError(done.stderr[-500:])
    return done.cpu_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--most", type=float, help="exit with 1 unless the ratio is below this")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        rounds = [
            (imports_s(work, environment()), cost_s(bulk_sender, BATCH, work, environment()))
            for _ in range(1 + arguments.rounds)
        ]
    imports, send = (min(costs) for costs in zip(*rounds[1:], strict=True))
    figures = {"imports_ms": imports * 1e3, "send_ms": send * 1e3, "ratio": send / imports}
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))
    sys.exit(arguments.most is not None and not send / imports < arguments.most)


if __name__ == "__main__":
    main()
