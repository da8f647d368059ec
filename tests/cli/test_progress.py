from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from bulk_sender.cli.console.narrator import Narrator
from bulk_sender.cli.console.progress import EventView, LineView, Painter, Silence, painting, view_for
from bulk_sender.cli.console.terminal import Terminal
from bulk_sender.observe.events import Progress

_MOMENT = Progress(
    run_id="r",
    rows=3000,
    plan_complete=False,
    accepted=1500,
    failed=0,
    unknown=60,
    requests=32,
    in_flight=3,
    retries=5,
    throttled=1,
    rate_asked=20.0,
    rate_now=20.0,
    waiting_s=0.0,
    waiting_for="",
    elapsed_s=12.0,
)
_WAITING = replace(_MOMENT, waiting_s=12.4, waiting_for="Braze's rate limit to reset")


class _Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _terminal(log_format: str = "text") -> tuple[Terminal, io.StringIO]:
    terminal, written = Terminal(), io.StringIO()
    terminal.set_up(log_format=log_format)
    terminal.__dict__["err"] = Console(file=written, width=80, force_terminal=False, soft_wrap=True)
    return terminal, written


@pytest.mark.parametrize("width", [30, 40, 80, 200])
def test_the_block_fits_its_width_and_tells_all(width: int) -> None:
    lines = [line.plain for line in painting(_WAITING, 3000, 1000.0, "stopping: requests may end", width)]
    assert all(len(line) <= max(width, 40) for line in lines)
    told = " ".join(" ".join(lines).split())
    for words in (
        "1,560 of 3,000 recipients 52%",
        "1,000 a second",
        "60 unknown",
        "5 retries",
        "1 rate-limited",
        "3 in flight",
    ):
        assert words in told
    assert "waiting 12 s for Braze's rate limit" in told
    assert "stopping: requests may end" in told


def test_the_bar_shows_the_share_that_is_settled() -> None:
    bar = painting(_MOMENT, 3000, 1000.0, "", 80)[0].plain
    assert (bar.count("━"), bar.count("─")) == (31, 29)
    assert "━" not in painting(_MOMENT, None, 1000.0, "", 80)[0].plain


def test_time_left_includes_a_wait_and_is_not_shown_when_unknown() -> None:
    def told(moment: Progress, expected: int | None) -> str:
        return " ".join(line.plain for line in painting(moment, expected, 100.0, "", 200))

    assert "14 s left" in told(_MOMENT, 3000)
    assert "27 s left" in told(_WAITING, 3000)
    assert "left" not in told(_MOMENT, None)


_UNREACHED = replace(
    _MOMENT,
    waiting_s=8.0,
    waiting_on="connection",
    waiting_for="attempt 3 of 8: cannot connect to Braze (connection refused)",
)
_SLOWED = replace(_MOMENT, slowed_by="held back by errors or slow answers of Braze: 2 of 32 requests at once")


def test_why_it_waits_or_is_slower_than_asked_is_in_the_block() -> None:
    for moment, words in (
        (_UNREACHED, "waiting 8 s for attempt 3 of 8: cannot connect to Braze (connection refused)"),
        (_SLOWED, "2 of 32 requests at once"),
    ):
        shown = " ".join(" ".join(line.plain for line in painting(moment, 3000, 0.0, "", 60)).split())
        assert words in shown


def test_short_waits_for_one_cause_are_said_every_ten_seconds_at_most() -> None:
    terminal, written = _terminal()
    clock = _Clock()
    view = LineView(terminal, clock)
    for step in range(60):
        clock.now = 100.0 + step / 4
        view.moment(_UNREACHED if step % 2 else _MOMENT, 3000, "")
        view.moment(replace(_SLOWED, slowed_by=f"held back by errors: {step} of 32"), 3000, "")
    lines = written.getvalue().splitlines()
    assert len([line for line in lines if line.startswith("waiting")]) == 2
    assert len([line for line in lines if line.startswith("held back")]) == 2
    assert any("connection refused" in line for line in lines)


def test_the_log_says_what_it_waits_on_and_what_slows_it() -> None:
    terminal, written = _terminal("json")
    view = EventView(terminal, _Clock())
    view.moment(_UNREACHED, None, "")
    view.moment(_SLOWED, None, "")
    events = {event["event"]: event for event in map(json.loads, written.getvalue().splitlines())}
    assert events["waiting"]["on"] == "connection"
    assert events["waiting"]["for"] == _UNREACHED.waiting_for
    assert events["slowed"]["why"] == _SLOWED.slowed_by


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_quiet_says_a_long_wait_once_for_each_cause(log_format: str) -> None:
    terminal, written = _terminal(log_format)
    terminal.quiet = True
    clock = _Clock()
    view = view_for(terminal, clock)
    for second in range(120):
        clock.now = 100.0 + second
        view.moment(_UNREACHED if second % 3 else replace(_MOMENT, in_flight=1), None, "")
        if second < 25:
            assert written.getvalue() == ""
    assert written.getvalue().count("connection refused") == 1
    view.moment(replace(_WAITING, waiting_on="rate_limit", waiting_s=3000.0), None, "")
    assert "rate limit" in written.getvalue()


def test_quiet_says_nothing_of_waits_between_progress() -> None:
    terminal, written = _terminal()
    terminal.quiet = True
    clock = _Clock()
    view = view_for(terminal, clock)
    for second in range(120):
        clock.now = 100.0 + second
        view.moment(replace(_UNREACHED, accepted=second // 20), None, "")
    assert written.getvalue() == ""


def test_a_new_picture_is_painted_over_the_last_one() -> None:
    written = io.StringIO()
    painter = Painter(Console(file=written, width=40, force_terminal=True, color_system=None))
    painter.paint(painting(_MOMENT, 3000, 1000.0, "", 40))
    height = written.getvalue().count("\n")
    written.truncate(0)
    written.seek(0)
    painter.paint([])
    assert written.getvalue() == f"\x1b[{height}A\r\x1b[J"
    assert "\x1b[?25l" not in written.getvalue()


def test_without_a_terminal_there_is_a_plain_line_every_ten_seconds() -> None:
    terminal, written = _terminal()
    clock = _Clock()
    report = LineView(terminal, clock)
    for second in range(31):
        clock.now = 100.0 + second
        report.moment(replace(_MOMENT, elapsed_s=float(second)), 3000, "")
    lines = written.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("1,560 of 3,000 recipients, ")
    assert "60 unknown" in lines[0]


def test_a_wait_and_a_stop_are_printed_immediately_and_only_once() -> None:
    terminal, written = _terminal()
    report = LineView(terminal, _Clock())
    for moment, stopping in (
        (_WAITING, ""),
        (_WAITING, ""),
        (_MOMENT, ""),
        (_MOMENT, "stopping"),
        (_MOMENT, "stopping"),
    ):
        report.moment(moment, 3000, stopping)
    assert written.getvalue().splitlines() == ["waiting 12 s for Braze's rate limit to reset", "stopping"]


def test_a_ramp_is_shown_in_each_form_and_only_once_in_lines() -> None:
    slow = replace(_MOMENT, rate_now=5.0, rate_asked=69.4, ramping_s=42.0)
    told = "speeding up after the canary: 5 of 69.4 requests a second, full rate in 42 s"
    assert told in "\n".join(line.plain for line in painting(slow, 3000, 50.0, "", 100))
    waits = painting(replace(slow, waiting_s=3.0, waiting_for="something"), 3000, 50.0, "", 100)
    assert "ramping" not in "\n".join(line.plain for line in waits), "what holds it up is the wait"

    terminal, written = _terminal()
    report = LineView(terminal, _Clock())
    for moment in (_MOMENT, slow, slow, _MOMENT):
        report.moment(moment, 3000, "")
    assert written.getvalue().splitlines() == [told]

    terminal, written = _terminal("json")
    events = EventView(terminal, _Clock())
    for moment in (_MOMENT, slow, slow, _MOMENT):
        events.moment(moment, 3000, "")
    found = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [event["event"] for event in found] == ["run_started", "ramping"]
    assert (found[1]["run_id"], found[1]["seconds"]) == ("r", 42.0)


def test_the_log_has_stable_names() -> None:
    terminal, written = _terminal("json")
    clock = _Clock()
    report = EventView(terminal, clock)
    for second in range(21):
        clock.now = 100.0 + second
        report.moment(_WAITING if second == 5 else _MOMENT, 3000, "")
    events: list[dict[str, Any]] = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["run_started", "waiting", "progress", "progress"]
    assert events[1]["for"] == "Braze's rate limit to reset"
    assert set(events[2]) == {
        *("at", "event", "run_id", "elapsed_s", "rows", "accepted", "failed", "unknown", "requests"),
        *("in_flight", "retries", "throttled", "rate", "expected"),
    }


def test_a_dumb_terminal_gets_plain_lines_and_a_quiet_one_nothing() -> None:
    terminal, _ = _terminal()
    terminal.__dict__["err"] = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(view_for(terminal), LineView)
    terminal.set_up(quiet=True)
    assert isinstance(view_for(terminal), Silence)


class _Stuck(Silence):
    """A report whose terminal stands still until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.seen: list[Progress] = []

    def moment(self, progress: Progress, expected: int | None, stopping: str) -> None:
        self.begun.set()
        self.go.wait(100)
        self.seen.append(progress)


@pytest.fixture
def stuck() -> Iterator[_Stuck]:
    report = _Stuck()
    yield report
    report.go.set()


def test_the_narrator_never_waits_for_a_blocked_terminal(stuck: _Stuck) -> None:
    with Narrator(stuck) as narrator:
        narrator.moment(_MOMENT)
        assert stuck.begun.wait(100)
        for _ in range(1000):
            narrator.moment(_MOMENT)
        assert stuck.seen == []
        stuck.go.set()
        narrator.clear()
        assert len(stuck.seen) == 1001


class _Broken(Silence):
    def moment(self, progress: Progress, expected: int | None, stopping: str) -> None:
        raise ZeroDivisionError


def test_an_error_in_printing_does_not_affect_the_run() -> None:
    with Narrator(_Broken()) as narrator:
        narrator.moment(_MOMENT)
        narrator.clear()


def test_no_progress_is_printed_during_a_prompt(stuck: _Stuck) -> None:
    stuck.go.set()
    with Narrator(stuck) as narrator:
        with narrator.silent():
            narrator.moment(_MOMENT)
            narrator.clear()
        assert stuck.seen == []
        narrator.moment(_MOMENT)
        narrator.clear()
    assert len(stuck.seen) == 1
