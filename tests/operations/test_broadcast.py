"""A broadcast goes out once, to nobody by name, after it was confirmed; and its journal says what became of it."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bulk_sender as bs
from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.braze.endpoint import BROADCAST_RATE, Endpoint, broadcast_endpoint, endpoint
from bulk_sender.config.model import Config
from bulk_sender.config.rate import Rate
from bulk_sender.delivery.guard import Guard
from bulk_sender.errors import ConfigError, GuardrailError, InputError, RunMismatchError
from bulk_sender.journal.answers import BatchState
from bulk_sender.journal.records import Batch
from bulk_sender.observe.events import Progress
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.preview import BroadcastPreview
from tests.kit.journals import read
from tests.kit.sandbox import run_in_thread
from tests.kit.scripted import Answer, scripted
from tests.kit.target import ENVIRONMENT

ROOT = Path(__file__).parents[2]
AUDIENCE = {"AND": [{"email_subscription_status": {"comparison": "is", "value": "opted_in"}}]}
TAKEN = Answer(201, {"dispatch_id": "dispatch-1", "message": "success"})


class Bench:
    def __init__(self, runs: Path) -> None:
        self.runs = runs

    def broadcast(self, url: str, confirm_campaign: str | None = "c1", **options: Any) -> Summary:
        config = {"braze": {"endpoint": url, "campaign_id": "c1"}, "message": {"audience": AUDIENCE}}
        given: dict[str, Any] = {"run_id": "b", "runs_dir": self.runs, "environment": ENVIRONMENT} | options
        config |= given.pop("config", {})
        return bs.broadcast(config, confirm_campaign=confirm_campaign, **given)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "runs")


def status(summary: Summary) -> str:
    assert summary.broadcast is not None
    return summary.broadcast.status


# ----- what goes out


def test_one_request_leaves_without_recipients(bench: Bench) -> None:
    message = {"audience": AUDIENCE, "trigger_properties": {"season": "spring"}}
    with scripted(lambda *_: TAKEN) as braze:
        summary = bench.broadcast(
            braze.url,
            config={"message": message, "braze": {"endpoint": braze.url, "campaign_id": "c1", "send_id": "s"}},
        )
    assert braze.requests == [
        (
            "/campaigns/trigger/send",
            {
                "campaign_id": "c1",
                "send_id": "s",
                "broadcast": True,
                "trigger_properties": {"season": "spring"},
                "audience": AUDIENCE,
            },
        )
    ]
    assert summary.broadcast is not None
    assert (summary.broadcast.status, summary.broadcast.dispatch_id) == ("accepted", "dispatch-1")
    assert (summary.state, summary.exit_code, summary.requests, summary.rows) == ("finished", 0, 1, 0)


def test_braze_takes_it_for_a_campaign_and_for_a_canvas(bench: Bench) -> None:
    canvas = {"canvas_id": "k1", "canvas_properties_name": "context"}
    with run_in_thread() as sandbox:
        assert status(bench.broadcast(sandbox.url)) == "accepted"
        summary = bench.broadcast(
            sandbox.url,
            confirm_campaign="k1",
            run_id="canvas",
            config={"braze": {"endpoint": sandbox.url} | canvas, "message": {"context": {"season": "spring"}}},
        )
    assert status(summary) == "accepted"
    assert sandbox.ledger.broadcasts == 2
    assert sandbox.ledger.accepted_recipients == 0


@given(recipients=st.binary(max_size=20), broadcast=st.booleans())
def test_a_body_never_names_people_and_broadcasts_at_once(recipients: bytes, broadcast: bool) -> None:
    place = Endpoint("http://127.0.0.1", b"{", b"}", broadcast=broadcast)
    if bool(recipients) is broadcast:
        with pytest.raises(AssertionError):
            place.body(recipients)
    else:
        assert place.body(recipients) == b"{" + recipients + b"}"


def test_each_endpoint_says_what_it_is_in_its_body() -> None:
    config = Config.parse({"braze": {"endpoint": "http://127.0.0.1", "campaign_id": "c1"}}, where="the test")
    named = json.loads(endpoint(config.braze, config.message).body(b'{"external_user_id":"u1"}'))
    assert named["broadcast"] is False and len(named["recipients"]) == 1
    alone = json.loads(broadcast_endpoint(config.braze, config.message).body(b""))
    assert alone["broadcast"] is True and "recipients" not in alone


def test_a_request_of_another_kind_than_its_run_never_leaves() -> None:
    config = Config.parse({"braze": {"endpoint": "http://127.0.0.1", "campaign_id": "c1"}}, where="the test")
    people, nobody = Batch(1, 1, 0, 2), Batch(1, 1, 0, 0)
    guard = Guard(endpoint(config.braze, config.message))
    guard.planned(people)
    assert guard.refuses(people) == ""
    assert Guard(broadcast_endpoint(config.braze, config.message), broadcast=True).refuses(nobody) == ""
    assert "broadcast = false" in Guard(broadcast_endpoint(config.braze, config.message)).refuses(nobody)
    assert "broadcast = true" in Guard(endpoint(config.braze, config.message), broadcast=True).refuses(people)
    assert "0 recipients" in Guard(endpoint(config.braze, config.message)).refuses(nobody)
    assert "2 recipients" in Guard(broadcast_endpoint(config.braze, config.message), broadcast=True).refuses(people)


def test_a_broadcast_is_refused_a_second_time_by_the_guard_alone() -> None:
    config = Config.parse({"braze": {"endpoint": "http://127.0.0.1", "campaign_id": "c1"}}, where="the test")
    guard, batch = Guard(broadcast_endpoint(config.braze, config.message), broadcast=True), Batch(1, 1, 0, 0)
    assert guard.refuses(batch) == ""
    guard.ended(batch, Outcome(Verdict.UNKNOWN))
    assert "sent again" in guard.refuses(batch)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"recipient": {"external_user_id": "id"}}, "recipient"),
        ({"message": {"attachments": [{"file_name": "a", "url": "https://shop.example.com/a.pdf"}]}}, "attachments"),
        ({"braze": {"endpoint": "http://127.0.0.1:9"}}, "no campaign"),
    ],
    ids=["recipients", "attachments", "no campaign"],
)
def test_what_cannot_go_with_a_broadcast_is_refused(bench: Bench, config: Mapping[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        bench.broadcast("http://127.0.0.1:9", config=config)
    assert not bench.runs.exists()


def test_an_empty_file_never_becomes_a_broadcast(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "empty.csv"
    file.write_text("external_user_id\n")
    with scripted(lambda *_: TAKEN) as braze:
        config = {"braze": {"endpoint": braze.url, "campaign_id": "c1"}}
        with pytest.raises(InputError):
            bs.send(file, config=config, runs_dir=bench.runs, environment=ENVIRONMENT)
    assert braze.requests == []


# ----- the guards


@pytest.mark.parametrize("word", [None, "", "c2", "C1"])
def test_nothing_is_sent_without_the_campaigns_id_as_confirmation(bench: Bench, word: str | None) -> None:
    with scripted(lambda *_: TAKEN) as braze, pytest.raises(GuardrailError, match="confirmation"):
        bench.broadcast(braze.url, confirm_campaign=word)
    assert braze.requests == []
    assert not bench.runs.exists()


def test_the_audience_is_shown_and_a_no_is_taken(bench: Bench) -> None:
    shown: list[BroadcastPreview] = []

    def no(preview: BroadcastPreview) -> bool:
        shown.append(preview)
        return False

    with scripted(lambda *_: TAKEN) as braze, pytest.raises(GuardrailError, match="nothing was sent"):
        bench.broadcast(braze.url, confirm=no)
    assert braze.requests == []
    assert not bench.runs.exists()
    assert shown[0].audience == AUDIENCE
    assert shown[0].request == {"campaign_id": "c1", "broadcast": True, "audience": AUDIENCE}
    assert "also matches the audience" in shown[0].reach


def test_a_preview_without_an_audience_says_that_everybody_is_meant() -> None:
    shown = bs.preview_broadcast({"braze": {"endpoint": "http://127.0.0.1", "canvas_id": "k"}}, environment={})
    assert shown.audience is None
    assert shown.reach == "everybody in the segment that the Canvas targets in Braze"


# ----- once, and accounted for


def test_the_same_run_never_broadcasts_twice(bench: Bench) -> None:
    with scripted(lambda *_: TAKEN) as braze:
        first, second = bench.broadcast(braze.url), bench.broadcast(braze.url)
        assert len(braze.requests) == 1
    assert first.broadcast == second.broadcast
    assert bs.status("b", runs_dir=bench.runs).broadcast == first.broadcast


def test_the_intent_is_in_the_journal_before_the_request_arrives(bench: Bench) -> None:
    found: list[BatchState] = []

    def script(path: str, body: dict[str, Any]) -> Answer:
        with read(bench.runs / "b") as journal:
            found.extend(journal.batches(1))
        return TAKEN

    with scripted(script) as braze:
        bench.broadcast(braze.url)
    [batch] = found
    assert (batch.attempts, batch.size, batch.status, batch.verdict) == (1, 0, "unknown", None)


def test_an_unknown_broadcast_stays_unknown_until_its_operator_decides(bench: Bench) -> None:
    with scripted(lambda *_: None) as braze:
        summary = bench.broadcast(braze.url)
        assert (status(summary), summary.state, summary.exit_code) == ("unknown", "finished", 1)
        assert status(bench.broadcast(braze.url)) == "unknown"
        with pytest.raises(GuardrailError, match="neither resumed nor retried"):
            bs.retry("b", unknown=True, runs_dir=bench.runs, environment=ENVIRONMENT)
        assert len(braze.requests) == 1
        _, decided = bs.resolve("b", verdict="accepted", why="seen in Braze", runs_dir=bench.runs)
        assert (status(decided), decided.exit_code) == ("accepted", 0)
        assert decided.broadcast is not None and "seen in Braze" in (decided.broadcast.error or "")
        assert status(bench.broadcast(braze.url)) == "accepted"
        assert len(braze.requests) == 1


_BROADCAST_AND_BE_KILLED = """
import sys
import bulk_sender as bs
url, runs, audience = sys.argv[1], sys.argv[2], eval(sys.argv[3])
config = {"braze": {"endpoint": url, "campaign_id": "c1"}, "message": {"audience": audience}}
bs.broadcast(config, confirm_campaign="c1", run_id="b", runs_dir=runs, environment={"BRAZE_API_KEY": "test-key-0"})
"""


def test_a_process_killed_during_its_request_leaves_doubt_and_nothing_more_is_sent(bench: Bench) -> None:
    process: subprocess.Popen[bytes]

    def kill(*_: object) -> None:
        process.kill()
        process.wait()

    with scripted(kill) as braze:
        command = [sys.executable, "-c", _BROADCAST_AND_BE_KILLED, braze.url, str(bench.runs), repr(AUDIENCE)]
        process = subprocess.Popen(command, cwd=ROOT)
        assert process.wait(300) == -signal.SIGKILL
        summary = bench.broadcast(braze.url)
        assert len(braze.requests) == 1
    assert (status(summary), summary.exit_code) == ("unknown", 1)
    assert summary.broadcast is not None and summary.broadcast.error_code == "process_ended"


def test_a_broadcast_proved_unsent_is_sent_when_confirmed_again(bench: Bench) -> None:
    answers = iter([Answer(401, {"message": "Invalid API key"}), TAKEN])
    with scripted(lambda *_: next(answers)) as braze:
        stopped = bench.broadcast(braze.url)
        assert (status(stopped), stopped.state, stopped.exit_code) == ("not_sent", "stopped", 3)
        with pytest.raises(GuardrailError, match="neither resumed nor retried"):
            bs.resume("b", runs_dir=bench.runs, environment=ENVIRONMENT)
        with pytest.raises(GuardrailError, match="not confirmed"):
            bench.broadcast(braze.url, confirm=lambda _: False)
        assert status(bench.broadcast(braze.url)) == "accepted"
        assert len(braze.requests) == 2


def test_a_refusal_is_a_failure(bench: Bench) -> None:
    with run_in_thread() as sandbox:
        message = {"audience": {"segment": {"comparison": "is", "value": "x"}}}  # no filter that Braze takes here
        summary = bench.broadcast(sandbox.url, config={"message": message})
    assert summary.broadcast is not None
    assert (summary.broadcast.status, summary.broadcast.http_status) == ("failed", 400)
    assert summary.exit_code == 1
    assert sandbox.ledger.broadcasts == 0


def test_a_broadcast_to_a_paused_canvas_has_failed(bench: Bench) -> None:
    notice = "The Canvas is paused. Resume the Canvas to ensure trigger requests will take effect."
    with scripted(lambda *_: Answer(201, {"notice": notice, "dispatch_id": "d", "message": "success"})) as braze:
        summary = bench.broadcast(braze.url)
    assert summary.broadcast is not None
    assert (summary.broadcast.status, summary.broadcast.error_code) == ("failed", "not_live")
    assert summary.broadcast.error == notice
    assert (summary.state, summary.exit_code) == ("stopped", 3)


@pytest.mark.parametrize(
    ("answer", "said", "next_step"),
    [
        (TAKEN, "accepted", ""),
        (None, "unknown", "bulk-sender resolve b --as accepted"),
        (Answer(400, {"message": "Bad filter"}), "failed", "start another broadcast"),
        (Answer(401, {"message": "No such key"}), "not sent", "bulk-sender broadcast --run-id b --confirm ID"),
    ],
    ids=["accepted", "unknown", "failed", "not sent"],
)
def test_the_report_shows_the_outcome(bench: Bench, answer: Answer | None, said: str, next_step: str) -> None:
    with scripted(lambda *_: answer) as braze:
        bench.broadcast(braze.url)
    markup = (bench.runs / "b" / "report.html").read_text(encoding="utf-8")
    page = " ".join(re.sub(r"<[^>]+>", "", markup).split())
    assert f"The broadcast is {said}." in page
    assert next_step in page
    assert "All is well" not in page and "bulk-sender retry" not in page and "bulk-sender resume" not in page


def test_another_configuration_under_the_same_run_is_refused(bench: Bench) -> None:
    with scripted(lambda *_: TAKEN) as braze:
        bench.broadcast(braze.url)
        with pytest.raises(RunMismatchError, match="audience"):
            bench.broadcast(braze.url, config={"message": {}})
        assert len(braze.requests) == 1


def test_a_run_of_rows_and_a_broadcast_never_share_a_name(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("external_user_id\nu1\n")
    with scripted(lambda *_: TAKEN) as braze:
        config = {"braze": {"endpoint": braze.url, "campaign_id": "c1"}}
        options: dict[str, Any] = {"runs_dir": bench.runs, "environment": ENVIRONMENT}
        bs.send(file, config=config, run_id="rows", **options)
        bs.broadcast(config, confirm_campaign="c1", run_id="all", **options)
        with pytest.raises(RunMismatchError):
            bs.broadcast(config, confirm_campaign="c1", run_id="rows", **options)
        with pytest.raises(RunMismatchError):
            bs.send(file, config=config, run_id="all", **options)
        assert len(braze.requests) == 2


def test_its_files_are_private_and_say_the_same_as_the_summary(bench: Bench) -> None:
    with scripted(lambda *_: TAKEN) as braze:
        summary = bench.broadcast(braze.url)
    folder = bench.runs / "b"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert json.loads((folder / "summary.json").read_text()) == summary.to_dict()
    assert len((folder / "results.csv").read_text().splitlines()) == 1


# ----- the limits


def test_a_broadcast_keeps_to_its_own_limit_and_a_request_with_recipients_to_the_ordinary_one() -> None:
    audience = {"braze": {"endpoint": "http://127.0.0.1", "campaign_id": "c"}, "message": {"audience": AUDIENCE}}
    config = Config.parse(audience, where="the test")
    ordinary, slow = config.delivery.pace, Rate.parse("10/hour")
    assert broadcast_endpoint(config.braze, config.message).rate(ordinary) == BROADCAST_RATE == Rate.parse("250/minute")
    assert broadcast_endpoint(config.braze, config.message).rate(slow) == slow
    assert endpoint(config.braze, config.message).rate(ordinary) == ordinary


def test_the_narrow_limit_is_kept_without_being_asked(bench: Bench) -> None:
    seen: list[Progress] = []
    with scripted(lambda *_: TAKEN) as braze:
        bench.broadcast(braze.url, on_progress=seen.append)
    assert {progress.rate_asked for progress in seen} == {BROADCAST_RATE.per_second}
    assert seen[-1].requests == 1


def test_a_full_window_is_waited_for_and_the_broadcast_leaves_once(bench: Bench) -> None:
    answers = iter([Answer(429, {"message": "Rate Limited"}, {"Retry-After": "1"}), TAKEN])
    with scripted(lambda *_: next(answers)) as braze:
        summary = bench.broadcast(braze.url)
        assert len(braze.requests) == 2
    assert summary.broadcast is not None
    assert (summary.broadcast.status, summary.broadcast.attempts) == ("accepted", 2)


# ----- the example


def test_the_example_configuration_is_broadcast_as_it_says(bench: Bench) -> None:
    path = ROOT / "config" / "broadcast.toml"
    campaign = tomllib.loads(path.read_text(encoding="utf-8"))["braze"]["campaign_id"]
    shown = bs.preview_broadcast(path, environment={})
    assert shown.target == campaign and shown.known_host
    assert shown.audience is not None and len(shown.audience["AND"]) == 2
    assert path.read_text(encoding="utf-8").count(f"--confirm {campaign}") == 2
    with run_in_thread() as sandbox:
        summary = bs.broadcast(
            path,
            confirm_campaign=campaign,
            overrides={"braze.endpoint": sandbox.url},
            runs_dir=bench.runs,
            environment=ENVIRONMENT,
        )
    assert status(summary) == "accepted"
    rehearsal = bs.broadcast(path, confirm_campaign=campaign, sandbox=True, runs_dir=bench.runs, environment={})
    assert status(rehearsal) == "accepted"
