"""Reconcile a run: ask Braze about its unknown rows, and record as accepted what two people of a batch prove."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from bulk_sender import journal as journals
from bulk_sender.braze.endpoint import check_url
from bulk_sender.braze.receipts import EXPORT_PATH, EXPORT_RATE, Finding, Inquiry, Person, Suspect, questions
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.config.model import Config
from bulk_sender.config.rate import Rate
from bulk_sender.delivery.inquiry import ask
from bulk_sender.errors import BulkSenderError, ConfigError, InputError
from bulk_sender.eventloop import blocking
from bulk_sender.http.client import client_factory
from bulk_sender.http.credential import Credential
from bulk_sender.journal.answers import AttemptRef
from bulk_sender.journal.chunks import chunk_rows
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.records import Status
from bulk_sender.journal.store import RunReader, RunRef, RunWriter
from bulk_sender.pace.limiter import Pace
from bulk_sender.reporting import rows as frames
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.caller import account
from bulk_sender.run.catalogue import note_end
from bulk_sender.run.facts import sandbox_of
from bulk_sender.run.folder import run_folder
from bulk_sender.run.options import Sandbox
from bulk_sender.run.settings import environment_of, http_settings, load_config, overrides_of
from bulk_sender.run.standing import rewritten
from bulk_sender.run.target import SANDBOX_LEDGER, credential_for, served
from bulk_sender.text.times import iso

SETTLE_S = 600.0
"""Seconds to let pass after a request before its receipts are asked about."""

PROOF = 2
"""Different people of one batch that prove it."""

LATE = timedelta(days=1)
"""How long after a request Braze may still deliver: quiet hours and a campaign's delivery speed delay it."""


@dataclass(frozen=True, slots=True)
class RowFinding:
    """What Braze knows about one row. Times are UTC, ISO 8601; ``received_at`` is by Braze's clock."""

    row: int
    batch: int
    identifier_type: str
    identifier: str
    sent_at: str
    finding: Finding
    received_at: str | None


@dataclass(frozen=True, slots=True)
class BatchFinding:
    """``seen`` different people of a batch's ``size`` rows received the message.

    Two prove that Braze accepted the whole batch. One makes it likely: the receipt may come from another profile with
    the same e-mail address or phone number. So a batch of one row is never proved, and stays for the operator.
    """

    batch: int
    size: int
    seen: int
    evidence: str
    """What was seen, in words; empty when nothing was. The text of the decision, if it is proved."""

    @property
    def proved(self) -> bool:
        return self.seen >= PROOF

    @property
    def word(self) -> str:
        """``proved``, ``likely`` or empty."""
        return "proved" if self.proved else "likely" if self.seen else ""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The unknown rows of a run and what Braze knows about them. ``summary`` is the run's, if applied."""

    run_id: str
    target: str
    rows: tuple[RowFinding, ...]
    batches: tuple[BatchFinding, ...]
    requests: int
    stopped: str
    """Why the lookups ended early, empty if they did not."""
    applied: bool
    summary: Summary | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Rows by finding. They add up to the rows that were unknown."""
        return {str(kind): sum(row.finding is kind for row in self.rows) for kind in Finding}

    @property
    def proved_rows(self) -> int:
        """Rows of the batches that Braze is proved to have accepted."""
        return sum(batch.size for batch in self.batches if batch.proved)

    @property
    def likely_rows(self) -> int:
        """Rows of the batches that Braze has likely accepted: one person was seen. They stay unknown."""
        return sum(batch.size for batch in self.batches if batch.word == "likely")

    @property
    def left_unknown(self) -> int:
        """Rows that stay unknown, or would stay."""
        return len(self.rows) - self.proved_rows

    def to_dict(self) -> dict[str, Any]:
        facts = asdict(self)
        facts["summary"] = None if self.summary is None else self.summary.to_dict()
        facts["batches"] = [asdict(batch) | {"word": batch.word} for batch in self.batches]
        totals = ("counts", "proved_rows", "likely_rows", "left_unknown")
        return facts | {name: getattr(self, name) for name in totals}


async def reconcile_async(
    run: str,
    *,
    apply: bool = False,
    settle_s: float = SETTLE_S,
    rate: str = EXPORT_RATE,
    endpoint: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    runs_dir: str | Path = DEFAULT_RUNS_DIR,
    by: str | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Reconciliation:
    """Ask Braze about the run's unknown rows and, with ``apply``, record as accepted what is proved.

    A row is evidence if Braze shows that the person received this campaign (entered this Canvas) at the attempt or
    within two hours after it. Braze accepts a request as a whole or not at all, so two different people prove their
    batch, and the decision says how many were seen. One person makes it likely, which records nothing, also for a
    batch of one row. Rows that Braze does not show decide nothing: wait at least two hours, then ask again.

    Batches whose last attempt is younger than ``settle_s`` seconds are skipped. A person does not count as proof if
    another batch was or may have been sent to them since, or on the day before: a batch of this run, or of another run
    of the same campaign in ``runs_dir``. A message of this campaign sent by other means cannot be distinguished.

    ``rate``: lookups, such as ``"2500/minute"``. ``endpoint``: the instance's REST address; without it, a run in an
    embedded sandbox asks that sandbox. ``overrides``: any other key of the configuration, dotted. ``by``: who decides,
    the account of this process by default. ``on_progress``: called with the number of people left to look up. Without
    ``apply`` the run may be in progress.
    Raises BulkSenderError. The key needs the permission ``users.export.ids``.
    """
    overrides = overrides_of({"endpoint": endpoint, "overrides": overrides})
    folder = run_folder(Path(runs_dir), run)
    ref = RunRef.at(folder)
    writer = journals.open(ref) if apply else None
    with writer or journals.read(ref) as journal:
        facts = journal.facts()
        _refuse_what_cannot_be_asked(journal, facts, overrides)
        settings = load_config(facts.revived(), overrides)
        suspects = list(_suspects(journal))
        settled_before = datetime.now(UTC) - timedelta(seconds=settle_s)
        settled = [suspect for suspect in suspects if suspect.last_sent <= settled_before]
        inquiry = Inquiry()
        if settled:
            key = credential_for(sandbox_of(facts), environment_of({"environment": environment}))
            async with _asked(settings, facts, overrides, folder) as url:
                inquiry = await _ask(settings, url, key, settled, rate, on_progress)
        shared = _sent_elsewhere(journal, settings, settled)
        asked_at = datetime.now(UTC)
        rows = tuple(_row(suspect, inquiry, shared, settled_before, asked_at) for suspect in suspects)
        batches = tuple(batches_of(rows, settings))
        summary = _apply(writer, batches, by or account()) if writer is not None else None
    return Reconciliation(
        folder.name, settings.target or "", rows, batches, inquiry.requests, inquiry.stopped, apply, summary
    )


reconcile = blocking(reconcile_async)


def _refuse_what_cannot_be_asked(journal: RunReader, facts: Facts, overrides: Mapping[str, Any]) -> None:
    name = journal.run.name
    if facts.broadcast:
        raise InputError(
            f"run {name!r} is a broadcast, which has no rows to look up",
            hint="look for its dispatch in Braze, then record what you found with bulk-sender resolve",
        )
    if facts.sandbox and not overrides.get("braze.endpoint") and not (journal.run.folder / SANDBOX_LEDGER).exists():
        raise ConfigError(
            f"run {name!r} was sent to a sandbox, whose account is not in its folder ({SANDBOX_LEDGER})",
            hint="with --endpoint give the address of a separately started sandbox (bulk-sender sandbox), "
            "or use resolve",
        )


@asynccontextmanager
async def _asked(
    settings: Config, facts: Facts, overrides: Mapping[str, Any], folder: Path
) -> AsyncIterator[str | None]:
    """Yield the address to ask: the configured endpoint, or the run's own sandbox, which answers every lookup."""
    if sandbox_of(facts) is None or overrides.get("braze.endpoint"):
        yield settings.braze.endpoint
        return
    async with served(Sandbox(), folder) as server:
        yield server.url


def _suspects(journal: RunReader) -> Iterator[Suspect]:
    """Yield the unknown rows of the run, in order."""
    chunk, rows = 0, pl.DataFrame()
    for batch in journal.doubtful_batches():
        if batch.chunk != chunk:
            chunk = batch.chunk
            rows = chunk_rows(journal, chunk).filter(verdict="valid").select("row", "recipient")
        for row, recipient in rows.slice(batch.first, batch.size).iter_rows():
            yield Suspect(
                row,
                batch.id,
                Person.of(json.loads(recipient)),
                datetime.fromisoformat(batch.since),
                datetime.fromisoformat(batch.sent_at),
            )


async def _ask(
    settings: Config,
    url: str | None,
    key: Credential,
    suspects: Iterable[Suspect],
    rate: str,
    on_progress: Callable[[int], None] | None,
) -> Inquiry:
    try:
        pace = Pace(Rate.parse(rate).per_second)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    client = client_factory(http_settings(settings), check_url(url) + EXPORT_PATH, key)()
    try:
        return await ask(
            questions(suspect.person for suspect in suspects),
            client,
            pace,
            settings.target or "",
            canvas=settings.is_canvas,
            on_progress=on_progress,
        )
    finally:
        await client.aclose()


def _sent_elsewhere(journal: RunReader, settings: Config, suspects: list[Suspect]) -> set[tuple[str, str]]:
    """Return the people, by kind and identifier, who may have the message from another batch than their own."""
    if not suspects:
        return set()
    people = pl.DataFrame(
        [(suspect.person.kind, suspect.person.shown, suspect.batch) for suspect in suspects],
        schema={"identifier_type": pl.String, "identifier": pl.String, "own": pl.Int64},
        orient="row",
    )
    found: set[tuple[str, str]] = set()
    if settings.input.duplicates == "allow":
        found.update(_met(journal, people, pl.col("batch") != pl.col("own")))
    since = iso(min(suspect.since for suspect in suspects) - LATE)
    for other in journals.run_names(journal.run.folder.parent):
        if other == journal.run.name:
            continue
        with suppress(BulkSenderError), journals.read(RunRef.at(journal.run.folder.parent / other)) as reading:
            if _is_run_of(settings, reading, since):
                found.update(_met(reading, people, pl.col("sent_at") >= since))
    return found


def _is_run_of(settings: Config, journal: RunReader, since: str) -> bool:
    braze = journal.facts().settings.get("braze", {})
    same = (braze.get("campaign_id"), braze.get("canvas_id")) == (settings.braze.campaign_id, settings.braze.canvas_id)
    return same and journal.has_attempts_since(since)


def _met(journal: RunReader, people: pl.DataFrame, where: pl.Expr) -> Iterator[tuple[str, str]]:
    """Yield the ``people`` in rows of a run that were or may have been sent, and match ``where``."""
    for frame in frames.results(journal, [Status.ACCEPTED.value, Status.UNKNOWN.value]):
        met = frame.join(people, on=["identifier_type", "identifier"]).filter(where)
        yield from met.select("identifier_type", "identifier").iter_rows()


def _row(
    suspect: Suspect, inquiry: Inquiry, shared: set[tuple[str, str]], settled_before: datetime, now: datetime
) -> RowFinding:
    finding, at = inquiry.finding(suspect, now)
    if suspect.last_sent > settled_before:
        finding, at = Finding.TOO_FRESH, None
    elif finding is Finding.RECEIVED and (suspect.person.kind, suspect.person.shown) in shared:
        finding = Finding.SHARED
    return RowFinding(
        suspect.row,
        suspect.batch,
        suspect.person.kind,
        suspect.person.shown,
        iso(suspect.since),
        finding,
        None if at is None else iso(at),
    )


def batches_of(rows: tuple[RowFinding, ...], settings: Config) -> Iterator[BatchFinding]:
    """Yield what the rows show about each batch."""
    members: dict[int, list[RowFinding]] = {}
    for row in rows:
        members.setdefault(row.batch, []).append(row)
    did = "entered Canvas" if settings.is_canvas else "received campaign"
    for batch, group in members.items():
        seen = [row for row in group if row.finding is Finding.RECEIVED]
        people = {(row.identifier_type, _alike(row)) for row in seen}
        evidence = ""
        if seen:
            meaning = (
                "Braze accepts a request as a whole"
                if len(people) >= PROOF
                else "one person makes it likely, because a receipt may come from another profile with the same address"
            )
            evidence = (
                f"{len(people)} of {len(group)} seen by Braze to have {did} {settings.target} since "
                f"{group[0].sent_at}, the first at {min(row.received_at or '' for row in seen)}; {meaning}"
            )
        yield BatchFinding(batch, len(group), len(people), evidence)


def _alike(row: RowFinding) -> str:
    """The identifier as Braze compares it."""
    return row.identifier.casefold() if row.identifier_type == "email" else row.identifier


def _apply(journal: RunWriter, batches: Iterable[BatchFinding], by: str) -> Summary:
    attempts = {batch.id: batch.attempt for batch in journal.doubtful_batches()}
    for found in (found for found in batches if found.proved):
        attempt = AttemptRef(found.batch, attempts[found.batch])
        journal.decide({attempt: Status.ACCEPTED.value}, f"reconcile: {found.evidence}", by)
    summary = rewritten(journal)
    note_end(journal, summary)
    return summary
