"""One run from input to results: the only place that knows all parts."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import polars as pl
from anyio.streams.memory import MemoryObjectSendStream

from bulk_sender import __version__
from bulk_sender.bridges import to_its_end
from bulk_sender.config import Config
from bulk_sender.control import Control
from bulk_sender.delivery.client import client_factory
from bulk_sender.delivery.credential import Credential
from bulk_sender.delivery.endpoint import Endpoint
from bulk_sender.delivery.journal import Journal, Statement
from bulk_sender.delivery.outcome import Evidence, Outcome
from bulk_sender.delivery.pace import Pace
from bulk_sender.delivery.policy import Step
from bulk_sender.delivery.records import Batch
from bulk_sender.delivery.sender import Sender, Tally, Work
from bulk_sender.delivery.shared_rate import SharedRate, shared_rate_path
from bulk_sender.delivery.window import Window
from bulk_sender.delivery.writer import JournalWriter
from bulk_sender.errors import BulkSenderError, InputError, InternalError, RunMismatchError
from bulk_sender.folder import make_run_folder
from bulk_sender.observe import Attempt, Beginning, Observers
from bulk_sender.recipients.chunk import Position
from bulk_sender.recipients.filter import Filter
from bulk_sender.recipients.formats import InputFile
from bulk_sender.recipients.locate import Given
from bulk_sender.recipients.mapping import Mapping, resolve
from bulk_sender.recipients.plan import Payload, Planned, duplicate_keys, plan
from bulk_sender.recipients.seen import Seen
from bulk_sender.recipients.source import FileIdentity, Source, identify
from bulk_sender.recipients.spool import Spool
from bulk_sender.results import frames
from bulk_sender.results.account import close_files, refuse_unwritable
from bulk_sender.results.files import Format
from bulk_sender.results.summary import State, Summary

_TICK_S = 0.25


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a run, for whoever watches.

    ``rows`` are those of the run read so far; the other counts are of this part of the run, since the process began.
    ``rate_asked`` and ``rate_now`` are requests a second; ``waiting_s`` the seconds until requests go on (0 when they
    don't wait) and ``waiting_for`` what they wait for.
    """

    run_id: str
    rows: int
    plan_complete: bool
    accepted: int
    failed: int
    unknown: int
    requests: int
    in_flight: int
    retries: int
    throttled: int
    rate_asked: float
    rate_now: float
    waiting_s: float
    waiting_for: str
    elapsed_s: float
    rejected: int = 0
    duplicate: int = 0


@dataclass(frozen=True, slots=True)
class Opened:
    """An input laid against a configuration: everything that can be known without reading its rows."""

    source: Source
    mapping: Mapping
    config: Config
    as_found: tuple[tuple[int, ...], ...] = field(init=False, repr=False)
    """What identified each file when it was opened, which is before it is hashed; looked at again while it is read."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "as_found", _stamps(self.source.paths))

    @classmethod
    def open(cls, inputs: Sequence[Given], config: Config, spool: Spool) -> Opened:
        """``spool`` has to live as long as what is opened. Raises InputError, ConfigError."""
        source = Source.open(inputs, config.input, spool)
        Filter.of(config.input, source.schema)  # a condition that can't be applied is refused before any row is read
        return cls(source, resolve(source.schema, config), config)

    @classmethod
    def again(cls, facts: Facts, folder: Path, config: Config) -> Opened:
        """The input of a run in ``folder``, as it was started. Raises InputError, ConfigError."""
        files = [InputFile(item.name, path, item.format, item.partitions) for item, path in facts.located(folder)]
        source = Source(files, config.input)
        return cls(source, resolve(source.schema, config), config)

    def sample(self, rows: int) -> pl.DataFrame:
        """Of the first ``rows`` rows those that are meant, as they are in the input."""
        found = self.source.head(rows)
        return found.filter(Filter.of(self.config.input, self.source.schema).select(found))

    def plan(self, head_bytes: int, **where: Any) -> Iterator[Planned]:
        """Raises InputError, also when a file is no longer the one that was opened: its rows are not this input's."""
        for piece in plan(self.source, self.mapping, self.config, head_bytes=head_bytes, **where):
            if _stamps(self.source.paths) != self.as_found:
                raise InputError(
                    "the input was changed while it was read", hint="put it back as it was, then resume the run"
                )
            yield piece


def _stamps(paths: Sequence[Path]) -> tuple[tuple[int, ...], ...]:
    """Device, inode, size (bytes) and time of change (ns) of each file; of one that is gone, nothing."""
    found: list[tuple[int, ...]] = []
    for path in paths:
        try:
            facts = path.stat()
        except OSError:
            found.append(())
            continue
        found.append((facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a run remembers of how it was started; frozen in its journal."""

    settings: dict[str, Any]
    config: str
    input: tuple[FileIdentity, ...]
    paths: tuple[str, ...]
    """Where the files are: absolute, or within the run's folder what was spooled there."""
    sandbox: str
    """The weather of the embedded sandbox, empty for a real send."""
    format: Format
    created_at: str
    broadcast: bool = False
    """Whether the run is one request to a segment or audience, without rows."""
    tool: str = f"bulk-sender {__version__}"

    @classmethod
    def of(cls, journal: Journal) -> Facts:
        names = cls.__dataclass_fields__
        facts = {name: journal.fact(name) for name in names}
        facts["input"] = tuple(FileIdentity(**item) for item in facts["input"])
        facts["paths"] = tuple(facts["paths"])
        facts["broadcast"] = bool(facts["broadcast"])
        return cls(**facts)

    def located(self, folder: Path) -> list[tuple[FileIdentity, Path]]:
        """Each file with its place, for a run that lives in ``folder``."""
        return [(item, folder / path) for item, path in zip(self.input, self.paths, strict=True)]

    def revived(self) -> Config:
        """The configuration the run was started with."""
        return Config.model_validate_json(self.config)

    def difference(self, other: Facts) -> list[str]:
        """Which settings differ, by dotted name; ``input`` when the files do."""
        found = sorted(_differing(self.settings, other.settings))
        mine, theirs = ([item.sha256 for item in facts.input] for facts in (self, other))
        if mine != theirs:
            found.insert(0, "input")
        if bool(self.sandbox) != bool(other.sandbox):
            found.append("sandbox")
        if self.broadcast != other.broadcast:
            found.append("kind (a broadcast, or a send to recipients)")
        return found


def _differing(one: Any, other: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one.keys() | other.keys():
            yield from _differing(one.get(name), other.get(name), f"{prefix}{name}.")
    elif one != other:
        yield prefix.removesuffix(".")


def create(folder: Path, facts: Facts) -> Journal:
    """A new run's folder and journal. Raises BulkSenderError when the place can't be had."""
    make_run_folder(folder)
    return Journal.create(folder, asdict(facts))


def check_input_unchanged(facts: Facts, folder: Path, *, needed: bool) -> None:
    """Refuse to go on with an input that is not the one the run began with. Raises RunMismatchError, InputError."""
    for identity, path in facts.located(folder):
        if not path.exists() and not needed:
            continue  # everything that is to be sent is in the journal
        if not path.exists():
            raise InputError(f"{path} is gone, but the run has not read it to its end", hint="put it back, then resume")
        size = path.stat().st_size
        if size != identity.size or identify(InputFile(identity.name, path, "")).sha256 != identity.sha256:
            raise RunMismatchError(
                f"{path} has changed since the run began (its size or SHA-256 differs)",
                hint="restore the file, or send the new one as a run of its own",
            )


class Delivery:
    """One process's part of a run: from the journal and the input to outcomes."""

    def __init__(
        self,
        journal: Journal,
        facts: Facts,
        config: Config,
        control: Control,
        observers: Observers | None = None,
        *,
        hold_after: int | None = None,
        on_hold: Callable[[Progress], Awaitable[bool]] | None = None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``hold_after``: once this many rows of the run are settled, ``on_hold`` decides whether the rest goes out.

        Without ``on_hold``, or when it says False, the run stops there and can be resumed.
        """
        self.journal = journal
        self.facts = facts
        self.config = config
        self.control = control
        self.observers = observers or Observers()
        self.hold_after = hold_after
        self.on_hold = on_hold
        self._held = False
        self._wall = wall
        self.rows = 0
        self.verdicts: Counter[str] = Counter()
        self.plan_complete = False
        self.trouble: BulkSenderError | None = None
        self.bug: InternalError | None = None
        """What nobody foresaw, with the exception as its ``__cause__``."""

    async def run(self, command: str, target: Endpoint, credential: Credential, opened: Opened | None) -> Summary:
        """Send what is not sent yet, then plan and send the rest of the input.

        Raises BulkSenderError for what stands in the way before the first request. From then on trouble, also an
        unforeseen one, is told by the summary: however sending ends, the account is closed.
        """
        self._started = time.monotonic()
        delivery = self.config.delivery
        new_client = client_factory(self.config, target.url, credential)
        refuse_unwritable(self.journal.folder, self.facts.format)
        rate = target.rate(delivery.pace).per_second
        self._window = Window.parse(delivery.window) if delivery.window else None
        with ExitStack() as stack:
            shared = None
            if delivery.share_rate and not self.facts.sandbox and not target.broadcast:  # a broadcast has its own limit
                shared = SharedRate(
                    shared_rate_path(self.config.braze.endpoint or target.url, credential.authorization), rate
                )
                stack.callback(shared.close)
            self.journal.begin_epoch(command)
            self.plan_complete = bool(self.journal.fact("plan_complete"))
            writer = JournalWriter(self.journal)
            pace = Pace(rate, reserve=delivery.reserve, shared=shared, closed_for=self._closed_for)
            sender = Sender(writer, target, new_client, pace, delivery, on_outcome=self._tell_attempt)
            self.observers.began(self._beginning(command))
            try:
                async with writer:
                    with anyio.CancelScope() as scope, self.control.attached(sender, scope):
                        async with self._ticking(sender):
                            await self._send_all(writer, sender, target, opened)
            except Exception as error:
                self.bug = InternalError.of(error)
                sender.stop(str(self.bug))
            except asyncio.CancelledError:
                sender.stop("the task that was sending was cancelled")
                with suppress(Exception):
                    await self._conclude(sender)
                raise
            except BaseException:  # whoever ends the event loop itself has the account closed all the same
                with suppress(Exception):
                    self._end(sender)
                raise
            return await self._conclude(sender)

    async def _conclude(self, sender: Sender) -> Summary:
        summary = await to_its_end(lambda: self._end(sender))
        await self.observers.tell_end(summary)
        return summary

    def _beginning(self, command: str) -> Beginning:
        return Beginning(
            run_id=self.journal.folder.name,
            command=command,
            kind="canvas" if self.config.is_canvas else "campaign",
            target=self.config.target or "",
            counts=frames.counts(self.journal),
        )

    async def _send_all(self, writer: JournalWriter, sender: Sender, target: Endpoint, opened: Opened | None) -> None:
        """Everything there is to send; when the run is to be held under way, the rest after a word only."""
        async with aclosing(self._work(writer, sender, target, opened)) as work:
            while await self._send_until_held(sender, work):
                await self._hold(sender)

    async def _send_until_held(self, sender: Sender, work: AsyncGenerator[Work | None]) -> bool:
        """Deliver work and wait for its outcomes. True when there may be more, behind a hold."""
        feed, queue = anyio.create_memory_object_stream[Work](self.config.delivery.concurrency)
        async with anyio.create_task_group() as group:
            group.start_soon(sender.run, queue)
            async with feed:
                try:
                    async for item in work:
                        if item is None:
                            return True
                        await _put(feed, item, sender)
                except BulkSenderError as error:
                    self.trouble = error
                    sender.stop(str(error))
        return False

    async def _hold(self, sender: Sender) -> None:
        if sender.is_stopping:
            return
        if self.on_hold is None or not await self.on_hold(self._progress(sender)):
            sender.stop("held after the first " + ("row" if self.hold_after == 1 else f"{self.hold_after} rows"))

    async def _work(
        self, writer: JournalWriter, sender: Sender, target: Endpoint, opened: Opened | None
    ) -> AsyncGenerator[Work | None]:
        """The batches in the order of their rows; None where the run is to be held."""
        async with aclosing(self._planned_work(sender)) as planned:
            async for item in planned:
                yield item
        if not self.plan_complete and opened is not None:
            async with aclosing(self._new_work(writer, sender, target, opened)) as new:
                async for item in new:
                    yield item

    def _is_to_hold(self, rows_before: int) -> bool:
        if self._held or self.hold_after is None or rows_before < self.hold_after:
            return False
        self._held = True
        return True

    async def _planned_work(self, sender: Sender) -> AsyncGenerator[Work | None]:
        """What an earlier process planned and nobody has sent, or what is to be sent again."""
        with Journal.look(self.journal.folder) as reading:
            self.rows = frames.counts(reading)["rows"]
            chunks = reading.query(
                "SELECT id, (SELECT coalesce(sum(rows), 0) FROM chunk AS earlier WHERE earlier.id < chunk.id) AS before"
                " FROM chunk WHERE id IN (SELECT chunk FROM state WHERE status = 'not_sent') ORDER BY id"
            )
            for chunk in chunks:
                if self._is_to_hold(chunk["before"]):
                    yield None
                if sender.is_stopping:
                    return
                payload = Payload(frames.chunk_rows(reading, chunk["id"])["recipient"])
                pending = reading.query(
                    "SELECT batch AS id, chunk, first, size, parent, attempts AS prior, body_sha256 FROM state"
                    " WHERE status = 'not_sent' AND chunk = ? ORDER BY first",
                    (chunk["id"],),
                )
                for found in pending:
                    body_sha256 = found.pop("body_sha256")
                    yield Work(Batch(**found), payload, body_sha256)

    async def _new_work(
        self, writer: JournalWriter, sender: Sender, target: Endpoint, opened: Opened
    ) -> AsyncGenerator[Work | None]:
        """Plan the rest of the input. When the run stops, planning goes on: every row belongs into the account."""
        where = await anyio.to_thread.run_sync(_resume_point, self.journal.folder)
        pieces = opened.plan(target.frame_bytes, cut_after=self.hold_after, **where)
        number = self.journal.next_id("chunk")
        while (piece := await anyio.to_thread.run_sync(next, pieces, None)) is not None:
            batches = _number(piece, number, sender)
            record = await anyio.to_thread.run_sync(_chunk_record, piece, number)
            await writer.write(record, *(self.journal.batch_record(batch) for batch in batches))
            before, self.rows = self.rows, self.rows + len(piece.rows)
            self.verdicts.update(dict(piece.rows["verdict"].value_counts().iter_rows()))
            if self._is_to_hold(before):
                yield None
            if not sender.is_stopping:
                payload = Payload(piece.rows["recipient"])
                for batch in batches:
                    yield Work(batch, payload)
            number += 1
        await writer.write(("run", ("plan_complete", "true")))
        self.plan_complete = True

    @asynccontextmanager
    async def _ticking(self, sender: Sender) -> AsyncIterator[None]:
        async def tick() -> None:
            while True:
                self.observers.moment(self._progress(sender))
                await anyio.sleep(_TICK_S)

        async with anyio.create_task_group() as group:
            group.start_soon(tick)
            yield
            group.cancel_scope.cancel()
        self.observers.moment(self._progress(sender))

    def _closed_for(self) -> float:
        """Seconds until the window opens; 0.0 inside it, or without one."""
        return self._window.wait_s(self._wall()) if self._window is not None else 0.0

    def _waiting_for(self, throttled_for: float, closed_for: float) -> str:
        if closed_for > throttled_for:
            return f"the hours in which sending is allowed ({self.config.delivery.window})"
        return "Braze's rate limit to start anew" if throttled_for else ""

    def _tell_attempt(self, batch: Batch, step: Step, outcome: Outcome, evidence: Evidence) -> None:
        self.observers.attempted(
            Attempt(
                batch=batch.id,
                recipients=batch.size,
                verdict=str(outcome.verdict),
                status=str(step.status),
                code=outcome.code,
                http_status=outcome.http_status,
                elapsed_s=evidence.elapsed_s,
            )
        )

    def _progress(self, sender: Sender) -> Progress:
        tally: Tally = sender.tally
        throttled_for = max(0.0, (sender.pace.waiting_until or 0.0) - time.monotonic())
        closed_for = self._closed_for()
        return Progress(
            run_id=self.journal.folder.name,
            rows=self.rows,
            plan_complete=self.plan_complete,
            accepted=tally.recipients["accepted"],
            failed=tally.recipients["failed"],
            unknown=tally.recipients["unknown"],
            requests=tally.requests,
            in_flight=tally.in_flight,
            retries=tally.retries,
            throttled=tally.throttled,
            rate_asked=sender.pace.asked,
            rate_now=sender.pace.current,
            waiting_s=max(throttled_for, closed_for),
            waiting_for=self._waiting_for(throttled_for, closed_for),
            elapsed_s=time.monotonic() - self._started,
            rejected=self.verdicts["rejected"],
            duplicate=self.verdicts["duplicate"],
        )

    def _end(self, sender: Sender) -> Summary:
        """Close the account of this process: state, results, rejects, summary."""
        try:
            return self._close_account(sender)
        except BulkSenderError as error:  # not even the journal can be read any more
            error.exit_code = 3
            raise

    def _close_account(self, sender: Sender) -> Summary:
        stopped = sender.stopped
        left = frames.has_unsent(self.journal) or not self.plan_complete
        state: State = "finished"
        if left:
            state = "interrupted" if stopped is not None and stopped.signal else "stopped"
        reasons = [stopped.reason if stopped is not None else "the process was told to leave at once"] if left else []
        if self.bug is not None and str(self.bug) not in reasons:
            reasons.append(str(self.bug))
        if not self.plan_complete:
            reasons.append("the input was not read to its end, later rows are not counted")
        reasons += [f"not recorded: {line}" for line in sender.unrecorded]
        try:
            self.journal.end_epoch(state, "; ".join(reasons), time.monotonic() - self._started)
        except BulkSenderError as error:
            reasons += [str(error)] if str(error) not in reasons else []
        summary = close_files(self.journal, self.facts.format, state, reasons)
        return replace(summary, signal=stopped.signal if stopped is not None else 0)


async def _put(feed: MemoryObjectSendStream[Work], work: Work, sender: Sender) -> None:
    """Hand a batch over; when the run has stopped it stays where it is, not sent."""
    if sender.is_stopping:
        return
    try:
        await feed.send(work)
    except anyio.BrokenResourceError:
        return


def _number(piece: Planned, chunk: int, sender: Sender) -> list[Batch]:
    batches, first = [], 0
    for size in piece.sizes:
        batches.append(Batch(sender.new_batch_id(), chunk, first, size))
        first += size
    return batches


def _chunk_record(piece: Planned, number: int) -> Statement:
    rows, rejects = frames.pack(piece)
    verdicts = dict(piece.rows["verdict"].value_counts().iter_rows())
    return "chunk", (
        number,
        int(piece.rows["row"][0]),
        int(piece.rows["row"][-1]),
        len(piece.rows),
        verdicts.get("valid", 0),
        verdicts.get("rejected", 0),
        verdicts.get("duplicate", 0),
        json.dumps(asdict(piece.resume)),
        rows,
        rejects,
    )


def _resume_point(folder: Path) -> dict[str, Any]:
    """Where planning goes on, with the identifiers met so far; the beginning for a new run."""
    with Journal.look(folder) as journal:
        last = journal.query("SELECT last_row, resume FROM chunk ORDER BY id DESC LIMIT 1")
        seen = Seen(folder)
        if not last:
            return {"seen": seen}
        already = 0
        for chunk in frames.chunk_ids(journal):
            rows = frames.chunk_rows(journal, chunk)
            already += len(rows)
            seen.repeated(duplicate_keys(rows.filter(pl.col("verdict") == "valid")))
        return {
            "start": Position(**json.loads(last[0]["resume"])),
            "after_row": last[0]["last_row"],
            "already": already,
            "seen": seen,
        }
