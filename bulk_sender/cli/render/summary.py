"""The summary of a run as terminal text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from bulk_sender.cli.environment import program
from bulk_sender.cli.render.layout import (
    STYLES,
    clock,
    command,
    duration,
    labelled,
    number,
    run_command,
    sentence,
    several,
    shown,
    wrapped,
)
from bulk_sender.reporting.origin import UNKNOWN, Origin

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
    from bulk_sender.reporting.advice import of_broadcast

    elsewhere = shown(_folder(about).parent)
    count = of_broadcast(about, runs_dir="" if elsewhere == "bulk-sender-runs" else elsewhere)
    lines = labelled(result.status.replace("_", " "), count.meaning, width, style=STYLES[result.status])
    for label, value in (("dispatch_id", result.dispatch_id), ("why", result.error)):
        lines += labelled(label, sentence(value), width) if value else []
    lines.append(Text())
    for step in count.steps:
        lines += map(Text, wrapped(step.words, width, indent="  "))
        if step.command:
            lines.append(Text.assemble("    ", (step.command.replace("bulk-sender", program(), 1), "bold")))
    return [*lines, Text()] if count.steps else lines


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
    rows = about.unknown + about.failed + about.rejected + about.not_sent
    return f"{name} finished. {several(rows, 'row needs', 'rows need')} your attention"


def trouble(about: Summary) -> str:
    """Return what is wrong with a run in one sentence, for --quiet."""
    if about.state != "finished" or about.broadcast is not None:
        return title(about)
    counts = {name: getattr(about, name) for name in STYLES if name not in ("accepted", "duplicate")}
    found = [f"{number(count)} {name.replace('_', ' ')}" for name, count in counts.items() if count]
    return f"{title(about)} ({', '.join(found)})"


def next_step(about: Summary) -> str:
    """Return what to do next, as a hint."""
    if about.state == "finished" or about.broadcast is not None:
        return run_command("status", _folder(about)) + " shows what to do"
    return "resume with " + run_command("resume", _folder(about))


def _title(about: Summary, width: int | None) -> list[Text]:
    style = "bold green" if about.exit_code == 0 else "bold yellow" if about.state == "finished" else "bold red"
    if about.state == "running":
        style = "bold cyan"
    return [Text(line, style) for line in wrapped(title(about), width, indent="  ", first="")]


def _ways_out(about: Summary, width: int | None, origin: Origin) -> list[Text]:
    """Return what each kind of problem means, and the commands that deal with it."""
    lines: list[Text] = []
    for status in STYLES:
        advice, commands = _advice(about, status, origin) if getattr(about, status) else ("", [])
        if not advice and status == "not_sent" and about.state in ("stopped", "interrupted"):
            advice, commands = "the account is not complete. Resume with", [run_command("resume", _folder(about))]
        if advice:
            head = f"{status.replace('_', ' ')}: "
            first, *rest = wrapped(head + advice, width, indent="  ")
            lines += [Text.assemble(("  " + head, STYLES[status]), first[2 + len(head) :]), *map(Text, rest)]
            # A command is never wrapped here: a copied one has to be whole.
            lines += [Text.assemble("    ", (text, "bold")) for text in commands]
    return [*lines, Text()] if lines else []


def _advice(about: Summary, status: str, origin: Origin) -> tuple[str, list[str]]:
    """Return what a status means for the reader, and the commands that deal with it."""
    folder = _folder(about)
    if status == "unknown":
        ask = [] if origin.sandbox else [run_command("reconcile", folder)]  # its sandbox is gone
        return f"Braze may or may not have accepted these. {'Ask Braze, then choose one:' if ask else 'Choose one:'}", [
            *ask,
            run_command("retry", folder, "--unknown"),
            run_command("resolve", folder, "--as", "accepted"),
        ]
    if status == "failed":
        return "Braze refused these, so nothing was sent. Read the errors in the results, then", [
            run_command("retry", folder, "--failed")
        ]
    if status == "rejected":
        return "these rows are invalid and were not sent. Fix them in this file, then send it", [
            command("send", *map(shown, [about.files["rejected"], *origin.options]))
        ]
    if status == "not_sent":
        return "the run stopped before these. Resume with", [run_command("resume", folder)]
    return "", []


def _facts(about: Summary, width: int | None) -> list[Text]:
    if about.state == "running":
        text = f"{several(about.requests, 'request')} since {clock(about.started_at or '')} UTC"
        return [Text(line) for line in wrapped(text, width, indent="  ")]
    facts = [duration(about.elapsed_s), several(about.requests, "request")]
    if about.recipients_per_s:
        facts.append(f"{number(about.recipients_per_s)} recipients a second")
    names = [name for name in ("results", "rejected", "summary", "report") if name != "rejected" or about.rejected]
    files = [Path(about.files[name]).name for name in names if name in about.files]
    return [
        *(Text(line) for line in wrapped(" · ".join(facts), width, indent="  ")),
        *labelled("in", shown(_folder(about)), width, column=3),
        *labelled("", ", ".join(files), width, column=3),
    ]


def _folder(about: Summary) -> Path:
    return Path(about.files["journal"]).parent


def held(progress: Progress, rows: int, width: int | None) -> list[Text]:
    """Return the outcome of the canary."""
    counts = [("accepted", progress.accepted), ("failed", progress.failed), ("unknown", progress.unknown)]
    text = f"The first {several(rows, 'row')}: " + ", ".join(f"{number(count)} {name}" for name, count in counts)
    return [Text(line, "bold") for line in wrapped(text, width)]
