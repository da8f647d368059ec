"""One process's share of a run, from its batches to a closed account: the only module that knows all parts."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import ExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import anyio

from bulk_sender import journal as journals
from bulk_sender.braze.endpoint import Endpoint, endpoint
from bulk_sender.config.model import Config
from bulk_sender.delivery.attempt import Attempted
from bulk_sender.delivery.feed import Feed
from bulk_sender.delivery.leased_work import LeasedWork
from bulk_sender.delivery.own_work import OwnWork
from bulk_sender.delivery.sender import Sender
from bulk_sender.delivery.work import Work
from bulk_sender.delivery.worklist import Worklist
from bulk_sender.errors import BulkSenderError, InternalError, JournalError
from bulk_sender.eventloop import to_its_end
from bulk_sender.garbage import light_collections
from bulk_sender.http.client import client_factory
from bulk_sender.http.credential import Credential
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.records import Answered, Held, Record
from bulk_sender.journal.records import Canary as NewCanary
from bulk_sender.journal.store import RunWriter
from bulk_sender.journal.writer import JournalWriter
from bulk_sender.observe.events import Attempt, Beginning, log
from bulk_sender.pace.file_rate import FileRate, shared_rate_path
from bulk_sender.pace.limiter import Pace
from bulk_sender.pace.shared import SharedRate, workspace_of
from bulk_sender.planning.prepared import PreparedInput
from bulk_sender.process_limits import TO_SEND, room
from bulk_sender.reading.spool import FOLDER as SPOOLED
from bulk_sender.reporting.account import refuse_unwritable
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.beside import Begun, refuse_alone
from bulk_sender.run.caller import Caller
from bulk_sender.run.canary import NO_CANARY, Canary, held_after, ramp_is_due
from bulk_sender.run.catalogue import note_beginning, note_end, note_loss
from bulk_sender.run.closing import Ending, close_account, leave
from bulk_sender.run.control import Control
from bulk_sender.run.facts import sandbox_of
from bulk_sender.run.options import Approval
from bulk_sender.run.outlook import Outlook
from bulk_sender.run.settings import RunSettings
from bulk_sender.run.target import MakeEndpoint, place
from bulk_sender.run.together import Together
from bulk_sender.text.numbers import roughly

_TICK_S = 0.25
_LOOK_S = 0.1
"""How often to look whether the journal is still there, besides each commit."""
_FEW_FILES = "this process may not open more files (ulimit -n)"


async def execute(
    command: str,
    journal: RunWriter,
    facts: Facts,
    config: Config,
    credential: Credential,
    caller: Caller,
    prepared: PreparedInput | None,
    *,
    canary: Canary = NO_CANARY,
    make: MakeEndpoint = endpoint,
    gone: str = "",
    recipients: int | None = None,
    joins: bool = False,
) -> Summary:
    """Send what the run has left.

    ``prepared``: its input, None when an earlier process read it to its end, or when the rest of it is ``gone``, which
    says why. ``make`` makes the endpoint. ``recipients``: those of the whole run, if they were counted. ``joins``:
    whether other processes have the run, and this one only helps to send.
    """
    folder = journal.run.folder
    async with place(config.braze, config.message, sandbox_of(facts), make, folder) as target:
        settings = RunSettings.of(config, target)
        execution = Execution(journal, facts, settings, caller, canary, gone=gone, recipients=recipients, joins=joins)
        with ExitStack() as stack:
            if prepared is not None and config.scale.planners > 1:
                from bulk_sender.planning.processes import Processes

                prepared = replace(prepared, planners=stack.enter_context(Processes(config.scale.planners)))
            summary = await execution.run(command, target, credential, prepared)
    if execution.worklist.plan_complete and journal.lost is None and not joins:
        forget_stored_input(journal)
    return summary


def forget_stored_input(journal: RunWriter) -> None:
    """Remove the run's copy of its input: every row is in the journal, and people's data is not kept twice."""
    shutil.rmtree(journal.run.folder / SPOOLED, ignore_errors=True)


class Execution:
    """One process's share of a run: from the journal and the input to outcomes."""

    def __init__(
        self,
        journal: RunWriter,
        facts: Facts,
        settings: RunSettings,
        caller: Caller,
        canary: Canary,
        *,
        gone: str = "",
        recipients: int | None = None,
        joins: bool = False,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        is_held = canary.rows is not None and not canary.is_granted
        team = journal.team
        self._together = None if team is None else Together(journal, team, leads=not joins)
        self.worklist: Worklist = (
            OwnWork(journal, canary=canary.rows, is_held=is_held)
            if team is None
            else LeasedWork(journal, team, plans=not joins, canary=canary.rows, is_held=is_held)
        )
        self.bug: InternalError | None = None
        """An unforeseen exception, which is its ``__cause__``."""
        self._journal = journal
        self._facts = facts
        self._settings = settings
        self._observers = caller.observers
        self._control = caller.watch.control or Control()
        self._canary = canary
        self._gone = gone
        self._on_canary = caller.watch.on_canary
        self._longest = caller.guards.longest()
        self._beside = caller.watch.beside
        self._by = caller.by
        self._joins = joins
        self._wall = wall
        self._waits = caller.waits
        self._outlook = Outlook(
            journal.run.name, self.worklist, settings.delivery, self._closed_for, recipients, plans=not joins
        )

    async def run(
        self, command: str, target: Endpoint, credential: Credential, prepared: PreparedInput | None
    ) -> Summary:
        """Send what is not sent yet, then plan and send the rest of the input.

        Raises BulkSenderError for trouble before the first request. Later trouble, even unforeseen, is in the
        summary: however sending ends, the account is closed.
        """
        self._respect_descriptors()
        new_client = client_factory(self._settings.http, target.url, credential)
        if not self._joins:
            refuse_unwritable(self._journal.run.folder, self._facts.format)
        with ExitStack() as stack:
            shared = self._shared_rate(stack, credential)
            note_beginning(self._journal)
            self._journal.begin_epoch(command, self._by)
            self._outlook.earlier = self._journal.counts(in_flight="not_sent")
            writer = JournalWriter(self._journal)
            sender = Sender(
                writer,
                target,
                new_client,
                self._pace(shared),
                self._settings.delivery,
                waits=self._waits,
                on_attempt=self._attempted if self._observers.count_attempts else None,
            )
            self._journal.is_late = sender.stopping.is_late
            self._observers.began(self._beginning(command))
            scope = stack.enter_context(self._control.attached(sender.stopping, anyio.CancelScope()))
            try:
                async with writer:
                    with scope, light_collections():
                        async with self._ticking(sender):
                            await self._send_all(writer, sender, target, prepared)
            except Exception as error:
                self.bug = InternalError.of(error)
                sender.stopping.stop(str(self.bug))
            except asyncio.CancelledError:
                sender.stopping.stop("the task that was sending was cancelled")
                with suppress(Exception):
                    await self._conclude(sender)
                raise
            except BaseException:  # close the account even on KeyboardInterrupt or SystemExit
                with suppress(Exception):
                    self._close(sender)
                raise
            return await self._conclude(sender)

    # --- the parts ----------------------------------------------------------------------------------------------

    def _respect_descriptors(self) -> None:
        """Lower the concurrency when this process may not open so many connections. Raise BulkSenderError for none."""
        delivery = self._settings.delivery
        each = 2 if self._facts.sandbox else 1  # the sandbox is in this process, and has the other end
        most = max(1, room(each * delivery.concurrency, keep=TO_SEND) // each)
        if most < delivery.concurrency:
            log.warning("at most %d requests at once instead of %d: %s", most, delivery.concurrency, _FEW_FILES)
            delivery = delivery.model_copy(update={"concurrency": most})
            self._settings = replace(self._settings, delivery=delivery)

    def _shared_rate(self, stack: ExitStack, credential: Credential) -> SharedRate | None:
        pace = self._settings.pace
        if not pace.is_shared or self._facts.sandbox:
            return None
        workspace = self._settings.base_url, credential.authorization
        shared = journals.shared_rate(self._journal, workspace_of(*workspace), pace.rate_per_s)
        if shared is None:
            shared = FileRate(shared_rate_path(*workspace), pace.rate_per_s)
        stack.callback(shared.close)
        return shared

    def _pace(self, shared: SharedRate | None) -> Pace:
        settings = self._settings.pace
        pace = Pace(
            settings.rate_per_s,
            first=settings.first_per_s,
            reserve=settings.reserve,
            shared=shared,
            closed_for=self._closed_for,
            waits=self._waits,
        )
        if ramp_is_due(self._journal):  # the process that was to start slowly has died
            pace.ramp(settings.ramp_s)
        return pace

    def _beginning(self, command: str) -> Beginning:
        return Beginning(
            run_id=self._journal.run.name,
            command=command,
            kind=self._settings.kind,
            target=self._settings.target,
            counts=asdict(self._outlook.earlier),
            inputs=tuple(item.name for item in self._facts.input),
            host=urlsplit(self._settings.base_url).hostname or "",
            rehearsal=bool(self._facts.sandbox),
        )

    # --- sending ------------------------------------------------------------------------------------------------

    async def _send_all(
        self, writer: JournalWriter, sender: Sender, target: Endpoint, prepared: PreparedInput | None
    ) -> None:
        """Send the canary if there is one, ask, then send the rest."""
        if self._canary.rows is not None and self._canary.story is None:
            await self._noted(writer, sender, NewCanary(self._canary.rows))
        stopping, worklist = sender.stopping, self.worklist
        try:
            async with (
                worklist.planning(writer, stopping, target, prepared),
                aclosing(worklist.batches(writer, stopping, target, prepared)) as work,
            ):
                while await self._send_until_held(sender, work):
                    await self._hold(writer, sender)
        finally:
            await worklist.close(writer)
        if not worklist.plan_complete:
            stopping.stop(self._gone)  # not before: what the journal has goes out
        if self._together is not None:
            await self._together.wait_for_others(stopping)

    @staticmethod
    async def _noted(writer: JournalWriter, sender: Sender, record: Record) -> None:
        """Write a record of the canary. Without it the run stops: planning goes on, and nothing is sent."""
        try:
            await writer.write(record)
        except JournalError as error:
            sender.stopping.stop(str(error))

    async def _send_until_held(self, sender: Sender, work: AsyncGenerator[Work | None]) -> bool:
        """Deliver work and wait for its outcomes. Return True when there may be more after a hold."""
        feed = Feed(self._settings.delivery.concurrency)
        async with anyio.create_task_group() as group:
            group.start_soon(sender.run, feed)
            try:
                async for item in work:
                    if item is None:
                        return True
                    if not sender.stopping.is_set:  # a stopped run leaves it unsent
                        await feed.put(item)
            except BulkSenderError as error:
                sender.stopping.stop(str(error))
            finally:
                feed.end()
        return False

    async def _hold(self, writer: JournalWriter, sender: Sender) -> None:
        """Ask whether the rest follows the canary; if not, stop so that the run can be resumed.

        The hold is in the journal before anybody is asked, and the answer before anything follows from it.
        """
        if sender.stopping.is_set:
            return
        story = self._canary.story
        number = self._journal.epoch if story is None else story.id
        if story is None or story.held_at is None:
            await self._noted(writer, sender, Held(number))
        answer = await self._asked(sender)
        if answer is not None:
            settled = sender.tally.settled
            by = answer.by or self._by
            record = Answered(number, answer.granted, by, settled or self._canary.rows or 0)
            await self._noted(writer, sender, record)
        if answer is not None and answer.granted:
            sender.pace.ramp(self._settings.pace.ramp_s)
        else:
            sender.stopping.stop(held_after(self._canary.rows or 0))

    async def _asked(self, sender: Sender) -> Approval | None:
        """Return the answer; None when there is nobody to ask, or when a stop came first."""
        found: Approval | bool | None = None
        if sender.stopping.is_set:  # the hold is not in the journal
            return None
        self._outlook.held_after = self._canary.rows or 0
        with sender.stopping.cutting_short():
            if self._on_canary is not None:
                found = await self._on_canary(self._outlook.progress(sender))
        self._outlook.held_after = None
        answer = Approval(found) if isinstance(found, bool) else found
        # A prompt that a stop has cut short says no, but nobody said it.
        return None if answer is not None and not answer.granted and sender.stopping.is_set else answer

    # --- observers ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _ticking(self, sender: Sender) -> AsyncIterator[None]:
        async def tick() -> None:
            while True:
                self._observers.moment(self._outlook.progress(sender))
                self._stop_when_too_long(sender)
                await anyio.sleep(_TICK_S)

        async def look() -> None:
            while True:
                if (loss := await anyio.to_thread.run_sync(self._journal.look)) is not None:
                    return sender.stopping.stop(loss.what)
                await anyio.sleep(_LOOK_S)

        async with anyio.create_task_group() as group:
            group.start_soon(tick)
            group.start_soon(look)
            if self._together is not None:
                group.start_soon(self._together.watch, sender.stopping)
                group.start_soon(self._outlook.follow, self._journal, sender.tally)
            group.start_soon(self._run_beside)
            yield
            group.cancel_scope.cancel()
        self._observers.moment(self._outlook.progress(sender))

    async def _run_beside(self) -> None:
        if (beside := self._beside) is None:
            return
        try:
            team = refuse_alone(self._journal.run.name, self._journal.team)
            await beside(Begun(self._journal.run.name, self._journal.epoch, team))
        except Exception as error:  # this process sends without the others
            log.warning("no more processes can be started for this run: %s", error)

    def _stop_when_too_long(self, sender: Sender) -> None:
        longest = self._longest
        if longest is not None and self._outlook.elapsed_s > longest.total_seconds():
            sender.stopping.stop(f"it took longer than --max-duration allows ({roughly(longest.total_seconds())})")

    def _closed_for(self) -> float:
        """Return the seconds until sending hours begin; 0.0 within them, or without any."""
        hours = self._settings.hours
        return hours.wait_s(self._wall()) if hours is not None else 0.0

    def _attempted(self, ended: Attempted) -> None:
        self._observers.attempted(
            Attempt(
                batch=ended.batch.id,
                recipients=ended.batch.size,
                verdict=str(ended.outcome.verdict),
                status=str(ended.step.status),
                code=ended.outcome.code,
                http_status=ended.outcome.http_status,
                elapsed_s=ended.evidence.elapsed_s,
                named=ended.named if len(ended.parts) > 1 else 0,
            )
        )

    # --- the end ------------------------------------------------------------------------------------------------

    async def _conclude(self, sender: Sender) -> Summary:
        summary = await to_its_end(lambda: self._close(sender))
        if not self._joins:  # the process that started the run tells how it ended
            await self._observers.tell_end(summary)
        return summary

    def _close(self, sender: Sender) -> Summary:
        ending = Ending(
            plan_complete=self.worklist.plan_complete,
            stopped=sender.stopping.stopped,
            unrecorded=sender.attempts.unrecorded,
            bug=self.bug,
            elapsed_s=self._outlook.elapsed_s,
        )
        if self._joins and (summary := leave(self._journal, ending)) is not None:
            return summary
        try:
            summary = close_account(
                self._journal,
                None if self._joins else self._facts.format,
                ending,
                is_late=sender.stopping.is_late,
            )
        finally:
            note_loss(self._journal, self._facts)
        note_end(self._journal, summary)
        return summary
