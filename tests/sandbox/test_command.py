from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest

from bulk_sender.sandbox import read_ledger

from .command import Command
from .samples import CAMPAIGN_PATH, HEADERS, campaign


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_prints_its_url_first_and_stops_cleanly_on_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "ledger.ndjson"
    with Command("--ledger-file", str(path), "--campaign", "campaign-1") as sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")
        with httpx.Client(base_url=sandbox.url, headers=HEADERS) as client:  # the connection stays open
            assert client.post(CAMPAIGN_PATH, json=campaign()).status_code == 201
            assert client.post(CAMPAIGN_PATH, json=campaign(campaign_id="c2")).status_code == 400
            sandbox.process.send_signal(number)
            out, err = sandbox.process.communicate(timeout=20)
    assert sandbox.process.returncode == 0
    assert out == ""
    assert err == "2 requests, 1 accepted with 1 recipients\n"
    assert len(list(read_ledger(path))) == 1


def test_prints_why_it_cannot_start() -> None:
    with Command() as first, Command("--port", first.url.rpartition(":")[2]) as second:
        _, err = second.process.communicate(timeout=20)
    assert second.process.returncode == 2
    assert err.startswith("the sandbox cannot start: ")
    assert "Traceback" not in err
