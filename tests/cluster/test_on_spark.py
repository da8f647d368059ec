"""Workers on Spark: what happens is in ``on_spark.py``, which runs in a network of its own."""

from __future__ import annotations

import shutil

import pytest

from tests.cluster.inside import pass_inside
from tests.kit.tools import required


def test_workers_on_spark_send_each_row_once_though_tasks_die() -> None:
    if shutil.which("java") is None and not required():
        pytest.skip("needs Java")
    pass_inside("spark")
