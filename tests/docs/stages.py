"""What a page of the documentation takes for granted: files, earlier runs, and a Braze on loopback for yours.

A page calls its example run ``RUN``; that is a name a run may have, so there is one.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import polars as pl

import bulk_sender as bs
from bulk_sender.sandbox import RunningSandbox
from tests.kit.command import environment
from tests.kit.postgres import running
from tests.kit.ray_cluster import ray_cluster
from tests.kit.sandbox import run_in_thread
from tests.kit.target import CAMPAIGN, KEY

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stage:
    """A working directory with what a page takes for granted, and the Braze its commands send to.

    ``codes``: what commands exit with, by their beginnings, where it is not 0 and the page doesn't say it.
    ``instead``: what stands on the page, and what the test puts there. ``more``: of the environment.
    ``shell``: which one runs the commands.
    """

    folder: Path
    braze: RunningSandbox
    codes: Mapping[str, int] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)
    shell: str = "sh"

    @property
    def variables(self) -> dict[str, str]:
        path = f"{self.folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return environment(PATH=path, BRAZE_API_KEY=KEY, BRAZE_ENDPOINT=self.braze.url, **self.more)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def recipients(self, count: int, *more: str) -> None:
        """``customers.csv``, and the ``customers.toml`` that says what its columns are."""
        rows = [f"{number:06},Customer {number},{number % 90}" for number in range(1, count + 1)]
        self.write("customers.csv", "\n".join(["customer,name,age", *rows, *more]) + "\n")
        self.write(
            "customers.toml",
            f'[braze]\ncampaign_id = "{CAMPAIGN}"\n[recipient]\nexternal_user_id = "customer"\n'
            '[recipient.attributes]\nage = { column = "age", type = "integer" }\n[delivery]\nshare_rate = false\n',
        )

    def send(self, *options: str) -> int:
        """Make the run ``RUN`` of ``customers.csv``. Returns the exit code."""
        arguments = ("customers.csv", "--config", "customers.toml", "--run-id", "RUN", "--yes", *options)
        command = ["bulk-sender", "send", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.variables, capture_output=True, timeout=300, check=False
        ).returncode


def _furnished(folder: Path) -> Path:
    """A working directory with the source tree's samples and example configurations, and the program on the path."""
    for name in ("sample_data", "config"):
        shutil.copytree(ROOT / name, folder / "work" / name, ignore=shutil.ignore_patterns("__pycache__"))
    program = folder / "bin" / "bulk-sender"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m bulk_sender "$@"\n')
    program.chmod(0o755)
    return folder / "work"


@contextmanager
def _bare(folder: Path, weather: str = "calm") -> Iterator[Stage]:
    with run_in_thread(keys=[KEY], weather=weather) as braze:
        yield Stage(_furnished(folder), braze)


@contextmanager
def _readme(folder: Path) -> Iterator[Stage]:
    with _bare(folder) as stage:
        shutil.copy(stage.folder / "sample_data" / "customers.csv", stage.folder)
        yield replace(
            stage,
            codes={"bulk-sender check": 1, "bulk-sender send": 1},  # rows that are wrong on purpose
            instead={"BRAZE_API_KEY=…": f"BRAZE_API_KEY={KEY}", "https://rest.iad-01.braze.com": stage.braze.url},
        )


@contextmanager
def _tutorial(folder: Path) -> Iterator[Stage]:
    with _bare(folder) as stage:
        yield stage


@contextmanager
def _completion(folder: Path) -> Iterator[Stage]:
    with _bare(folder) as stage:
        home = folder / "home"
        home.mkdir()
        yield replace(stage, shell="bash", more={"HOME": str(home)})  # sh completes nothing
        assert (home / ".bash_completions" / "bulk-sender.sh").is_file()


@contextmanager
def _identifiers(folder: Path) -> Iterator[Stage]:
    with _bare(folder) as stage:
        yield replace(stage, codes={"bulk-sender check": 1})  # rows that are wrong on purpose


@contextmanager
def customers(folder: Path) -> Iterator[Stage]:
    with _bare(folder) as stage:
        stage.recipients(100)
        yield stage


@contextmanager
def _hours(folder: Path) -> Iterator[Stage]:
    with customers(folder) as stage:
        tomorrow = f"{date.today() + timedelta(days=1)}T18:00+01:00"
        yield replace(stage, instead={"18:00 Europe/Paris": tomorrow})


@contextmanager
def _stopped(folder: Path) -> Iterator[Stage]:
    """``RUN`` stands after its first ten rows."""
    with customers(folder) as stage:
        assert stage.send("--canary", "10") == 3
        yield stage


@contextmanager
def _resumed(folder: Path) -> Iterator[Stage]:
    with _stopped(folder) as stage:
        yield replace(stage, instead={"--run-id winter-2026-11-24": "--run-id RUN"})


@contextmanager
def _warehouse(folder: Path) -> Iterator[Stage]:
    """The customers in a database of DuckDB, and the query that selects them."""
    with customers(folder) as stage:
        with duckdb.connect(str(stage.folder / "warehouse.duckdb")) as database:
            table = str(stage.folder / "customers.csv")
            database.execute("CREATE TABLE audience AS FROM read_csv(?, all_varchar = true)", [table])
        stage.write("audience.sql", "SELECT * FROM audience ORDER BY customer\n")
        (stage.folder / "customers.toml").rename(stage.folder / "job.toml")
        yield stage


@contextmanager
def _failed(folder: Path) -> Iterator[Stage]:
    """``RUN`` has a row whose request was too large for a Braze that has a larger measure now, and a rejected one."""
    with run_in_thread(body_cap=900) as small:
        stage = Stage(_furnished(folder), small, codes={"bulk-sender retry": 1})  # the rejected row is still there
        stage.recipients(3, f"{'4' * 900},Customer 4,44", "000005,Customer 5,unknown")
        assert stage.send() == 1
    with run_in_thread(keys=[KEY], port=int(small.url.rpartition(":")[2])) as braze:
        yield replace(stage, braze=braze, more={"EDITOR": "sed -i s/unknown/40/"})


@contextmanager
def _doubtful(folder: Path) -> Iterator[Stage]:
    """``RUN`` has unknown rows, too young for Braze to be asked about, and a file that decides about some of them."""
    with _bare(folder, "lost-answers") as stage:
        stage.recipients(4750)
        assert stage.send() == 1
        unknown = bs.results("RUN", status="unknown", runs_dir=stage.folder / "bulk-sender-runs")
        first, second, third = unknown["batch"].unique().sort()[:3]
        rows = {batch: ",".join(map(str, unknown.filter(batch=batch)["row"])) for batch in (first, second)}
        stage.write("decided.csv", "row,verdict\n" + "".join(f"{row},accepted\n" for row in rows[second].split(",")))
        commands = ("reconcile", "resolve RUN --as accepted --rows", "resolve RUN --as failed --", "resolve RUN --from")
        yield replace(
            stage,
            codes={f"bulk-sender {command}": 1 for command in (*commands, "retry RUN --from")},
            instead={"508-557,1007": rows[first], "--batch 12": f"--batch {third}"},
        )


@contextmanager
def _scheduled(folder: Path) -> Iterator[Stage]:
    with customers(folder) as stage:
        (stage.folder / "customers.csv").rename(stage.folder / f"{date.today()}.csv")
        (stage.folder / "customers.toml").rename(stage.folder / "winter.toml")
        (stage.folder / "runs").mkdir()
        places = {"/data/winter": str(stage.folder), "/var/lib/bulk-sender/runs": str(stage.folder / "runs")}
        yield replace(stage, instead=places | {"--not-after 12:00": "--not-after 23:59:59"})


@contextmanager
def _database(folder: Path) -> Iterator[Stage]:
    """Journals are in a PostgreSQL server, which the page has elsewhere."""
    with running() as server, customers(folder) as stage:
        there = f"PGHOST=127.0.0.1 PGPORT={server.port} PGDATABASE=postgres PGUSER=postgres"
        elsewhere = "PGHOST=db.internal PGDATABASE=sends PGUSER=owner PGPASSFILE=/run/secrets/pgpass"
        yield replace(stage, instead={elsewhere: there}, more={"BULK_SENDER_JOURNAL": server.address})


@contextmanager
def _ray(folder: Path) -> Iterator[Stage]:
    """Journals are in PostgreSQL, and a Ray cluster of one node has the key."""
    with _database(folder) as stage:
        subprocess.run(["bulk-sender", "journal", "init"], env=stage.variables, capture_output=True, check=True)
        pl.read_csv(stage.folder / "customers.csv", infer_schema=False).write_parquet(
            stage.folder / "customers.parquet"
        )
        with ray_cluster(stage.variables, nodes=1) as ray:
            yield replace(stage, instead={}, more={**stage.more, "RAY_ADDRESS": ray.address})


ON_RAY = "docs/howto/cluster.md"
"""The page that needs a network for itself: tests/cluster runs it in one."""

STAGES: Mapping[str, Callable[[Path], AbstractContextManager[Stage]]] = {
    "README.md": _readme,
    "docs/tutorial.md": _tutorial,
    "docs/howto/big-send.md": customers,
    ON_RAY: _ray,
    "docs/howto/completion.md": _completion,
    "docs/howto/encodings.md": customers,
    "docs/howto/hours.md": _hours,
    "docs/howto/identifiers.md": _identifiers,
    "docs/howto/postgres.md": _database,
    "docs/howto/queries.md": _warehouse,
    "docs/howto/resume.md": _resumed,
    "docs/howto/retries.md": _failed,
    "docs/howto/schedule.md": _scheduled,
    "docs/howto/shared-rate.md": _stopped,
    "docs/howto/unknown-rows.md": _doubtful,
}
"""Every page with shell blocks."""
