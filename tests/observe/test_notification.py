from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from bulk_sender.config.model import NotifyConfig
from bulk_sender.observe.notification import LONG_WAIT_S, Notification
from tests.kit.jobs import braze, options, recipients
from tests.kit.target import CAMPAIGN, ENVIRONMENT
from tests.observe.moments import beginning, ending, moment


class Hook:
    """A webhook on loopback; ``words`` are the JSON bodies it got."""

    def __init__(self) -> None:
        self.words: list[dict[str, Any]] = []
        self.came = threading.Event()
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.words.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                hook.came.set()
                self.send_response(hook.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self.server.server_port}/secret-path"


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    threading.Thread(target=hook.server.serve_forever, daemon=True).start()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


def with_hook(tmp_path: Path, url: str, hook_url: str, on: tuple[str, ...] = ("trouble", "end")) -> dict[str, Any]:
    environment = {**ENVIRONMENT, "BULK_SENDER_NOTIFY": hook_url}
    return options(tmp_path / "runs", url, config={"notify": {"on": list(on)}}, environment=environment, run_id="a")


def test_a_webhook_is_notified_at_the_end_with_counts_and_no_personal_data(tmp_path: Path, hook: Hook) -> None:
    pytest.importorskip("apprise")
    with braze() as running:
        bs.send(recipients(tmp_path), **with_hook(tmp_path, running.url, hook.url))
    [word] = hook.words
    assert word["title"] == "bulk-sender: run a finished"
    assert "accepted: 500" in word["message"]
    assert word["message"].startswith(f"recipients.csv to campaign {CAMPAIGN} on 127.0.0.1\n")
    assert word["type"] == "success"
    assert "sample-" not in json.dumps(word)


def test_a_rehearsal_is_called_one(tmp_path: Path, hook: Hook) -> None:
    pytest.importorskip("apprise")
    given = with_hook(tmp_path, "http://127.0.0.1:9", hook.url)
    bs.send(recipients(tmp_path), **given, sandbox=bs.Sandbox(weather="lost-answers"))
    assert {word["title"].split(":")[1].split(" a")[0] for word in hook.words} <= {
        " rehearsal",
        " trouble in rehearsal",
    }
    assert "the built-in sandbox, so nobody gets a message" in hook.words[-1]["message"]


def test_a_refusal_is_notified_and_in_the_metrics(tmp_path: Path, hook: Hook) -> None:
    pytest.importorskip("apprise")
    metrics = tmp_path / "job.prom"
    given = with_hook(tmp_path, "http://127.0.0.1:9", hook.url, ("trouble",))
    with pytest.raises(bs.InputError):
        bs.send(tmp_path / "missing.csv", **given, watch=bs.Watch(metrics_file=metrics))
    [word] = hook.words
    assert (word["title"], word["type"]) == ("bulk-sender: run a refused", "failure")
    assert "missing.csv" in word["message"]
    text = metrics.read_text()
    assert 'bulk_sender_run_state{name="job",state="refused"} 1' in text
    assert 'bulk_sender_run_exit_code{name="job"} 2' in text


def test_two_addresses_both_get_it(tmp_path: Path, hook: Hook) -> None:
    pytest.importorskip("apprise")
    with braze() as running:
        bs.send(recipients(tmp_path), **with_hook(tmp_path, running.url, f"{hook.url}  {hook.url}/2\n"))
    assert len(hook.words) == 2


def test_with_trouble_alone_a_good_end_is_silent_and_a_bad_one_is_not(tmp_path: Path, hook: Hook) -> None:
    pytest.importorskip("apprise")
    with braze(campaigns=["another"]) as running:
        stopped = bs.send(recipients(tmp_path), **with_hook(tmp_path, running.url, hook.url, ("trouble",)))
    assert stopped.state == "stopped"
    [word] = hook.words
    assert "bulk-sender resume a" in word["message"]
    with braze() as running:
        given = with_hook(tmp_path, running.url, hook.url, ("trouble",))
        bs.send(recipients(tmp_path), **given | {"run_id": "b"})
    assert len(hook.words) == 1


@pytest.mark.parametrize("fault", ["refused", "down"])
def test_a_receiver_in_trouble_never_disturbs_the_run_and_its_address_is_not_logged(
    fault: str, tmp_path: Path, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("apprise")
    hook.status = 500
    url = hook.url if fault == "refused" else "json://127.0.0.1:9/secret-path"
    with braze() as running, caplog.at_level(logging.DEBUG):
        summary = bs.send(recipients(tmp_path), **with_hook(tmp_path, running.url, url))
    assert (summary.state, summary.accepted) == ("finished", 500)
    assert "notification could not be sent" in caplog.text
    assert "secret-path" not in "".join(r.getMessage() for r in caplog.records if r.name.startswith(("bulk", "app")))


def test_an_unset_variable_and_an_invalid_address_are_refused_before_the_run() -> None:
    pytest.importorskip("apprise")
    with pytest.raises(bs.ConfigError, match="BULK_SENDER_NOTIFY, which is not set"):
        Notification.to(NotifyConfig(), {})
    with pytest.raises(bs.ConfigError, match="address 2 is not a valid Apprise URL") as refused:
        Notification.to(NotifyConfig(), {"BULK_SENDER_NOTIFY": "json://127.0.0.1 my-secret-word"})
    assert "my-secret-word" not in str(refused.value)


def test_without_the_extra_it_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(bs.ConfigError, match="not installed") as refused:
        Notification.to(NotifyConfig(), {"BULK_SENDER_NOTIFY": "json://127.0.0.1"})
    assert "pip install apprise" in refused.value.hint


class Words:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.came = threading.Event()

    def __call__(self, title: str, body: str, kind: str) -> bool:
        self.told.append(f"{title}\n{body}")
        self.came.set()
        return True


def test_trouble_is_notified_once_while_the_run_continues() -> None:
    words = Words()
    notification = Notification(words)
    notification.began(beginning(run_id="winter"))
    notification.moment(moment(accepted=100))
    assert not words.told
    for unknown in (50, 100, 150):
        notification.moment(moment(accepted=100, unknown=unknown))
    assert words.came.wait(25)
    assert len(words.told) == 1
    assert "trouble in run winter" in words.told[0]


def test_a_long_wait_is_trouble_and_short_ones_are_not() -> None:
    now = [0.0]
    words = Words()
    notification = Notification(words, clock=lambda: now[0])
    notification.began(beginning())
    for at, waiting_s in ((0.0, 60.0), (200.0, 0.0), (250.0, 60.0), (500.0, 60.0)):
        now[0] = at
        notification.moment(moment(waiting_s=waiting_s, waiting_for="Braze's rate limit to reset"))
    assert not words.told
    now[0] = 250.0 + LONG_WAIT_S
    notification.moment(moment(waiting_s=60.0, waiting_for="Braze's rate limit to reset"))
    assert words.came.wait(25)
    assert "rate limit" in words.told[0]


def test_a_notification_does_not_quote_braze() -> None:
    words = Words()
    notification = Notification(words)
    notification.began(beginning())
    notification.ended(ending(not_sent=5, state="stopped", reason="Braze refuses it: somebody@example.com"))
    assert "somebody" not in words.told[0]


def test_a_post_that_raises_is_logged_by_its_kind_alone(caplog: pytest.LogCaptureFixture) -> None:
    def broken(title: str, body: str, kind: str) -> bool:
        raise ConnectionError("https://hooks.example.com/secret")

    Notification(broken).ended(ending(accepted=1))
    assert "ConnectionError" in caplog.text
    assert "secret" not in caplog.text


def test_the_command_tells_of_it_in_its_own_form(tmp_path: Path) -> None:
    """One JSON object a line stays one JSON object a line."""
    pytest.importorskip("apprise")
    (tmp_path / "job.toml").write_text("[notify]\n")
    command = [sys.executable, "-m", "bulk_sender", "send", recipients(tmp_path), "--sandbox", "--yes"]
    done = subprocess.run(
        [*command, "--config", tmp_path / "job.toml", "--log-format", "json"],
        cwd=tmp_path,
        env={**os.environ, "BULK_SENDER_NOTIFY": "json://127.0.0.1:9/secret-path"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines()]
    [warning] = [event for event in events if event["event"] == "warning"]
    assert "notification could not be sent" in warning["message"]
    assert "secret-path" not in done.stderr
