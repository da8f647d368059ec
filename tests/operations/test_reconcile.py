"""Rows in doubt, what Braze shows of them afterwards, and what may be concluded from it."""

from __future__ import annotations

import csv
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

import bulk_sender as bs
from bulk_sender.braze.receipts import (
    EXPORT_PATH,
    FIELDS,
    Finding,
    Inquiry,
    Person,
    Question,
    Suspect,
    questions,
    received_at,
)
from bulk_sender.config.model import Config
from bulk_sender.delivery.inquiry import ask
from bulk_sender.errors import BulkSenderError, ConfigError, CredentialError, InputError
from bulk_sender.http.client import client_factory
from bulk_sender.http.credential import Credential
from bulk_sender.operations.reconcile import Reconciliation, RowFinding, batches_of
from bulk_sender.pace.limiter import Pace
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.settings import http_settings
from bulk_sender.sandbox import read_ledger
from tests.kit.sandbox import run_in_thread
from tests.kit.scripted import Answer, Scripted, scripted
from tests.kit.tables import table
from tests.kit.target import CAMPAIGN, ENVIRONMENT, KEY
from tests.kit.workplace import APPROVED

Columns = Mapping[str, Sequence[str]]
SEND_PATH = "/campaigns/trigger/send"


def write(path: Path, columns: Columns) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    return path


def people(count: int) -> Columns:
    return {"external_user_id": [f"u{number}" for number in range(count)]}


class Bench:
    """One runs folder, and the calls of this module with a test's common arguments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = folder / "runs"

    def send(self, url: str, columns: Columns, run: str = "r", **config: Any) -> Summary:
        tables: dict[str, Any] = {
            "braze": {"endpoint": url, "campaign_id": CAMPAIGN},
            "delivery": {"concurrency": 1, "breaker": 1000},
        } | config
        file = write(self.folder / f"{run}.csv", columns)
        return bs.send(file, config=tables, run_id=run, runs_dir=self.runs, environment=ENVIRONMENT)

    def reconcile(self, run: str = "r", **options: Any) -> Reconciliation:
        defaults: dict[str, Any] = {"settle_s": 0, "rate": "100/second", "environment": ENVIRONMENT}
        return bs.reconcile(run, runs_dir=self.runs, **(defaults | options))

    def results(self, run: str = "r") -> list[dict[str, str]]:
        with (self.runs / run / "results.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def decisions(self, run: str = "r") -> list[dict[str, Any]]:
        return table(self.runs / run, "decision")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def profile(external_id: str, at: datetime, campaign: str = CAMPAIGN) -> dict[str, Any]:
    entry = {"name": "A campaign", "api_campaign_id": campaign, "last_received": iso(at), "converted": False}
    return {"external_id": external_id, "campaigns_received": [entry]}


def losing(*profiles: Callable[[], dict[str, Any]]) -> Callable[[str, dict[str, Any]], Answer | None]:
    """Every send's answer is lost; questions are answered with ``profiles``, made when they are asked for."""

    def script(path: str, body: dict[str, Any]) -> Answer | None:
        if path == SEND_PATH:
            return None
        return Answer(200, {"message": "success", "users": [make() for make in profiles]})

    return script


# ----- against a Braze that remembers


def test_what_braze_took_without_an_answer_is_proved_and_recorded(bench: Bench) -> None:
    with run_in_thread(weather="lost-answers") as sandbox:
        sent = bench.send(sandbox.url, people(3_000))
        assert sent.unknown >= 50, "the weather loses at least one answer in 60"
        found = bench.reconcile(apply=True)
        assert found.counts["received"] == sent.unknown == len(found.rows)
        assert found.left_unknown == 0
        assert {row.finding for row in found.rows} == {Finding.RECEIVED}
        assert found.summary is not None
        assert (found.summary.accepted, found.summary.unknown, found.summary.exit_code) == (3_000, 0, 0)
        assert not sandbox.ledger.twice()
    recorded = bench.decisions()
    assert len(recorded) == len(found.batches) == sent.unknown // 50
    assert all(decision["status"] == "accepted" and decision["user"] and decision["at"] for decision in recorded)
    assert all("50 of 50 seen by Braze to have received campaign campaign-1" in item["why"] for item in recorded)
    in_doubt = [row for row in bench.results() if "decided: accepted" in row["error"]]
    assert len(in_doubt) == sent.unknown
    assert {row["status"] for row in in_doubt} == {"accepted"}


def test_without_apply_nothing_is_recorded(bench: Bench) -> None:
    with run_in_thread(weather="lost-answers") as sandbox:
        sent = bench.send(sandbox.url, people(3_000))
        found = bench.reconcile()
    assert found.proved_rows == sent.unknown
    assert not found.applied and found.summary is None
    assert bench.decisions() == []
    assert bs.status("r", runs_dir=bench.runs).unknown == sent.unknown


@pytest.mark.parametrize(
    ("columns", "requests"),
    [
        (people(120), 3),
        (
            {
                "user_alias.alias_name": [f"a{number}" for number in range(60)],
                "user_alias.alias_label": ["crm:eu"] * 60,
            },
            2,
        ),
        ({"email": [f"p{n}@example.com" for n in range(4)], "prioritization": ["identified"] * 4}, 4),
        ({"braze_id": [f"b{n}" for n in range(3)]}, 3),
    ],
    ids=["external ids", "aliases", "e-mail addresses", "Braze ids"],
)
def test_each_kind_of_person_is_asked_about_as_braze_takes_it(bench: Bench, columns: Columns, requests: int) -> None:
    count = len(next(iter(columns.values())))
    with run_in_thread() as sandbox, forwarding_but_silent(sandbox.url) as front:
        assert bench.send(front.url, columns).unknown == count
        found = bench.reconcile(overrides={"braze.endpoint": sandbox.url})
    assert found.requests == requests
    assert found.counts["received"] == count
    assert all(row.received_at is not None for row in found.rows)


def forwarding_but_silent(url: str) -> AbstractContextManager[Scripted]:
    """A front that hands every send to ``url`` and keeps the answer to itself."""

    def script(path: str, body: dict[str, Any]) -> Answer | None:
        assert httpx.post(url + path, json=body, headers={"Authorization": f"Bearer {KEY}"}).status_code == 201
        return None

    return scripted(script)


def test_a_canvas_counts_by_its_entry(bench: Bench) -> None:
    with run_in_thread() as sandbox, forwarding_but_silent(sandbox.url) as front:
        bench.send(front.url, people(2), braze={"endpoint": front.url, "canvas_id": "canvas-1"})
        found = bench.reconcile(apply=True, overrides={"braze.endpoint": sandbox.url})
    assert found.counts["received"] == 2
    assert "entered Canvas canvas-1" in bench.decisions()[0]["why"]


# ----- what proves, and what doesn't


def test_two_receipts_prove_that_their_whole_batch_was_taken(bench: Bench) -> None:
    received = [lambda name=name: profile(name, datetime.now(UTC)) for name in ("u1", "u2")]
    with scripted(losing(*received)) as braze:
        assert bench.send(braze.url, people(4)).unknown == 4
        found = bench.reconcile(apply=True, by="anna")
    kinds = [Finding.NOT_FOUND, Finding.RECEIVED, Finding.RECEIVED, Finding.NOT_FOUND]
    assert [row.finding for row in found.rows] == kinds
    assert found.summary is not None and found.summary.accepted == 4
    [decision] = bench.decisions()
    assert "2 of 4 seen" in decision["why"] and decision["user"] == "anna"
    assert [batch.word for batch in found.batches] == ["proved"]


@pytest.mark.parametrize("rows", [1, 3])
def test_one_receipt_makes_its_batch_likely_and_records_nothing(rows: int, bench: Bench) -> None:
    """Another profile with the same address may have it from elsewhere."""
    with scripted(losing(lambda: profile("u0", datetime.now(UTC)))) as braze:
        bench.send(braze.url, people(rows))
        found = bench.reconcile(apply=True)
    assert [(batch.seen, batch.word) for batch in found.batches] == [(1, "likely")]
    assert f"1 of {rows} seen" in found.batches[0].evidence
    assert (found.proved_rows, found.likely_rows, found.left_unknown) == (0, rows, rows)
    assert found.to_dict()["batches"][0]["word"] == "likely"
    assert found.summary is not None and found.summary.unknown == rows
    assert bench.decisions() == []


@pytest.mark.parametrize(
    ("kind", "names", "word"),
    [
        ("email", ("Ana@example.com", "ana@example.com"), "likely"),
        ("email", ("ana@example.com", "ben@example.com"), "proved"),
        ("external_user_id", ("Ana", "ana"), "proved"),
        ("external_user_id", ("ana", "ana"), "likely"),
    ],
)
def test_one_person_in_two_rows_of_a_batch_is_one_person(kind: str, names: tuple[str, str], word: str) -> None:
    at = "2026-03-01T12:00:00.000Z"
    rows = tuple(RowFinding(row, 1, kind, name, at, Finding.RECEIVED, at) for row, name in enumerate(names))
    config = Config.parse({"braze": {"campaign_id": CAMPAIGN}}, where="the test")
    assert [batch.word for batch in batches_of(rows, config)] == [word]


@pytest.mark.parametrize(
    ("after", "finding"),
    [
        (timedelta(hours=1, minutes=59), Finding.RECEIVED),
        (timedelta(hours=2, minutes=1), Finding.LATER),
        (timedelta(days=6), Finding.LATER),
        (-timedelta(seconds=1), Finding.OLDER),
    ],
    ids=str,
)
def test_a_receipt_is_evidence_for_two_hours(after: timedelta, finding: Finding) -> None:
    sent_at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    inquiry = Inquiry({crowd(1)[0]: sent_at + after})
    suspect = Suspect(1, 1, crowd(1)[0], sent_at, sent_at)
    assert inquiry.finding(suspect, sent_at + timedelta(days=30))[0] is finding


@pytest.mark.parametrize(
    ("ahead", "skew", "finding"),
    [
        (timedelta(seconds=50), timedelta(0), Finding.RECEIVED),
        (timedelta(seconds=70), timedelta(0), Finding.FUTURE),
        (timedelta(days=6), timedelta(0), Finding.FUTURE),
        (timedelta(minutes=5), timedelta(minutes=5), Finding.RECEIVED),
    ],
    ids=str,
)
def test_a_receipt_in_the_future_is_not_evidence(ahead: timedelta, skew: timedelta, finding: Finding) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    inquiry = Inquiry({crowd(1)[0]: now + ahead}, skew=skew)
    assert inquiry.finding(Suspect(1, 1, crowd(1)[0], now, now), now)[0] is finding


def test_receipts_of_another_time_record_nothing(bench: Bench) -> None:
    days = timedelta(days=6)
    received = [lambda name=name: profile(name, datetime.now(UTC) + days) for name in ("u0", "u1", "u2")]
    with scripted(losing(*received)) as braze:
        bench.send(braze.url, people(3))
        found = bench.reconcile(apply=True)
    assert found.counts["receipt in the future"] == 3
    assert bench.decisions() == []


def test_the_absence_of_a_receipt_decides_nothing(bench: Bench) -> None:
    with scripted(losing()) as braze:
        bench.send(braze.url, people(3))
        found = bench.reconcile(apply=True)
    assert found.counts["not found"] == found.left_unknown == 3
    assert found.summary is not None and (found.summary.unknown, found.summary.exit_code) == (3, 1)
    assert bench.decisions() == []


def test_an_older_receipt_and_another_campaigns_prove_nothing(bench: Bench) -> None:
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    profiles = (
        lambda: profile("u0", an_hour_ago),
        lambda: profile("u1", datetime.now(UTC), campaign="another"),
    )
    with scripted(losing(*profiles)) as braze:
        bench.send(braze.url, people(2))
        found = bench.reconcile(apply=True)
    assert [row.finding for row in found.rows] == [Finding.OLDER, Finding.NOT_FOUND]
    assert bench.decisions() == []


def test_a_young_request_is_not_asked_about(bench: Bench) -> None:
    with scripted(losing(lambda: profile("u0", datetime.now(UTC)))) as braze:
        bench.send(braze.url, people(2))
        found = bench.reconcile(settle_s=600)
        assert braze.bodies(EXPORT_PATH) == []
    assert found.counts["too fresh"] == 2
    assert found.requests == 0


def test_a_receipt_between_two_unknown_attempts_proves_the_first(bench: Bench) -> None:
    seen: list[datetime] = []
    with scripted(losing(lambda: profile("u0", seen[0]))) as braze:
        bench.send(braze.url, people(1))
        seen.append(datetime.now(UTC))
        bs.retry("r", unknown=True, runs_dir=bench.runs, environment=ENVIRONMENT)
        assert len(braze.bodies(SEND_PATH)) == 2
        found = bench.reconcile()
    assert [row.finding for row in found.rows] == [Finding.RECEIVED]


def test_a_person_in_two_batches_proves_neither(bench: Bench) -> None:
    columns = {"external_user_id": ["twice", *(f"u{number}" for number in range(49)), "twice", "last"]}
    with scripted(losing(lambda: profile("twice", datetime.now(UTC)))) as braze:
        bench.send(braze.url, columns, input={"duplicates": "allow"})
        found = bench.reconcile(apply=True)
    assert [row.identifier for row in found.rows if row.finding is Finding.SHARED] == ["twice", "twice"]
    assert bench.decisions() == []


@pytest.mark.parametrize("other", ["before", "after"])
def test_a_person_sent_to_by_another_run_of_the_campaign_proves_nothing(bench: Bench, other: str) -> None:
    """Nor by an earlier one: Braze may deliver long after it took a request."""
    taken = Answer(201, {"dispatch_id": "d", "message": "success"})
    answers = iter([taken, None] if other == "before" else [None, taken])

    def script(path: str, body: dict[str, Any]) -> Answer | None:
        if path == SEND_PATH:
            return next(answers)
        return Answer(200, {"message": "success", "users": [profile("u0", datetime.now(UTC))]})

    with scripted(script) as braze:
        runs: list[tuple[str, Columns]] = [("r", people(2)), ("other", {"external_user_id": ["u0"]})]
        for run, columns in reversed(runs) if other == "before" else runs:
            bench.send(braze.url, columns, run=run)
        assert bs.status("other", runs_dir=bench.runs).accepted == 1
        found = bench.reconcile(apply=True)
    assert [row.finding for row in found.rows] == [Finding.SHARED, Finding.NOT_FOUND]
    assert bench.decisions() == []


def test_a_run_of_another_campaign_takes_nothing_from_a_proof(bench: Bench) -> None:
    with scripted(losing(lambda: profile("u0", datetime.now(UTC)))) as braze:
        bench.send(braze.url, people(1), run="other", braze={"endpoint": braze.url, "campaign_id": "another"})
        bench.send(braze.url, people(1))
        assert [row.finding for row in bench.reconcile().rows] == [Finding.RECEIVED]


def test_a_canvas_step_received_without_a_new_entry_is_not_a_receipt() -> None:
    entry = {
        "api_canvas_id": "c",
        "last_entered": "2026-01-01T00:00:00.000Z",
        "last_received_message": "2026-03-01T00:00:00.000Z",
    }
    user = {"canvases_received": [entry, {"api_canvas_id": "other", "last_entered": "2026-02-01T00:00:00Z"}]}
    assert received_at(user, "c", canvas=True) == datetime(2026, 1, 1, tzinfo=UTC)
    assert received_at(user, "c", canvas=False) is None


@pytest.mark.parametrize(
    "entries",
    [None, "text", [None, 3], [{"api_campaign_id": "c"}], [{"api_campaign_id": "c", "last_received": "soon"}]],
)
def test_an_entry_that_cannot_be_read_is_not_a_receipt(entries: Any) -> None:
    assert received_at({"campaigns_received": entries}, "c", canvas=False) is None


def test_aliases_that_look_alike_when_joined_are_distinguished() -> None:
    one, other = Person("user_alias", "b:c", "a"), Person("user_alias", "c", "a:b")
    assert one.shown == other.shown
    user = {"user_aliases": [{"alias_name": "c", "alias_label": "a:b"}]}
    assert [person for person, _ in Question((one, other)).answers([user])] == [other]


def test_everybody_is_asked_about_once_and_at_most_fifty_at_a_time() -> None:
    asked = [Person("external_user_id", f"u{number % 120}") for number in range(500)]
    found = questions([*asked, Person("email", "a@example.com"), Person("email", "b@example.com")])
    assert [len(question.people) for question in found] == [50, 50, 20, 1, 1]
    assert json.loads(found[0].body)["fields_to_export"] == list(FIELDS)
    assert json.loads(found[3].body)["email_address"] == "a@example.com"


# ----- asking, and Braze in trouble


class NoPauses(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return 0.0


def put(braze: Scripted, people: Sequence[Person], rate: float = 1000.0) -> Inquiry:
    config = Config.parse({"braze": {"campaign_id": CAMPAIGN}}, where="the test")

    async def run() -> Inquiry:
        client = client_factory(http_settings(config), braze.url + EXPORT_PATH, Credential.check(KEY))()
        try:
            return await ask(
                questions(people), client, Pace(rate, rng=NoPauses()), CAMPAIGN, canvas=False, rng=NoPauses()
            )
        finally:
            await client.aclose()

    return anyio.run(run)


def crowd(count: int) -> list[Person]:
    return [Person("external_user_id", f"u{number}") for number in range(count)]


def knowing(body: dict[str, Any]) -> Answer:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return Answer(200, {"message": "success", "users": [profile(name, at) for name in body["external_ids"]]})


def test_a_question_too_large_for_braze_is_asked_in_parts() -> None:
    with scripted(lambda _, body: knowing(body) if len(body["external_ids"]) <= 13 else Answer(504, "slow")) as braze:
        found = put(braze, crowd(50))
    assert len(found.receipts) == 50 and all(found.receipts.values())
    assert not found.stopped


def test_one_refused_identifier_does_not_hide_the_answers_for_others() -> None:
    def script(_: str, body: dict[str, Any]) -> Answer:
        return Answer(400, {"message": "Bad id"}) if "u17" in body["external_ids"] else knowing(body)

    with scripted(script) as braze:
        found = put(braze, crowd(50))
    assert {person.identifier for person in crowd(50)} - {person.identifier for person in found.receipts} == {"u17"}
    assert not found.stopped


@pytest.mark.parametrize(
    ("answer", "most"), [(Answer(503, {"message": "Unavailable"}), 6), (Answer(400, {"message": "Bad"}), 12), (None, 6)]
)
def test_a_braze_that_answers_nothing_is_left_alone_after_a_few_tries(answer: Answer | None, most: int) -> None:
    with scripted(lambda *_: answer) as braze:
        found = put(braze, crowd(50))
    assert found.requests == len(braze.requests) == most
    assert "no usable answer" in found.stopped
    assert found.receipts == {}


def test_rows_not_asked_about_are_named_as_such(bench: Bench) -> None:
    with scripted(lambda path, _: None if path == SEND_PATH else Answer(404, {"message": "Not Found"})) as braze:
        bench.send(braze.url, people(2))
        found = bench.reconcile(apply=True)
    assert found.counts["not asked"] == 2
    assert bench.decisions() == []


def test_a_full_window_is_waited_for_and_the_question_asked_again() -> None:
    answers = iter([Answer(429, {"message": "Rate Limited"}, {"Retry-After": "1"})])
    with scripted(lambda _, body: next(answers, None) or knowing(body)) as braze:
        started = time.monotonic()
        found = put(braze, crowd(3))
    assert time.monotonic() - started >= 1.0
    assert found.requests == 2 and len(found.receipts) == 3


def test_questions_keep_to_their_own_rate() -> None:
    with scripted(lambda _, body: knowing(body)) as braze:
        started = time.monotonic()
        found = put(braze, crowd(12 * 50), rate=20.0)
    assert found.requests == 12
    assert time.monotonic() - started >= 0.45, "after a burst of two, ten more at 20 a second"


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_not_ask_is_refused_clearly_and_never_quoted(bench: Bench, status: int) -> None:
    refusal = Answer(status, {"message": f"Invalid API key: {KEY}\x1b[31m"})
    with scripted(lambda path, _: None if path == SEND_PATH else refusal) as braze:
        bench.send(braze.url, people(2))
        with pytest.raises(CredentialError) as caught:
            bench.reconcile(apply=True)
    assert "users.export.ids" in caught.value.hint
    assert KEY not in str(caught.value) and "\x1b" not in str(caught.value)
    assert bs.status("r", runs_dir=bench.runs).unknown == 2


def test_receipts_are_compared_by_brazes_clock() -> None:
    """Ours is five minutes behind: a receipt of a minute before the attempt bears a later time than it."""
    ahead = timedelta(minutes=5)
    sent_at = datetime.now(UTC)
    before, after = sent_at + ahead - timedelta(minutes=1), sent_at + ahead + timedelta(seconds=1)

    def script(_: str, body: dict[str, Any]) -> Answer:
        users = [profile("u0", before), profile("u1", after)]
        return Answer(200, {"message": "success", "users": users}, {"Date": format_datetime(sent_at + ahead)})

    with scripted(script) as braze:
        inquiry = put(braze, crowd(2))
    findings = [inquiry.finding(Suspect(row, 1, crowd(2)[row], sent_at, sent_at))[0] for row in range(2)]
    assert findings == [Finding.OLDER, Finding.RECEIVED]


# ----- runs that can't be asked about


def rehearsed(bench: Bench, tmp_path: Path) -> Summary:
    """A run in an embedded sandbox that lost some answers."""
    file = write(tmp_path / "p.csv", people(3_000))
    config = {"delivery": {"breaker": 1000}}
    sent = bs.send(file, config=config, sandbox=bs.Sandbox(weather="lost-answers"), run_id="r", runs_dir=bench.runs)
    assert sent.unknown
    return sent


def test_the_sandbox_of_a_rehearsal_remembers_what_it_accepted(bench: Bench, tmp_path: Path) -> None:
    sent = rehearsed(bench, tmp_path)
    ledger = bench.runs / "r" / "sandbox.ndjson"
    assert ledger.stat().st_mode & 0o777 == 0o600
    before = ledger.read_bytes()
    assert sum(len(each.recipients) for each in read_ledger(ledger)) == 3_000
    found = bench.reconcile(apply=True, environment={})
    assert found.counts["received"] == sent.unknown
    assert found.summary is not None
    assert (found.summary.accepted, found.summary.unknown) == (3_000, 0)
    assert ledger.read_bytes() == before


def test_a_rehearsal_that_is_continued_continues_its_sandboxs_account(tmp_path: Path) -> None:
    file = write(tmp_path / "p.csv", people(200))
    runs = tmp_path / "runs"
    stopped = bs.send(file, sandbox=True, run_id="r", runs_dir=runs, guards=bs.Guards(canary=50))
    assert (stopped.accepted, stopped.not_sent) == (50, 150)
    assert bs.resume("r", runs_dir=runs, watch=APPROVED).accepted == 200
    accepted = [key for each in read_ledger(runs / "r" / "sandbox.ndjson") for key in each.recipients]
    assert len(accepted) == len(set(accepted)) == 200


def test_a_sandboxs_account_that_is_damaged_is_refused_by_name(bench: Bench, tmp_path: Path) -> None:
    rehearsed(bench, tmp_path)
    (bench.runs / "r" / "sandbox.ndjson").write_text("not a ledger\n")
    with pytest.raises(BulkSenderError, match=r"cannot be read from .*sandbox\.ndjson"):
        bench.reconcile()


def test_a_run_whose_sandboxs_account_is_gone_is_refused_unless_an_endpoint_is_given(
    bench: Bench, tmp_path: Path
) -> None:
    sent = rehearsed(bench, tmp_path)
    (bench.runs / "r" / "sandbox.ndjson").unlink()
    with pytest.raises(ConfigError, match=r"account is not in its folder \(sandbox\.ndjson\)"):
        bench.reconcile()
    with run_in_thread() as another:
        found = bench.reconcile(overrides={"braze.endpoint": another.url})
    assert found.counts["not found"] == sent.unknown


def test_a_broadcast_has_no_rows_to_ask_about(bench: Bench) -> None:
    with run_in_thread() as sandbox:
        config = {"braze": {"endpoint": sandbox.url, "campaign_id": CAMPAIGN}}
        bs.broadcast(config, confirm_campaign=CAMPAIGN, run_id="b", runs_dir=bench.runs, environment=ENVIRONMENT)
        with pytest.raises(InputError, match="broadcast"):
            bench.reconcile("b")


def test_a_run_without_doubt_asks_nothing_and_needs_no_key(bench: Bench) -> None:
    with run_in_thread() as sandbox:
        bench.send(sandbox.url, people(2))
        found = bench.reconcile(apply=True, environment={})
    assert found.rows == () and found.requests == 0
    assert found.to_dict()["left_unknown"] == 0
