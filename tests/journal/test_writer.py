"""How the writer's thread groups records into commits, and in which order they become durable."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from bulk_sender.journal.records import Attempt, Batch, Record
from bulk_sender.journal.store import RunWriter
from bulk_sender.journal.writer import JournalWriter
from tests.journal.contract import outcome
from tests.kit.journals import created, rows_chunk
from tests.kit.tables import table


class Commits:
    """A journal whose commits are noted: the types of their records, and when each was durable."""

    def __init__(self, journal: RunWriter) -> None:
        self.journal = journal
        self.done: list[tuple[str, ...]] = []
        self.at: list[float] = []
        self._write = journal.write

    def write(self, records: list[Record]) -> None:
        self._write(records)
        self.done.append(tuple(type(record).__name__ for record in records))
        self.at.append(time.monotonic())

    async def until(self, count: int) -> None:
        """Wait for so many commits."""

        def wait() -> None:
            deadline = time.monotonic() + 10
            while len(self.done) < count and time.monotonic() < deadline:
                time.sleep(0.001)

        await asyncio.to_thread(wait)


def unexpected(error: BaseException) -> None:
    raise AssertionError(error)


@pytest.fixture
def commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commits:
    journal = created(tmp_path / "run")
    journal.begin_epoch("send")
    journal.write([rows_chunk(150), *(Batch(number, 1, 50 * (number - 1), 50) for number in (1, 2, 3))])
    found = Commits(journal)
    monkeypatch.setattr(journal, "write", found.write)
    return found


def intent(number: int) -> Attempt:
    return Attempt(number, number, bytes(32))


def test_an_outcome_shares_the_commit_of_the_next_intent(commits: Commits) -> None:
    async def go() -> None:
        async with JournalWriter(commits.journal) as writer:
            await writer.write(intent(1))
            writer.note(outcome(intent(1), "accepted", "accepted"), failed=unexpected, may_wait=True)
            await asyncio.sleep(0.005)
            await writer.write(intent(2))
            assert commits.done == [("Attempt",), ("AttemptOutcome", "Attempt")]

    asyncio.run(go())


def test_an_outcome_without_a_next_intent_waits_no_longer_than_promised(commits: Commits) -> None:
    async def go() -> float:
        async with JournalWriter(commits.journal) as writer:
            await writer.write(intent(1))
            noted = time.monotonic()
            writer.note(outcome(intent(1), "accepted", "accepted"), failed=unexpected, may_wait=True)
            await commits.until(2)
            return commits.at[-1] - noted

    assert 0.015 < asyncio.run(go()) < 1.0


@pytest.mark.parametrize("may_wait", [True, False])
def test_what_was_noted_is_durable_when_the_writer_is_closed(
    commits: Commits, tmp_path: Path, *, may_wait: bool
) -> None:
    async def go() -> None:
        async with JournalWriter(commits.journal) as writer:
            await writer.write(intent(1))
            writer.note(outcome(intent(1), "accepted", "accepted"), failed=unexpected, may_wait=may_wait)

    asyncio.run(go())
    commits.journal.close()
    assert [row["status"] for row in table(tmp_path / "run", "outcome")] == ["accepted"]


def test_a_note_that_may_not_wait_takes_along_what_may(commits: Commits) -> None:
    """Records become durable in the order of the calls, whichever may wait."""

    async def go() -> None:
        async with JournalWriter(commits.journal) as writer:
            await writer.write(intent(1))
            await writer.write(intent(2))
            writer.note(outcome(intent(1), "accepted", "accepted"), failed=unexpected, may_wait=True)
            writer.note(outcome(intent(2), "failed", "refused"), failed=unexpected)
            began = time.monotonic()
            await commits.until(3)
            assert commits.at[-1] - began < 0.018

    asyncio.run(go())
    assert commits.done[2:] == [("AttemptOutcome", "AttemptOutcome")]


def test_a_note_that_fails_is_reported_in_the_event_loop(commits: Commits) -> None:
    async def go() -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        async with JournalWriter(commits.journal) as writer:
            of_no_attempt = outcome(intent(1), "accepted", "accepted")
            writer.note(of_no_attempt, failed=lambda _: told.set_result(threading.get_ident()), may_wait=True)
            return await told

    assert asyncio.run(asyncio.wait_for(go(), 10)) == threading.get_ident()
