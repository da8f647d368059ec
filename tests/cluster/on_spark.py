"""Spark, PostgreSQL and a server in one network: each row is sent once, though tasks die and Spark repeats them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bulk_sender.journal.place import Place, write_pointer
from tests.crash.nursery import until
from tests.faults import FaultServer
from tests.kit.target import KEY

ROOT = Path(__file__).parents[2]
ROWS, WORKERS, CONCURRENCY = 9000, 2, 4


class Job:
    """The program, and the journal of its run."""

    def __init__(self, folder: Path, place: Place, server: FaultServer) -> None:
        self.folder, self.place, self.server = folder, place, server
        self.config = folder / "job.toml"
        self.config.write_text(
            '[braze]\ncampaign_id = "c1"\n[guard]\npreflight = false\n[delivery]\n'
            f'rate = "6/second"\nconcurrency = {CONCURRENCY}\ntimeout = 10\n'
        )
        self.runs, self.store = folder / "runs", folder / "lake"
        self.runs.mkdir()
        write_pointer(self.runs, place)  # for its short time to live

    def start(self, **environment: str) -> subprocess.Popen[str]:
        given = {"BRAZE_API_KEY": KEY, "BRAZE_ENDPOINT": self.server.url, "SPARK_LOCAL_IP": "127.0.0.1"}
        command = [sys.executable, "-m", "tests.cluster.spark_job"]
        command += [str(it) for it in (self.config, self.runs, self.store, ROWS, WORKERS)]
        with (self.folder / "err").open("w") as err:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **given, **environment},
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.place.address, autocommit=True) as connection:
            connection.execute(f"SET search_path = {self.place.schema}")
            return connection.execute(text).fetchall()

    def workers(self) -> list[int]:
        """The processes that have sent something for the run, beside the one that leads."""
        found = self.sql(
            "SELECT pid FROM epoch WHERE command = 'join' AND fenced_at IS NULL AND ended_at IS NULL"
            " AND id IN (SELECT epoch FROM attempt)"
        )
        return [pid for (pid,) in found]

    def err(self) -> str:
        return (self.folder / "err").read_text()


@pytest.fixture
def job(tmp_path: Path, here: Place) -> Iterator[Job]:
    with FaultServer() as server:
        yield Job(tmp_path, here, server)


def test_each_row_is_sent_once_though_a_task_dies(job: Job) -> None:
    program = job.start(PYSPARK_PYTHON=sys.executable)
    try:
        until(lambda: program.poll() is not None or len(job.workers()) == WORKERS, 120)
        assert program.poll() is None, job.err()
        os.kill(job.workers()[0], signal.SIGKILL)
        out, _ = program.communicate(timeout=120)
    finally:
        program.kill()
    assert program.returncode == 0, job.err()
    first, again = json.loads(out)
    assert first["rows"] == ROWS and first["accepted"] + first["unknown"] == ROWS
    assert first["unknown"] <= 50 * CONCURRENCY
    assert again["accepted"] == first["accepted"] and again["requests"] == first["requests"]
    taken: Counter[str] = job.server.ledger.accepted_ids()
    assert max(taken.values()) == 1
    assert first["accepted"] <= len(taken) <= ROWS
    assert job.sql("SELECT count(*) FROM epoch WHERE command = 'join'")[0][0] > WORKERS
    assert not any(job.store.iterdir())
    assert KEY not in job.err()
    events = "".join(path.read_text() for path in job.folder.glob("events/**/*") if path.is_file())
    assert '"spark.speculation":"true"' in events and "workers of bulk-sender" in events
    assert KEY not in events and job.place.address not in events


def test_a_wrong_python_of_the_executors_is_refused_in_words(job: Job) -> None:
    program = job.start(PYSPARK_PYTHON="/nowhere/python3")
    out, _ = program.communicate(timeout=120)
    assert program.returncode == 2, job.err()
    assert "executors cannot run bulk-sender: java.io.IOException: error=2, No such file or directory" in job.err()
    assert "set PYSPARK_PYTHON to a Python of the executors" in job.err()
    assert not out and not job.server.ledger.requests
