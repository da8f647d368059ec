from __future__ import annotations

import os
import resource
import signal
import stat
import threading
from pathlib import Path

import httpx
import pytest

from bulk_sender.sandbox import Acceptance, Ledger, read_ledger
from bulk_sender.sandbox.ledger import user_key

from .command import Command
from .samples import CAMPAIGN_PATH, HEADERS, campaign, users


def acceptance(
    *recipients: str, dispatch_id: str = "d1", target_id: str = "c1", at: float = 1_800_000_000.5
) -> Acceptance:
    return Acceptance(
        at=at,
        target="campaign_id",
        target_id=target_id,
        dispatch_id=dispatch_id,
        recipients=recipients,
        collapsed=0,
        body_sha256="0" * 64,
    )


def test_counts_messages_per_person() -> None:
    ledger = Ledger()
    ledger.accept(acceptance("a", "b", dispatch_id="d1"))
    ledger.accept(acceptance("b", "c", dispatch_id="d2"))
    ledger.accept(acceptance("c", dispatch_id="d3", target_id="c2"))
    assert (ledger.accepted_requests, ledger.accepted_recipients) == (3, 5)
    assert ledger.recipients == {"a": 1, "b": 2, "c": 2}
    assert ledger.dispatches == {"d1": 2, "d2": 2, "d3": 1}


def test_twice_counts_only_repeats_of_the_same_campaign() -> None:
    ledger = Ledger()
    ledger.accept(acceptance("a", "b", target_id="c1"))
    ledger.accept(acceptance("b", target_id="c2"))
    assert ledger.twice() == {}
    ledger.accept(acceptance("b", target_id="c2"))
    ledger.accept(acceptance("b", target_id="c2"))
    assert ledger.twice() == {"b": 3}


def test_keeps_the_last_time_of_each_campaign() -> None:
    ledger = Ledger()
    ledger.accept(acceptance("a", target_id="c1", at=10))
    ledger.accept(acceptance("a", target_id="c1", at=20))
    ledger.accept(acceptance("a", target_id="c2", at=15))
    found = [(target, receipt.times, receipt.last) for target, receipt in ledger.received("a")]
    assert found == [("campaign_id:c1", 2, 20), ("campaign_id:c2", 1, 15)]
    assert ledger.received("b") == []


def test_keeps_only_counts_without_keep_recipients() -> None:
    ledger = Ledger(keep_recipients=False)
    ledger.accept(acceptance("a", "b"))
    assert (ledger.accepted_requests, ledger.accepted_recipients) == (1, 2)
    assert (ledger.recipients, ledger.dispatches) == ({}, {})
    facts = ledger.facts()
    assert facts["distinct_recipients"] is None
    assert facts["accepted_more_than_once"] is None


def test_reads_receipts_from_the_file_when_only_counts_are_in_memory(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.ndjson", keep_recipients=False)
    ledger.accept(acceptance("a", "b", dispatch_id="d1", at=10))
    ledger.accept(acceptance("a", dispatch_id="d2", at=20))
    ledger.accept(acceptance("a", dispatch_id="d3", target_id="c2", at=30))
    assert ledger.recipients == {}
    received = {
        key: [(target, receipt.times, receipt.last) for target, receipt in receipts]
        for key, receipts in ledger.receipts(["a", "b", "x"]).items()
    }
    ledger.close()
    assert received == {
        "a": [("campaign_id:c1", 2, 20), ("campaign_id:c2", 1, 30)],
        "b": [("campaign_id:c1", 1, 10)],
        "x": [],
    }


def test_different_people_never_share_a_key() -> None:
    aliases = [("a:b", "c"), ("a", "b:c"), ("a\\", "b:c"), ("a\\:b", "c")]
    keys = {user_key("user_alias", {"alias_label": label, "alias_name": name}) for label, name in aliases}
    keys |= {user_key("email", "x@example.com"), user_key("external_user_id", "x@example.com")}
    assert len(keys) == len(aliases) + 2


def test_a_line_contains_the_whole_acceptance() -> None:
    whole = Acceptance(
        at=1_800_000_000.125,
        target="canvas_id",
        target_id="c",
        dispatch_id="d",
        recipients=("email:é@example.com", "user_alias:l:n\n"),
        collapsed=3,
        body_sha256="f" * 64,
        send_id="s",
        broadcast=True,
    )
    line = whole.line()
    assert line.count(b"\n") == 1
    assert Acceptance.from_line(line) == whole


def test_a_file_is_private_and_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "ledger.ndjson"
    first = Ledger(path)
    first.accept(acceptance("a", dispatch_id="d1"))
    first.close()
    second = Ledger(path)
    second.accept(acceptance("a", "b", dispatch_id="d2"))
    second.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.dispatch_id for each in read_ledger(path)] == ["d1", "d2"]
    assert second.recipients == {"a": 2, "b": 1}
    assert second.twice() == {"a": 2}


def test_a_line_cut_off_by_a_crash_is_not_an_acceptance_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.ndjson"
    ledger = Ledger(path)
    ledger.accept(acceptance("a", dispatch_id="d1"))
    ledger.close()
    for torn in (acceptance("b", dispatch_id="d2").line()[:-1], b'{"a', b"{"):
        with path.open("ab") as file:
            file.write(torn)
        assert [each.dispatch_id for each in read_ledger(path)] == ["d1"]
        again = Ledger(path)
        again.close()
        assert again.dispatches == {"d1": 1}
        assert path.read_bytes() == acceptance("a", dispatch_id="d1").line()


@pytest.mark.parametrize("content", [b"my only copy", b"row,name\n1,x\n", b'{"at":"2026-01-01T00:00:00Z"}\n'])
def test_a_file_that_is_not_a_ledger_is_refused_and_not_changed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a ledger file"):
        Ledger(path)
    assert path.read_bytes() == content


def test_a_request_that_cannot_be_recorded_is_not_accepted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.ndjson"
    ledger = Ledger(path)
    ledger.accept(acceptance("a", dispatch_id="d1"))
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))  # space for a part of the next line
    try:
        with pytest.raises(OSError):
            ledger.accept(acceptance("b", dispatch_id="d2"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert ledger.dispatches == {"d1": 1}
    ledger.accept(acceptance("c", dispatch_id="d3"))
    ledger.close()
    assert [each.dispatch_id for each in read_ledger(path)] == ["d1", "d3"]


def test_every_answered_request_is_in_the_file_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "ledger.ndjson"
    answered: list[str] = []
    enough = threading.Event()

    def send(worker: int) -> None:
        with httpx.Client(base_url=sandbox.url, headers=HEADERS) as client:
            for number in range(10_000):
                try:
                    answer = client.post(CAMPAIGN_PATH, json=campaign(*users(3, f"w{worker}-{number}-")))
                except httpx.TransportError:
                    return
                answered.append(answer.json()["dispatch_id"])
                if len(answered) >= 60:
                    enough.set()

    with Command("--ledger-file", str(path)) as sandbox:
        workers = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for worker in workers:
            worker.start()
        assert enough.wait(100)
        os.kill(sandbox.process.pid, signal.SIGKILL)
        for worker in workers:
            worker.join()
    written = {each.dispatch_id: each for each in read_ledger(path)}
    assert len(answered) == len(set(answered))
    assert set(answered) <= set(written)
    assert len(written) - len(answered) <= 4  # at most one accepted but unanswered request per worker
    with Command("--ledger-file", str(path)) as sandbox:
        facts = httpx.get(f"{sandbox.url}/_sandbox/ledger").json()
    assert facts["accepted_requests"] == len(written)
    assert facts["distinct_recipients"] == 3 * len(written)
    assert facts["accepted_more_than_once"] == {}
