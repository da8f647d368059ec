from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.kit.command import Place, end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_at_the_url_it_prints_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    place = Place(tmp_path)
    process = place.start("sandbox")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{url}/_sandbox/ledger", timeout=10) as answer:
        assert json.load(answer)["requests"] == 0
    if number is signal.SIGTERM:
        taken = place.run("sandbox", "--port", url.rpartition(":")[2])
        assert taken.code == 2
        assert "cannot start" in taken.err
    done = end(process, number)
    assert done.code == 0
    assert "0 requests" in done.err
    assert "0 recipients collapsed" in done.err


def test_names_the_weathers_there_are(tmp_path: Path) -> None:
    done = Place(tmp_path).run("sandbox", "--weather", "frog")
    assert done.code == 2
    assert "calm, slow, throttled, lost-answers, outage or storm" in done.err


def test_shows_the_state_and_the_message_it_was_given(tmp_path: Path) -> None:
    place = Place(tmp_path)
    message = place.write("message.json", '{"v1": {"channel": "sms", "body": "Hello"}}')
    process = place.start("sandbox", "--state", "draft", "--message", message)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    asked = urllib.request.Request(f"{url}/campaigns/details?campaign_id=c", headers={"authorization": "Bearer k"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        shown = json.load(answer)
    assert (shown["draft"], shown["messages"]) == (True, {"v1": {"channel": "sms", "body": "Hello"}})
    assert end(process, signal.SIGTERM).code == 0


@pytest.mark.parametrize("content", [None, "text"])
def test_says_that_a_message_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    place = Place(tmp_path)
    if content is not None:
        place.write("message.json", content)
    done = place.run("sandbox", "--message", tmp_path / "message.json")
    assert done.code == 2
    assert "--message" in done.err
    assert "message.json" in done.err.replace("\n", "")


def test_names_the_states_there_are(tmp_path: Path) -> None:
    done = Place(tmp_path).run("sandbox", "--state", "frog")
    assert done.code == 2
    assert "live, paused, stopped, archived or draft" in done.err


def test_names_the_rare_answers_there_are(tmp_path: Path) -> None:
    done = Place(tmp_path).run("sandbox", "--answers", "frog")
    assert done.code == 2
    assert "usual, errors, errors-by-index" in done.err


@pytest.mark.parametrize("strict", [False, True])
def test_says_what_had_no_effect_and_fails_if_it_is_strict(tmp_path: Path, strict: bool) -> None:
    place = Place(tmp_path)
    process = place.start("sandbox", *(["--strict"] if strict else []))
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    body = {"campaign_id": "c", "recipients": [{"external_user_id": "u"}] * 2}
    headers = {"authorization": "Bearer k", "content-type": "application/json"}
    posted = urllib.request.Request(f"{url}/campaigns/trigger/send", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(posted, timeout=10) as answer:
        assert answer.status == 201
    done = end(process, signal.SIGTERM)
    assert "1 request, 1 accepted with 1 recipient" in done.err
    assert "1 recipient collapsed: the same person twice in one request" in done.err
    assert done.code == (1 if strict else 0)
