"""The account and the limits of the soak of hours, ``python -m tests.crash.endurance``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.crash.endurance import RUN, Figures, FlatLedger, Minute, account, write_input
from tests.kit.accounts import LOST, Fate, journal_of, taken

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")


def body(*rows: int) -> bytes:
    return json.dumps({"recipients": [{"external_user_id": f"u{row}"} for row in rows]}).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of 150 rows: 50 accepted, 50 unknown, 50 not sent."""
    write_input(tmp_path / "in.csv", 150)
    folder = tmp_path / RUN
    folder.mkdir()
    fates = [Fate((("accepted", taken("d1")),)), Fate((("unknown", LOST),))]
    journal_of(folder, tmp_path / "in.csv", fates).close()
    return folder


def ledger(folder: Path, *batches: range) -> FlatLedger:
    made = FlatLedger(150, folder / "journal.sqlite")
    for number, rows in enumerate(batches):
        made.accept(number, body(*rows), f"d{number}", "ok")
    return made


def found(folder: Path, *batches: range) -> dict[str, int]:
    server = ledger(folder, *batches)
    server.save(folder / "bits")
    return account(folder, (folder / "bits").read_bytes(), 150, server.figures())


def test_a_run_that_says_what_the_server_took_is_right(folder: Path) -> None:
    right = {"rows": 150, "doubt": 50, "lost": 0, "ghosts": 0, "orphans": 0, "twice": 0, "unannounced": 0}
    assert found(folder, range(50)) == found(folder, range(50), range(50, 100)) == right


def test_what_the_run_says_wrongly_is_counted(folder: Path) -> None:
    assert found(folder, range(49))["ghosts"] == 1
    assert found(folder, range(50), range(99, 103))["orphans"] == 3
    assert found(folder, range(50), range(5))["twice"] == 5


def test_a_request_without_an_intent_is_counted(folder: Path) -> None:
    server = ledger(folder)
    server.read_whole(1, 1, 1, body(1))
    assert server.figures()["unannounced"] == 1


@pytest.mark.parametrize(
    ("change", "breach"),
    [
        ({}, None),
        ({"rss": 400.0}, "the sender's memory grows"),
        ({"server_rss": 400.0}, "the server's memory grows: it measures nothing any more"),
        ({"files": 200}, "descriptors grow"),
        ({"rate": 5.0}, "the rate: 59.9 a second of 69.4"),
    ],
)
def test_each_limit_is_a_breach(change: dict[str, Any], breach: str | None) -> None:
    usual = {"rate": 69.0, "rss": 200.0, "files": 45, "server_rss": 100.0}
    figures = Figures(69.4, [*(Minute(number, **usual) for number in range(1, 15)), Minute(15, **usual | change)])
    if "rate" in change:
        figures.minutes[-2:] = [Minute(14, **usual | change), Minute(15, **usual | change)]
    figures.judge(0.9, "")
    assert figures.breaches == ([breach] if breach else [])
    assert len(list(figures.table())) > 10


def test_a_wrong_account_is_a_breach() -> None:
    figures = Figures(1.0, [Minute(1, rate=1.0)], account={"rows": 10, "doubt": 3, "twice": 2, "lost": 0})
    figures.judge(0.9, "Traceback (most recent call last):")
    assert figures.breaches[0] == "the account: {'twice': 2}"
    assert "a traceback" in figures.breaches[1]
