"""One rate for all machines: what a workspace's row holds, between processes and through trouble."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from bulk_sender.errors import JournalError
from bulk_sender.journal.place import Place
from bulk_sender.journal.postgres.rate import PostgresRate
from bulk_sender.journal.postgres.schema import grants
from bulk_sender.pace.limiter import Pace
from tests.crash.nursery import Child, Nursery
from tests.faults import FaultServer, Turn
from tests.faults.fault import FAULTS, Fault
from tests.kit.pg_proxy import Proxy
from tests.kit.postgres import Server, running
from tests.kit.scene import Scene

WORKSPACE = "0123456789abcdef"


ON_THE_WAY_S = 0.05
"""How much sooner than another a request may arrive after it left, on a busy machine."""


def most_in_a_second(times: Sequence[float], second: float = 1.0) -> int:
    times, first, most = sorted(times), 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - second:
            first += 1
        most = max(most, last - first + 1)
    return most


def hold_up(seconds: float) -> None:
    """As a process that does not get its processor."""
    time.sleep(seconds)


def between(times: Sequence[float], begin: float, end: float) -> int:
    return sum(begin < at < end for at in times)


# --- in one process ---------------------------------------------------------------------------------------------------


class Sending:
    """Tasks of one process that send as fast as they may. ``left``: when requests left."""

    def __init__(
        self, place: Place, rate: float, *, ahead_s: float = 0.0, tasks: int = 8, answer_s: float = 0.0
    ) -> None:
        """``ahead_s``: how much the process's clock differs from those of others. ``answer_s``: until an answer."""
        self.rate = PostgresRate(place, WORKSPACE, rate, clock=lambda: time.monotonic() + ahead_s)
        self.pace = Pace(rate, shared=self.rate)
        self.left: list[float] = []
        self._tasks = tasks
        self._answer_s = answer_s

    async def run(self, end: Awaitable[None]) -> None:
        async def work() -> None:
            while True:
                await self.pace.turn()
                await asyncio.sleep(0.002)  # its intent
                await self.pace.leave()
                self.left.append(time.monotonic())
                await asyncio.sleep(self._answer_s)

        with closing(self.rate):
            tasks = [asyncio.create_task(work()) for _ in range(self._tasks)]
            await end
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(it, asyncio.CancelledError) for it in ended), ended


async def run_all(during: float | Coroutine[None, None, None], *sending: Sending) -> list[float]:
    """Let all send for some seconds, or until something has happened."""
    end = asyncio.ensure_future(asyncio.sleep(during) if isinstance(during, float) else during)
    await asyncio.gather(*(it.run(end) for it in sending))
    return [at for it in sending for at in it.left]


@pytest.mark.parametrize("ahead_s", [0.0, 1e6])
def test_processes_share_the_rate_whatever_their_clocks_show(place: Place, ahead_s: float) -> None:
    one, other = Sending(place, 80.0), Sending(place, 80.0, ahead_s=ahead_s)
    left = asyncio.run(run_all(2.5, one, other))
    assert most_in_a_second(left) <= 80
    assert len(left) > 150
    assert min(len(one.left), len(other.left)) > 40


@pytest.mark.parametrize("processes", [1, 3])
def test_a_process_that_is_slower_than_the_rate_does_not_wait_for_turns(place: Place, processes: int) -> None:
    sending = [Sending(place, 1000.0, tasks=4, answer_s=0.05) for _ in range(processes)]
    left = asyncio.run(run_all(3.0, *sending))
    assert most_in_a_second(left) <= 1000
    could = 3.0 * processes * 4 / (0.05 + 0.002)
    assert len(left) > 0.7 * could


def test_a_pause_of_one_process_holds_the_others(place: Place) -> None:
    one, other = Sending(place, 100.0), Sending(place, 100.0)
    told: list[float] = []

    async def tell() -> None:
        await asyncio.sleep(1.0)
        told.append(time.monotonic())
        one.pace.throttled(1.5)
        await asyncio.sleep(2.2)

    asyncio.run(run_all(tell(), one, other))
    for sending in (one, other):
        assert between(sending.left, 0.0, told[0])
        assert not between(sending.left, told[0] + 0.5, told[0] + 1.5)
        assert between(sending.left, told[0] + 1.5, told[0] + 3.0)


def test_a_pause_holds_turns_that_were_reserved_before(place: Place) -> None:
    """At a slow rate a turn in hand is seconds away: it must not be taken for one behind the pause."""

    async def main() -> float:
        with closing(PostgresRate(place, WORKSPACE, 1.0)) as one, closing(PostgresRate(place, WORKSPACE, 1.0)) as other:
            await one.turn()
            waiting = asyncio.create_task(other.turn())
            await asyncio.sleep(0.3)
            one.pause(2.5)
            began = time.monotonic()
            await waiting
            return time.monotonic() - began

    assert 2.4 < asyncio.run(main()) < 3.9


def test_the_smallest_rate_that_a_process_was_told_holds_for_all(postgres: Server, place: Place) -> None:
    one, other = Sending(place, 100.0), Sending(place, 100.0)

    one.rate.allowed(20.0)
    asyncio.run(run_all(2.5, one, other))
    later = [at for at in [*one.left, *other.left] if at > min(one.left) + 0.6]
    assert most_in_a_second(later) <= 20
    row = f"{place.schema}.rate"
    assert postgres.sql(f"SELECT allowed FROM {row}") == [(20.0,)]
    postgres.sql(f"UPDATE {row} SET told_at = told_at - 5")
    assert len(asyncio.run(run_all(1.0, Sending(place, 100.0)))) > 60


def test_a_request_that_comes_too_late_for_its_turn_takes_another(place: Place) -> None:
    async def main() -> float:
        with closing(PostgresRate(place, WORKSPACE, 50.0)) as rate:
            for _ in range(10):
                await rate.turn()
            hold_up(0.2)
            began = time.monotonic()
            for _ in range(10):
                await rate.leave()
            return time.monotonic() - began

    assert asyncio.run(main()) > 9 / 50 - 0.04


def test_a_schedule_that_a_clock_left_far_ahead_is_begun_again(postgres: Server, place: Place) -> None:
    asyncio.run(run_all(0.3, Sending(place, 50.0)))
    postgres.sql(f"UPDATE {place.schema}.rate SET tat = tat + 10000, paused_until = tat + 10000")
    assert asyncio.run(run_all(0.5, Sending(place, 50.0)))


def test_nobody_waits_for_a_turn_when_nothing_can_leave_any_more(place: Place) -> None:
    async def main() -> None:
        over: list[bool] = []
        with closing(PostgresRate(place, WORKSPACE, 0.1, is_over=lambda: bool(over))) as rate:
            await rate.turn()
            waiting = asyncio.create_task(rate.turn())
            await asyncio.sleep(0.1)
            assert not waiting.done()
            over.append(True)
            async with asyncio.timeout(2.0):
                await waiting
                await rate.leave()

    asyncio.run(main())


def test_the_senders_account_may_share_the_rate_and_one_that_may_not_is_refused(place: Place, postgres: Server) -> None:
    for statement in grants(place.schema, "sender"):
        postgres.sql(statement)
    as_sender = Place(place.address.replace("postgres@", "sender@"), place.schema, place.ttl_s)
    assert asyncio.run(run_all(0.4, Sending(as_sender, 50.0)))
    postgres.sql(f"REVOKE UPDATE ON {place.schema}.rate FROM sender")
    with pytest.raises(JournalError, match="may not do that"):
        PostgresRate(as_sender, WORKSPACE, 50.0)


# --- through trouble --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that only these tests hurt."""
    with running() as server:
        yield server


def test_without_a_database_nothing_leaves_and_then_the_rate_is_kept(server: Server) -> None:
    sending = Sending(server.place(), 60.0)
    away: list[float] = []

    async def hurt() -> None:
        await asyncio.sleep(1.0)
        await asyncio.to_thread(server.end, signal.SIGQUIT)
        away.append(time.monotonic())
        await asyncio.sleep(1.5)
        await asyncio.to_thread(server.start)
        away.append(time.monotonic())
        await asyncio.sleep(2.0)

    asyncio.run(run_all(hurt(), sending))
    down, up = away
    assert between(sending.left, 0.0, down) > 40
    assert not between(sending.left, down + 0.5, down + 1.5)
    assert between(sending.left, up, up + 2.0) > 60
    assert most_in_a_second(sending.left) <= 60


def test_a_database_that_does_not_answer_gives_no_turns_and_does_not_hold_up_the_end(
    place: Place, postgres: Server
) -> None:
    with Proxy(postgres.port) as proxy:
        far = Place(postgres.address_of("postgres", proxy.port), place.schema, place.ttl_s)
        sending = Sending(far, 60.0)
        frozen: list[float] = []

        async def freeze() -> None:
            await asyncio.sleep(0.5)
            proxy.freeze()
            frozen.append(time.monotonic())
            await asyncio.sleep(1.0)

        began = time.monotonic()
        asyncio.run(run_all(freeze(), sending))
        assert time.monotonic() - began < 4.0
    assert between(sending.left, 0.0, frozen[0]) > 10
    assert not between(sending.left, frozen[0] + 0.55, frozen[0] + 2.0)


def test_a_turn_in_hand_does_not_count_while_the_database_is_away(place: Place, postgres: Server) -> None:
    """Another process may have been told to wait in the meantime."""

    async def main(proxy: Proxy) -> bool:
        far = Place(postgres.address_of("postgres", proxy.port), place.schema, place.ttl_s)
        with closing(PostgresRate(far, WORKSPACE, 1.0)) as rate:
            await rate.turn()
            waiting = asyncio.create_task(rate.turn())
            await asyncio.sleep(0.3)
            proxy.freeze()
            await asyncio.sleep(1.2)
            was_there = waiting.done()
            waiting.cancel()
            return was_there

    with Proxy(postgres.port) as proxy:
        assert not asyncio.run(main(proxy))


# --- real sends -------------------------------------------------------------------------------------------------------


class Braze:
    """Answers requests of several sends. ``arrived``: when each came, on the monotonic clock."""

    def __init__(self, throttles: int = 0) -> None:
        """``throttles``: the number of the request that is answered 429."""
        self.arrived: list[float] = []
        self.throttled_at = 0.0
        self._throttles = throttles

    def __call__(self, turn: Turn) -> Fault:
        turn.read_whole()
        self.arrived.append(time.monotonic())
        if len(self.arrived) == self._throttles:
            self.throttled_at = self.arrived[-1]
            return FAULTS["retry_after_seconds_429"]
        return FAULTS["ok"]


@pytest.fixture
def begin(here: Place, nursery: Nursery, tmp_path: Path) -> Callable[[FaultServer, int, str], Child]:
    """Start a send of a number of requests at a rate. The senders have nothing in common but the workspace."""
    number = iter(range(100))

    def begin(server: FaultServer, requests: int, rate: str) -> Child:
        name = f"run{next(number)}"
        settings = {"rate": rate, "share_rate": True, "concurrency": 16}
        scene = Scene(tmp_path / name, nursery, server.url, settings, run_id=name)
        return scene.with_rows(requests * 50 + int(name[3:])).start("send", "--again")

    return begin


def test_four_sends_keep_to_one_rate_and_a_killed_one_costs_no_more_than_its_turns(
    begin: Callable[[FaultServer, int, str], Child], postgres: Server, here: Place
) -> None:
    braze = Braze()
    with FaultServer(braze) as server:
        children = [begin(server, 70, "50/second") for _ in range(4)]
        while len(braze.arrived) < 90:
            time.sleep(0.02)
        killed = time.monotonic()
        children[0].signal()
        ended = [child.wait(30) for child in children]
    assert [it.code for it in ended[1:]] == [1, 1, 1], ended
    assert most_in_a_second(braze.arrived, 1.0 - ON_THE_WAY_S) <= 50
    assert between(braze.arrived, killed + 0.5, killed + 2.5) > 85
    assert postgres.sql(f"SELECT count(*) FROM {here.schema}.rate") == [(1,)]


def test_a_429_to_one_send_pauses_the_others(begin: Callable[[FaultServer, int, str], Child]) -> None:
    braze = Braze(throttles=60)
    with FaultServer(braze) as server:
        children = [begin(server, 40, "50/second") for _ in range(3)]
        assert [child.wait(30).code for child in children] == [1, 1, 1]
    told = braze.throttled_at
    assert not between(braze.arrived, told + 0.5, told + 1.0)
    assert between(braze.arrived, told + 1.0, told + 2.5) > 30
    assert most_in_a_second(braze.arrived, 1.0 - ON_THE_WAY_S) <= 50
