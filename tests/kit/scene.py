"""Setup of crash tests: an input, a configuration, a server and a run."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bulk_sender.failpoints import VARIABLE
from bulk_sender.journal.place import SCHEMA_VARIABLE as SCHEMA
from bulk_sender.journal.place import VARIABLE as JOURNAL
from tests.crash.nursery import Child, Ended, Nursery
from tests.faults import FaultServer
from tests.kit.target import KEY

DELIVERY = {
    "rate": "20000/second",
    "concurrency": 4,
    "timeout": 10,
    "breaker": 1000,
    "retry_budget": 10.0,
    "share_rate": False,
}
REJECTED_EVERY, DUPLICATE_EVERY = 97, 89


def write_input(path: Path, rows: int, *, start: int = 0) -> Path:
    """Write a CSV of ``rows`` rows; some have no identifier, and some repeat an earlier one."""
    lines = ["external_user_id,trigger_properties.number,attributes.plan"]
    for number in range(start, start + rows):
        name = f"u{number}"
        if number % REJECTED_EVERY == REJECTED_EVERY - 1:
            name = ""
        elif number % DUPLICATE_EVERY == DUPLICATE_EVERY - 1:
            name = f"u{number - 1}"
        lines.append(f"{name},{number},plan {number % 7}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@dataclass
class Scene:
    """``place``: a folder of the test's own. ``settings``: under ``[delivery]``."""

    place: Path
    nursery: Nursery
    url: str
    settings: dict[str, Any] = field(default_factory=dict)
    run_id: str = "run"
    is_piped: bool = False
    """Whether the only input is read from standard input."""
    chunk_cells: int = 0
    """As for ``Nursery.start``."""

    def __post_init__(self) -> None:
        self.place.mkdir(exist_ok=True)
        self.config = self.place / "job.toml"
        lines = [f"{name} = {json.dumps(value)}" for name, value in (DELIVERY | self.settings).items()]
        self.config.write_text(
            '[braze]\ncampaign_id = "c1"\n[guard]\npreflight = false\n[delivery]\n' + "\n".join(lines) + "\n"
        )
        self.runs_dir = self.place / "runs"
        self.inputs: list[Path] = []

    @property
    def folder(self) -> Path:
        return self.runs_dir / self.run_id

    @property
    def env(self) -> dict[str, str]:
        where = {name: os.environ[name] for name in (JOURNAL, SCHEMA) if name in os.environ}
        return {"BRAZE_API_KEY": KEY, "BRAZE_ENDPOINT": self.url, **where}

    def with_rows(self, *counts: int) -> Scene:
        """Write one input file for each count."""
        start = 0
        for index, count in enumerate(counts):
            self.inputs.append(write_input(self.place / f"in{index}.csv", count, start=start))
            start += count
        return self

    def command(self, name: str, *more: object) -> list[object]:
        """Return the arguments of ``send``, ``resume``, ``retry`` or ``resolve``."""
        common = ["--runs-dir", self.runs_dir, "--yes", "--json", "--quiet"]
        if name == "send":
            given = ["-"] if self.is_piped else self.inputs
            return ["send", *given, "--config", self.config, "--run-id", self.run_id, *common, *more]
        return [name, self.run_id, *common, *more]

    def start(self, name: str, *more: object, failpoint: str = "", **limits: Any) -> Child:
        """``limits``: what ``Nursery.start`` takes besides."""
        if not self.runs_dir.exists():
            self.runs_dir.mkdir()  # a folder that is named together with a run has to exist
        env = self.env | ({VARIABLE: failpoint} if failpoint else {})
        if self.is_piped:
            limits.setdefault("piped", self.inputs[0])
        return self.nursery.start(self.command(name, *more), env, chunk_cells=self.chunk_cells, **limits)

    def run(self, name: str, *more: object, failpoint: str = "", timeout: float = 30.0, **limits: Any) -> Ended:
        return self.start(name, *more, failpoint=failpoint, **limits).wait(timeout)

    def finish(self, *, most: int = 20) -> Ended:
        """Repeat the same command until it has nothing left to send."""
        for _ in range(most):
            ended = self.run("send")
            if ended.code in (0, 1):
                return ended
            assert ended.code == 3, ended
        raise AssertionError(f"not finished after {most} commands: {ended}")

    def rows(self) -> list[dict[str, str]]:
        """Return the rows of the results file."""
        with (self.folder / "results.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


def requests_so_far(server: FaultServer) -> int:
    """Return how many requests the server received, after it has read what killed senders left on the wire."""
    assert server.ledger.wait(lambda ledger: all(connection.closed for connection in ledger.connections), 60)
    return len(server.ledger.requests)
