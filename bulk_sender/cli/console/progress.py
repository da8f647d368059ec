"""Progress of a delivery: a block on a terminal, plain lines without one, or events for a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from rich.text import Text

from bulk_sender.cli.console.terminal import Terminal
from bulk_sender.cli.render.layout import STYLES
from bulk_sender.observe.speed import Speed, seconds_left
from bulk_sender.text.numbers import number, roughly, several

if TYPE_CHECKING:
    from rich.console import Console

    from bulk_sender.observe.events import Progress
    from bulk_sender.run.preflight import Preflight

EVERY_S = 10.0
"""Seconds between two plain lines, or two progress events."""
_BAR = 60


class ProgressView(Protocol):
    """Shows progress to people or programs. Called from one thread."""

    def reading(self, rows: int) -> None:
        """Show that rows are being counted. Nothing is sent yet."""

    def target(self, found: Preflight) -> None:
        """Take what is known of the target. The question has shown it already."""

    def moment(self, progress: Progress, expected: int | None, stopping: str) -> None:
        """Show a snapshot. ``expected``: all recipients to send, None if unknown. ``stopping``: a message, or empty."""

    def clear(self) -> None:
        """Erase the progress to make room for something else."""


def view_for(terminal: Terminal, clock: Callable[[], float] = time.monotonic) -> ProgressView:
    """Return the view that fits the terminal: JSON events, a painted block, plain lines, or nothing."""
    if terminal.quiet:
        return QuietView(terminal, clock)
    if terminal.log_format == "json":
        return EventView(terminal, clock)
    console = terminal.err
    if console.is_terminal and not console.is_dumb_terminal:
        return BlockView(console)
    return LineView(terminal, clock)


class Silence:
    """Shows nothing."""

    def reading(self, rows: int) -> None: ...

    def target(self, found: Preflight) -> None: ...

    def moment(self, progress: Progress, expected: int | None, stopping: str) -> None: ...

    def clear(self) -> None: ...


LONG_S = 30.0
"""A wait without progress that lasts so long is worth a line even with --quiet."""


class QuietView(Silence):
    """Shows nothing but, once for each cause, that the run has waited for long."""

    def __init__(self, terminal: Terminal, clock: Callable[[], float]) -> None:
        self._terminal, self._clock = terminal, clock
        self._settled = -1
        self._since: float | None = None
        self._told: set[str] = set()

    def moment(self, progress: Progress, expected: int | None, stopping: str) -> None:
        if settled(progress) != self._settled:
            self._settled, self._since = settled(progress), None
        if not progress.waiting_s or progress.waiting_on in self._told:
            return
        now = self._clock()
        self._since = now if self._since is None else self._since
        if now - self._since >= LONG_S or progress.waiting_s >= LONG_S:
            self._told.add(progress.waiting_on)
            self._terminal.insist(progress.run_id, waiting(progress), round(progress.waiting_s, 1), progress.waiting_on)


class Announced:
    """Decides when a wait or a slowdown is worth a line: when it begins, and every ten seconds while it changes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kind = ""
        self._at = float("-inf")

    def is_new(self, kind: str) -> bool:
        """Whether to say it now. ``kind`` is empty when there is nothing to say."""
        now = self._clock()
        if not kind:
            if now - self._at >= EVERY_S:
                self._kind = ""
            return False
        if kind == self._kind and now - self._at < EVERY_S:
            return False
        self._kind, self._at = kind, now
        return True


def settled(progress: Progress) -> int:
    """Return how many recipients this process has an outcome for."""
    return progress.accepted + progress.failed + progress.unknown


def all_to_send(progress: Progress) -> int | None:
    """Return how many recipients this process sends in all; None while that is unknown."""
    return None if progress.to_send is None else settled(progress) + progress.to_send


def time_left(progress: Progress, expected: int | None, speed: float) -> str:
    """Return ``2:10 min left``, or an empty string if unknown."""
    to_send = None if expected is None else max(0, expected - settled(progress))
    left_s = seconds_left(to_send, speed, progress.waiting_s)
    return f"{roughly(left_s)} left" if left_s else ""


class LineView:
    """Prints a plain line every ten seconds, and one whenever a wait, a slowdown or a ramp begins."""

    def __init__(self, terminal: Terminal, clock: Callable[[], float]) -> None:
        self._terminal, self._clock = terminal, clock
        self._next: float | None = None
        self._ramping = self._is_waiting = False
        self._waits, self._slowed = Announced(clock), Announced(clock)
        self._stopping = ""
        self._speed = Speed()

    def reading(self, rows: int) -> None:
        if self._is_due():
            self._terminal.say([f"reading: {several(rows, 'row')}"])

    def target(self, found: Preflight) -> None: ...

    def moment(self, progress: Progress, expected: int | None, stopping: str) -> None:
        speed = self._speed.take(progress.elapsed_s, settled(progress))
        if stopping != self._stopping:
            self._stopping = stopping
            self._terminal.say([stopping])
        if _begins(self, progress) and self._waits.is_new(progress.waiting_on or "wait"):
            self._terminal.say([waiting(progress)])
        if self._slowed.is_new(progress.slowed_by.partition(":")[0]):
            self._terminal.say([progress.slowed_by])
        if bool(progress.ramping_s) != self._ramping:
            self._ramping = bool(progress.ramping_s)
            if self._ramping:
                self._terminal.say([ramping(progress)])
        if self._is_due():
            self._terminal.say([plain_line(progress, expected, speed)])

    def clear(self) -> None: ...

    def _is_due(self) -> bool:
        now = self._clock()
        if self._next is None:
            self._next = now + EVERY_S
        if now < self._next:
            return False
        self._next = now + EVERY_S
        return True


def plain_line(progress: Progress, expected: int | None, speed: float) -> str:
    """Return ``1,560 of 3,000 recipients, 1,000 a second, 2:10 min left; 10 unknown``."""
    parts = [f"{_done(progress, expected)}, {number(speed)} a second"]
    if left := time_left(progress, expected, speed):
        parts[0] += f", {left}"
    if trouble := [text for text, _ in _trouble(progress)]:
        parts.append(", ".join(trouble))
    return "; ".join(parts)


def _done(progress: Progress, expected: int | None) -> str:
    if expected is None:
        return several(settled(progress), "recipient")
    return f"{number(settled(progress))} of {several(expected, 'recipient')}"


class _Waits(Protocol):
    _is_waiting: bool


def _begins(view: _Waits, progress: Progress) -> bool:
    """Whether a wait begins with this snapshot."""
    was, view._is_waiting = view._is_waiting, bool(progress.waiting_s)
    return view._is_waiting and not was


def waiting(progress: Progress) -> str:
    return f"waiting {roughly(progress.waiting_s)} for {progress.waiting_for}"


def ramping(progress: Progress) -> str:
    now, full = number(progress.rate_now), number(progress.rate_asked)
    return (
        f"speeding up after the canary: {now} of {full} requests a second, full rate in {roughly(progress.ramping_s)}"
    )


def _trouble(progress: Progress) -> list[tuple[str, str]]:
    """Return what needs attention, with a style."""
    found = [
        (progress.unknown, "unknown", STYLES["unknown"]),
        (progress.failed, "failed", STYLES["failed"]),
        (progress.retries, "retries", "yellow"),
        (progress.throttled, "rate-limited", "yellow"),
    ]
    return [(f"{number(count)} {name}", style) for count, name, style in found if count]


class BlockView:
    """Shows a block of a few lines that fits any width."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._painter = Painter(console)
        self._speed = Speed()

    def reading(self, rows: int) -> None:
        self._painter.paint([Text(f" reading: {several(rows, 'row')}", "dim")])

    def target(self, found: Preflight) -> None: ...

    def moment(self, progress: Progress, expected: int | None, stopping: str) -> None:
        speed = self._speed.take(progress.elapsed_s, settled(progress))
        self._painter.paint(painting(progress, expected, speed, stopping, self._console.width))

    def clear(self) -> None:
        self._painter.paint([])


class Painter:
    """Paints lines over the previous ones. The cursor stays visible, however the process ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._height = 0

    def paint(self, lines: Sequence[Text]) -> None:
        """Write all lines at once, cut at the terminal's width: a wrapped line could not be painted over."""
        with self._console.capture() as captured:
            for line in lines:
                self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True, soft_wrap=False)
        back = f"\x1b[{self._height}A\r\x1b[J" if self._height else ""
        self._height = len(lines)
        self._console.file.write(back + captured.get())
        self._console.file.flush()


def painting(progress: Progress, expected: int | None, speed: float, stopping: str, width: int) -> list[Text]:
    """Return the block: bar, counts, speed, problems, and what the run waits for."""
    lines = [_bar(progress, expected, max(10, min(_BAR, width - 2)))]
    share = f" {settled(progress) / expected:4.0%}" if expected else ""
    pieces = [
        (f"{_done(progress, expected)}{share}", "bold"),
        (f"{number(speed)} a second", ""),
        (time_left(progress, expected, speed), ""),
        (f"{roughly(progress.elapsed_s)} so far", "dim"),
        *_trouble(progress),
        (f"{progress.in_flight} in flight" if progress.in_flight else "", "dim"),
    ]
    lines += flow([piece for piece in pieces if piece[0]], width)
    if progress.waiting_s:
        lines += _wrapped(waiting(progress), "yellow", width)
    elif progress.slowed_by:
        lines += _wrapped(progress.slowed_by, "yellow", width)
    elif progress.ramping_s:
        lines += _wrapped(ramping(progress), "cyan", width)
    if stopping:
        lines += _wrapped(stopping, "bold yellow", width)
    return lines


def _wrapped(text: str, style: str, width: int) -> list[Text]:
    return flow([(word, style) for word in text.split(" ")], width, between=" ")


def _bar(progress: Progress, expected: int | None, width: int) -> Text:
    """Return the bar. Both parts also differ in shape, for people and terminals without colours."""
    done = width if expected == 0 else round(width * min(1.0, settled(progress) / expected)) if expected else 0
    return Text.assemble(" ", ("━" * done, "green"), ("─" * (width - done), "dim"))


def flow(pieces: list[tuple[str, str]], width: int, between: str = " · ") -> list[Text]:
    """Lay out pieces in a row, on as many lines as the width needs."""
    lines: list[Text] = []
    line = Text(" ")
    for text, style in pieces:
        if len(line) > 1 and len(line) + len(between) + len(text) > width:
            lines.append(line)
            line = Text(" ")
        if len(line) > 1:
            line.append(between, "dim")
        line.append(text, style)
    return [*lines, line]


class EventView:
    """Writes the JSON log; ``terminal`` lists its events."""

    def __init__(self, terminal: Terminal, clock: Callable[[], float]) -> None:
        self._terminal, self._clock = terminal, clock
        self._next: float | None = None
        self._ramping = self._is_waiting = False
        self._waits, self._slowed = Announced(clock), Announced(clock)
        self._target: dict[str, str | None] = {"target_name": None, "target_state": None}

    def reading(self, rows: int) -> None: ...

    def target(self, found: Preflight) -> None:
        if found.details is not None:
            self._target = {"target_name": found.details.name, "target_state": found.details.state}

    def moment(self, progress: Progress, expected: int | None, stopping: str) -> None:
        event = self._terminal.event
        now = self._clock()
        if self._next is None:
            rate = round(progress.rate_asked, 3)
            event("run_started", run_id=progress.run_id, expected=expected, rate=rate, **self._target)
            self._next = now + EVERY_S
        if _begins(self, progress) and self._waits.is_new(progress.waiting_on or "wait"):
            seconds = round(progress.waiting_s, 1)
            told = {"for": progress.waiting_for, "on": progress.waiting_on}
            event("waiting", run_id=progress.run_id, seconds=seconds, **told)
        if self._slowed.is_new(progress.slowed_by.partition(":")[0]):
            event("slowed", run_id=progress.run_id, why=progress.slowed_by, at_once=progress.at_once)
        if bool(progress.ramping_s) != self._ramping:
            self._ramping = bool(progress.ramping_s)
            if self._ramping:
                event("ramping", run_id=progress.run_id, seconds=round(progress.ramping_s, 1))
        if now >= self._next:
            self._next = now + EVERY_S
            event(
                "progress",
                run_id=progress.run_id,
                elapsed_s=round(progress.elapsed_s, 1),
                rows=progress.rows,
                accepted=progress.accepted,
                failed=progress.failed,
                unknown=progress.unknown,
                requests=progress.requests,
                in_flight=progress.in_flight,
                retries=progress.retries,
                throttled=progress.throttled,
                rate=round(progress.rate_now, 3),
                expected=expected,
            )

    def clear(self) -> None: ...
