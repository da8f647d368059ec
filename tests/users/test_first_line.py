"""The README's first line, on a machine with nothing but Python."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .conftest import Machine

pytestmark = pytest.mark.timeout(1200)  # the machine may have to be made first


def test_it_ends_with_the_six_counts_and_the_place_of_the_results(machine: Machine) -> None:
    assert machine.code == 0, machine.told
    [run] = (path for path in (machine.folder / "bulk-sender-runs").iterdir() if path.is_dir())
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["state"], summary["rejected"]) == ("finished", 8)  # wrong on purpose, as the README says
    for status in ("unknown", "failed", "rejected", "not_sent", "accepted", "duplicate"):
        assert f"{summary[status]:,}  {status.replace('_', ' ')}\n" in machine.told
    assert f"bulk-sender-runs/{run.name}\n" in machine.told
    assert "Traceback" not in machine.told


def test_the_environment_has_what_was_asked_for_and_it_fits_together(machine: Machine, tmp_path: Path) -> None:
    def runs(*arguments: str) -> str:
        return subprocess.run(
            [machine.python, *arguments],
            cwd=tmp_path,
            env=machine.variables(),
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        ).stdout

    runs("-m", "pip", "check")
    where = runs("-c", "import bulk_sender, httptools, orjson, uvloop; print(bulk_sender.__file__)").strip()
    assert Path(where).is_relative_to(machine.folder / ".venv")
