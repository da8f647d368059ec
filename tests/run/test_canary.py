"""A held canary: in the journal before anybody is asked, asked about until somebody says yes, and ended by a stop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from bulk_sender.errors import JournalError
from bulk_sender.journal.answers import CanaryStory
from bulk_sender.journal.records import Held
from bulk_sender.journal.sql.rows import fact
from bulk_sender.journal.sqlite.store import SqliteWriter
from tests.faults import FaultServer, until
from tests.kit.jobs import braze, options, recipients
from tests.kit.journals import opened, read
from tests.kit.target import ENVIRONMENT

CANARY = bs.Guards(canary=50)


def answering(answer: bool | bs.Approval | None, asked: list[bs.Progress] | None = None) -> bs.Watch:
    async def on_canary(progress: bs.Progress) -> bool | bs.Approval | None:
        if asked is not None:
            asked.append(progress)
        return answer

    return bs.Watch(on_canary=on_canary)


class Bench:
    """A runs folder, a Braze, and 200 rows."""

    def __init__(self, folder: Path, url: str) -> None:
        self.runs = folder / "runs"
        self.source = recipients(folder, 200)
        self.common: dict[str, Any] = {"runs_dir": self.runs, "environment": ENVIRONMENT}
        self.url = url

    def send(self, **more: Any) -> bs.Summary:
        given = {"guards": CANARY, "run_id": "r", "by": "anna"} | more
        return bs.send(self.source, **options(self.runs, self.url, **given))

    def resume(self, **more: Any) -> bs.Summary:
        return bs.resume("r", **self.common | {"by": "ben"} | more)

    @property
    def canary(self) -> CanaryStory:
        with read(self.runs / "r") as journal:
            return journal.canaries()[-1]


@pytest.fixture
def running() -> Any:
    with braze() as found:
        yield found


@pytest.fixture
def bench(tmp_path: Path, running: Any) -> Bench:
    return Bench(tmp_path, running.url)


def test_the_hold_is_in_the_journal_before_anybody_is_asked_and_the_answer_after(bench: Bench) -> None:
    seen: list[CanaryStory] = []

    async def ask(progress: bs.Progress) -> bool:
        seen.append(bench.canary)
        assert (progress.held_after, progress.accepted) == (50, 50)
        return True

    summary = bench.send(watch=bs.Watch(on_canary=ask))
    assert (summary.accepted, summary.held) == (200, None)
    [while_asked] = seen
    assert (while_asked.rows, bool(while_asked.held_at), while_asked.answers) == (50, True, ())
    [answer] = bench.canary.answers
    assert (answer.granted, answer.by, answer.rows) == (True, "anna", 50)
    assert answer.at >= (while_asked.held_at or "")


def test_a_held_run_says_so_and_what_to_do(bench: Bench) -> None:
    held = bench.send(watch=answering(False))
    assert (held.state, held.exit_code, held.accepted, held.not_sent) == ("stopped", 3, 50, 150)
    assert held.held is not None and held.held.rows == 50
    [listed] = bs.runs(bench.runs)
    assert listed.held == held.held
    assert held.to_dict()["held"] == {"rows": 50, "since": bench.canary.held_at}
    [no] = bench.canary.answers
    assert (no.granted, no.by) == (False, "anna")
    page = (bench.runs / "r" / "report.html").read_text(encoding="utf-8")
    assert "--exclude r" in page
    assert "decided: do not send the rest" in page


@pytest.mark.parametrize("again", ["resume", "send"])
def test_without_anybody_to_ask_a_held_run_stays_held(bench: Bench, running: Any, again: str) -> None:
    bench.send()
    for _ in range(2):
        held = bench.resume() if again == "resume" else bench.send()
        assert (held.state, held.exit_code, held.accepted) == ("stopped", 3, 50)
        assert held.reason == "held after the first 50 rows"
        assert held.held is not None
    assert bench.canary.answers == ()
    assert running.ledger.accepted_recipients == 50


def test_a_held_run_is_asked_about_when_it_is_resumed_and_ramps(bench: Bench, running: Any) -> None:
    bench.send()
    asked: list[bs.Progress] = []
    ramping: list[float] = []
    watch = bs.Watch(
        on_canary=answering(bs.Approval(True, "clara"), asked).on_canary,
        on_progress=lambda moment: ramping.append(moment.ramping_s),
    )
    assert bench.resume(watch=watch).accepted == 200
    assert [(one.held_after, one.requests) for one in asked] == [(50, 0)]
    assert max(ramping) > 0
    assert [(one.granted, one.by, one.rows) for one in bench.canary.answers] == [(True, "clara", 50)]
    assert running.ledger.twice() == {}


def test_a_canary_holds_when_its_process_died_before_it_was_held(bench: Bench, running: Any) -> None:
    control = bs.Control()
    control.stop("seen enough")
    assert bench.send(watch=bs.Watch(control=control)).accepted == 0
    held = bench.resume()
    assert (held.accepted, held.reason) == (50, "held after the first 50 rows")
    assert bench.resume(watch=answering(True)).accepted == 200


def test_a_yes_is_given_once(bench: Bench) -> None:
    control = bs.Control()
    asked: list[bs.Progress] = []

    def stop(moment: bs.Progress) -> None:
        if moment.accepted > 50:
            control.stop("enough")

    watch = bs.Watch(on_canary=answering(True, asked).on_canary, control=control, on_progress=stop)
    first = bench.send(watch=watch, rate="20/second")
    assert (first.state, first.held) == ("stopped", None)
    assert bench.send(watch=answering(False, asked)).accepted == 200, "the same call with its canary asks nobody"
    assert len(asked) == 1


@pytest.mark.parametrize("end", ["control", "cancel"])
def test_a_stop_ends_a_hold_at_once(bench: Bench, end: str) -> None:
    control = bs.Control()

    asked = asyncio.Event()

    async def never(_: bs.Progress) -> bool:
        asked.set()
        if end == "control":
            threading.Timer(0.05, control.stop, ["seen enough"]).start()
        await asyncio.sleep(600)
        return True

    async def go() -> bs.Summary | None:
        given = {"guards": CANARY, "run_id": "r", "by": "anna"}
        watch = bs.Watch(on_canary=never, control=control)
        task = asyncio.create_task(bs.send_async(bench.source, **options(bench.runs, bench.url, watch=watch, **given)))
        if end == "cancel":
            await asyncio.wait_for(asked.wait(), 60)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return None
        return await asyncio.wait_for(task, 60)

    summary = asyncio.run(go())
    standing = bs.status("r", runs_dir=bench.runs)
    assert (standing.state, standing.accepted) == ("stopped", 50)
    assert standing.held is not None, "nobody has answered"
    if summary is not None:
        assert summary.reason == "seen enough"
    assert bench.canary.answers == ()


def test_another_canary_for_a_held_run_is_refused(bench: Bench) -> None:
    bench.send()
    with pytest.raises(bs.GuardrailError, match="has a canary of 50 rows that nobody has approved yet, not 60"):
        bench.resume(guards=bs.Guards(canary=60))
    assert bench.resume(guards=CANARY, watch=answering(True)).accepted == 200


def test_failed_rows_of_a_canary_go_again_before_the_question(tmp_path: Path) -> None:
    """Someone who has corrected the campaign sends the canary again before the rest."""
    with FaultServer(until("status_413", count=1, then="ok")) as server:
        bench = Bench(tmp_path, server.url)
        # The first request is the one that is refused, and not a look at the target.
        quiet = {"delivery.share_rate": False, "guard.preflight": False}
        first = bench.send(guards=bs.Guards(canary=1), overrides=quiet)
        assert (first.failed, first.not_sent) == (1, 199)
        asked: list[bs.Progress] = []
        assert bs.retry("r", failed=True, watch=answering(False, asked), **bench.common).accepted == 1
        assert [one.accepted for one in asked] == [1]


def test_without_its_record_nobody_is_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bs.Progress] = []
    write: Callable[..., None] = SqliteWriter.write

    def refuse(self: Any, records: Any) -> None:
        records = list(records)
        if any(isinstance(record, Held) for record in records):
            raise JournalError("the disk is full")
        write(self, records)

    monkeypatch.setattr(SqliteWriter, "write", refuse)
    summary = bench.send(watch=answering(True, asked))
    assert (summary.state, summary.accepted, summary.reason) == ("stopped", 50, "the disk is full")
    assert asked == []


def held_by_the_first_release(bench: Bench) -> None:
    """A run of the first release that ended held: it stored nothing but that."""
    control = bs.Control()

    def stop(moment: bs.Progress) -> None:
        if moment.accepted:
            control.stop("held after the first 50 rows")

    watch = bs.Watch(control=control, on_progress=stop)
    assert bench.send(guards=bs.Guards(), watch=watch, rate="4/second").state == "stopped"
    with opened(bench.runs / "r") as journal:
        journal._write([fact("held in epoch 1", True)])  # type: ignore[attr-defined]


def test_a_run_held_by_the_first_release_is_asked_about(bench: Bench) -> None:
    held_by_the_first_release(bench)
    assert bs.status("r", runs_dir=bench.runs).held == bs.Hold(0, "")
    for _ in range(2):
        assert bench.resume().reason == "held after its canary"
    assert bs.status("r", runs_dir=bench.runs).held is not None
    asked: list[bs.Progress] = []
    assert bench.resume(watch=answering(True, asked)).accepted == 200
    assert len(asked) == 1


def test_a_run_that_the_first_release_has_resumed_since_is_not_held(bench: Bench) -> None:
    held_by_the_first_release(bench)
    with opened(bench.runs / "r") as journal:
        journal.begin_epoch("resume")
        journal.end_epoch("stopped", "the disk is full", 1.0)
    assert bs.status("r", runs_dir=bench.runs).held is None
    assert bench.resume().accepted == 200
