"""All stores keep the journal's contract, and give the same answers to the same history."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sender import journal as journals
from bulk_sender.errors import JournalError
from bulk_sender.journal.answers import Counts
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.postgres.runs import PostgresRuns
from bulk_sender.journal.records import PROCESS_ENDED, SPLIT, Attempt, Batch, Decision, PlanComplete, Status
from bulk_sender.journal.sqlite.lock import LOCK
from bulk_sender.journal.store import RunReader, RunRef, RunWriter
from tests.journal.contract import JournalContract, Sending, Store, chunk, outcome
from tests.kit.journals import moment, run_facts
from tests.kit.memory_journal import MemoryStore
from tests.kit.postgres import Server


class SqliteStore:
    """The store that the package's door picks."""

    def create(self, run: RunRef, facts: Facts) -> RunWriter:
        return journals.create(run, facts)

    def open(self, run: RunRef) -> RunWriter:
        return journals.open(run)

    def read(self, run: RunRef) -> RunReader:
        return journals.read(run)

    def take_over(self, run: RunRef) -> RunWriter:
        """As if the lock had failed, as on a network file system without locks."""
        (run.folder / LOCK).unlink()
        writer = journals.open(run)
        writer.begin_epoch("resume")
        return writer


class TestSqlite(JournalContract):
    @pytest.fixture
    def store(self) -> Store:
        return SqliteStore()


class SharedMemoryStore(MemoryStore):
    def take_over(self, run: RunRef) -> RunWriter:
        writer = self.open(run)
        epoch = writer.begin_epoch("resume")
        writer.fence(epoch - 1)
        return writer


class PostgresStore:
    """Runs in a schema of their own. The tests leave writers open, which would go on beating."""

    def __init__(self, server: Server) -> None:
        self.runs = PostgresRuns(server.place())
        self._writers: list[RunWriter] = []

    def create(self, run: RunRef, facts: Facts) -> RunWriter:
        return self._kept(self.runs.create(run, facts))

    def open(self, run: RunRef) -> RunWriter:
        return self._kept(self.runs.open_to_write(run))

    def read(self, run: RunRef) -> RunReader:
        return self.runs.open_to_read(run)

    def take_over(self, run: RunRef) -> RunWriter:
        writer = self._kept(self.runs.open_to_write(run, take_over=True))
        writer.begin_epoch("resume")
        return writer

    def _kept(self, writer: RunWriter) -> RunWriter:
        self._writers.append(writer)
        return writer

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


class TestPostgres(JournalContract):
    @pytest.fixture
    def store(self, postgres: Server) -> Iterator[Store]:
        with closing(PostgresStore(postgres)) as store:
            yield store


class TestMemory(JournalContract):
    @pytest.fixture
    def store(self) -> Store:
        return SharedMemoryStore()

    def test_several_writers_of_a_run_live_side_by_side(self, store: Store, run: RunRef, sending: Sending) -> None:
        """What a store for many machines will need; the contract leaves room for it."""
        mine, yours = sending.plan(50, 50)
        attempt = sending.attempt(mine)
        with store.open(run) as other:
            other.begin_epoch("join")
            assert other.counts() == Counts(100, unknown=50, not_sent=50)
            assert sending.writer.batches(1)[0].verdict is None, "the attempt of a live writer stays open"
            Sending(other).send(yours)
            sending.writer.write([outcome(attempt, "accepted", "accepted", at_s=sending.at_s)])
            assert other.counts() == Counts(100, accepted=100)
            assert [(it.epochs, it.attempts) for it in other.sendings()] == [((1, 2), 2)]

    def test_a_fence_shuts_out_one_writer_and_recovers_only_its_attempts(
        self, store: Store, run: RunRef, sending: Sending
    ) -> None:
        batches = sending.plan(10, 20, 30)
        with store.open(run) as second, store.open(run) as third:
            second.begin_epoch("join")
            third.begin_epoch("join")
            attempts = [sending.attempt(batches[0]), Sending(second).attempt(batches[1])]
            third.fence(2)
            with pytest.raises(JournalError):
                second.write([outcome(attempts[1], "accepted", "accepted")])
            sending.writer.write([outcome(attempts[0], "accepted", "accepted")])
            assert third.counts() == Counts(60, accepted=10, unknown=20, not_sent=30)

    def test_no_two_writers_are_given_the_same_id(self, store: Store, run: RunRef, writer: RunWriter) -> None:
        with store.open(run) as other:
            given = [[one.new_attempt_id() for one in (writer, other)] for _ in range(50)]
        flat = [number for pair in given for number in pair]
        assert len(set(flat)) == 100
        assert max(flat) <= 120, "dense but for a block of each writer"
        assert all(list(ids) == sorted(ids) for ids in zip(*given, strict=True))


class History:
    """A random history of a run, the same for each store."""

    def __init__(self, writer: RunWriter, seed: int, length: int) -> None:
        self.writer, self.rng = writer, random.Random(seed)
        self.at_s = 0.0
        self.open: list[Batch] = []
        self.length = length

    def unfold(self) -> None:
        self.writer.begin_epoch("send")
        for number in range(1, self.rng.randint(1, 4)):
            self._plan(number)
        for _ in range(self.length):
            if not self.open:
                break
            self._happens(self.open.pop(self.rng.randrange(len(self.open))))
        if self.rng.random() < 0.5:
            self.writer.write([PlanComplete()])

    def _plan(self, number: int) -> None:
        sizes = [self.rng.choice([1, 7, 50]) for _ in range(self.rng.randint(0, 6))]
        rejected, duplicate = self.rng.randint(0, 3), self.rng.randint(0, 3)
        end = self.writer.plan_end()
        self.writer.write([chunk(number, sum(sizes), rejected, duplicate, end.last_row if end else 0)])
        first = 0
        for size in sizes:
            batch = Batch(self.writer.new_batch_id(), number, first, size)
            self.writer.write([batch])
            self.open.append(batch)
            first += size

    def _happens(self, batch: Batch) -> None:
        self.at_s += self.rng.choice([0.1, 0.5, 4.0])
        attempt = Attempt(self.writer.new_attempt_id(), batch.id, b"%032d" % batch.id, moment(self.at_s))
        self.writer.write([attempt])
        fate = self.rng.choice(["accepted", "failed", "unknown", "not_sent", SPLIT, "open", "parted"])
        if fate == "open":
            return
        if fate == "parted":
            self._parted(attempt, batch)
            return
        verdict = {"failed": "refused", SPLIT: "refused", "not_sent": "throttled"}.get(fate, fate)
        more = {"message": self.rng.choice(["", "one", "two"]), "likely": self.rng.choice(["", "accepted"])}
        name = self.rng.choice(["", f"d{attempt.id}", "twice"]) if fate == "accepted" else ""
        answer = outcome(
            attempt, fate, verdict, round(self.rng.random(), 3), at_s=self.at_s, dispatch_id=name, code=fate, **more
        )
        self.writer.write([answer])
        if fate == SPLIT and batch.size > 1 and self.rng.random() < 0.8:
            halves = batch.halves(self.writer.new_batch_id(), self.writer.new_batch_id(), 1)
            self.writer.write(halves)
            self.open += halves
        elif fate == "not_sent":
            self.open.append(batch)
        elif self.rng.random() < 0.3:
            status = self.rng.choice(["accepted", "failed", "resend", "unknown"])
            number = self.writer.new_decision_id()
            self.writer.write(
                [Decision(number, batch.id, attempt.id, status, "user", self.rng.choice(["x", "y"]), moment(self.at_s))]
            )

    def _parted(self, attempt: Attempt, batch: Batch) -> None:
        """The answer names some of the batch's rows with an error."""
        sending = Sending(self.writer)
        sending.at_s = self.at_s
        first = self.rng.randint(0, batch.size - 1)
        sizes = [first, 1, batch.size - first - 1]
        more = {"code": self.rng.choice(["", "accepted_with_errors"]), "message": self.rng.choice(["", "two"])}
        records = sending.parted(attempt, batch, *sizes, **more)
        self.writer.write(records)
        refs = [record for record in records if isinstance(record, Attempt)]
        if self.rng.random() < 0.5:
            it, number = self.rng.choice(refs), self.writer.new_decision_id()
            status = self.rng.choice(["accepted", "failed", "resend", "unknown"])
            self.writer.write([Decision(number, it.batch, it.id, status, "user", "z", moment(self.at_s))])
            if status == "resend" and self.rng.random() < 0.5:
                self.open += [record for record in records if isinstance(record, Batch) and record.id == it.batch]


def answers(reader: RunReader) -> dict[str, Any]:
    """All named queries, without the times that a store takes from the clock."""
    chunks = reader.chunk_ids()
    sendings = reader.sendings()
    totals = asdict(reader.totals()) | {"started_at": "", "finished_at": ""}
    return {
        "plan": (reader.plan_end(), reader.is_plan_complete(), chunks, reader.chunks_with_rejects()),
        "counts": reader.counts(),
        "totals": totals,
        "chunks": [
            reader.chunks_with([status], code=code, after=after)
            for status in Status
            for code, after in ((None, 0), ("failed", 0), ("accepted", 0), (None, 40))
        ],
        "unsent": (reader.has_unsent(), reader.unsent_chunks(), [reader.unsent_batches(one) for one in chunks]),
        "states": [(reader.batches(one), reader.planned_sizes(one)) for one in chunks],
        "statuses": reader.batches_with("failed", "unknown"),
        "doubtful": reader.doubtful_batches(),
        "doubts": reader.doubts(),
        "refusals": reader.refusals(3),
        "remarks": [reader.remarks(most) for most in (1, 100)],
        "stories": [[told(story) for story in reader.story(one, slot)] for one in chunks for slot in range(0, 60, 13)],
        "dispatched": [list(reader.dispatched(most).items()) for most in (3, 100)],
        "attempts": (reader.attempts_of_batches(), reader.batches_split()),
        "decided": reader.decided(),
        "sendings": sendings,
        "traffic": [sorted_traffic(reader, one) for one in sendings],
        "gaps": [reader.gaps(one, 2.0) for one in sendings],
    }


def told(story: Any) -> dict[str, Any]:
    found = asdict(story)
    for attempt in found["attempts"]:
        if attempt["message"] == PROCESS_ENDED:
            attempt["answered_at"] = ""
    return found


def sorted_traffic(reader: RunReader, sending: Any) -> list[Any]:
    middle = sending.began + (sending.ended - sending.began) / 2
    found = [reader.traffic(sending, None, middle), reader.traffic(sending, middle, None)]
    return [(one.requests, sorted(one.answers, key=repr), one.p50_s, one.p95_s) for one in found]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), length=st.integers(0, 40))
def test_all_stores_tell_the_same_of_the_same_history(
    tmp_path_factory: pytest.TempPathFactory, postgres: Server, seed: int, length: int
) -> None:
    ref = RunRef.at(tmp_path_factory.mktemp("runs") / "run")
    ref.folder.mkdir()
    found = []
    for store in (SqliteStore(), MemoryStore(), PostgresStore(postgres)):
        with store.create(ref, run_facts()) as writer:
            History(writer, seed, length).unfold()
            before = answers(writer)
        with store.open(ref) as again:
            again.begin_epoch("resume")
            found.append((before, answers(again)))
    assert found[0] == found[1] == found[2]


def test_a_store_says_where_it_is_and_which_files_are_its_own(tmp_path: Path) -> None:
    ref = RunRef.at(tmp_path / "run")
    ref.folder.mkdir()
    assert not journals.exists(ref)
    with journals.create(ref, run_facts()) as writer:
        writer.begin_epoch("send")
        assert journals.exists(ref)
        assert (journals.holder(ref) or "").startswith("process ")
        assert {path.name for path in ref.folder.iterdir()} <= {path.name for path in journals.files(ref)}
    assert journals.holder(ref) is None
    assert list(journals.run_names(tmp_path)) == ["run"]
    assert Path(journals.location(ref)).is_file()
