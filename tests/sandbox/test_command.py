from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest

from bulk_sender.sandbox import read_ledger

from .command import Command
from .samples import CAMPAIGN_PATH, HEADERS, campaign

USER = {"external_user_id": "u1"}


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
    assert err.splitlines() == [
        "2 requests, 1 accepted with 1 recipient",
        "0 recipients collapsed, 0 refused by index, 0 attribute updates dropped, 0 people sent the same twice",
    ]
    assert len(list(read_ledger(path))) == 1


LOSSES = {
    "1 recipient collapsed: the same person twice in one request": [USER, USER],
    "1 recipient refused by index: not sent": [{"external_user_id": "x" * 988}],
    "1 attribute update dropped: null below the first level (1)": [USER | {"attributes": {"o": {"a": None}}}],
}


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("complaint", LOSSES)
def test_says_what_had_no_effect_and_fails_if_it_is_strict(complaint: str, strict: bool) -> None:
    with Command(*(["--strict"] if strict else [])) as sandbox:
        posted = httpx.post(f"{sandbox.url}{CAMPAIGN_PATH}", headers=HEADERS, json=campaign(*LOSSES[complaint]))
        assert posted.status_code == 201
        sandbox.process.send_signal(signal.SIGTERM)
        _, err = sandbox.process.communicate(timeout=20)
    assert err.splitlines()[2:] == [complaint]
    assert sandbox.process.returncode == (1 if strict else 0)


def test_a_message_sent_twice_is_a_complaint() -> None:
    with Command("--strict") as sandbox:
        for _ in range(2):
            httpx.post(f"{sandbox.url}{CAMPAIGN_PATH}", headers=HEADERS, json=campaign())
        sandbox.process.send_signal(signal.SIGTERM)
        _, err = sandbox.process.communicate(timeout=20)
    assert err.splitlines()[2:] == ["1 person sent the same campaign or Canvas more than once"]
    assert sandbox.process.returncode == 1


def test_prints_why_it_cannot_start() -> None:
    with Command() as first, Command("--port", first.url.rpartition(":")[2]) as second:
        _, err = second.process.communicate(timeout=20)
    assert second.process.returncode == 2
    assert err.startswith("the sandbox cannot start: ")
    assert "Traceback" not in err
