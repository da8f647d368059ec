"""The summary of a run as terminal text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from bulk_sender.cli.environment import program
from bulk_sender.cli.render.layout import STYLES, labelled, run_command, sentence, shown, wrapped
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.reporting import advice
from bulk_sender.reporting.origin import UNKNOWN, Origin
from bulk_sender.text.numbers import duration, number, several
from bulk_sender.text.times import clock

if TYPE_CHECKING:
    from bulk_sender.observe.events import Progress
    from bulk_sender.reporting.summary import BroadcastResult, Summary


def summary(about: Summary, width: int | None, origin: Origin = UNKNOWN) -> list[Text]:
    """Return the six counts, problems first; what to do about each; the duration, and where the files are.

    A broadcast has no rows: return what happened to its request.
    """
    lines = [*_title(about, width), Text()]
    lines += _counts(about) if about.broadcast is None else _request(about, about.broadcast, width)
    if about.state != "running" and about.broadcast is None:
        lines += _ways_out(about, width, origin)
    return lines + _facts(about, width)


def _counts(about: Summary) -> list[Text]:
    digits = len(number(about.rows)) + 2
    lines: list[Text] = []
    for status, style in STYLES.items():
        count = getattr(about, status)
        lines.append(Text(f"{number(count):>{digits}}  {status.replace('_', ' ')}", style if count else "dim"))
    return [
        *lines,
        Text("  " + "─" * (digits - 2), "dim"),
        Text(f"{number(about.rows):>{digits}}  rows", "bold"),
        Text(),
    ]


def _request(about: Summary, result: BroadcastResult, width: int | None) -> list[Text]:
    """Return what happened to a broadcast's one request, Braze's answer, and what to do."""
    count = advice.of_broadcast(about, runs_dir=_elsewhere(about))
    lines = labelled(count.name, count.meaning, width, style=STYLES[result.status])
    for label, value in (("dispatch_id", result.dispatch_id), ("why", result.error)):
        lines += labelled(label, sentence(value), width) if value else []
    lines.append(Text())
    lines += _steps(count, width)
    return [*lines, Text()] if count.steps else lines


def _steps(count: advice.Count, width: int | None) -> list[Text]:
    lines: list[Text] = []
    for step in count.steps:
        lines += map(Text, wrapped(step.words, width, indent="  "))
        if step.command:  # never wrapped: a copied command has to be complete
            lines.append(Text.assemble("    ", (step.command.replace("bulk-sender", program(), 1), "bold")))
    return lines


def title(about: Summary) -> str:
    """Return the state of the run in one sentence."""
    name = f"{'Run' if about.broadcast is None else 'Broadcast'} {about.run_id}"
    if about.state == "running":
        return f"{name} is in progress, by {about.reason}"
    if about.state != "finished":
        return f"{name} {about.state}: {about.reason}"
    if about.exit_code == 0:
        return f"{name} finished"
    if about.broadcast is not None:
        return f"{name} finished. It needs your attention"
    if not about.open_rows:
        return f"{name} finished. The rejected rows were sent again by another run"
    return f"{name} finished. {several(about.open_rows, 'row needs', 'rows need')} your attention"


def trouble(about: Summary) -> str:
    """Return what is wrong with a run in one sentence, for --quiet."""
    if about.state != "finished" or about.broadcast is not None:
        return title(about)
    counts = {name: getattr(about, name) for name in STYLES if name not in ("accepted", "duplicate")}
    found = [f"{number(count)} {name.replace('_', ' ')}" for name, count in counts.items() if count]
    return f"{title(about)} ({', '.join(found)})"


def next_step(about: Summary) -> str:
    """Return what to do next, as a hint."""
    if about.lost:  # the reason says it
        return ""
    if about.state == "finished" or about.broadcast is not None:
        return run_command("status", _folder(about)) + " shows what to do"
    return "resume with " + run_command("resume", _folder(about))


def _title(about: Summary, width: int | None) -> list[Text]:
    style = "bold green" if about.exit_code == 0 else "bold yellow" if about.state == "finished" else "bold red"
    if about.state == "running":
        style = "bold cyan"
    return [Text(line, style) for line in wrapped(title(about), width, indent="  ", first="")]


def _ways_out(about: Summary, width: int | None, origin: Origin) -> list[Text]:
    """Return what each kind of problem means, and what to do about it."""
    given = None if origin.given is None else {option: shown(value) for option, value in origin.given.items()}
    counts = advice.counts(
        about,
        runs_dir=_elsewhere(about),
        rejects=shown(about.rejects_file),
        origin=replace(origin, given=given),
    )
    lines: list[Text] = []
    for count in counts:
        if count.steps:
            meaning = count.meaning if count.rows else "The run stopped before it had read all rows."
            first, *rest = wrapped(f"{count.name}: {meaning}", width, indent="  ")
            head = 2 + len(count.name) + 1
            lines += [Text.assemble((first[:head], STYLES[count.status]), first[head:]), *map(Text, rest)]
            lines += _steps(count, width)
    return [*lines, Text()] if lines else []


def _elsewhere(about: Summary) -> str:
    """The folder of runs for a command, empty when it is the default."""
    runs_dir = shown(_folder(about).parent)
    return "" if runs_dir == DEFAULT_RUNS_DIR else runs_dir


def _facts(about: Summary, width: int | None) -> list[Text]:
    if about.state == "running":
        text = f"{several(about.requests, 'request')} since {clock(about.started_at or '')} UTC"
        return [*(Text(line) for line in wrapped(text, width, indent="  ")), *_workers(about, width)]
    facts = [duration(about.elapsed_s), several(about.requests, "request")]
    if about.recipients_per_s:
        facts.append(f"{number(about.recipients_per_s)} recipients a second")
    names = [
        name
        for name in ("results", "rejected", "rejected_xlsx", "summary", "report")
        if not name.startswith("rejected") or about.rejected
    ]
    files = [Path(about.files[name]).name for name in names if name in about.files]
    return [
        *(Text(line) for line in wrapped(" · ".join(facts), width, indent="  ")),
        *labelled("in", shown(_folder(about)), width, column=3),
        *(labelled("", ", ".join(files), width, column=3) if files else []),
        *_workers(about, width),
    ]


_STATES = {"working": "at work", "silent": "silent", "given_up": "given up", "ended": "ended"}


def _workers(about: Summary, width: int | None) -> list[Text]:
    """Return a line for each process, where several send the run."""
    lines: list[Text] = []
    for each in about.workers if len(about.workers) > 1 else ():
        at = f" on chunk {each.chunk}" if each.chunk is not None else ""
        what = f"{_STATES[each.state]}{at}, {several(each.requests, 'request')}, last heard of at"
        text = f"{each.host} process {each.pid} ({each.command}): {what} {clock(each.last_beat)} UTC"
        style = "yellow" if each.state in ("silent", "given_up") else ""
        lines += [Text(line, style) for line in wrapped(shown(text), width, indent="  ")]
    return [Text(), *lines] if lines else []


def _folder(about: Summary) -> Path:
    return Path(about.files["journal"]).parent


def held(progress: Progress, rows: int, width: int | None) -> list[Text]:
    """Return the outcome of the canary."""
    counts = [("accepted", progress.accepted), ("failed", progress.failed), ("unknown", progress.unknown)]
    text = f"The first {several(rows, 'row')}: " + ", ".join(f"{number(count)} {name}" for name, count in counts)
    return [Text(line, "bold") for line in wrapped(text, width)]
