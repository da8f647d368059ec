from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.conftest import EXAMPLES, Stage

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("airflow") is None,
        reason="Airflow is not installed: examples/README.md says how to run this",
    ),
    pytest.mark.timeout(1600),
]

DAG = """
import os, sys
from datetime import UTC, datetime
from airflow.sdk import dag
from airflow_task import send_to_braze

@dag(dag_id="winter", schedule=None, start_date=datetime(2026, 1, 1))
def winter():
    sources = os.environ["SOURCES"].split(os.pathsep)
    send_to_braze.override(retries=0).partial(config=os.environ["WINTER_CONFIG"]).expand(source=sources)

a_dag = winter()
if __name__ == "__main__":
    day = datetime(2026, 2, 1, tzinfo=UTC)
    run = a_dag.test(logical_date=day, run_after=day)
    print("STATE", run.state, run.run_id)
"""


@pytest.fixture
def environment(stage: Stage, tmp_path: Path) -> dict[str, str]:
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES), str(EXAMPLES.parent)]),
    }
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "winter.py").write_text(DAG)
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1000, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return environment


def run_dag(stage: Stage, environment: dict[str, str], *sources: Path) -> str:
    environment = environment | {"SOURCES": os.pathsep.join(map(str, sources))}
    command = [sys.executable, str(stage.folder / "dags" / "winter.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1000, check=False)
    [state] = [line for line in done.stdout.splitlines() if line.startswith("STATE")] or [done.stdout + done.stderr]
    return state


def test_mapped_tasks_are_runs_of_their_own_and_a_repetition_of_the_dag_run_sends_nothing_again(
    stage: Stage, environment: dict[str, str]
) -> None:
    sources = stage.recipients("one.csv", 120), stage.recipients("two.csv", 80)
    first = run_dag(stage, environment, *sources)
    assert "success" in first, first
    assert stage.accepted() == 200
    assert len(list(stage.runs.iterdir())) == 2
    again = run_dag(stage, environment, *sources)
    assert again == first
    assert stage.accepted() == 200
    assert len(list(stage.runs.iterdir())) == 2
