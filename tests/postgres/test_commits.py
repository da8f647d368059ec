"""One statement a commit: repeated when its answer is lost, refused when another process has the run."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import psycopg
import pytest

from bulk_sender.errors import JournalError, RunHeldError
from bulk_sender.journal.answers import Counts
from bulk_sender.journal.place import Place
from bulk_sender.journal.postgres import runs as runs_module
from bulk_sender.journal.postgres import writer as writer_module
from bulk_sender.journal.postgres.runs import PostgresRuns
from bulk_sender.journal.postgres.writer import PostgresWriter
from bulk_sender.journal.records import Attempt, PlanComplete
from bulk_sender.journal.store import RunRef
from tests.journal.contract import Sending, outcome
from tests.kit.journals import run_facts
from tests.kit.pg_proxy import Proxy
from tests.kit.postgres import Server

STEP = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 3
"""Of all answers that can be lost, take each third."""


def told(runs: PostgresRuns, run: RunRef) -> list[object]:
    with runs.open_to_read(run) as reader:
        return [reader.counts(), reader.totals().requests, reader.chunk_ids(), len(reader.epochs()), reader.decided()]


def live(runs: PostgresRuns, run: RunRef) -> None:
    """A run's whole life, with each kind of commit."""
    with runs.create(run, run_facts()) as writer:
        writer.begin_epoch("send")
        sending = Sending(writer)
        first, second = sending.plan(50, 50)
        sending.send(first)
        sending.attempt(second)
        writer.end_epoch("stopped", "", 1.0)
    with runs.open_to_write(run) as writer:
        writer.fence(1)
        writer.begin_epoch("resume")
        writer.write([PlanComplete()])


def test_whatever_answer_is_lost_each_record_is_there_once(
    runs: PostgresRuns, far: PostgresRuns, proxy: Proxy, run: RunRef
) -> None:
    expected: list[object] | None = None
    number = 0
    while True:
        named = RunRef(f"{run.name}-{number}", run.folder.parent / f"{run.name}-{number}")
        proxy.lose_answer(number) if number else proxy.lost.clear()
        live(far, named)
        found = told(runs, named)
        expected = expected or found
        assert found == expected, f"after the loss of answer {number}"
        if number and not proxy.lost.is_set():
            break
        number += STEP
    assert expected[0] == Counts(100, accepted=50, unknown=50)
    assert number > 75


def test_a_cut_connection_and_a_restarted_proxy_are_waited_for(far: PostgresRuns, proxy: Proxy, run: RunRef) -> None:
    with far.create(run, run_facts()) as writer:
        writer.begin_epoch("send")
        for _ in range(3):
            proxy.cut()
            Sending(writer).plan(50)
            assert writer.counts().rows % 50 == 0
        assert writer.chunk_ids() == [1, 2, 3]


def test_a_network_that_swallows_everything_is_given_up_and_tried_again(
    far: PostgresRuns, proxy: Proxy, run: RunRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_ANSWER_S", 0.5)
    with far.create(run, run_facts()) as writer:
        writer.begin_epoch("send")
        proxy.freeze()
        threading.Timer(2.5, proxy.thaw).start()
        Sending(writer).plan(50)
        assert writer.chunk_ids() == [1]


def test_a_database_that_stays_away_ends_the_run_and_leaves_nothing_half_done(
    runs: PostgresRuns, far: PostgresRuns, proxy: Proxy, run: RunRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "PATIENCE_S", 1.0)
    with far.create(run, run_facts()) as writer:
        writer.begin_epoch("send")
        proxy.__exit__(None, None, None)
        with pytest.raises(JournalError, match="could not be used for a minute"):
            writer.write([PlanComplete()])
        assert writer.is_locked_out and writer.look() is not None
        assert writer.lost is not None and not writer.lost.is_taken_over
    time.sleep(2.2)
    with runs.open_to_write(run) as writer:
        assert not writer.is_plan_complete()


@pytest.fixture
def sending(runs: PostgresRuns, run: RunRef) -> Iterator[Sending]:
    with runs.create(run, run_facts()) as writer:
        writer.begin_epoch("send")
        yield Sending(writer)


def lost_within(writer: PostgresWriter, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while writer.look() is None and time.monotonic() < end:
        time.sleep(0.02)
    return writer.lost is not None and writer.lost.is_taken_over


def test_a_process_learns_of_its_fence_without_writing(runs: PostgresRuns, run: RunRef, sending: Sending) -> None:
    with runs.open_to_write(run, take_over=True) as other:
        other.begin_epoch("resume")
        assert lost_within(sending.writer, 10.0)  # type: ignore[arg-type]
        with pytest.raises(JournalError, match="another process has taken over"):
            sending.attempt(sending.plan(50)[0])
        assert other.counts() == Counts()


def test_a_fence_of_one_epoch_makes_its_open_attempts_unknown(
    runs: PostgresRuns, run: RunRef, sending: Sending
) -> None:
    open_batch, unsent = sending.plan(10, 20)
    attempt = sending.attempt(open_batch)
    with runs.open_to_write(run, take_over=True) as other:
        other.fence(1)
        with pytest.raises(JournalError, match="another process has taken over"):
            sending.writer.write([outcome(attempt, "accepted", "accepted")])
        assert other.counts() == Counts(30, unknown=10, not_sent=20)
        assert [it.id for it in other.unsent_batches(1)] == [unsent.id]


def test_of_a_fenced_process_there_is_an_intent_before_the_fence_or_none(place: Place, run: RunRef) -> None:
    """A writer that never stops to write, and another that takes over in the middle, again and again."""
    runs = PostgresRuns(place)
    runs.create(run, run_facts()).close()
    for number in range(4):
        with runs.open_to_write(run, take_over=True) as old:
            old.begin_epoch("send")
            [batch] = Sending(old).plan(50, first_row=1 + 50 * number)
            written: list[int] = []

            def write(old: PostgresWriter = old, batch: int = batch.id, written: list[int] = written) -> None:
                with suppress(JournalError):
                    while True:
                        attempt = Attempt(old.new_attempt_id(), batch, b"x")
                        old.write([attempt])
                        written.append(attempt.id)

            thread = threading.Thread(target=write)
            thread.start()
            time.sleep(0.02 * (number % 4))
            with runs.open_to_write(run, take_over=True) as new:
                new.begin_epoch("resume")
                known = {it.id for story in new.story(number + 1, 0) for it in story.attempts}
                open_ones = [it for story in new.story(number + 1, 0) for it in story.attempts if it.status is None]
                thread.join()
                later = {it.id for story in new.story(number + 1, 0) for it in story.attempts}
            assert set(written) <= known == later
            assert not open_ones


def test_a_second_process_is_refused_with_the_holder_until_the_first_is_gone(
    runs: PostgresRuns, run: RunRef, sending: Sending
) -> None:
    with pytest.raises(RunHeldError, match="is held by process"):
        runs.open_to_write(run)
    assert (runs.holder(run) or "").startswith("process ")
    sending.writer.close()
    assert runs.holder(run) is None
    runs.open_to_write(run).close()


def test_of_several_that_open_at_the_same_moment_one_gets_the_run(
    runs: PostgresRuns, run: RunRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All see that nobody has it, and then claim it."""
    runs.create(run, run_facts()).close()
    barrier = threading.Barrier(4)

    def nobody(*_: object) -> None:
        barrier.wait()

    monkeypatch.setattr(runs_module, "holder", nobody)
    got: list[PostgresWriter] = []
    refused: list[RunHeldError] = []

    def open_it() -> None:
        try:
            got.append(runs.open_to_write(run))
        except RunHeldError as error:
            refused.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(got[0]):
        assert (len(got), len(refused)) == (1, 3)


def test_a_process_that_died_without_a_word_is_noticed_within_seconds(
    runs: PostgresRuns, run: RunRef, sending: Sending
) -> None:
    writer = sending.writer
    writer._ended.set()  # type: ignore[attr-defined]  # as if it had been killed
    writer._session.close()  # type: ignore[attr-defined]
    began = time.monotonic()
    runs.open_to_write(run).close()
    assert 1.0 < time.monotonic() - began < 8.0


def test_a_suspended_process_with_its_connection_keeps_the_run_for_its_time_to_live(
    runs: PostgresRuns, run: RunRef, sending: Sending
) -> None:
    sending.writer._ended.set()  # type: ignore[attr-defined]  # no beats, but a connection
    suspended = time.monotonic()
    while runs.holder(run) is not None:
        time.sleep(0.1)
    assert time.monotonic() - suspended > 3.5, "it may wake: the time to live is 5 s here"


# --- a database that is not what it was -------------------------------------------------------------------------------


def changed(server: Server, place: Place, sql: str) -> None:
    with psycopg.connect(server.address, autocommit=True) as connection:
        connection.execute(f"SET search_path = {place.schema}")
        connection.execute(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE epoch SET records = records - 1 WHERE id = 1",
        "UPDATE epoch SET commit_no = commit_no - 1 WHERE id = 1",
        "DELETE FROM ending; DELETE FROM epoch WHERE id = 1",
    ],
)
def test_commits_that_the_database_forgot_stop_the_run(
    postgres: Server, place: Place, sending: Sending, sql: str
) -> None:
    changed(postgres, place, sql)
    with pytest.raises(JournalError, match="has lost commits"):
        sending.plan(50)
    assert sending.writer.lost is not None and not sending.writer.lost.is_taken_over
    with pytest.raises(JournalError, match="has lost commits"):
        sending.writer.write([PlanComplete()])


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("DELETE FROM outcome", "epoch 1 has 4 records, and had 5"),
        ("UPDATE outcome SET status = 'failed'", r"a record of outcome \(1\) fails its checksum"),
        ("UPDATE chunk SET frame = 'x'", r"a record of chunk \(1\) fails its checksum"),
        ("UPDATE fact SET value = '\"x\"' WHERE name = 'tool'", r"a record of run \(tool\) fails its checksum"),
        ("UPDATE fact SET value = '\"x\"' WHERE name = 'run_id'", "which run it belongs to"),
        ("UPDATE attempt SET at = at || ' '", "a record of attempt"),
    ],
)
def test_a_damaged_journal_is_refused_to_readers_and_writers(
    postgres: Server, place: Place, runs: PostgresRuns, run: RunRef, sending: Sending, sql: str, why: str
) -> None:
    sending.send(sending.plan(50)[0])
    sending.writer.close()
    runs.open_to_read(run).close()
    changed(postgres, place, f"{sql}; UPDATE epoch SET commit_no = commit_no + 1 WHERE id = 0")
    for open_it in (runs.open_to_write, runs.open_to_read):
        with pytest.raises(JournalError, match=f"is damaged: .*{why}"):
            open_it(run)
    assert runs.holder(run) is None, "a refused process lets go"


def test_text_that_postgresql_cannot_store_is_replaced_and_sealed_as_it_is_stored(
    runs: PostgresRuns, run: RunRef, sending: Sending
) -> None:
    [batch] = sending.plan(50)
    sending.send(batch, "failed", message="a\0b\ud800c é")
    sending.writer.close()
    with runs.open_to_read(run) as reader:
        assert reader.batches(1)[0].message == "a\ufffdb?c é"
