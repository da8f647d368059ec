"""How a run stands and how long it still takes, as one of its processes sees it: the progress that observers get."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import anyio

from bulk_sender.config.model import DeliveryConfig
from bulk_sender.delivery.sender import Sender
from bulk_sender.delivery.work import SETTLED, Tally
from bulk_sender.delivery.worklist import Worklist
from bulk_sender.errors import BulkSenderError
from bulk_sender.journal.answers import Counts
from bulk_sender.journal.store import RunReader
from bulk_sender.observe.events import Progress
from bulk_sender.observe.speed import Speed, seconds_left
from bulk_sender.text.numbers import number

_COUNT_EVERY_S = 1.0
_COUNTING = 50
"""Counting the rows of a large run takes the database long: at most one part in so many of the time."""


class Outlook:
    """``closed_for``: the seconds until sending hours begin. ``recipients``: those of the run, if they were counted.

    ``plans``: whether only this process plans rows; else only others do.
    """

    def __init__(
        self,
        run_id: str,
        worklist: Worklist,
        delivery: DeliveryConfig,
        closed_for: Callable[[], float],
        recipients: int | None,
        *,
        plans: bool,
    ) -> None:
        self.earlier = Counts()
        """The rows by status that other processes have settled: those before this one, and those beside it."""
        self.held_after: int | None = None
        """The rows of the canary after which the run is held now; None while it is not held."""
        self._run_id = run_id
        self._worklist = worklist
        self._delivery = delivery
        self._closed_for = closed_for
        self._recipients = recipients
        self._plans = plans
        self._plan_complete = False
        """Whether another process has read the input to its end."""
        self._speed = Speed()
        self._per_s: float | None = None
        """The speed of all processes together; None for a process that is alone."""
        self._started = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    # --- what other processes do --------------------------------------------------------------------------------

    async def follow(self, journal: RunReader, tally: Tally) -> None:
        """Count the rows of the run now and then, until cancelled."""
        with journal.reader() as reader:
            while True:
                began = time.monotonic()
                with suppress(BulkSenderError):  # the writer says what is wrong with the database
                    found = await anyio.to_thread.run_sync(_counted, reader, abandon_on_cancel=True)
                    self._learn(*found, tally)
                await anyio.sleep(max(_COUNT_EVERY_S, _COUNTING * (time.monotonic() - began)))

    def _learn(self, counts: Counts, is_planned: bool, tally: Tally) -> None:
        """Take what the journal has, without what this process did, for what the others did.

        What this process has just done may not be in it yet. The others' counts never fall, so the highest is right.
        """
        found = {
            status: max(self.earlier.of(status), counts.of(status) - tally.recipients[status]) for status in SETTLED
        }
        self.earlier = replace(self.earlier, **found)
        if not self._plans:
            self.earlier = replace(self.earlier, rows=counts.rows, rejected=counts.rejected, duplicate=counts.duplicate)
            self._plan_complete = is_planned
        self._per_s = self._speed.take(self.elapsed_s, sum(self.so_far(tally).of(status) for status in SETTLED))

    # --- progress -----------------------------------------------------------------------------------------------

    def progress(self, sender: Sender) -> Progress:
        """Return how the run stands now."""
        tally = sender.tally
        waiting_s, waiting_on, waiting_for = self._waiting(sender)
        elapsed_s = self.elapsed_s
        per_s = self._speed.take(elapsed_s, tally.settled) if self._per_s is None else self._per_s
        so_far = self.so_far(tally)
        to_send = self._to_send(so_far)
        return Progress(
            run_id=self._run_id,
            rows=so_far.rows,
            plan_complete=self._is_planned,
            accepted=tally.recipients["accepted"],
            failed=tally.recipients["failed"],
            unknown=tally.recipients["unknown"],
            requests=tally.requests,
            in_flight=tally.in_flight,
            retries=tally.retries,
            throttled=tally.throttled,
            rate_asked=sender.pace.asked,
            rate_now=sender.pace.current,
            waiting_s=waiting_s,
            waiting_for=waiting_for,
            waiting_on=waiting_on,
            at_once=sender.turns.at_once,
            at_once_asked=sender.turns.most,
            slowed_by=_slowed_by(sender),
            elapsed_s=elapsed_s,
            rejected=self._worklist.verdicts["rejected"],
            duplicate=self._worklist.verdicts["duplicate"],
            ramping_s=sender.pace.ramping_s,
            held_after=self.held_after,
            so_far=so_far,
            to_send=to_send,
            seconds_left=seconds_left(to_send, per_s, waiting_s),
        )

    def so_far(self, tally: Tally) -> Counts:
        """Return the rows of the run by status: those of other processes, and what this one has added."""
        new = {status: tally.recipients[status] for status in SETTLED}
        new |= {verdict: self._worklist.verdicts[verdict] for verdict in ("rejected", "duplicate")}
        found = {status: self.earlier.of(status) + count for status, count in new.items()}
        # This process may send what was planned after the rows were counted.
        rows = self._worklist.rows if self._plans else max(self.earlier.rows, sum(found.values()))
        return Counts(rows, **found, not_sent=rows - sum(found.values()))

    @property
    def _is_planned(self) -> bool:
        return self._worklist.plan_complete or self._plan_complete

    def _to_send(self, so_far: Counts) -> int | None:
        """Return how many recipients have no outcome yet; None while that is unknown."""
        if self._is_planned:
            return so_far.not_sent
        if self._recipients is None:
            return None
        return self._recipients - sum(so_far.of(status) for status in SETTLED)

    def _waiting(self, sender: Sender) -> tuple[float, str, str]:
        """Return how long all requests still wait, on what, and for what in words."""
        throttled_s = max(0.0, (sender.pace.waiting_until or 0.0) - time.monotonic())
        closed_s = self._closed_for()
        if closed_s > throttled_s:
            return closed_s, "hours", f"the hours in which sending is allowed ({self._delivery.window})"
        if throttled_s:
            return throttled_s, "rate_limit", "Braze's rate limit to reset"
        hold_up = sender.turns.hold_up if not sender.tally.in_flight else None
        return (0.0, "", "") if hold_up is None else (hold_up.seconds, hold_up.kind, hold_up.reason)


def _counted(reader: RunReader) -> tuple[Counts, bool]:
    is_planned = reader.is_plan_complete()  # first: no row comes behind that
    return reader.counts(in_flight="not_sent"), is_planned


def _slowed_by(sender: Sender) -> str:
    """Say what makes the run slower than asked, apart from waits and a ramp; empty when nothing does."""
    pace, turns = sender.pace, sender.turns
    if turns.is_short:
        return f"held back by the limit on open files (ulimit -n): {turns.at_once} of {turns.most} requests at once"
    if turns.is_held_back:
        return f"held back by errors or slow answers of Braze: {turns.at_once} of {turns.most} requests at once"
    if pace.limited_to < pace.asked:
        return f"held back by the workspace's rate limit: {number(pace.limited_to)} of {number(pace.asked)} a second"
    return ""
