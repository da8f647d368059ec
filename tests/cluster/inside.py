"""Run the tests of an engine in a network of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.network import in_own_network
from tests.kit.tools import required

_PACKAGES = {"ray": "ray", "spark": "pyspark"}


def pass_inside(engine: str) -> None:
    """Fail unless all tests in ``on_ENGINE.py`` pass. Skip where the engine or such a network is not there."""
    if not required():
        pytest.importorskip(_PACKAGES[engine])
    acts = Path(__file__).with_name(f"on_{engine}.py")
    command = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", "--durations=10", str(acts)]
    done = subprocess.run(in_own_network(*command), capture_output=True, text=True, timeout=540, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
