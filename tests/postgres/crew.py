"""Several processes of one run, each in a folder of its own, as if on machines of their own."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from bulk_sender.journal.place import VARIABLE, Place, write_pointer
from tests.crash.audit import Audit, audit
from tests.crash.nursery import Child, Ended, Nursery, until
from tests.faults import FaultServer
from tests.kit.scene import Scene

UNFENCED = {
    "module": "bulk_sender.journal.postgres.commits",
    "name": "_ME",
    "old": "AND fenced_at IS NULL AND ended_at IS NULL",
    "new": "",
}
"""The mutant that goes on writing after it was fenced."""


@dataclass
class Crew:
    """``first`` starts the run; ``join`` adds a process. ``children``: those that were started, in order."""

    place: Path
    nursery: Nursery
    server: FaultServer
    journal: Place
    rows: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    children: list[Child] = field(default_factory=list)
    joined: int = 0

    def __post_init__(self) -> None:
        self.place.mkdir(exist_ok=True)
        settings = {"concurrency": 4, "timeout": 5, **self.settings}
        self.first = Scene(self.place / "first", self.nursery, self.server.url, settings, "winter", chunk_cells=1500)
        self.first.with_rows(self.rows)
        self._place(self.first)

    def _place(self, scene: Scene) -> Scene:
        scene.runs_dir.mkdir(exist_ok=True)
        write_pointer(scene.runs_dir, self.journal)  # for its short ttl
        return scene

    def start(self, *more: object, command: str = "send", **limits: Any) -> Child:
        self.children.append(self.first.start(command, *more, **limits))
        return self.children[-1]

    def started(self, *more: object, **limits: Any) -> Child:
        """Start the run, and wait until there is one to join."""
        child = self.start(*more, **limits)
        until(self.has_begun, 30)
        return child

    def join(self, *more: object, failpoint: str = "", port: int = 0, **limits: Any) -> Child:
        """``port``: of a proxy before the database."""
        self.joined += 1
        scene = self._place(replace(self.first, place=self.place / f"{self.joined}"))
        env = scene.env
        if port:
            env[VARIABLE] = env[VARIABLE].replace(f":{self.journal.address.rpartition(':')[2]}", f":{port}/postgres")
        if failpoint:
            env["BULK_SENDER_FAILPOINT"] = failpoint
        self.children.append(self.nursery.start(scene.command("join", *more), env, **limits))
        return self.children[-1]

    def audit(self) -> Audit:
        return audit(self.first, self.server.ledger)

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.journal.address, autocommit=True) as connection:
            connection.execute(f"SET search_path = {self.journal.schema}")
            return connection.execute(text).fetchall()

    def epochs(self) -> dict[int, int]:
        """The process of each epoch."""
        return dict(self.sql("SELECT pid, id FROM epoch WHERE id > 0"))

    def has_begun(self) -> bool:
        return bool(self.sql("SELECT 1 FROM epoch WHERE id > 0"))

    def requests_of(self, child: Child) -> int:
        [(count,)] = self.sql(
            f"SELECT count(*) FROM attempt JOIN epoch ON epoch.run = attempt.run AND epoch.id = attempt.epoch"
            f" WHERE pid = {child.pid}"
        )
        return int(count)

    def finish(self, *, most: int = 10) -> Ended:
        """Resume the run until it has nothing left to send."""
        for _ in range(most):
            ended = self.wait(self.start())
            if ended.code in (0, 1):
                return ended
            assert ended.code in (2, 3), ended
            time.sleep(0.5)
        raise AssertionError(f"not finished: {ended}")

    def wait(self, child: Child, timeout: float = 60.0) -> Ended:
        self.children.remove(child)
        return child.wait(timeout)

    def kill(self, child: Child) -> None:
        child.signal()
        self.wait(child)

    def end_quietly(self) -> None:
        """End what still runs, behind a test that failed or has seen enough."""
        for child in list(self.children):
            child.signal(signal.SIGCONT)
            self.kill(child)
