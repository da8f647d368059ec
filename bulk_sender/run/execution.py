"""One process's part of a run, from its batches to a closed account: the only place that knows all parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.config.hours import Window
from bulk_sender.config.model import Config
from bulk_sender.delivery.attempt import Attempted
from bulk_sender.delivery.sender import Sender
from bulk_sender.delivery.work import Tally, Work
from bulk_sender.delivery.worklist import Worklist
from bulk_sender.errors import BulkSenderError, InternalError, JournalError
from bulk_sender.eventloop import to_its_end
from bulk_sender.http.client import client_factory
from bulk_sender.http.credential import Credential
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.records import Held
from bulk_sender.journal.store import RunWriter
from bulk_sender.journal.writer import JournalWriter
from bulk_sender.observe.events import Attempt, Beginning, Progress
from bulk_sender.observe.observers import Observers
from bulk_sender.pace.backoff import WAITS, Waits
from bulk_sender.pace.limiter import Pace
from bulk_sender.pace.shared import SharedRate, shared_rate_path
from bulk_sender.planning.prepared import Opened
from bulk_sender.reporting.account import close_files, refuse_unwritable
from bulk_sender.reporting.summary import State, Summary
from bulk_sender.run.control import Control

_TICK_S = 0.25


class Delivery:
    """One process's part of a run: from the journal and the input to outcomes."""

    def __init__(
        self,
        journal: RunWriter,
        facts: Facts,
        config: Config,
        control: Control,
        observers: Observers | None = None,
        *,
        hold_after: int | None = None,
        on_hold: Callable[[Progress], Awaitable[bool]] | None = None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        waits: Waits = WAITS,
    ) -> None:
        """``hold_after``: once this many rows of the run are settled, ``on_hold`` decides whether the rest goes out.

        Without ``on_hold``, or when it says False, the run stops there and can be resumed. What goes out behind a
        hold, in this process or in the next, goes out at a ramp.
        """
        self.journal = journal
        self.facts = facts
        self.config = config
        self.control = control
        self.observers = observers or Observers()
        self.hold_after = hold_after
        self.on_hold = on_hold
        self.worklist = Worklist(journal, hold_after=hold_after)
        self._wall = wall
        self._waits = waits
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
        refuse_unwritable(self.journal.run.folder, self.facts.format)
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
            writer = JournalWriter(self.journal)
            pace = Pace(rate, reserve=delivery.reserve, shared=shared, closed_for=self._closed_for, waits=self._waits)
            if self.journal.was_held(self.journal.epoch - 1):  # going on is what approves a canary, too
                pace.ramp(delivery.ramp)
            sender = Sender(
                writer, target, new_client, pace, delivery, waits=self._waits, on_attempt=self._tell_attempt
            )
            self.observers.began(self._beginning(command))
            try:
                async with writer:
                    with anyio.CancelScope() as scope, self.control.attached(sender.stopping, scope):
                        async with self._ticking(sender):
                            await self._send_all(writer, sender, target, opened)
            except Exception as error:
                self.bug = InternalError.of(error)
                sender.stopping.stop(str(self.bug))
            except asyncio.CancelledError:
                sender.stopping.stop("the task that was sending was cancelled")
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
            run_id=self.journal.run.name,
            command=command,
            kind="canvas" if self.config.is_canvas else "campaign",
            target=self.config.target or "",
            counts=asdict(self.journal.counts()),
        )

    async def _send_all(self, writer: JournalWriter, sender: Sender, target: Endpoint, opened: Opened | None) -> None:
        """Everything there is to send; when the run is to be held under way, the rest after a word only."""
        async with aclosing(self.worklist.batches(writer, sender.stopping, target, opened)) as work:
            while await self._send_until_held(sender, work):
                await self._hold(writer, sender)

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
                    sender.stopping.stop(str(error))
        return False

    async def _hold(self, writer: JournalWriter, sender: Sender) -> None:
        if sender.stopping.is_set:
            return
        if self.on_hold is not None and await self.on_hold(self._progress(sender)):
            sender.pace.ramp(self.config.delivery.ramp)
            return
        with suppress(JournalError):  # then whoever goes on does it without a ramp
            await writer.write(Held())
        sender.stopping.stop("held after the first " + ("row" if self.hold_after == 1 else f"{self.hold_after} rows"))

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

    def _tell_attempt(self, ended: Attempted) -> None:
        self.observers.attempted(
            Attempt(
                batch=ended.batch.id,
                recipients=ended.batch.size,
                verdict=str(ended.outcome.verdict),
                status=str(ended.step.status),
                code=ended.outcome.code,
                http_status=ended.outcome.http_status,
                elapsed_s=ended.evidence.elapsed_s,
            )
        )

    def _progress(self, sender: Sender) -> Progress:
        tally: Tally = sender.tally
        throttled_for = max(0.0, (sender.pace.waiting_until or 0.0) - time.monotonic())
        closed_for = self._closed_for()
        return Progress(
            run_id=self.journal.run.name,
            rows=self.worklist.rows,
            plan_complete=self.worklist.plan_complete,
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
            rejected=self.worklist.verdicts["rejected"],
            duplicate=self.worklist.verdicts["duplicate"],
            ramping_s=sender.pace.ramping_s,
        )

    def _end(self, sender: Sender) -> Summary:
        """Close the account of this process: state, results, rejects, summary."""
        try:
            return self._close_account(sender)
        except BulkSenderError as error:  # not even the journal can be read any more
            error.exit_code = 3
            raise

    def _close_account(self, sender: Sender) -> Summary:
        stopped = sender.stopping.stopped
        left = self.journal.has_unsent() or not self.worklist.plan_complete
        state: State = "finished"
        if left:
            state = "interrupted" if stopped is not None and stopped.signal else "stopped"
        reasons = [stopped.reason if stopped is not None else "the process was told to leave at once"] if left else []
        if self.bug is not None and str(self.bug) not in reasons:
            reasons.append(str(self.bug))
        if not self.worklist.plan_complete:
            reasons.append("the input was not read to its end, later rows are not counted")
        reasons += [f"not recorded: {line}" for line in sender.attempts.unrecorded]
        try:
            self.journal.end_epoch(state, "; ".join(reasons), time.monotonic() - self._started)
        except BulkSenderError as error:
            reasons += [str(error)] if str(error) not in reasons else []
        summary = close_files(self.journal, self.facts.format, state, reasons)
        return replace(summary, signal=stopped.signal if stopped is not None else 0)


async def _put(feed: MemoryObjectSendStream[Work], work: Work, sender: Sender) -> None:
    """Hand a batch over; when the run has stopped it stays where it is, not sent."""
    if sender.stopping.is_set:
        return
    try:
        await feed.send(work)
    except anyio.BrokenResourceError:
        return
