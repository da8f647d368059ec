"""Before the first request: the host is reached, the key is taken, and the campaign is live; or nothing is sent."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from bulk_sender import journal as journals
from bulk_sender.http.credential import Credential
from bulk_sender.http.evidence import Evidence, Reach
from bulk_sender.journal.store import RunRef
from bulk_sender.run.preflight import Preflight, ask, preflight, unreached
from tests.braze.test_details import CAMPAIGN, CANVAS
from tests.faults import FaultServer
from tests.faults.unreachable import black_hole, unresolvable
from tests.kit.posting import authority_file
from tests.kit.running import QUICK
from tests.kit.scripted import Answer, Scripted, scripted
from tests.kit.target import ENVIRONMENT, KEY
from tests.kit.workplace import APPROVED


def taken(_: str, __: dict[str, Any]) -> Answer:
    taken.count += 1  # type: ignore[attr-defined]
    return Answer(201, {"message": "success", "dispatch_id": f"{taken.count:032x}"})  # type: ignore[attr-defined]


taken.count = 0  # type: ignore[attr-defined]


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text("external_user_id\na\nb\n")
    return path


def send(people: Path, url: str, run: str = "one", **more: Any) -> bs.Summary:
    target = {} if "canvas_id" in more else {"campaign_id": "c 1"}
    return bs.send(
        people,
        endpoint=url,
        run_id=run,
        runs_dir=people.parent / "runs",
        environment=ENVIRONMENT,
        waits=QUICK,
        **{**target, **more},
    )


def refused(people: Path, braze: Scripted, error: type[bs.BulkSenderError], **more: Any) -> bs.BulkSenderError:
    with pytest.raises(error) as caught:
        send(people, braze.url, **more)
    assert caught.value.exit_code == 2
    assert braze.requests == []
    assert not (people.parent / "runs" / "one").exists()
    assert KEY not in str(caught.value) + caught.value.hint
    return caught.value


def test_name_and_state_are_asked_once_and_shown_before_the_question(people: Path) -> None:
    seen: list[bs.Preview] = []
    with scripted(taken, lambda _: Answer(200, CAMPAIGN)) as braze:
        summary = send(people, braze.url, guards=bs.Guards(confirm=lambda about: not seen.append(about)))
    assert summary.accepted == 2
    assert braze.asked == ["/campaigns/details?campaign_id=c+1"]
    details = seen[0].preflight.details
    assert details is not None
    assert (details.name, details.state) == ("Winter sale", "live")
    assert not seen[0].preflight.why_not
    with journals.read(RunRef.at(people.parent / "runs" / "one")) as journal:
        assert journal.facts().target_name == "Winter sale"
    assert "Winter sale" in Path(summary.files["report"]).read_text(encoding="utf-8")


def test_a_canvas_is_asked_at_its_own_address(people: Path) -> None:
    with scripted(taken, lambda _: Answer(200, CANVAS)) as braze:
        assert send(people, braze.url, canvas_id="v").accepted == 2
    assert braze.asked == ["/canvas/details?canvas_id=v"]


@pytest.mark.parametrize(
    ("change", "word"), [({"archived": True}, "archived"), ({"draft": True}, "draft"), ({"enabled": False}, "stopped")]
)
def test_a_campaign_that_would_send_nothing_is_refused(people: Path, change: dict[str, bool], word: str) -> None:
    with scripted(taken, lambda _: Answer(200, CAMPAIGN | change)) as braze:
        error = refused(people, braze, bs.GuardrailError)
    assert word in str(error)
    assert "'Winter sale'" in str(error)
    assert "c 1" in str(error)
    assert error.hint


def test_a_key_that_braze_refuses_is_said_at_once(caplog: pytest.LogCaptureFixture) -> None:
    with scripted(taken, lambda _: Answer(401, {"message": f"Invalid App Group API Identifier: {KEY}"})) as braze:
        found = looked_at(braze.url)
    assert "Braze refuses the API key" in found.why_not
    assert "another instance" in caplog.text
    assert "preflight = false" in caplog.text
    assert KEY not in found.why_not + caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        Answer(403, {"message": "Forbidden"}),
        Answer(404, {"message": "Not Found"}),
        Answer(405, b"<html>"),
        Answer(429, {"message": "Rate Limited"}),
        Answer(500, {"message": "Internal Server Error"}),
        Answer(200, {"message": "success"}),
        None,
    ],
    ids=["403", "404", "405", "429", "500", "no details", "no answer"],
)
def test_whatever_else_braze_says_never_stops_a_send(people: Path, answer: Answer | None) -> None:
    seen: list[bs.Preview] = []
    with scripted(taken, lambda _: answer) as braze:
        summary = send(people, braze.url, guards=bs.Guards(confirm=lambda about: not seen.append(about)))
    assert summary.accepted == 2
    assert seen[0].preflight.details is None
    assert seen[0].preflight.why_not
    assert len(braze.asked) == 1


def test_a_redirect_is_not_followed(people: Path) -> None:
    with scripted(taken) as elsewhere:
        to = {"Location": f"{elsewhere.url}/campaigns/details?campaign_id=c"}
        with scripted(taken, lambda _: Answer(302, {}, to)) as braze:
            send(people, braze.url)
        assert elsewhere.asked == []


def looked_at(url: str, config: dict[str, Any] | None = None) -> Preflight:
    """What a send finds out about the target before anything else."""
    given = {"braze": {"endpoint": url, "campaign_id": "c", **(config or {}).get("braze", {})}}
    loaded = bs.Config.parse({**(config or {}), **given}, where="here")
    return asyncio.run(preflight(loaded, Credential.check(KEY), None, QUICK))


def test_a_closed_port_is_said_before_the_input_is_read(people: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(bs.InputError):
        send(people.with_name("missing.csv"), f"http://127.0.0.1:{closed_port()}")
    assert "refuses connections: check the address and its port" in caplog.text


def test_a_run_without_a_connection_stops_and_can_be_resumed(people: Path) -> None:
    summary = send(people, f"http://127.0.0.1:{closed_port()}", overrides={"delivery.attempts": 1})
    assert (summary.exit_code, summary.not_sent) == (3, 2)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("expired", "certificate of 127.0.0.1.* cannot be trusted"),
        ("unknown_authority", "certificate of 127.0.0.1.* cannot be trusted"),
        ("wrong_host", "certificate of 127.0.0.1.* cannot be trusted"),
        ("http_in_clear", "does not speak TLS"),
        ("reset_in_handshake", "no connection|does not speak TLS"),
        ("silent_handshake", "in time"),
    ],
)
def test_a_host_without_sound_tls_is_said_at_once(mode: str, words: str, caplog: pytest.LogCaptureFixture) -> None:
    trusted = {"braze": {"ca_bundle": str(authority_file())}, "delivery": {"timeout": 1.0}}
    with FaultServer(tls=mode) as server:
        found = looked_at(server.url, trusted)
    assert re.search(words, found.why_not)
    assert re.search(words, caplog.text)
    assert not server.ledger.requests


def test_the_configured_authority_is_trusted(people: Path) -> None:
    config = {"braze": {"endpoint": "x", "campaign_id": "c", "ca_bundle": str(authority_file())}}
    with FaultServer(tls="good") as server:
        loaded = bs.Config.parse({**config, "braze": config["braze"] | {"endpoint": server.url}}, where="here")
        evidence = asyncio.run(ask(loaded, Credential.check(KEY)))
        server.errors.clear()  # it is made for POSTs
    assert evidence.reach > Reach.CONNECTED


def test_a_name_that_cannot_be_resolved_is_said_at_once() -> None:
    with unresolvable() as url:
        assert "rest.example.invalid cannot be resolved" in looked_at(url.replace("http:", "https:")).why_not


def test_a_host_that_does_not_answer_is_said_in_time(caplog: pytest.LogCaptureFixture) -> None:
    with black_hole() as url:
        assert "in time" in looked_at(url, {"delivery": {"timeout": 1.0}}).why_not
    assert "firewall" in caplog.text


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (Evidence(Reach.NOTHING, error="ConnectError", cause="gaierror"), "cannot be resolved"),
        (Evidence(Reach.NOTHING, error="ConnectTimeout", cause="TimeoutError"), "in time"),
        (Evidence(Reach.NOTHING, error="ConnectError", cause="ConnectionRefusedError"), "refuses connections"),
        (Evidence(Reach.CONNECTED, error="ConnectError", cause="SSLCertVerificationError"), "certificate"),
        (Evidence(Reach.CONNECTED, error="ConnectError", cause="SSLError"), "does not speak TLS"),
        (Evidence(Reach.CONNECTED, error="ProxyError"), "the proxy"),
        (Evidence(Reach.NOTHING, error="DeadlineExceeded"), "in time"),
        (Evidence(Reach.NOTHING, error="ConnectError", cause="OSError"), "no connection to"),
    ],
)
def test_each_cause_of_no_connection_has_its_own_words(evidence: Evidence, words: str) -> None:
    error = unreached(evidence, "https://rest.iad-01.braze.com")
    assert error is not None
    assert words in str(error)
    assert "rest.iad-01.braze.com" in str(error) or "proxy" in str(error)
    assert error.hint


def test_a_wrong_kind_of_host_is_named_when_it_cannot_be_reached() -> None:
    nothing = Evidence(Reach.NOTHING, error="ConnectError", cause="gaierror")
    error = unreached(nothing, "https://sdk.iad-01.braze.com")
    assert error is not None
    assert "Use https://rest.iad-01.braze.com" in error.hint
    assert unreached(Evidence(Reach.BODY_SENT), "https://rest.iad-01.braze.com") is None


def test_a_connection_refused_once_is_tried_again(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bulk_sender.http.client import HttpClient

    real, tries = HttpClient.get, []

    async def once_refused(self: HttpClient) -> Evidence:
        tries.append(1)
        if len(tries) == 1:
            return Evidence(Reach.NOTHING, error="ConnectError", cause="ConnectionRefusedError")
        return await real(self)

    monkeypatch.setattr(HttpClient, "get", once_refused)
    with scripted(taken, lambda _: Answer(200, CAMPAIGN)) as braze:
        assert send(people, braze.url).accepted == 2
    assert len(tries) == 2


def test_a_finished_run_is_reported_without_asking(people: Path) -> None:
    with scripted(taken) as braze:
        send(people, braze.url)
        send(people, braze.url)
        assert len(braze.asked) == len(braze.requests) == 1


def test_a_resumed_run_asks_again(people: Path) -> None:
    details = [dict(CAMPAIGN)]
    runs = people.parent / "runs"
    with scripted(taken, lambda _: Answer(200, details[0])) as braze:
        held = send(people, braze.url, guards=bs.Guards(canary=1))
        assert held.not_sent == 1
        details[0] |= {"archived": True}
        with pytest.raises(bs.GuardrailError, match="archived"):
            bs.resume("one", runs_dir=runs, environment=ENVIRONMENT, waits=QUICK)
        with pytest.raises(bs.GuardrailError, match="archived"):
            send(people, braze.url)
        assert len(braze.requests) == 1
        details[0] |= {"archived": False}
        assert bs.resume("one", runs_dir=runs, environment=ENVIRONMENT, waits=QUICK, watch=APPROVED).accepted == 2


def test_the_question_can_be_left_out(people: Path) -> None:
    seen: list[bs.Preview] = []
    with scripted(taken) as braze:
        guards = bs.Guards(confirm=lambda about: not seen.append(about))
        assert send(people, braze.url, config={"guard": {"preflight": False}}, guards=guards).accepted == 2
        assert braze.asked == []
    assert "preflight = false" in seen[0].preflight.why_not


def test_a_rehearsal_asks_nobody(people: Path) -> None:
    summary = bs.send(people, run_id="one", runs_dir=people.parent / "runs", sandbox=True, environment={})
    assert summary.accepted == 2


def test_a_broadcast_to_an_archived_campaign_is_refused(tmp_path: Path) -> None:
    with (
        scripted(taken, lambda _: Answer(200, CAMPAIGN | {"archived": True})) as braze,
        pytest.raises(bs.GuardrailError, match="archived"),
    ):
        bs.broadcast(
            {"braze": {"endpoint": braze.url, "campaign_id": "c"}},
            confirm_campaign="c",
            runs_dir=tmp_path / "runs",
            environment=ENVIRONMENT,
        )
    assert braze.requests == []
