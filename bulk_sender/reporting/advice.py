"""What each status of a run means, and what to do about it. Pure.

The one place that says so: the report, the terminal and notifications show this advice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Self

from bulk_sender.journal.records import RESEND, Status
from bulk_sender.reporting.origin import UNKNOWN, Origin
from bulk_sender.reporting.summary import Summary
from bulk_sender.text.clean import shell_quoted
from bulk_sender.text.numbers import several

ORDER = (
    Status.UNKNOWN,
    Status.FAILED,
    Status.REJECTED,
    Status.NOT_SENT,
    Status.ACCEPTED,
    Status.DUPLICATE,
)
"""The order of display: problems first, the one that may have reached people unseen before all others."""

TROUBLE = ORDER[:4]

_THINNEST = 0.8
"""Percent of the bar."""

MEANINGS = {
    Status.UNKNOWN: "Braze may or may not have accepted these. The request left, but no complete answer arrived.",
    Status.FAILED: "Braze refused these, and documents that nothing was sent.",
    Status.REJECTED: "These rows are invalid and were not sent.",
    Status.NOT_SENT: "The run stopped before these.",
    Status.ACCEPTED: "Braze accepted these. That does not prove that a message reached anyone.",
    Status.DUPLICATE: "An earlier row of this run has the same identifier, or the recipient was left out.",
}
OF_A_BROADCAST = {
    Status.UNKNOWN: "Braze may or may not have accepted it. The request left, but no complete answer arrived.",
    Status.FAILED: "Braze refused the broadcast, and documents that nothing was sent.",
    Status.NOT_SENT: "The broadcast was not sent.",
    Status.ACCEPTED: "Braze accepted the broadcast. That does not prove that a message reached anyone.",
}
NAMES = {status: status.value.replace("_", " ") for status in Status}


COSTS = {
    "accepted": "Nothing is sent. Anyone whom Braze did not accept gets no message.",
    "failed": "Nothing is sent now, and retry --failed can send them later. Anyone whom Braze did accept then gets the "
    "message twice.",
    RESEND: "Anyone whom Braze did accept will receive it again.",
}
"""What each decision about an unknown row may cost, if it is wrong."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Something to do: in ``words``, as a ``command`` to paste, and as a ``call`` of the library; empty without one."""

    words: str
    command: str = ""
    call: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """One of the six statuses: how many rows, what it means, and what to do about them, if anything."""

    status: Status
    rows: int
    meaning: str
    steps: tuple[Advice, ...]

    @property
    def name(self) -> str:
        return NAMES[self.status]

    @property
    def is_trouble(self) -> bool:
        return self.rows > 0 and self.status in TROUBLE


def counts(summary: Summary, *, runs_dir: str = "", rejects: str = "", origin: Origin = UNKNOWN) -> list[Count]:
    """Return the six counts, problems first and empty ones last.

    ``runs_dir``: where the run is, empty for the default. ``rejects``: the path of the rejects file.
    """
    found = []
    for status in sorted(ORDER, key=lambda status: _place(status, summary)):
        rows = int(getattr(summary, status))
        # A run that stopped while it read its input has more to send than it has counted.
        concerns = rows > 0 or (status is Status.NOT_SENT and summary.state in ("stopped", "interrupted"))
        is_told = concerns and not summary.lost  # else the reason says what to do
        steps = tuple(_steps(status, summary, runs_dir, rejects, origin)) if is_told else ()
        found.append(Count(status, rows, MEANINGS[status], steps))
    return sorted(found, key=lambda count: not (count.rows or count.steps))


def _place(status: Status, summary: Summary) -> float:
    """Return a status' place. A stopped run is resumed before fixed rows are sent as another run."""
    goes_first = status is Status.NOT_SENT and summary.state in ("stopped", "interrupted")
    return ORDER.index(Status.REJECTED) - 0.5 if goes_first else ORDER.index(status)


def explain_command(summary: Summary, runs_dir: str) -> str:
    """Return the command that shows everything known about one row."""
    return f"bulk-sender explain {shell_quoted(summary.run_id)} ROW{_Run.of(summary, runs_dir).where}"


@dataclass(frozen=True, slots=True)
class _Run:
    """How commands and calls name a run."""

    name: str
    where: str
    options: str

    @classmethod
    def of(cls, summary: Summary, runs_dir: str) -> Self:
        where = f" --runs-dir {shell_quoted(runs_dir)}" if runs_dir else ""
        return cls(summary.run_id, where, f", runs_dir={runs_dir!r}" if runs_dir else "")

    def advice(self, words: str, command: str, *options: str, call: str | None = None, given: str = "") -> Advice:
        """Return advice to use ``command`` with ``options``, in Python with ``given``; ``call`` is its other name."""
        text = " ".join(["bulk-sender", command, shell_quoted(self.name), *options])
        given = f", {given}" if given else ""
        return Advice(words, text + self.where, f"bs.{call or command}({self.name!r}{given}{self.options})")


def _steps(status: Status, summary: Summary, runs_dir: str, rejects: str, origin: Origin) -> Iterator[Advice]:
    run = _Run.of(summary, runs_dir)
    if summary.state == "running":
        if status is Status.NOT_SENT:
            yield Advice("Still queued; the run is in progress.")
    elif status is Status.ACCEPTED:
        if summary.accepted_with_errors:
            yield Advice(
                f"Braze accepted {summary.accepted_with_errors:,} of them with errors that name no row. Read its text "
                "in the report and check in Braze whether these people got the message."
            )
    elif status is Status.UNKNOWN:
        yield from _choices(run, summary, origin)
    elif status is Status.FAILED:
        yield run.advice("Read the errors, fix their cause, then:", "retry", "--failed", given="failed=True")
    elif status is Status.NOT_SENT and summary.held is not None:
        yield from _after_the_canary(run)
    elif status is Status.NOT_SENT:
        cause = "Resume the run:" if summary.state == "interrupted" else "Fix what stopped the run, then resume it:"
        yield run.advice(cause, "resume")
    elif status is Status.REJECTED:
        if summary.sent_again:
            yield Advice(f"{several(summary.sent_again, 'of these was', 'of these were')} fixed and sent again.")
        if summary.sent_again >= summary.rejected:
            return
        words = "" if origin.given is not None else " with this run's configuration"
        again = " ".join(map(shell_quoted, ["bulk-sender", "send", rejects, *origin.options]))
        name = PurePath(rejects).name or "rejected.csv"
        is_stopped = summary.state in ("stopped", "interrupted")
        then = ". Once this run has finished, send it" if is_stopped else ", then send it"
        yield Advice(f"Fix these rows in {name}{then}{words}:", again)


def _choices(run: _Run, summary: Summary, origin: Origin) -> Iterator[Advice]:
    """What may be done about unknown rows, the safest first, each with what it may cost."""
    row = Advice(
        "Look at what is known about one of them. That changes nothing:",
        explain_command(summary, "") + run.where,
        f"bs.explain({run.name!r}, row{run.options})",
    )
    who = "the sandbox" if origin.sandbox else "Braze"
    yield run.advice(
        f"Ask {who} who received the message. That changes nothing; --apply records what it proves:", "reconcile"
    )
    yield row
    yield Advice("Or leave them. Nobody gets a second message. Anyone whom Braze did not accept gets none.")
    accept, fail, again = (COSTS[verdict] for verdict in ("accepted", "failed", RESEND))
    yield run.advice(f"Or count them as accepted. {accept}", "resolve", "--as accepted", given='verdict="accepted"')
    yield run.advice(
        f"Or count them as failed, if you know that Braze does not have them. {fail}",
        "resolve",
        "--as failed",
        given='verdict="failed"',
    )
    yield run.advice(f"Or send them again. {again}", "retry", "--unknown", given="unknown=True")
    yield Advice("To decide about some of them, add --rows, --batch, --likely or --from to resolve and retry.")


def _after_the_canary(run: _Run) -> Iterator[Advice]:
    yield run.advice(
        "Look at the message. Once it is right, send the rest; a wrong message can be corrected in Braze first:",
        "resume",
        given="watch=bs.Watch(on_canary=…)",
    )
    yield Advice(
        "If the file or the mapping was wrong, correct it and start a new run. Leave out the people who have the "
        f"message already: add --exclude {run.name}."
    )


def of_broadcast(summary: Summary, *, runs_dir: str = "") -> Count:
    """Return what happened to a broadcast's one request. A broadcast has no rows and is never repeated by itself."""
    assert summary.broadcast is not None
    status = Status(summary.broadcast.status)
    is_told = summary.state != "running" and not summary.lost
    steps = tuple(_broadcast_steps(status, summary, _Run.of(summary, runs_dir))) if is_told else ()
    return Count(status, 0, OF_A_BROADCAST[status], steps)


def _broadcast_steps(status: Status, summary: Summary, run: _Run) -> Iterator[Advice]:
    if status is Status.UNKNOWN:
        yield run.advice(
            "Check in Braze whether it was sent. If so:", "resolve", "--as accepted", given='verdict="accepted"'
        )
        yield run.advice(
            "If it was not. Another broadcast may then be started; if you are wrong, everyone gets it twice:",
            "resolve",
            "--as failed",
            given='verdict="failed"',
        )
    elif status is Status.NOT_SENT:
        # The operator types the id: pasting a confirmation would confirm nothing.
        again = f"bulk-sender broadcast --run-id {shell_quoted(run.name)} --confirm ID{run.where}"
        yield Advice("Fix what stopped it, then send it with the same configuration:", again)
    elif status is Status.FAILED:
        yield Advice("Read the reason, fix its cause, then start another broadcast.")


@dataclass(frozen=True, slots=True)
class Slice:
    """The part of the bar over all rows that a count takes, in percent of its length."""

    status: Status
    left: float
    width: float


def slices(counts: Sequence[Count]) -> list[Slice]:
    """Return the bar over all rows, accepted first. One unknown row in a million must be visible: none is too thin."""
    rows = sum(count.rows for count in counts)
    parts = [(count.status, count.rows) for count in sorted(counts, key=_in_the_bar) if count.rows]
    widths = [max(_THINNEST, 100 * part / rows) for _, part in parts]
    scale = 100 / sum(widths) if widths else 0.0
    found, left = [], 0.0
    for (status, _), width in zip(parts, widths, strict=True):
        found.append(Slice(status, round(left, 3), round(width * scale, 3)))
        left += width * scale
    return found


def _in_the_bar(count: Count) -> tuple[bool, int]:
    return count.status is not Status.ACCEPTED, -ORDER.index(count.status)


def headline(summary: Summary) -> str:
    """Return the state of the run in a sentence or two."""
    if summary.broadcast is not None:
        return f"The broadcast is {NAMES[Status(summary.broadcast.status)]}."
    if summary.state == "running":
        return f"The run is in progress: {summary.accepted:,} of {summary.rows:,} rows accepted so far."
    troubled = summary.open_rows
    lead = {
        "stopped": "The run stopped before its end. ",
        "interrupted": "The run was interrupted before its end. ",
    }.get(summary.state, "")
    accepted = f"{lead}{summary.accepted:,} of {summary.rows:,} rows accepted"
    if summary.accepted_with_errors:
        accepted += f" ({summary.accepted_with_errors:,} with errors that name no row)"
    if troubled:
        return f"{accepted}; {troubled:,} {'needs' if troubled == 1 else 'need'} your attention."
    if summary.duplicate:
        others = "1 is a duplicate" if summary.duplicate == 1 else f"{summary.duplicate:,} are duplicates"
        return f"{accepted}; {others}."
    if summary.accepted_with_errors:
        return f"{accepted}."
    return f"{lead}All {summary.rows:,} rows accepted." if summary.rows else f"{lead}The run has no rows."
