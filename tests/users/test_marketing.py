"""A person with a spreadsheet and a terminal, who types what the program shows, and says yes."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.reporting.markup import read

from .conftest import Desk, Machine

pytestmark = pytest.mark.timeout(1200)  # the machine may have to be made first

FIXED = {"Customer no": "009999", "Order total": "25.00", "Basket": ""}
"""What goes into the three cells that are wrong in the sample."""


@pytest.mark.parametrize("width", [80, 40])
def test_from_a_spreadsheet_to_a_finished_send_by_what_the_program_shows(
    machine: Machine, tmp_path: Path, width: int
) -> None:
    desk = Desk(machine, tmp_path)
    shutil.copy(machine.folder / "sample_data" / "customers.csv", tmp_path)

    code, shown = desk.types("bulk-sender init customers.csv", width=width)
    assert code == 0
    said = " ".join(shown.split())
    assert "only people who agreed in 'Newsletter' get the message; left out: 'false' (14)" in said
    code, shown = desk.types(_command("check", shown), width=width)
    assert code == 1  # three rows can't go
    assert "'free' is not a number" in " ".join(shown.split())
    code, shown = desk.types(_command("send", shown), width=width, say="y")
    assert code == 1
    assert "Send to 181 recipients? [y/N] y" in shown
    [run] = (path for path in (tmp_path / "bulk-sender-runs").iterdir() if path.is_dir())
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["accepted"], summary["rejected"], summary["duplicate"]) == (181, 3, 2)
    _the_report_says_the_same(run / "report.html", summary)

    again = _command("send", shown)
    _fix(run / "rejected.csv")
    code, shown = desk.types(again, width=width, say="y")
    assert code == 0, shown
    assert "warning" not in shown
    assert re.search(r"^ *3  accepted\r?$", shown, re.MULTILINE)
    [fixed] = [other for other in (tmp_path / "bulk-sender-runs").iterdir() if other != run and other.is_dir()]
    with (fixed / "results.csv").open() as lines:
        assert "009999" in {row["identifier"] for row in csv.DictReader(lines)}

    code, shown = desk.types("bulk-sender runs", width=width)
    assert code == 0
    assert run.name in shown
    assert fixed.name in shown


def _command(verb: str, shown: str) -> str:
    """The only command of that name on the screen. It is one line, so that it can be copied."""
    [found] = {line.strip() for line in shown.splitlines() if line.strip().startswith(f"bulk-sender {verb} ")}
    return found


def _fix(rejects: Path) -> None:
    """Put right what the last column says is wrong. The file is written like the input, with semicolons."""
    with rejects.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, delimiter=";")
        rows = list(reader)
    assert len(rows) == len(FIXED)
    for row in rows:
        [column] = [name for name in FIXED if f"column '{name}'" in row["error"]]
        row[column] = FIXED[column]
    with rejects.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, reader.fieldnames or [], delimiter=";")
        writer.writeheader()
        writer.writerows(rows)


def _the_report_says_the_same(report: Path, summary: dict[str, Any]) -> None:
    words = read(report.read_text(encoding="utf-8")).words()
    for status in ("accepted", "rejected", "duplicate", "failed", "unknown", "not_sent"):
        assert re.search(rf"\b{summary[status]:,} {status.replace('_', ' ')}\b", words), status
    assert summary["run_id"] in words
