"""Workers on Ray and on Spark: what happens is in ``on_ray.py`` and ``on_spark.py``, each in a network for itself.

Both are started from one file, so that they run one after the other: each needs most of a machine.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.network import in_own_network
from tests.kit.tools import required


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("spark", "pyspark")])
def test_workers_of_an_engine_send_each_row_once_whatever_dies(engine: str, package: str) -> None:
    if not required():
        pytest.importorskip(package)
        if engine == "spark" and shutil.which("java") is None:
            pytest.skip("needs Java")
    acts = Path(__file__).with_name(f"on_{engine}.py")
    command = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", "--durations=10", str(acts)]
    done = subprocess.run(in_own_network(*command), capture_output=True, text=True, timeout=540, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
