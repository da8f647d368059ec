"""Soak test: ``python -m tests.crash.soak --kills 1000 --seed 1`` kills runs that often and prints the totals.

It exits with 1 at the first incorrect result, and prints the seed that reproduces it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.campaign import Figures, endure
from tests.crash.nursery import Nursery


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="total number of kills")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats the same kills")
    parser.add_argument("--kills-a-run", type=int, default=12)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    figures, began = Figures(), time.monotonic()
    with Nursery() as nursery, tempfile.TemporaryDirectory() as place:
        while figures.kills < options.kills:
            most = min(options.kills_a_run, options.kills - figures.kills)
            try:
                endure(nursery, Path(place) / str(figures.runs), f"{options.seed}/{figures.runs}", figures, kills=most)
            except AssertionError as error:
                print(f"after {figures.kills} kills, in run {figures.runs} of seed {options.seed}: {error}")
                return 1
            if figures.runs % 10 == 0:
                print(f"{figures.kills} kills, {time.monotonic() - began:.0f} s", flush=True)
    print("\n".join([*figures.lines(), f"{time.monotonic() - began:.0f} s"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
