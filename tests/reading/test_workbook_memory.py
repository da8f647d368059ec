"""A million rows of a workbook take flat memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.command import environment
from tests.kit.workbooks import book

_CHECK = """
import re, sys
from pathlib import Path
from bulk_sender import check
report = check(sys.argv[1])
peak = re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())
print(report.valid, int(peak[1]) // 1024)
"""
"""The peak of this program alone: that of getrusage includes the process that started it."""


pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")


def _peak_mb(path: Path) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", _CHECK, str(path)], env=environment(), capture_output=True, text=True, check=True
    )
    valid, peak = map(int, done.stdout.split())
    return valid, peak


def _book(path: Path, count: int) -> Path:
    """Six columns: an id with zeros, a text that no other row has, two numbers, a date, true or false."""
    texts = "".join(f"<si><t>name {n} &amp; co</t></si>" for n in range(count))
    titles = "".join(
        f'<c r="{letter}1" t="str"><v>{name}</v></c>'
        for letter, name in zip("ABCDEF", ["external_user_id", "name", "amount", "count", "day", "flag"], strict=True)
    )
    lines = (
        f'<row r="{n + 2}" spans="1:6"><c r="A{n + 2}" s="1"><v>{n}</v></c><c r="B{n + 2}" t="s"><v>{n}</v></c>'
        f'<c r="C{n + 2}"><v>{n}.25</v></c><c r="D{n + 2}"><v>{n % 90}</v></c><c r="E{n + 2}" s="2">'
        f'<v>{46000 + n % 90}</v></c><c r="F{n + 2}" t="b"><v>{n % 2}</v></c></row>'
        for n in range(count)
    )
    sheet = f'<sheetData><row r="1">{titles}</row>{"".join(lines)}</sheetData>'
    return book(path, sheet, shared=texts, formats=["00000000", "yyyy-mm-dd"])


def test_memory_grows_by_little_with_the_rows(tmp_path: Path) -> None:
    few, small = _peak_mb(_book(tmp_path / "few.xlsx", 20_000))
    path = _book(tmp_path / "many.xlsx", 120_000)
    (many, large), (_, again) = _peak_mb(path), _peak_mb(path)
    large = min(large, again)  # how much of its libraries the system maps varies by 15 MB
    assert (few, many) == (20_000, 120_000)
    assert large - small < 60


@pytest.mark.soak
def test_a_million_rows_take_less_than_400_mb(tmp_path: Path) -> None:
    valid, peak = _peak_mb(_book(tmp_path / "million.xlsx", 1_000_000))
    assert valid == 1_000_000
    assert peak < 400
