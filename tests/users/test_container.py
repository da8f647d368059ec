"""Building the image, as far as it goes without a container engine: what is copied is enough to install from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.examples.test_scheduled import dockerfile

from .conftest import ROOT, Machine

pytestmark = pytest.mark.timeout(1200)  # the machine may have to be made first


def test_pip_can_install_what_the_image_wants_from_what_is_copied_into_it(machine: Machine, tmp_path: Path) -> None:
    for step, rest in dockerfile():
        if step == "COPY" and not rest.startswith("--from"):
            *sources, place = rest.split()
            for source in sources:
                _copy(ROOT / source, tmp_path / place)
    [line] = [rest for step, rest in dockerfile() if step == "RUN" and "pip install" in rest]
    assert line.startswith("/venv/bin/pip install ")
    done = subprocess.run(
        ["sh", "-c", line.replace("/venv/bin/pip install", f"{machine.python} -m pip install --dry-run")],
        cwd=tmp_path,
        env=machine.variables(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for package in ("bulk-sender-", "apprise-", "opentelemetry-sdk-"):
        assert package in done.stdout.rpartition("Would install")[2].replace("_", "-")


def _copy(source: Path, place: Path) -> None:
    """As COPY does: what is in a folder, and a file into a place that is a folder or under a new name."""
    if source.is_dir():
        shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, place)
