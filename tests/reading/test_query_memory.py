"""A query with a million rows takes flat memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.command import environment

_CHECK = """
import re, sqlite3, sys
from pathlib import Path
import duckdb
import bulk_sender as bs

for rows in map(int, sys.argv[2:]):
    if sys.argv[1] == "duckdb":
        given = duckdb.sql(
            "select 'user-' || i as external_user_id, i as \\"trigger_properties.n\\", 'name ' || i as name "
            f"from range({rows}) t(i)"
        )
    else:
        given = sqlite3.connect(":memory:").execute(
            "with recursive t(i) as (select 0 union all select i + 1 from t where i + 1 < ?) "
            "select 'user-' || i as external_user_id, i as \\"trigger_properties.n\\", 'name ' || i as name from t",
            (rows,),
        )
    report = bs.check(given)
    status = Path("/proc/self/status").read_text()
    print(report.valid, int(re.search(r"VmHWM:\\s+([0-9]+) kB", status)[1]) // 1024)
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")


@pytest.mark.parametrize("kind", ["duckdb", "sqlite"])
def test_memory_grows_by_little_with_the_rows_of_a_query(kind: str) -> None:
    """One process checks few rows, then many: what it used at most can only grow."""
    sizes = ["300000", "1000000"]  # with 300,000, what finds duplicates already has files
    done = subprocess.run(
        [sys.executable, "-c", _CHECK, kind, *sizes], env=environment(), capture_output=True, text=True, check=True
    )
    (few, before), (many, after) = (line.split() for line in done.stdout.splitlines())
    assert [few, many] == sizes
    assert int(after) - int(before) < 70
