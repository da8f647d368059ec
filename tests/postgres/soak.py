"""Soak test: ``python -m tests.postgres.soak --rows 200000 --kills 100 --seed 1`` sends a run with several processes.

They are killed, suspended for longer than they may be, cut off from the database and told to end, and the database is
killed. Whoever is missing is started again. It exits with 1 if the account or the server's ledger is not as promised.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bulk_sender.journal.place import SCHEMA_VARIABLE, VARIABLE
from tests.crash.nursery import Child, Nursery
from tests.faults import FaultServer
from tests.kit.pg_proxy import Proxy
from tests.kit.postgres import Server, running
from tests.postgres.crew import Crew

PROCESSES = 4
TTL_S = 5.0


class Campaign:
    """One run, and what is done to its processes. ``done``: how often each thing was done."""

    def __init__(self, crew: Crew, database: Server, proxy: Proxy, rng: random.Random) -> None:
        self.crew, self.database, self.proxy, self.rng = crew, database, proxy, rng
        self.done: Counter[str] = Counter()
        self.planner: Child | None = None
        self.joined: list[Child] = []
        self.suspended: list[tuple[float, Child]] = []
        self.frozen_until = 0.0

    def strike(self) -> None:
        ways: dict[Callable[[], None], int] = {
            self.kill: 10,
            self.kill_planner: 2,
            self.suspend: 4,
            self.cut_off: 1,
            self.end: 2,
            self.kill_database: 1,
        }
        way = self.rng.choices(list(ways), list(ways.values()))[0]
        self.done[way.__name__] += 1
        print(way.__name__, flush=True)
        way()

    def kill(self) -> None:
        if self.joined:
            self.crew.kill(self.joined.pop(self.rng.randrange(len(self.joined))))

    def kill_planner(self) -> None:
        if self.planner is not None:
            self.crew.kill(self.planner)
            self.planner = None

    def suspend(self) -> None:
        child = self.rng.choice([*self.joined, *([self.planner] if self.planner is not None else [])])
        child.signal(signal.SIGSTOP)
        self.suspended.append((time.monotonic() + TTL_S + self.rng.uniform(-3.0, 7.0), child))

    def cut_off(self) -> None:
        self.proxy.freeze()
        self.frozen_until = time.monotonic() + TTL_S + self.rng.uniform(-3.0, 4.0)

    def end(self) -> None:
        if self.joined:
            self.rng.choice(self.joined).signal(signal.SIGTERM)

    def kill_database(self) -> None:
        self.database.end(signal.SIGKILL)
        time.sleep(self.rng.uniform(0.0, 1.0))
        self.database.start()

    def tend(self) -> bool:
        """Wake whom it is time to wake, and start whoever has ended. Return whether the run has finished."""
        now = time.monotonic()
        if now > self.frozen_until:
            self.proxy.thaw()
        for until, child in list(self.suspended):
            if now > until:
                child.signal(signal.SIGCONT)
                self.suspended.remove((until, child))
        for child in [child for child in self.joined if has_ended(child)]:
            self.joined.remove(child)
            ended = self.crew.wait(child)
            assert ended.code in (0, 3, 143, -signal.SIGTERM, -signal.SIGKILL), ended
        if self.planner is not None and has_ended(self.planner):
            ended = self.crew.wait(self.planner)
            self.planner = None
            if ended.code in (0, 1):
                return True
            assert ended.code in (2, 3, -signal.SIGKILL), ended
        if self.planner is None:
            self.planner = self.crew.start()
        while len(self.joined) < PROCESSES - 1:
            port = self.proxy.port if len(self.joined) == 1 else 0
            self.joined.append(self.crew.join("--until-finished", port=port))
        return False


def has_ended(child: Child) -> bool:
    return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.postgres.soak", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--kills", type=int, default=100, help="how often something is done to a process")
    parser.add_argument("--seed", default=str(int(time.time())))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()
    with (
        running() as database,
        Proxy(database.port) as proxy,
        Nursery() as nursery,
        FaultServer() as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        place = database.place()
        os.environ |= {VARIABLE: place.address, SCHEMA_VARIABLE: place.schema}
        rate = f"{max(5, options.rows // 50 // options.kills // 2)}/second"  # that the run outlasts what is done to it
        crew = Crew(Path(folder), nursery, server, place, options.rows, {"rate": rate})
        campaign = Campaign(crew, database, proxy, random.Random(options.seed))
        try:
            while not campaign.tend():
                if campaign.done.total() < options.kills and crew.has_begun():
                    campaign.strike()
                time.sleep(campaign.rng.uniform(0.2, 1.5))
            proxy.thaw()
            found = crew.audit()
            epochs = crew.sql("SELECT count(*), count(fenced_at) FROM epoch WHERE id > 0")
        finally:
            crew.end_quietly()
    bound = 50 * 4 * campaign.done.total() * 2  # a killed database may take the answers of all
    print(f"done: {dict(campaign.done)}; {epochs[0][0]} processes, {epochs[0][1]} given up")
    print(f"{found}, {time.monotonic() - began:.0f} s")
    return 1 if found.wrong or found.rows != options.rows or found.doubt > bound else 0


if __name__ == "__main__":
    sys.exit(main())
