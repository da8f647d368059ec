"""What the counts of a run mean for whoever reads them, and the exact command that comes next. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bulk_sender.journal.records import Status
from bulk_sender.reporting.origin import UNKNOWN, Origin
from bulk_sender.reporting.summary import Summary

ORDER = (
    Status.UNKNOWN,
    Status.FAILED,
    Status.NOT_SENT,
    Status.REJECTED,
    Status.DUPLICATE,
    Status.ACCEPTED,
)
"""Trouble first: what may have reached people unseen, then what did not reach them, then what is well."""

TROUBLE = ORDER[:4]

_THINNEST = 0.8
"""Percent of the bar."""

MEANINGS = {
    Status.UNKNOWN: "Braze may or may not have taken them: the request left, but no complete answer came.",
    Status.FAILED: "Braze refused them, and documents that nothing was sent.",
    Status.NOT_SENT: "The run stopped before their turn.",
    Status.REJECTED: "The row itself is wrong; it was never sent.",
    Status.DUPLICATE: "Another row of this run has the same identifier and went first.",
    Status.ACCEPTED: "Braze took them. That is no proof that a message reached anyone.",
}

NAMES = {status: status.value.replace("_", " ") for status in Status}


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do: in words, and as a ``command`` to paste, empty when there is none."""

    words: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """One of the six: how many rows, what that means, and what to do about them (nothing to do: no steps)."""

    status: Status
    rows: int
    meaning: str
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        return NAMES[self.status]

    @property
    def is_trouble(self) -> bool:
        return self.rows > 0 and self.status in TROUBLE


def counts(summary: Summary, *, runs_dir: str = "", rejects: str = "", origin: Origin = UNKNOWN) -> list[Count]:
    """The six counts, trouble first and what is empty last.

    ``runs_dir``: where the run lives, empty for the default; ``rejects``: path of the rejects file.
    """
    where = _where(runs_dir)
    found = []
    for status in ORDER:
        rows = int(getattr(summary, status))
        # A run that stopped while it read its input has more to send than it has counted.
        concerns = rows > 0 or (status is Status.NOT_SENT and summary.state in ("stopped", "interrupted"))
        steps = tuple(_steps(status, summary, where, rejects, origin)) if concerns else ()
        found.append(Count(status, rows, MEANINGS[status], steps))
    return sorted(found, key=lambda count: not (count.rows or count.steps))


def explain_command(summary: Summary, runs_dir: str) -> str:
    """The command that tells one row's whole story."""
    return f"bulk-sender explain {shlex.quote(summary.run_id)} ROW{_where(runs_dir)}"


def _where(runs_dir: str) -> str:
    return f" --runs-dir {shlex.quote(runs_dir)}" if runs_dir else ""


def _steps(status: Status, summary: Summary, where: str, rejects: str, origin: Origin) -> Iterator[Step]:
    run = shlex.quote(summary.run_id)
    if summary.state == "running":
        if status is Status.NOT_SENT:
            yield Step("Their turn comes: the run is going on.")
    elif status is Status.UNKNOWN:
        if not origin.sandbox:
            yield Step("Ask Braze for evidence; --apply records what it proves:", f"bulk-sender reconcile {run}{where}")
        yield Step("Send them again, some people perhaps twice:", f"bulk-sender retry {run} --unknown{where}")
        yield Step("Or take them for accepted, and send nothing:", f"bulk-sender resolve {run} --as accepted{where}")
    elif status is Status.FAILED:
        yield Step("Read the reasons below, mend what they name, then:", f"bulk-sender retry {run} --failed{where}")
    elif status is Status.NOT_SENT:
        yield Step("Mend what stopped the run, then go on with it:", f"bulk-sender resume {run}{where}")
    elif status is Status.REJECTED:
        words = "" if origin.given is not None else " with this run's configuration"
        again = shlex.join(["bulk-sender", "send", rejects, *origin.options])
        yield Step(f"Mend the rows in the rejects file, then send it{words}:", again)


OF_A_BROADCAST = {
    Status.UNKNOWN: "Braze may or may not have taken the broadcast: the request left, but no complete answer came.",
    Status.FAILED: "Braze refused the broadcast, and documents that nothing was sent.",
    Status.NOT_SENT: "The broadcast was not sent.",
    Status.ACCEPTED: "Braze took the broadcast. That is no proof that a message reached anyone.",
}


def of_broadcast(summary: Summary, *, runs_dir: str = "") -> Count:
    """What became of a broadcast's one request, which is never sent again by itself. It has no rows."""
    assert summary.broadcast is not None
    status = Status(summary.broadcast.status)
    steps = () if summary.state == "running" else tuple(_broadcast_steps(status, summary, _where(runs_dir)))
    return Count(status, 0, OF_A_BROADCAST[status], steps)


def _broadcast_steps(status: Status, summary: Summary, where: str) -> Iterator[Step]:
    run = shlex.quote(summary.run_id)
    if status is Status.UNKNOWN:
        yield Step(
            "Look in Braze whether the campaign went out. If it did:", f"bulk-sender resolve {run} --as accepted{where}"
        )
        yield Step("If it did not:", f"bulk-sender resolve {run} --as failed{where}")
    elif status is Status.NOT_SENT:
        # The id is left to be typed: a confirmation that is pasted confirms nothing.
        again = f"bulk-sender broadcast --run-id {run} --confirm ID{where}"
        yield Step("Mend what stopped it, then send it with the configuration it was begun with:", again)
    elif status is Status.FAILED:
        yield Step("Read the reason, mend what it names, then start another broadcast.")


@dataclass(frozen=True, slots=True)
class Slice:
    """A count's stretch of the bar over all rows, in percent of its length."""

    status: Status
    left: float
    width: float


def slices(counts: Sequence[Count]) -> list[Slice]:
    """The bar over all rows, accepted first. A single unknown row among a million has to be seen: none is too thin."""
    rows = sum(count.rows for count in counts)
    parts = [(count.status, count.rows) for count in sorted(counts, key=lambda c: -ORDER.index(c.status)) if count.rows]
    widths = [max(_THINNEST, 100 * part / rows) for _, part in parts]
    scale = 100 / sum(widths) if widths else 0.0
    found, left = [], 0.0
    for (status, _), width in zip(parts, widths, strict=True):
        found.append(Slice(status, round(left, 3), round(width * scale, 3)))
        left += width * scale
    return found


def headline(summary: Summary) -> str:
    """The run in a sentence or two, worst news first."""
    if summary.broadcast is not None:
        return f"The broadcast is {NAMES[Status(summary.broadcast.status)]}."
    if summary.state == "running":
        return f"The run is going on: {summary.accepted:,} of {summary.rows:,} rows are accepted so far."
    troubled = sum(int(getattr(summary, status)) for status in TROUBLE)
    lead = {
        "stopped": "The run stopped before its end. ",
        "interrupted": "The run was interrupted before its end. ",
    }.get(summary.state, "")
    if troubled:
        need = "needs" if troubled == 1 else "need"
        return f"{lead}{troubled:,} of {summary.rows:,} rows {need} you; {summary.accepted:,} are accepted."
    if summary.duplicate:
        return f"{lead}All is well: {summary.accepted:,} rows are accepted, {summary.duplicate:,} are duplicates."
    return f"{lead}All is well: all {summary.rows:,} rows are accepted."
