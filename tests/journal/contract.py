"""The contract of a journal: every store passes these tests.

A store's own test module makes a class of ``JournalContract`` and gives it the fixture ``store``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

import pytest

from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.errors import GuardrailError, JournalError, RunNotFoundError
from bulk_sender.http.evidence import Reach
from bulk_sender.journal.answers import (
    AttemptRef,
    AttemptsOfBatches,
    CanaryAnswer,
    CanaryStory,
    Counts,
    DoubtfulBatch,
    PlanEnd,
    Totals,
    UnsentChunk,
)
from bulk_sender.journal.facts import Facts
from bulk_sender.journal.records import (
    PROCESS_ENDED,
    RESEND,
    SPLIT,
    Answered,
    Attempt,
    AttemptOutcome,
    Batch,
    Canary,
    Chunk,
    Decision,
    Held,
    PlanComplete,
    Record,
)
from bulk_sender.journal.store import RunReader, RunRef, RunWriter
from tests.kit.journals import moment, run_facts


class Store(Protocol):
    """What a store has to be able to do with runs."""

    def create(self, run: RunRef, facts: Facts) -> RunWriter: ...

    def open(self, run: RunRef) -> RunWriter: ...

    def read(self, run: RunRef) -> RunReader: ...

    def take_over(self, run: RunRef) -> RunWriter:
        """Open a run whose writer is still alive, and fence that writer."""
        ...


def chunk(number: int = 1, valid: int = 100, rejected: int = 0, duplicate: int = 0, before: int = 0) -> Chunk:
    rows = valid + rejected + duplicate
    counts = (rows, valid, rejected, duplicate)
    return Chunk(number, before + 1, before + rows, *counts, f'{{"at": {number}}}', b"rows %d" % number, b"rejects")


def outcome(
    attempt: Attempt, status: str, verdict: str, after_s: float = 0.25, *, at_s: float = 0.0, **more: Any
) -> AttemptOutcome:
    judged = Outcome(Verdict(verdict), reach=Reach.ANSWERED, **more)
    return AttemptOutcome(attempt.id, attempt.batch, status, judged, after_s, moment(at_s + after_s))


class Sending:
    """Writes attempts and outcomes to a run, with times of the test's choosing."""

    def __init__(self, writer: RunWriter) -> None:
        self.writer = writer
        self.at_s = 0.0

    def plan(self, *sizes: int, first_row: int = 1) -> list[Batch]:
        """Plan a chunk of batches of these sizes."""
        number = self.writer.new_chunk_id()
        batches, first = [], 0
        for size in sizes:
            batches.append(Batch(self.writer.new_batch_id(), number, first, size))
            first += size
        self.writer.write([chunk(number, sum(sizes), before=first_row - 1), *batches])
        return batches

    def attempt(self, batch: Batch) -> Attempt:
        self.at_s += 1
        attempt = Attempt(self.writer.new_attempt_id(), batch.id, b"%032d" % batch.id, moment(self.at_s))
        self.writer.write([attempt])
        return attempt

    def send(self, batch: Batch, status: str = "accepted", verdict: str = "", **more: Any) -> Attempt:
        attempt = self.attempt(batch)
        default = "refused" if status == "failed" else status
        self.writer.write([outcome(attempt, status, verdict or default, at_s=self.at_s, **more)])
        return attempt

    def part(self, batch: Batch, *sizes: int, attempts: int = 1, **more: Any) -> list[Batch]:
        """Send a batch whose answer names every second part with an error; ``more``: of the accepted parts."""
        records = self.parted(self.attempt(batch), batch, *sizes, attempts=attempts, **more)
        self.writer.write(records)
        return [record for record in records if isinstance(record, Batch)]

    def parted(self, attempt: Attempt, batch: Batch, *sizes: int, attempts: int = 1, **more: Any) -> list[Record]:
        taken = {"http_status": 201, "dispatch_id": "d1"}
        named = taken | {"message": "bad locale", "likely": "not_accepted", "code": "recipient_error"}
        told = taken | {"code": "accepted_with_errors", "message": "all"}
        records: list[Record] = [outcome(attempt, "accepted", "accepted", at_s=self.at_s, **told)]
        first = 0
        for number, size in enumerate(sizes):
            part = batch.part(self.writer.new_batch_id(), first, size, attempts)
            inherited = attempt.inherited(self.writer.new_attempt_id(), part.id)
            status, facts = ("unknown", named) if number % 2 else ("accepted", taken | more)
            records += [part, inherited, outcome(inherited, status, status, 0.0, at_s=self.at_s, **facts)]
            first += size
        return records


class JournalContract:
    """What every store promises."""

    @pytest.fixture
    def writer(self, store: Store, run: RunRef) -> RunWriter:
        writer = store.create(run, run_facts())
        writer.begin_epoch("send")
        return writer

    @pytest.fixture
    def sending(self, writer: RunWriter) -> Sending:
        return Sending(writer)

    # --- the run itself -----------------------------------------------------------------------------------------

    def test_a_new_run_has_its_facts_and_nothing_else(self, store: Store, run: RunRef) -> None:
        facts = run_facts(given={"--rate": "5/second"}, plan="0f", sandbox="calm", paths=("people.csv",))
        with store.create(run, facts), store.read(run) as reader:
            assert reader.run == run
            assert reader.facts() == facts
            assert reader.counts() == Counts()
            assert reader.totals() == Totals(0, 0, None, None, 0)
            assert (reader.plan_end(), reader.last_ending()) == (None, None)
            assert not reader.is_plan_complete() and not reader.has_unsent() and not reader.canaries()
            assert [reader.chunk_ids(), reader.unsent_chunks(), reader.batches_with("not_sent")] == [[], [], []]
            assert [reader.epochs(), reader.sendings(), reader.decided(), reader.doubts()] == [(), (), (), ()]
            assert reader.dispatched(10) == {}
            assert reader.chunk_of(1) is None

    def test_a_run_is_created_once(self, store: Store, run: RunRef) -> None:
        store.create(run, run_facts()).close()
        with pytest.raises(JournalError, match="has been started in the meantime"):
            store.create(run, run_facts())

    def test_a_run_that_was_never_created_is_not_found(self, store: Store, run: RunRef) -> None:
        for open_it in (store.open, store.read):
            with pytest.raises(RunNotFoundError):
                open_it(run)

    def test_records_are_there_for_every_later_reader(self, store: Store, run: RunRef, sending: Sending) -> None:
        [batch] = sending.plan(100)
        sending.send(batch)
        with sending.writer.reader() as beside:
            assert beside.counts() == Counts(rows=100, accepted=100)
        sending.writer.close()
        with store.read(run) as reader, reader.reader() as another:
            assert reader.batches(1) == another.batches(1)
            assert reader.batches(1)[0].status == "accepted"

    # --- writing ------------------------------------------------------------------------------------------------

    def test_a_write_adds_all_records_or_none(self, sending: Sending) -> None:
        [first] = sending.plan(50)
        sending.attempt(first)
        before = sending.writer.batches(1), sending.writer.totals(), sending.writer.chunk_ids()
        wrong: list[list[Record]] = [
            [chunk(2, before=50), chunk(2, before=50)],
            [Batch(first.id, 1, 0, 50), chunk(2, before=50)],
            [chunk(2, before=50), Attempt(1, 999, b"")],
            [chunk(2, before=50), AttemptOutcome(999, first.id, "accepted", Outcome(Verdict.ACCEPTED))],
        ]
        for records in wrong:
            with pytest.raises(JournalError):
                sending.writer.write(records)
            assert (sending.writer.batches(1), sending.writer.totals(), sending.writer.chunk_ids()) == before

    def test_records_of_one_write_may_refer_to_each_other_in_any_order(self, writer: RunWriter) -> None:
        attempt = Attempt(writer.new_attempt_id(), 1, b"x")
        writer.write([outcome(attempt, "accepted", "accepted"), attempt, Batch(1, 1, 0, 100), chunk()])
        assert writer.counts() == Counts(rows=100, accepted=100)

    def test_an_attempt_has_one_outcome(self, sending: Sending) -> None:
        [batch] = sending.plan(50)
        attempt = sending.send(batch)
        with pytest.raises(JournalError):
            sending.writer.write([outcome(attempt, "failed", "refused")])
        assert sending.writer.batches(1)[0].status == "accepted"

    # --- ids ----------------------------------------------------------------------------------------------------

    def test_ids_ascend_and_none_is_given_twice(self, store: Store, run: RunRef, writer: RunWriter) -> None:
        def givers(of: RunWriter) -> list[Callable[[], int]]:
            return [of.new_batch_id, of.new_attempt_id, of.new_decision_id]

        first = [[give() for _ in range(25)] for give in givers(writer)]
        assert all(ids == sorted(set(ids)) and ids[0] == 1 for ids in first)
        assert all(ids[-1] == 25 for ids in first), "without gaps as long as one writer takes them"

    def test_ids_continue_after_the_records(self, store: Store, run: RunRef, sending: Sending) -> None:
        batches = sending.plan(50, 50)
        for batch in batches:
            sending.send(batch)
        sending.writer.decide({AttemptRef(1, 1): "failed"}, "why", "user")
        sending.writer.close()
        with store.open(run) as again:
            assert again.new_chunk_id() == 2 and again.new_chunk_id() == 3
            given = (again.new_batch_id(), again.new_attempt_id(), again.new_decision_id())
            assert min(given) > 1 and given[0] > 2 and given[1] > 2
            again.begin_epoch("resume")
            assert again.new_batch_id() > 2

    # --- epochs -------------------------------------------------------------------------------------------------

    def test_epochs_are_counted_from_one(self, store: Store, run: RunRef) -> None:
        for number, command in enumerate(("send", "resume", "retry"), 1):
            with store.create(run, run_facts()) if number == 1 else store.open(run) as writer:
                assert writer.epoch == 0
                assert writer.begin_epoch(command) == writer.epoch == number
                writer.end_epoch("stopped", f"reason {number}", 1.5)
        with store.read(run) as reader:
            epochs = reader.epochs()
            totals = reader.totals()
        assert [(epoch.id, epoch.command, epoch.state, epoch.reason, epoch.elapsed_s) for epoch in epochs] == [
            (1, "send", "stopped", "reason 1", 1.5),
            (2, "resume", "stopped", "reason 2", 1.5),
            (3, "retry", "stopped", "reason 3", 1.5),
        ]
        assert all(epoch.user and epoch.host for epoch in epochs)
        assert totals.elapsed_s == 4.5
        assert totals.started_at == epochs[0].at

    def test_the_last_ending_is_that_of_the_latest_epoch(self, store: Store, run: RunRef, writer: RunWriter) -> None:
        assert writer.last_ending() is None
        writer.end_epoch("interrupted", "SIGTERM", 2.0)
        ending = writer.last_ending()
        assert ending is not None
        assert (ending.epoch, ending.state, ending.reason, ending.elapsed_s) == (1, "interrupted", "SIGTERM", 2.0)
        writer.close()
        with store.open(run) as again:
            assert again.last_ending() == ending
            again.begin_epoch("resume")
            assert again.last_ending() is None, "this epoch has not ended"

    def test_what_a_dead_process_left_open_becomes_unknown(self, store: Store, run: RunRef, sending: Sending) -> None:
        answered, left_open, never_sent = sending.plan(50, 40, 10)
        sending.send(answered)
        attempt = sending.attempt(left_open)
        assert sending.writer.counts() == Counts(rows=100, accepted=50, unknown=40, not_sent=10)
        assert sending.writer.batches(1)[1].verdict is None, "no outcome is recorded yet"
        sending.writer.close()
        with store.open(run) as again:
            again.begin_epoch("resume")
            states = again.batches(1)
            [story] = again.story(1, 50)
        assert [state.status for state in states] == ["accepted", "unknown", "not_sent"]
        [made] = story.attempts
        assert (made.id, made.epoch, made.code, made.message) == (attempt.id, 1, "process_ended", PROCESS_ENDED)
        assert states[2].id == never_sent.id

    def test_recovery_happens_once(self, store: Store, run: RunRef, sending: Sending) -> None:
        [batch] = sending.plan(50)
        sending.attempt(batch)
        sending.writer.close()
        found = []
        for _ in range(3):
            with store.open(run) as again:
                again.begin_epoch("resume")
                found.append(again.story(1, 0))
        assert found[0] == found[1] == found[2]

    def test_a_writer_that_was_taken_over_writes_nothing_more(
        self, store: Store, run: RunRef, sending: Sending
    ) -> None:
        sent, open_batch = sending.plan(50, 50)
        sending.send(sent)
        attempt = sending.attempt(open_batch)
        with store.take_over(run) as new:
            late: list[Record] = [
                outcome(attempt, "accepted", "accepted"),
                Attempt(99, sent.id, b""),
                PlanComplete(),
            ]
            for record in late:
                with pytest.raises(JournalError):
                    sending.writer.write([record])
            with pytest.raises(JournalError):
                sending.writer.end_epoch("finished", "", 1.0)
            assert new.counts() == Counts(rows=100, accepted=50, unknown=50)
            new.write([PlanComplete()])
            assert new.is_plan_complete()
            assert new.last_ending() is None

    def test_no_writer_fences_itself(self, writer: RunWriter) -> None:
        with pytest.raises(ValueError, match="its own epoch"):
            writer.fence(writer.epoch)

    def test_a_canary_is_known_with_its_hold_and_every_answer(
        self, store: Store, run: RunRef, writer: RunWriter
    ) -> None:
        writer.write([Canary(10)])
        assert writer.canaries() == (CanaryStory(1, 10),)
        writer.write([Held(1, moment(1))])
        assert writer.canaries() == (CanaryStory(1, 10, moment(1)),)
        writer.write([Answered(1, False, "anna", 10, moment(2))])
        writer.close()
        no = CanaryAnswer(1, False, "anna", 10, moment(2))
        with store.open(run) as again:
            again.begin_epoch("resume")
            assert again.canaries() == (CanaryStory(1, 10, moment(1), (no,)),)
            assert again.canaries()[0].granted is None
            again.write([Answered(1, True, "ben", 10, moment(3)), Canary(50)])
            yes = CanaryAnswer(2, True, "ben", 10, moment(3))
            assert again.canaries() == (CanaryStory(1, 10, moment(1), (no, yes)), CanaryStory(2, 50))
            assert again.canaries()[0].granted == yes

    def test_a_hold_is_recorded_once_and_answered_once_in_an_epoch(self, writer: RunWriter) -> None:
        writer.write([Canary(10), Held(1), Answered(1, False, "anna", 10)])
        for record in (Canary(20), Held(1), Answered(1, True, "anna", 10)):
            with pytest.raises(JournalError):
                writer.write([record])

    # --- the plan -----------------------------------------------------------------------------------------------

    def test_planning_continues_where_it_ended(self, writer: RunWriter) -> None:
        writer.write([chunk(1, valid=60, rejected=30, duplicate=10)])
        assert writer.plan_end() == PlanEnd(100, '{"at": 1}', 100)
        writer.write([chunk(2, valid=20, before=100), PlanComplete()])
        assert writer.plan_end() == PlanEnd(120, '{"at": 2}', 120)
        assert writer.is_plan_complete()

    def test_chunks_keep_their_order_and_their_rows(self, writer: RunWriter) -> None:
        for number in (1, 2, 3):
            writer.write([chunk(number, valid=10, rejected=number % 2, before=100 * number)])
        assert writer.chunk_ids() == [1, 2, 3]
        assert writer.chunks_with_rejects() == [1, 3]
        assert [writer.frame(number) for number in (1, 2, 3)] == [b"rows 1", b"rows 2", b"rows 3"]
        assert writer.rejects(2) == b"rejects"
        assert [writer.chunk_of(row) for row in (100, 101, 111, 112, 201)] == [None, 1, 1, None, 2]

    def test_chunks_are_found_by_the_statuses_of_their_rows(self, sending: Sending) -> None:
        writer = sending.writer
        writer.write([chunk(writer.new_chunk_id(), valid=0, rejected=2, duplicate=1)])
        [accepted] = sending.plan(10, first_row=4)
        [refused, lost] = sending.plan(10, 10, first_row=14)
        [throttled, late] = sending.plan(5, 5, first_row=34)
        sending.plan(3, first_row=44)
        sending.send(accepted)
        sending.send(refused, "failed", code="http_400")
        sending.send(lost, "unknown", code="no_answer")
        sending.send(throttled, "not_sent", "throttled", code="http_429")
        sending.send(late, code="accepted_with_errors")
        statuses = ("rejected", "duplicate", "accepted", "failed", "unknown", "not_sent")
        assert {name: writer.chunks_with([name]) for name in statuses} == {
            "rejected": [1],
            "duplicate": [1],
            "accepted": [2, 4],
            "failed": [3],
            "unknown": [3],
            "not_sent": [4, 5],
        }
        assert writer.chunks_with(statuses) == [1, 2, 3, 4, 5]
        assert writer.chunks_with([]) == []

    def test_chunks_are_found_by_an_error_code_and_after_a_row(self, sending: Sending) -> None:
        writer = sending.writer
        writer.write([chunk(writer.new_chunk_id(), valid=0, rejected=3)])
        for first_row, code in ((4, "http_400"), (14, "http_404"), (24, "http_400")):
            [batch] = sending.plan(10, first_row=first_row)
            sending.send(batch, "failed", code=code)
        assert writer.chunks_with(["failed"], code="http_400") == [2, 4]
        assert writer.chunks_with(["failed", "rejected"], code="http_404") == [1, 3], "its rows may have any code"
        assert [writer.chunks_with(["failed"], after=row) for row in (12, 13, 33)] == [[2, 3, 4], [3, 4], []]

    def test_chunks_are_found_by_what_was_decided_and_by_attempts_without_an_outcome(self, sending: Sending) -> None:
        writer = sending.writer
        [sure] = sending.plan(10)
        [doubted] = sending.plan(10, first_row=11)
        attempt = sending.send(sure)
        sending.attempt(doubted)
        assert writer.chunks_with(["unknown"]) == [2]
        writer.write([Decision.doubt(writer.new_decision_id(), sure.id, attempt.id, "another answer")])
        assert writer.chunks_with(["unknown"]) == [1, 2]
        assert writer.chunks_with(["accepted"]) == []

    # --- what holds ---------------------------------------------------------------------------------------------

    def test_rows_in_flight_are_unknown_unless_somebody_waits_for_their_answer(self, sending: Sending) -> None:
        first, second, third = sending.plan(10, 20, 30)
        sending.attempt(first)
        sending.send(second, "unknown")
        sending.send(third)
        writer = sending.writer
        assert writer.counts() == Counts(60, unknown=30, accepted=30)
        assert writer.counts(in_flight="not_sent") == Counts(60, unknown=20, not_sent=10, accepted=30)

    def test_the_counts_add_up(self, sending: Sending) -> None:
        sending.writer.write([chunk(sending.writer.new_chunk_id(), valid=0, rejected=7, duplicate=3)])
        statuses = ["accepted", "failed", "unknown", "not_sent"]
        batches = sending.plan(1, 2, 4, 8, 16, first_row=11)
        for batch, status in zip(batches, statuses, strict=False):
            sending.send(batch, status, "unsent" if status == "not_sent" else "")
        counts = sending.writer.counts()
        assert counts == Counts(41, accepted=1, rejected=7, duplicate=3, failed=2, unknown=4, not_sent=24)
        assert counts.of("not_sent") == 24
        assert sending.writer.totals().batches == 5
        assert sending.writer.totals().requests == 4

    def test_unsent_batches_come_in_the_order_of_the_rows(self, sending: Sending) -> None:
        for number in (1, 2, 3):
            batches = sending.plan(30, 30, 40, first_row=100 * number - 99)
            sending.send(batches[1], "not_sent", "throttled")
            sending.send(batches[2])
            if number == 2:
                for batch in batches[:2]:
                    sending.send(batch)
        writer = sending.writer
        assert writer.has_unsent()
        assert writer.unsent_chunks() == [UnsentChunk(1, 0), UnsentChunk(3, 200)]
        assert writer.unsent_batches(2) == []
        assert [state.batch for state in writer.unsent_batches(3)] == [Batch(7, 3, 0, 30), Batch(8, 3, 30, 30, prior=1)]
        assert [state.body_sha256 for state in writer.unsent_batches(1)] == [None, b"%032d" % 2]

    def test_a_split_batch_is_replaced_by_its_halves(self, sending: Sending) -> None:
        whole, other = sending.plan(5, 5)
        sending.send(other)
        sending.send(whole, SPLIT, "refused")
        writer = sending.writer
        assert [state.batch for state in writer.unsent_batches(1)] == [Batch(1, 1, 0, 5, prior=1)], "has no halves yet"
        halves = whole.halves(writer.new_batch_id(), writer.new_batch_id(), 1)
        writer.write(halves)
        sending.send(halves[0])
        sending.send(halves[1], "failed", "refused")
        found = [(it.id, it.first, it.size, it.parent, it.attempts, it.status) for it in writer.batches(1)]
        assert found == [(3, 0, 2, 1, 2, "accepted"), (4, 2, 3, 1, 2, "failed"), (2, 5, 5, None, 1, "accepted")]
        assert writer.counts() == Counts(10, accepted=7, failed=3)
        assert writer.batches_split() == 1
        assert writer.planned_sizes(1) == [5, 5]
        assert [batch.id for batch in writer.story(1, 3)] == [1, 4]

    def test_the_last_attempt_decides(self, sending: Sending) -> None:
        [batch] = sending.plan(50)
        sending.send(batch, "not_sent", "throttled", http_status=429, code="http_429", message="slow down")
        last = sending.send(batch, "accepted", http_status=201, dispatch_id="d1")
        [state] = sending.writer.batches_with("accepted", "failed")
        assert (state.attempts, state.last_attempt) == (2, AttemptRef(batch.id, last.id))
        assert (state.verdict, state.http_status, state.dispatch_id, state.code) == ("accepted", 201, "d1", "")
        assert state.sent_at == last.at
        assert sending.writer.attempts_of_batches() == (AttemptsOfBatches(2, 1),)

    # --- parts of an accepted batch ---------------------------------------------------------------------------------

    def test_rows_of_one_request_may_have_different_outcomes(self, sending: Sending) -> None:
        [batch] = sending.plan(50)
        sending.send(batch, "not_sent", "throttled")
        parts = sending.part(batch, 17, 1, 32, attempts=2)
        writer = sending.writer
        found = [(it.id, it.first, it.size, it.parent, it.attempts, it.status) for it in writer.batches(1)]
        assert found == [
            (parts[0].id, 0, 17, 1, 2, "accepted"),
            (parts[1].id, 17, 1, 1, 2, "unknown"),
            (parts[2].id, 18, 32, 1, 2, "accepted"),
        ]
        assert {(it.sent_at, it.dispatch_id, it.http_status) for it in writer.batches(1)} == {(moment(2), "d1", 201)}
        assert writer.counts() == Counts(50, accepted=49, unknown=1)
        assert not writer.has_unsent()
        assert [it.id for it in writer.story(1, 17)] == [1, parts[1].id]
        assert [it.body_sha256 for it in writer.story(1, 17)[1].attempts] == [""]

    def test_an_inherited_attempt_is_not_a_request(self, sending: Sending) -> None:
        first, second, third = sending.plan(50, 50, 50)
        sending.send(first)
        sending.part(second, 10, 1, 39)
        sending.send(third)
        writer = sending.writer
        assert writer.totals().requests == 3
        assert writer.attempts_of_batches() == (AttemptsOfBatches(1, 3),)
        assert writer.batches_split() == 0
        [sent] = writer.sendings()
        assert (sent.attempts, iso_of(sent.began)) == (3, moment(1))
        traffic = writer.traffic(sent, None, None)
        assert (traffic.requests, sum(it.requests for it in traffic.answers)) == (3, 3)
        assert sum(it.rows for it in traffic.answers) == 149
        assert writer.traffic(sent, sent.began + timedelta(seconds=2), None).requests == 1
        assert [gap.verdicts for gap in writer.gaps(sent, 1.0)] == [{"accepted"}, {"accepted"}]

    def test_a_part_is_doubted_decided_and_sent_again_by_itself(self, sending: Sending) -> None:
        [batch] = sending.plan(50)
        parts = sending.part(batch, 17, 1, 32)
        writer = sending.writer
        [doubt] = writer.doubts()
        assert (doubt.rows, doubt.batches, doubt.message, doubt.likely) == (1, 1, "bad locale", "not_accepted")
        assert [it.message for it in writer.refusals(3).shown] == ["bad locale"]
        [doubtful] = writer.doubtful_batches()
        assert (doubtful.id, doubtful.first, doubtful.since) == (parts[1].id, 17, moment(1))
        ref = AttemptRef(doubtful.id, doubtful.attempt)
        writer.decide({ref: "failed"}, "not seen", "user")
        writer.decide({ref: RESEND}, "retry", "user")
        [unsent] = writer.unsent_batches(1)
        assert (unsent.batch, unsent.body_sha256) == (Batch(parts[1].id, 1, 17, 1, batch.id, 1), None)
        sending.send(unsent.batch, dispatch_id="d2")
        assert writer.counts() == Counts(50, accepted=50)
        assert writer.totals().requests == 2
        assert writer.attempts_of_batches() == (AttemptsOfBatches(1, 2),)

    def test_a_dispatch_id_stands_for_the_parts_that_were_accepted_under_it(self, sending: Sending) -> None:
        [batch] = sending.plan(50)
        parts = sending.part(batch, 17, 1, 32)
        [refs] = sending.writer.dispatched(10).values()
        assert [ref.batch for ref in refs] == [parts[0].id, parts[2].id]
        for ref in refs:
            number = sending.writer.new_decision_id()
            sending.writer.write([Decision.doubt(number, ref.batch, ref.attempt, "its dispatch_id came twice")])
        assert sending.writer.counts() == Counts(50, unknown=50)

    def test_the_parts_of_a_batch_are_written_together_or_not_at_all(self, sending: Sending) -> None:
        [batch] = sending.plan(50)
        attempt = sending.attempt(batch)
        records = sending.parted(attempt, batch, 17, 1, 32)
        with pytest.raises(JournalError):
            sending.writer.write([*records, records[0]])
        assert sending.writer.counts() == Counts(50, unknown=50)
        sending.writer.write(records)
        assert sending.writer.counts() == Counts(50, accepted=49, unknown=1)

    def test_remarks_are_what_accepted_requests_were_told_without_naming_a_row(self, sending: Sending) -> None:
        remark = {"code": "accepted_with_errors"}
        first, second, third, fourth = sending.plan(50, 50, 20, 50)
        sending.send(first, message="one", **remark)
        sending.send(second)
        sending.send(third, message="two", **remark)
        sending.part(fourth, 10, 1, 39, message="two", **remark)
        writer = sending.writer
        found = writer.remarks(5)
        assert [(it.message, it.rows, it.requests) for it in found.shown] == [("two", 69, 2), ("one", 50, 1)]
        assert (found.rows, found.requests) == (119, 3)
        assert [it.message for it in writer.remarks(1).shown] == ["two"]

    # --- decisions ----------------------------------------------------------------------------------------------

    def test_a_decision_is_final(self, sending: Sending) -> None:
        [batch] = sending.plan(50)
        attempt = AttemptRef(batch.id, sending.send(batch, "unknown").id)
        writer = sending.writer
        assert writer.decide({attempt: "accepted"}, "seen in Braze", "user") == 1
        for status in ("accepted", "failed", RESEND):
            with pytest.raises(GuardrailError, match="was decided to be 'accepted'"):
                writer.decide({attempt: status}, "again", "user")
        [state] = writer.batches(1)
        assert (state.status, state.decided, state.decided_why) == ("accepted", "accepted", "seen in Braze")
        assert [(it.status, it.why, it.rows) for it in writer.decided()] == [("accepted", "seen in Braze", 50)]

    def test_what_was_decided_to_have_failed_may_be_sent_again_once(self, sending: Sending) -> None:
        [batch] = sending.plan(50)
        attempt = AttemptRef(batch.id, sending.send(batch, "unknown").id)
        writer = sending.writer
        writer.decide({attempt: "failed"}, "not in Braze", "user")
        assert writer.counts() == Counts(50, failed=50)
        writer.decide({attempt: RESEND}, "retry", "user")
        assert writer.counts() == Counts(50, not_sent=50)
        with pytest.raises(GuardrailError):
            writer.decide({attempt: RESEND}, "retry", "user")
        sending.send(batch)
        assert writer.counts() == Counts(50, accepted=50), "a decision is about its attempt only"

    def test_decisions_are_recorded_together_or_not_at_all(self, sending: Sending) -> None:
        batches = sending.plan(50, 50)
        attempts = [AttemptRef(batch.id, sending.send(batch, "unknown").id) for batch in batches]
        sending.writer.decide(dict.fromkeys(attempts[1:], "accepted"), "one", "user")
        with pytest.raises(GuardrailError):
            sending.writer.decide(dict.fromkeys(attempts, "failed"), "both", "user")
        assert sending.writer.counts() == Counts(100, accepted=50, unknown=50)

    def test_a_doubt_of_the_program_is_not_a_decision_yet(self, sending: Sending) -> None:
        [batch] = sending.plan(50)
        attempt = sending.send(batch, dispatch_id="d1")
        writer = sending.writer
        writer.write([Decision.doubt(writer.new_decision_id(), batch.id, attempt.id, "its dispatch_id came twice")])
        assert writer.counts() == Counts(50, unknown=50)
        writer.decide({AttemptRef(batch.id, attempt.id): "accepted"}, "seen in Braze", "user")
        assert writer.counts() == Counts(50, accepted=50)
        [story] = writer.story(1, 0)
        assert {it.attempt for it in story.decisions} == {attempt.id}
        assert [it.status for it in story.decisions] == ["unknown", "accepted"]
        assert story.decisions[0].user == "bulk-sender"

    # --- evidence -----------------------------------------------------------------------------------------------

    def test_unknown_rows_are_told_with_their_evidence(self, sending: Sending) -> None:
        first, second, third, fourth = sending.plan(10, 20, 30, 40)
        lost = {"message": "no answer came", "likely": "accepted"}
        sending.send(first, "unknown", **lost)
        sending.send(second, "unknown", **lost)
        sending.send(third, "not_sent", "unsent")
        since = sending.attempt(third).at
        sending.send(fourth)
        writer = sending.writer
        doubts = [(it.rows, it.batches, it.message, it.likely, it.since, it.until) for it in writer.doubts()]
        assert doubts == [
            (30, 2, "no answer came", "accepted", moment(1), moment(2)),
            (30, 1, PROCESS_ENDED, "", since, since),
        ] or doubts == [
            (30, 1, PROCESS_ENDED, "", since, since),
            (30, 2, "no answer came", "accepted", moment(1), moment(2)),
        ]
        assert [it.id for it in writer.doubtful_batches()] == [1, 2, 3]
        assert writer.doubtful_batches()[2] == DoubtfulBatch(3, 1, 30, 30, 4, since, since)

    def test_a_doubtful_batch_counts_from_its_first_attempt_that_may_have_been_taken(self, sending: Sending) -> None:
        [batch] = sending.plan(10)
        sending.send(batch, "not_sent", "throttled")
        first = sending.send(batch, "unknown")
        sending.writer.decide({AttemptRef(batch.id, first.id): "failed"}, "not seen", "user")
        sending.writer.decide({AttemptRef(batch.id, first.id): RESEND}, "retry", "user")
        last = sending.send(batch, "unknown")
        [doubtful] = sending.writer.doubtful_batches()
        assert (doubtful.since, doubtful.sent_at, doubtful.attempt) == (first.at, last.at, last.id)

    def test_refusals_are_told_by_reason_with_the_first_batch_as_an_example(self, sending: Sending) -> None:
        batches = sending.plan(1, 5, 5, 2, 3)
        refused = {"http_status": 400, "code": "http_400"}
        sending.send(batches[4], "failed", "refused", message="bad name", **refused)
        sending.send(batches[1], "failed", "refused", message="bad date", **refused)
        sending.send(batches[2], "failed", "refused", message="bad date", **refused)
        sending.send(batches[3])
        sending.send(batches[0], "unknown", message="no answer")
        found = sending.writer.refusals(2)
        assert (found.reasons, found.rows) == (3, 14)
        assert [(it.message, it.rows, it.requests, it.first, it.size) for it in found.shown] == [
            ("bad date", 10, 2, 1, 5),
            ("bad name", 3, 1, 13, 3),
        ]
        assert (found.shown[0].status, found.shown[0].http_status, found.shown[0].code) == ("failed", 400, "http_400")
        assert len(sending.writer.refusals(10).shown) == 3

    def test_the_latest_dispatch_ids_come_oldest_first_with_the_attempt_that_had_them_first(
        self, sending: Sending
    ) -> None:
        names = ["a", "b", "", "b", "c", "d"]
        for batch, name in zip(sending.plan(*[10] * 6), names, strict=True):
            sending.send(batch, dispatch_id=name)
        assert list(sending.writer.dispatched(10).items()) == [
            ("a", (AttemptRef(1, 1),)),
            ("b", (AttemptRef(2, 2),)),
            ("c", (AttemptRef(5, 5),)),
            ("d", (AttemptRef(6, 6),)),
        ]
        assert list(sending.writer.dispatched(2)) == ["c", "d"]

    def test_a_rows_story_has_every_attempt(self, sending: Sending) -> None:
        first, second = sending.plan(10, 10)
        sending.send(first, "not_sent", "throttled", http_status=429)
        sending.send(first, "accepted", http_status=201, dispatch_id="d")
        sending.send(second)
        [story] = sending.writer.story(1, 9)
        assert (story.id, story.size, story.parent) == (first.id, 10, None)
        assert [(it.epoch, it.status, it.http_status, it.dispatch_id) for it in story.attempts] == [
            (1, "not_sent", 429, ""),
            (1, "accepted", 201, "d"),
        ]
        assert story.attempts[0].body_sha256 == first_digest(first)
        assert story.attempts[0].sent_at == moment(1)
        assert story.attempts[0].answered_at == moment(1.25)
        assert sending.writer.story(1, 20) == ()

    # --- over time ----------------------------------------------------------------------------------------------

    def test_requests_are_found_by_the_time_they_left(self, sending: Sending) -> None:
        statuses = ["accepted", "accepted", "failed", "accepted"]
        for batch, status in zip(sending.plan(*[10] * 4), statuses, strict=True):
            sending.send(batch, status, after_s=sending.at_s + 1)
        [sent] = sending.writer.sendings()
        assert (sent.epochs, sent.attempts) == ((1,), 4)
        [strand] = sent.strands
        assert (strand.first, strand.last) == (1, 4)
        assert (iso_of(sent.began), iso_of(sent.ended)) == (moment(1), moment(8))
        border = sent.began + timedelta(seconds=2)
        before, after = sending.writer.traffic(sent, None, border), sending.writer.traffic(sent, border, None)
        assert (before.requests, after.requests) == (2, 2)
        assert [(it.verdict, it.requests, it.rows) for it in before.answers] == [("accepted", 2, 20)]
        assert sorted((it.verdict, it.requests, it.rows) for it in after.answers) == [
            ("accepted", 1, 10),
            ("refused", 1, 0),
        ]
        assert (before.p50_s, before.p95_s) == pytest.approx((1.5, 1.95))
        assert sending.writer.has_attempts_since(moment(4)) and not sending.writer.has_attempts_since(moment(4.001))

    def test_gaps_are_found_with_what_the_answers_before_them_said(self, sending: Sending) -> None:
        first, second, third = sending.plan(10, 10, 10)
        sending.send(first)
        sending.send(second, "not_sent", "throttled")
        sending.at_s += 9
        sending.send(third)
        [sent] = sending.writer.sendings()
        [gap] = sending.writer.gaps(sent, 5.0)
        assert (iso_of(gap.began), iso_of(gap.ended)) == (moment(2), moment(12))
        assert gap.verdicts == {"throttled", "accepted"}
        assert sending.writer.gaps(sent, 11.0) == ()

    def test_each_epoch_sends_by_itself(self, store: Store, run: RunRef, sending: Sending) -> None:
        first, second = sending.plan(10, 10)
        sending.send(first)
        sending.writer.end_epoch("stopped", "", 1.0)
        sending.writer.close()
        with store.open(run) as idle:
            idle.begin_epoch("resume")
            idle.end_epoch("stopped", "", 1.0)
        with store.open(run) as again:
            again.begin_epoch("resume")
            later = Sending(again)
            later.at_s = 60
            later.send(second)
            assert [(it.epochs, it.attempts) for it in again.sendings()] == [((1,), 1), ((3,), 1)]


def first_digest(batch: Batch) -> str:
    return (b"%032d" % batch.id).hex()


def iso_of(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
