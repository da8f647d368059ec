"""What several writers of one run tell each other, and what the journal makes of it."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import polars as pl
import psycopg
import pytest

import bulk_sender as bs
from bulk_sender.errors import JournalError
from bulk_sender.journal.answers import AttemptRef, Counts, WorkLeft
from bulk_sender.journal.place import SCHEMA_VARIABLE, VARIABLE, Place
from bulk_sender.journal.postgres import commits as commits_module
from bulk_sender.journal.postgres import ids as ids_module
from bulk_sender.journal.postgres import reader as reader_module
from bulk_sender.journal.postgres.ids import BLOCK, Ids
from bulk_sender.journal.postgres.peers import Peers
from bulk_sender.journal.postgres.runs import PostgresRuns
from bulk_sender.journal.postgres.team import PostgresTeam
from bulk_sender.journal.postgres.writer import PostgresWriter
from bulk_sender.journal.records import (
    Attempt,
    AttemptOutcome,
    Batch,
    CanaryReleased,
    Lease,
    LeaseState,
    PlanComplete,
    Status,
)
from bulk_sender.journal.store import RunRef
from bulk_sender.reading import chunk as reading_chunk
from tests.journal.contract import chunk, outcome
from tests.kit.journals import START, moment, run_facts
from tests.kit.pg_proxy import Proxy
from tests.postgres.crew import UNFENCED
from tests.postgres.interleaving import interleave


class Crew:
    """A planner with ``chunks`` of one batch of 10 rows, and writers that have joined."""

    def __init__(self, stack: ExitStack, runs: PostgresRuns, run: RunRef, chunks: int) -> None:
        self.runs, self.run = runs, run
        self._stack = stack
        self.planner = stack.enter_context(runs.create(run, run_facts()))
        self.planner.begin_epoch("send")
        for number in range(1, chunks + 1):
            batch = Batch(self.planner.new_batch_id(), number, 0, 10)
            self.planner.write([chunk(number, 10), batch, Lease(number, LeaseState.OPEN)])

    def join(self, runs: PostgresRuns | None = None) -> PostgresWriter:
        writer = self._stack.enter_context((runs or self.runs).join(self.run))
        writer.begin_epoch("join")
        return writer


def attempt(writer: PostgresWriter, number: int) -> Attempt:
    [batch] = writer.batches(number)
    made = Attempt(writer.new_attempt_id(), batch.id, b"\0" * 32)
    writer.write([made])
    return made


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


# --- leases -----------------------------------------------------------------------------------------------------------


def test_each_chunk_is_taken_once_lowest_first(stack: ExitStack, runs: PostgresRuns, run: RunRef) -> None:
    crew = Crew(stack, runs, run, 3)
    one, other = crew.join(), crew.join()
    assert [one.team.take([]), other.team.take([]), crew.planner.team.take([])] == [1, 2, 3]
    assert one.team.take([1]) is None
    assert one.team.left() == WorkLeft(0, 3, 0, is_planned=False, has_planner=True, others=2)
    one.write([Lease(1, LeaseState.DONE)])
    other.write([Lease(2, LeaseState.GIVEN_BACK)])
    other.write([Lease(1, LeaseState.GIVEN_BACK)])  # not its own: nothing
    assert one.team.take([]) == 2
    crew.planner.write([Lease(3, LeaseState.DONE), PlanComplete()])
    one.write([Lease(2, LeaseState.DONE)])
    left = one.team.left()
    assert left.is_none and left.is_planned


def test_a_chunk_whose_lease_was_not_answered_is_taken_again(
    stack: ExitStack, runs: PostgresRuns, far: PostgresRuns, proxy: Proxy, run: RunRef
) -> None:
    crew = Crew(stack, runs, run, 3)
    joined = crew.join(far)
    joined._ended.set()  # its beats would be the ones to lose an answer
    time.sleep(0.5)
    found = []
    for answer in range(1, 9):
        proxy.lose_answer(answer)
        found.append(joined.team.take(found))
        if None in found:
            break
    assert found[:3] == [1, 2, 3]
    assert crew.planner.team.left().taken == 3
    stack.close()  # before the proxy is


def test_a_take_names_only_the_chunks_that_the_process_has_now(
    place: Place, run: RunRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list would grow with the run, in each take of each process."""
    named: list[int] = []
    take = PostgresTeam.take

    def noted(team: PostgresTeam, has: Collection[int]) -> int | None:
        named.append(len(has))
        return take(team, has)

    monkeypatch.setattr(PostgresTeam, "take", noted)
    monkeypatch.setattr(reading_chunk, "CHUNK_CELLS", 100)
    monkeypatch.setenv(VARIABLE, place.address)
    monkeypatch.setenv(SCHEMA_VARIABLE, place.schema)
    people = pl.DataFrame({"external_user_id": [f"u{number}" for number in range(2000)]})
    runs_dir = run.folder.parent
    summary = bs.send(people, sandbox=bs.Sandbox(), run_id=run.name, runs_dir=runs_dir, concurrency=2)
    assert summary.accepted == 2000
    assert len(named) > 20
    assert max(named) <= 8, named


def test_a_fence_gives_chunks_back_and_ids_go_on_behind_those_of_the_fenced(
    stack: ExitStack, runs: PostgresRuns, run: RunRef
) -> None:
    """What holds for a batch is what its attempt with the highest id says, whoever made it."""
    crew = Crew(stack, runs, run, 1)
    early, late = crew.join(), crew.join()
    early.new_attempt_id()  # from a block before that of the other
    late.team.take([])
    for _ in range(BLOCK + 2):
        late.new_attempt_id()
    first = attempt(late, 1)
    late.write([outcome(first, Status.NOT_SENT, "unsent")])
    crew.planner.fence(late.epoch)
    assert early.team.take([]) == 1
    second = attempt(early, 1)
    assert second.id > first.id
    early.write([outcome(second, "accepted", "accepted")])
    assert early.counts() == Counts(10, accepted=10)
    with pytest.raises(JournalError, match="another process of this run has given this one up"):
        attempt(late, 1)
    assert late.lost is not None and late.lost.is_taken_over


def test_a_fenced_process_takes_nothing(stack: ExitStack, runs: PostgresRuns, run: RunRef) -> None:
    crew = Crew(stack, runs, run, 2)
    joined = crew.join()
    joined._ended.set()
    assert joined.team.take([]) == 1
    crew.planner.fence(joined.epoch)
    assert joined.team.take([]) is None
    assert crew.planner.team.take([]) == 1


def test_leases_follow_the_records_when_a_run_is_resumed(stack: ExitStack, runs: PostgresRuns, run: RunRef) -> None:
    refs: list[AttemptRef] = []
    with ExitStack() as before:
        crew = Crew(before, runs, run, 4)
        joined = crew.join()
        for number in (1, 2):
            assert joined.team.take([]) == number
            sent = attempt(joined, number)
            refs.append(AttemptRef(sent.batch, sent.id))
            joined.write([outcome(sent, "accepted", "accepted"), Lease(number, LeaseState.DONE)])
        assert joined.team.take([]) == 3
    with runs.open_to_write(run) as writer:
        writer.decide({refs[0]: "failed"}, "why", "who")
        writer.decide({refs[0]: "resend"}, "why", "who")
        writer.begin_epoch("resume")
        writer.team.open_leases(None)
        taken: list[int] = []
        while (number := writer.team.take(taken)) is not None:
            taken.append(number)
        assert taken == [1, 3, 4]


def test_chunks_behind_a_canary_wait(stack: ExitStack, runs: PostgresRuns, run: RunRef) -> None:
    crew = Crew(stack, runs, run, 3)
    planner = crew.planner
    planner.team.open_leases(20)
    assert [planner.team.take([]), planner.team.take([1]), planner.team.take([1, 2])] == [1, 2, None]
    batch = Batch(planner.new_batch_id(), 4, 0, 10)
    planner.write([chunk(4, 10), batch, Lease(4, LeaseState.HELD_BACK)])
    assert planner.team.left().held_back == 2
    batch = Batch(planner.new_batch_id(), 5, 0, 10)
    planner.write([chunk(5, 10), batch, Lease(5, LeaseState.HELD_BACK), CanaryReleased()])
    assert planner.team.left() == WorkLeft(3, 2, 0, is_planned=False, has_planner=True, others=0)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("UPDATE chunk SET frame = 'x' WHERE id = 2", r"a record of chunk \(2\) fails its checksum"),
        ("UPDATE batch SET size = 5 WHERE chunk = 2", "a record of batch"),
        ("UPDATE attempt SET at = at || ' '", "a record of attempt"),
        ("DELETE FROM attempt; DELETE FROM batch WHERE chunk = 2", "batches of chunk 2 are missing"),
        ("DELETE FROM lease; DELETE FROM attempt; DELETE FROM batch; DELETE FROM chunk", "batches of chunk 2 are"),
    ],
)
def test_a_process_that_joins_proves_what_it_uses_and_not_the_whole_run(
    stack: ExitStack, runs: PostgresRuns, run: RunRef, sql: str, why: str
) -> None:
    crew = Crew(stack, runs, run, 3)
    attempt(crew.planner, 2)
    with crew.join().reader() as reader:
        reader.prove_chunk(2)
    crew.planner.through(lambda connection: connection.execute(sql))
    with crew.join().reader() as reader:  # the planner has proved all when it began
        with pytest.raises(JournalError, match=f"is damaged: {why}"):
            reader.prove_chunk(2)
        if "chunk" not in sql.partition("WHERE")[0]:
            reader.prove_chunk(1)
    stack.close()
    with pytest.raises(JournalError, match="is damaged"):
        runs.join(run)


def test_a_process_that_has_only_opened_a_run_has_not_proved_it_for_others(
    stack: ExitStack, runs: PostgresRuns, run: RunRef
) -> None:
    with ExitStack() as before:
        Crew(before, runs, run, 1)
    opened = stack.enter_context(runs.open_to_write(run))
    opened.through(lambda connection: connection.execute("UPDATE chunk SET frame = 'x'"))
    with pytest.raises(JournalError, match="is damaged"):
        runs.join(run)


# --- fences -----------------------------------------------------------------------------------------------------------


def test_several_writers_live_side_by_side(stack: ExitStack, runs: PostgresRuns, run: RunRef) -> None:
    crew = Crew(stack, runs, run, 2)
    one, other = crew.join(), crew.join()
    mine, yours = attempt(one, 1), attempt(other, 2)
    third = crew.join()
    assert third.batches(1)[0].verdict is None, "the attempt of a live writer stays open"
    third.fence(other.epoch)
    with pytest.raises(JournalError):
        other.write([outcome(yours, "accepted", "accepted")])
    one.write([outcome(mine, "accepted", "accepted")])
    assert third.counts() == Counts(20, accepted=10, unknown=10)


def test_no_intent_comes_behind_a_fence(place: Place, run: RunRef) -> None:
    intents, behind = interleave(place, run.folder, 300, "fence")
    assert intents > 300
    assert behind == 0


def test_without_the_condition_of_the_fence_intents_do_come_behind_it(
    place: Place, run: RunRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits_module, "_ME", commits_module._ME.replace(UNFENCED["old"], ""))
    assert interleave(place, run.folder, 20, "mutant")[1] > 0


def test_a_fence_whose_answer_is_lost_is_made_once(
    stack: ExitStack, runs: PostgresRuns, far: PostgresRuns, proxy: Proxy, run: RunRef
) -> None:
    crew = Crew(stack, runs, run, 9)
    fencing = crew.join(far)
    fencing._ended.set()
    time.sleep(0.5)
    for answer in range(1, 9):
        victim = crew.join()
        attempt(victim, answer)
        proxy.lose_answer(answer)
        fencing.fence(victim.epoch)
        assert crew.planner.batches(answer)[0].status == "unknown", answer
    fencing.write([])
    stack.close()


def test_a_silent_process_is_given_up_by_a_busy_one(stack: ExitStack, runs: PostgresRuns, run: RunRef) -> None:
    crew = Crew(stack, replace_ttl(runs, 1.5), run, 1)
    silent = crew.join()
    attempt(silent, 1)
    silent._ended.set()  # no beats, as if it were suspended
    end = time.monotonic() + 10
    while crew.planner.counts().unknown and time.monotonic() < end and not fenced(crew.planner):
        crew.planner.write([])
        time.sleep(0.02)
    assert fenced(crew.planner) == [silent.epoch]
    assert crew.planner.batches(1)[0].code == "process_ended"


def replace_ttl(runs: PostgresRuns, ttl_s: float) -> PostgresRuns:
    return PostgresRuns(replace(runs.place, ttl_s=ttl_s))


def fenced(writer: PostgresWriter) -> list[int]:
    return [row[0] for row in writer._session.rows("SELECT id FROM epoch WHERE fenced_at IS NOT NULL")]


# --- testimony --------------------------------------------------------------------------------------------------------


def test_an_answer_that_came_too_late_counts_when_the_run_is_closed(
    stack: ExitStack, runs: PostgresRuns, run: RunRef
) -> None:
    crew = Crew(stack, runs, run, 4)
    joined = crew.join()
    taken, failed, decided, unsent = (attempt(joined, number) for number in (1, 2, 3, 4))
    crew.planner.fence(joined.epoch)
    crew.planner.decide({AttemptRef(decided.batch, decided.id): "failed"}, "I know better", "who")
    for made, verdict, status in (
        (taken, "accepted", "accepted"),
        (failed, "refused", "failed"),
        (decided, "accepted", "accepted"),
        (unsent, "unsent", "not_sent"),
    ):
        with pytest.raises(JournalError):
            joined.write([named(outcome(made, status, verdict), f"dispatch-{made.id}")])
    crew.planner.team.settle()
    crew.planner.team.settle()
    assert crew.planner.counts() == Counts(40, accepted=10, failed=10, unknown=20)
    [state] = crew.planner.batches(1)
    assert (state.decided, state.decided_why) == (
        "accepted",
        f"answered after its process was given up (dispatch_id dispatch-{taken.id})",
    )


def test_what_a_fenced_process_says_is_not_cut_short(stack: ExitStack, runs: PostgresRuns, run: RunRef) -> None:
    """Only a process that has to end now, or has no database, waits for nothing any more."""
    crew = Crew(stack, runs, run, 1)
    joined = crew.join()
    crew.planner.fence(joined.epoch)
    with pytest.raises(JournalError):
        joined.write([PlanComplete()])
    assert joined.lost is not None and joined.lost.is_taken_over
    assert joined.through(lambda connection: connection.execute("SELECT 1 FROM pg_sleep(0.5)").fetchall()) == [(1,)]
    joined.is_late = lambda: True
    with pytest.raises(psycopg.Error):
        joined.through(lambda connection: connection.execute("SELECT 1 FROM pg_sleep(10)").fetchall())


def test_an_answer_that_came_after_the_close_counts_when_somebody_opens_the_run_again(
    stack: ExitStack, runs: PostgresRuns, run: RunRef
) -> None:
    crew = Crew(stack, runs, run, 1)
    joined = crew.join()
    taken = attempt(joined, 1)
    crew.planner.fence(joined.epoch)
    crew.planner.write([PlanComplete()])
    crew.planner.team.settle()
    crew.planner.end_epoch("finished", "", 1.0)
    crew.planner.close()
    with pytest.raises(JournalError):
        joined.write([named(outcome(taken, "accepted", "accepted"), "late")])
    with runs.open_to_read(run) as reader:
        assert reader.counts() == Counts(10, unknown=10), "reading decides nothing"
    for _ in range(2):
        with runs.open_to_write(run) as writer:
            assert writer.counts() == Counts(10, accepted=10)
            assert [(it.status, it.rows) for it in writer.decided()] == [("accepted", 10)]


def named(record: AttemptOutcome, dispatch_id: str) -> AttemptOutcome:
    return replace(record, judged=replace(record.judged, dispatch_id=dispatch_id))


def test_acceptances_that_share_a_dispatch_id_are_in_doubt(stack: ExitStack, runs: PostgresRuns, run: RunRef) -> None:
    crew = Crew(stack, runs, run, 3)
    one, other = crew.join(), crew.join()
    for writer, number, name in ((one, 1, "same"), (other, 2, "same"), (other, 3, "another")):
        writer.write([named(outcome(attempt(writer, number), "accepted", "accepted"), name)])
    crew.planner.team.settle()
    crew.planner.team.settle()
    assert crew.planner.counts() == Counts(30, accepted=10, unknown=20)
    assert [it.decided_why for it in crew.planner.batches(1)] == ["its dispatch_id was given to another batch too"]


def test_a_request_may_be_on_its_way_for_a_while_after_its_process_was_given_up(
    stack: ExitStack, runs: PostgresRuns, run: RunRef
) -> None:
    crew = Crew(stack, runs, run, 2)
    joined = crew.join()
    refs = [AttemptRef(made.batch, made.id) for made in (attempt(joined, 1), attempt(crew.planner, 2))]
    assert crew.planner.team.on_the_way_s(refs, 70.0) == 0.0
    crew.planner.fence(joined.epoch)
    assert 65.0 < crew.planner.team.on_the_way_s(refs, 70.0) <= 70.0
    assert crew.planner.team.on_the_way_s(refs[1:], 70.0) == 0.0
    time.sleep(0.3)
    assert crew.planner.team.on_the_way_s(refs, 0.2) == 0.0


# --- the requests over time -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_requests_of_several_processes_are_found_by_the_time_they_left(
    stack: ExitStack, runs: PostgresRuns, run: RunRef, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Their ids alternate in blocks, and say nothing of the time."""
    for module in (ids_module, reader_module):
        monkeypatch.setattr(module, "BLOCK", 6)
    rng = random.Random(seed)
    crew = Crew(stack, runs, run, 1)
    writers = [crew.planner, crew.join(), crew.join()]
    clock = [rng.uniform(0, 5) for _ in writers]
    left: list[tuple[float, int]] = []
    for _ in range(90):
        who = rng.randrange(3)
        clock[who] = round(clock[who] + rng.choice([0.1, 0.3, 0.7, 9.0 if rng.random() < 0.1 else 0.2]), 3)
        batch = Batch(writers[who].new_batch_id(), 1, 0, 10)
        sent = Attempt(writers[who].new_attempt_id(), batch.id, b"\0" * 32, moment(clock[who]))
        answer = outcome(sent, "accepted", "accepted" if who else "throttled", at_s=clock[who], after_s=0.05)
        writers[who].write([batch, sent, answer])
        left.append((clock[who], who))
    left.sort()
    late = max(clock) + 100.0
    alone = Attempt(crew.planner.new_attempt_id(), batch.id, b"\0" * 32, moment(late))
    crew.planner.write([alone])
    with crew.planner.reader() as reader:
        [whole] = reader.sendings()
        assert (whole.epochs, whole.attempts) == ((1, 2, 3), 91)
        borders = sorted(rng.uniform(0, left[-1][0]) for _ in range(12))
        moments = [None, *(START + timedelta(seconds=border) for border in borders), None]
        counts = [reader.traffic(whole, since, until) for since, until in pairwise(moments)]
        edges = [-1.0, *borders, math.inf]
        expected = [sum(since <= at < until for at, _ in left) for since, until in pairwise(edges)]
        expected[-1] += 1
        assert [it.requests for it in counts] == expected
        told = sum((Counter({a.verdict: a.requests for a in it.answers}) for it in counts), Counter())
        assert told == Counter("accepted" if who else "throttled" for _, who in left)
        pauses = [(began, ended) for (began, _), (ended, _) in pairwise([*left, (late, 0)]) if ended - began >= 2.0]
        gaps = reader.gaps(whole, 2.0)
        spans = [((it.began - START).total_seconds(), (it.ended - START).total_seconds()) for it in gaps]
        assert spans == [pytest.approx(pause) for pause in pauses]


def test_what_one_process_sent_after_another_had_ended_is_apart_though_its_ids_are_not(
    stack: ExitStack, runs: PostgresRuns, run: RunRef
) -> None:
    """It may have taken its block of ids long before it had something to send."""
    crew = Crew(stack, runs, run, 3)
    joined = crew.join()
    for _ in range(2 * BLOCK - 1):
        crew.planner.new_attempt_id()
    for writer, at_s in ((crew.planner, 1.0), (joined, 100.0), (crew.planner, 2.0)):
        batch = Batch(writer.new_batch_id(), 1, 0, 10)
        sent = Attempt(writer.new_attempt_id(), batch.id, b"\0" * 32, moment(at_s))
        writer.write([batch, sent, outcome(sent, "accepted", "accepted", at_s=at_s)])
        for _ in range(BLOCK):
            writer.new_attempt_id()
    first, second = joined.sendings()
    assert [(it.epochs, it.attempts) for it in (first, second)] == [((1,), 2), ((2,), 1)]
    assert joined.traffic(first, None, None).requests == 2


# --- the end ----------------------------------------------------------------------------------------------------------


def test_the_last_process_to_leave_has_to_close_the_run(stack: ExitStack, runs: PostgresRuns, run: RunRef) -> None:
    crew = Crew(stack, runs, run, 1)
    one, other = crew.join(), crew.join()
    assert one.team.take([]) == 1
    assert one.team.leave("SIGTERM", 1.0)
    assert other.team.take([]) == 1, "what it had is given back"
    crew.planner.close()
    assert not other.team.leave("done", 2.0)
    other.end_epoch("stopped", "nobody plans", 2.0)
    last = other.last_ending()
    assert last is not None and (last.epoch, last.state, last.reason) == (other.epoch, "stopped", "nobody plans")
    assert [it.state for it in other.epochs()] == [None, "left", "stopped"]
    assert other.totals().elapsed_s == 2.0


def test_a_stop_is_seen_by_all_within_seconds(stack: ExitStack, runs: PostgresRuns, run: RunRef) -> None:
    crew = Crew(stack, runs, run, 1)
    one, other = crew.join(), crew.join()
    one.team.stop("Braze refused the key")
    other.team.stop("something else")
    end = time.monotonic() + 4.0
    while not crew.planner.team.stopped and time.monotonic() < end:
        time.sleep(0.02)
    assert crew.planner.team.stopped == other.team.stopped == "Braze refused the key"
    crew.planner.close()
    for writer in (one, other):
        writer.close()
    with runs.open_to_write(run) as writer:
        writer.begin_epoch("resume")
        writer.write([])
        assert writer.team.stopped == ""


# --- parts ------------------------------------------------------------------------------------------------------------


def test_ids_of_several_processes_never_meet_and_ascend() -> None:
    given = {"batch": 1, "attempt": 1, "decision": 1}

    def take(kind: str, size: int) -> int:
        given[kind] += size
        return given[kind] - size

    one, other = Ids(take), Ids(take)
    found: dict[int, list[int]] = {0: [], 1: []}
    for number in range(5 * BLOCK):
        which = number % 3 % 2
        found[which].append((one, other)[which].new("attempt"))
        if number % 7 == 0:
            one.refill()
    assert not set(found[0]) & set(found[1])
    assert all(numbers == sorted(numbers) for numbers in found.values())
    while other._of["attempt"].reserve is None:
        other.new("attempt")
        other.refill()
    highest = max(one.new("attempt") for _ in range(2 * BLOCK))
    other.pass_by("attempt", highest)
    assert min(other.new("attempt") for _ in range(2 * BLOCK)) > highest


def test_peers_are_given_up_only_after_an_uninterrupted_watch() -> None:
    peers = Peers(10.0)
    assert peers.pause_s == 2.0
    now = 0.0
    for _ in range(5):
        assert peers.silent({1: 7, 2: int(now)}, now, 1) == []
        now += 2.0
    assert peers.silent({1: 7, 2: int(now)}, now, 1) == [1]
    assert peers.silent({1: 7}, now + 2.0, 2) == [], "another connection begins the watch anew"
    assert peers.silent({1: 7}, now + 2.0 + 60.0, 2) == [], "so does a pause of this process"
    assert Peers(15.0).pause_s == 2.0 and Peers(5.0).pause_s == 1.0
