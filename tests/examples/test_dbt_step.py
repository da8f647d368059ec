from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.examples.conftest import EXAMPLES, Stage
from tests.kit.sandbox import run_in_thread


def step(stage: Stage, source: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [EXAMPLES / "dbt_step.sh", source, stage.job, "winter-2026-11-24"],
        cwd=stage.folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PAUSE_S": "0",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_step_sends_once_however_often_it_is_run(stage: Stage) -> None:
    source = stage.recipients("winter.csv", 120)
    for _ in range(2):
        done = step(stage, source)
        assert done.returncode == 0, done.stderr
    assert stage.accepted() == 120


def test_a_run_that_stopped_is_tried_again_and_then_given_up_with_its_own_code(stage: Stage) -> None:
    source = stage.recipients("winter.csv", 120)
    with run_in_thread(campaigns=["another"]) as braze:
        done = step(stage, source, BRAZE_ENDPOINT=braze.url, TRIES="2")
    assert done.returncode == 3, done.stderr
    assert done.stderr.count('"event": "run_finished"') == 2


def test_a_refusal_is_not_tried_again(stage: Stage) -> None:
    done = step(stage, stage.folder / "missing.csv")
    assert done.returncode == 2
    assert done.stderr.count('"event": "error"') == 1


def test_rejected_rows_alone_can_be_let_pass(stage: Stage) -> None:
    source = stage.recipients("winter.csv", 10)
    source.write_text(source.read_text().replace("\n", ",a\n") + ",b\n")
    assert step(stage, source).returncode == 1
    assert step(stage, source, REJECTED_ROWS_ARE_FINE="yes").returncode == 0
