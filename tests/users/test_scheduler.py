"""A job at three in the morning: nobody there, no terminal, and a machine that is shut down in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
from datetime import date
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from bulk_sender.sandbox import RunningSandbox
from tests.kit.command import Outcome, end, until
from tests.kit.target import CAMPAIGN, KEY

from .conftest import Machine

pytestmark = pytest.mark.timeout(1200)  # the machine may have to be made first

ROWS = 1500


class Job:
    """The line in the crontab; it is the same at every try."""

    def __init__(self, machine: Machine, folder: Path, braze: RunningSandbox) -> None:
        self.run = f"job-{date.today()}"
        self.folder = folder
        self.metrics = folder / "winter.prom"
        key = folder / "key"
        key.write_text(KEY)
        key.chmod(0o600)
        (folder / "winter.csv").write_text(
            "external_user_id\n" + "".join(f"user-{number:05}\n" for number in range(ROWS))
        )
        self._variables = machine.variables(BRAZE_API_KEY_FILE=str(key), BRAZE_ENDPOINT=braze.url)
        self._line = (
            f"bulk-sender send winter.csv --campaign-id {CAMPAIGN} --run-id {self.run} --rate 15/second "
            f"--yes --json --log-format json --metrics-file {self.metrics}"
        )

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["/bin/sh", "-c", f"exec {self._line}"],
            cwd=self.folder,
            env=self._variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # as cron does: no terminal at all
        )

    def summary(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(
            (self.folder / "bulk-sender-runs" / self.run / "summary.json").read_text(encoding="utf-8")
        )
        return found

    def measured(self) -> dict[str, float]:
        """The metrics file, by metric and by the label state or status where there is one."""
        return {
            " ".join([sample.name, *(sample.labels[name] for name in ("state", "status") if name in sample.labels)]): (
                sample.value
            )
            for family in openmetrics(self.metrics.read_text())
            for sample in family.samples
        }


def test_the_same_line_until_it_is_done_sends_everybody_once(
    machine: Machine, tmp_path: Path, braze: RunningSandbox
) -> None:
    job = Job(machine, tmp_path, braze)

    first = job.start()
    until(lambda: braze.ledger.accepted_requests >= 3)
    cut = end(first, signal.SIGTERM)
    assert cut.code == 143, cut.err
    _is_told(job, cut, "interrupted")
    assert cut.json["unknown"] == 0  # requests under way were let end
    assert 0 < cut.json["accepted"] == braze.ledger.accepted_recipients < ROWS

    second = end(job.start())
    assert second.code == 0, second.err
    _is_told(job, second, "finished")
    assert second.json["accepted"] == ROWS

    requests = braze.ledger.requests
    third = end(job.start())
    assert third.code == 0, third.err
    assert third.json == second.json
    assert [event["event"] for event in third.events] == ["run_finished"]
    assert braze.ledger.requests == requests
    assert braze.ledger.recipients == {f"external_user_id:user-{number:05}": 1 for number in range(ROWS)}


def _is_told(job: Job, told: Outcome, state: str) -> None:
    """Log, standard output, summary file and metrics file say the same."""
    events = told.events  # each line is JSON
    assert events[0]["event"] == "run_started"
    assert events[-1]["event"] == "run_finished"
    assert told.json == job.summary()
    assert told.json["state"] == events[-1]["state"] == state
    measured = job.measured()
    assert measured[f"bulk_sender_run_state {state}"] == 1
    assert measured["bulk_sender_run_exit_code"] == events[-1]["exit_code"] == told.code
    for status in ("accepted", "rejected", "duplicate", "failed", "unknown", "not_sent"):
        assert measured[f"bulk_sender_rows {status}"] == events[-1][status] == told.json[status]
