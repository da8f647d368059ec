"""When a worker may send: the rate, the number of requests in flight, and one probe at a time during trouble."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import anyio

from bulk_sender.braze.answer import HELD_UP, SHORT, Verdict
from bulk_sender.braze.headers import budget, throttle_wait
from bulk_sender.delivery.attempt import Attempted
from bulk_sender.delivery.breakers import Circuit
from bulk_sender.delivery.stopping import Stopping
from bulk_sender.http.evidence import Reach
from bulk_sender.pace.backoff import Waits
from bulk_sender.pace.concurrency import AdaptiveLimit, Departures
from bulk_sender.pace.limiter import Pace
from bulk_sender.pace.slot import Slot


@dataclass(frozen=True, slots=True)
class HoldUp:
    """A pause after trouble: the next request leaves in ``seconds``."""

    seconds: float
    kind: str
    """``connection``, or ``errors`` of Braze."""
    reason: str
    """What it waits for, and why; never Braze's words, which may quote a recipient."""


@dataclass(slots=True)
class _Pausing:
    until: float
    attempt: int
    """The number of the attempt that follows; 0 for a probe."""


class Turns:
    """The turns of one sender's workers, adjusted by each answer."""

    def __init__(
        self,
        pace: Pace,
        circuit: Circuit,
        stopping: Stopping,
        *,
        most: int,
        attempts: int,
        waits: Waits,
        rng: random.Random,
    ) -> None:
        """``most``: requests that may ever be in flight at once. ``attempts``: those allowed for one batch."""
        self.most = most
        self._attempts = attempts
        self._trouble: tuple[str, str] | None = None
        """Kind and words of the latest trouble; None after an answer that Braze meant."""
        self._pausing: list[_Pausing] = []
        self._pace = pace
        self._circuit = circuit
        self._stopping = stopping
        self._waits = waits
        self._rng = rng
        self._limit = AdaptiveLimit(most=most)
        self._slots = anyio.CapacityLimiter(self._limit.limit)
        self._departures = Departures()
        self._probe = anyio.Lock()
        self._prober: Slot | None = None
        """The slot whose worker holds the lock, which it keeps to the end of its turn."""
        self._probing: anyio.CancelScope | None = None
        """The pause before a probe."""
        self._reached = False
        self.is_short = False
        """Whether file descriptors ran out, so that fewer requests may be in flight."""

    @property
    def at_once(self) -> int:
        """Requests that may be in flight at once now."""
        return self._limit.limit

    @property
    def is_held_back(self) -> bool:
        """Whether errors or slow answers have lowered the number of requests in flight at once."""
        return not self.is_short and self._limit.lowered and self._limit.limit < self.most

    @property
    def hold_up(self) -> HoldUp | None:
        """The pause that ends first; None when no worker pauses."""
        if not self._pausing:
            return None
        first = min(self._pausing, key=lambda pausing: pausing.until)
        kind, words = self._trouble or ("errors", "Braze's errors")
        what = f"attempt {first.attempt} of {self._attempts}" if first.attempt else "one request to test the connection"
        return HoldUp(max(0.0, first.until - time.monotonic()), kind, f"{what}: {words}")

    def slot(self) -> Slot:
        """Return a slot for one worker, not yet taken."""
        return Slot(self._slots)

    async def begin(self, slot: Slot) -> None:
        """Wait for a turn. While the circuit is half open, let one request at a time go, after a pause.

        It also begins when a stop cut the wait short: look before you send. The caller must call ``end`` afterwards.
        """
        is_calm = not self._stopping.is_set and not self._circuit.half_open
        if not (is_calm and slot.take_at_once() and await self._pace.turn_at_once()):
            await self._wait(slot)
        self._departures.left(slot, time.monotonic())

    def end(self, slot: Slot) -> None:
        """End the turn, however it went."""
        self._departures.ended(slot)
        self._set_slots()
        self._end_probe(slot)
        slot.release_if_too_many()

    async def _wait(self, slot: Slot) -> None:
        try:
            with self._stopping.cutting_short():
                await slot.take()
                if self._circuit.half_open:
                    await self._probe.acquire()
                    self._prober = slot
                    await self._pause_while_half_open()
                await self._pace.turn()
        except BaseException:
            self._end_probe(slot)
            raise

    def _end_probe(self, slot: Slot) -> None:
        if self._prober is slot:
            self._prober = None
            self._probe.release()

    async def _pause_while_half_open(self) -> None:
        """Pause before a probe. An answer to a request that was in flight already may end the pause."""
        if self._circuit.half_open:
            with anyio.CancelScope() as self._probing:
                await self.pause(self._circuit.failures)
            self._probing = None

    async def watch(self) -> None:
        """Look regularly for requests that hang: they must not hold the others back. Runs until cancelled."""
        while True:
            await anyio.sleep(_LOOK_S)
            self._set_slots()

    async def pause(self, failures: int, *, attempt: int = 0) -> None:
        """Wait before the next attempt after ``failures`` failures, or until the run stops.

        ``attempt``: its number for its batch; 0 for a probe.
        """
        seconds = self._waits.backoff(failures, self._rng, reached=self._reached)
        pausing = _Pausing(time.monotonic() + seconds, attempt)
        self._pausing.append(pausing)
        try:
            with self._stopping.cutting_short():
                await anyio.sleep(seconds)
        finally:
            self._pausing.remove(pausing)

    def adjust(self, ended: Attempted, slot: Slot) -> None:
        """Adapt rate and concurrency to an answer that came within the turn of ``slot``."""
        self._trouble = _trouble(ended)
        self._reached = self._reached or ended.evidence.reach >= Reach.CONNECTED
        headers = ended.evidence.headers
        if ended.outcome.verdict is Verdict.THROTTLED:
            self._pace.throttled(throttle_wait(headers, time.time(), self._waits))
        elif ended.evidence.reach is Reach.ANSWERED:
            self._pace.observe(budget(headers, time.time(), self._waits))
        self._learn(ended, slot, time.monotonic())

    def close_circuit(self) -> None:
        """End the pause before a probe if the circuit is closed again."""
        if self._probing is not None and not self._circuit.half_open:
            self._probing.cancel()

    def _learn(self, ended: Attempted, slot: Slot, now: float) -> None:
        """Tell the limit what says something about the load. A broken connection or a strange answer does not."""
        evidence, verdict = ended.evidence, ended.outcome.verdict
        hanging = self._departures.hanging(self._limit.baseline_s, now)
        if evidence.reach is Reach.ANSWERED:
            self._departures.answered(slot)
        if ended.outcome.code == SHORT:
            self.is_short = True
            self._limit.cap(ended.in_flight - 1)
        elif verdict is Verdict.THROTTLED:
            self._limit.throttled(now)
        elif evidence.error in _TIME_OUTS:
            self._limit.strained(now)
            if evidence.reach > Reach.CONNECTED and self._departures.is_silence(slot):
                self._circuit.silent = True
        elif evidence.reach is Reach.ANSWERED and evidence.status in _OVERLOAD:
            self._limit.strained(now)
        elif evidence.reach is Reach.ANSWERED and verdict in (Verdict.ACCEPTED, Verdict.REFUSED):
            self._limit.answered(evidence.elapsed_s - evidence.connecting_s, ended.in_flight - hanging, now)

    def _set_slots(self) -> None:
        """Allow as many requests as the limit says. Those that hang do not count, but their workers stay with them."""
        hanging = self._departures.hanging(self._limit.baseline_s, time.monotonic())
        allowed = min(self.most, self._limit.limit + hanging)
        if self._slots.total_tokens != allowed:
            self._slots.total_tokens = allowed


_LOOK_S = 0.25
_TIME_OUTS = frozenset({"DeadlineExceeded", "ReadTimeout", "WriteTimeout", "ConnectTimeout"})
_OVERLOAD = frozenset({503, 504})
"""Statuses that Braze, or the cache in front of it, documents for a lack of capacity. A 500 or a 502 is not one."""
_NO_CONNECTION = {
    "ConnectionRefusedError": "connection refused",
    "ConnectionResetError": "connection reset",
    "gaierror": "its name cannot be resolved",
}


def _trouble(ended: Attempted) -> tuple[str, str] | None:
    """Return the kind of an attempt's trouble and what to call it, without any text from outside."""
    outcome, evidence = ended.outcome, ended.evidence
    if outcome.verdict in (Verdict.ACCEPTED, Verdict.REFUSED, Verdict.TOO_LARGE, Verdict.THROTTLED):
        return None
    if outcome.code == HELD_UP:
        return None
    if outcome.code == SHORT:
        return "connection", outcome.message
    if evidence.reach <= Reach.CONNECTED:
        why = _NO_CONNECTION.get(evidence.cause) or (
            "no answer to the connection" if evidence.error == "ConnectTimeout" else evidence.error or "no connection"
        )
        return "connection", f"cannot connect to Braze ({why})"
    if evidence.reach is Reach.ANSWERED:
        return "errors", f"Braze answered HTTP {outcome.http_status}"
    return "errors", "a request got no answer"
