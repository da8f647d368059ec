"""What a send says about itself: what it is about to do, and what came of it. Pure: facts in, lines out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from bulk_sender.cli.text import program
from bulk_sender.cli.wording import (
    STYLES,
    clock,
    command,
    counted,
    duration,
    labelled,
    number,
    run_command,
    sentence,
    several,
    shown,
    wrapped,
)
from bulk_sender.results.origin import UNKNOWN, Origin

if TYPE_CHECKING:
    from bulk_sender.api import Preview
    from bulk_sender.results.doubts import Doubt
    from bulk_sender.results.summary import BroadcastResult, Summary
    from bulk_sender.run.examination import CheckReport
    from bulk_sender.run.progress import Progress

# --- before -------------------------------------------------------------------------------------------------------


def preview(about: Preview, width: int | None, *, canary: int | None = None) -> list[Text]:
    """What is about to be sent, to whom and where."""
    title = f"About to send again, in run {about.run_id}" if about.again else "About to send"
    if about.standing is not None and not about.again:
        title = f"About to go on with run {about.run_id}"
    lines = [Text(line, "bold") for line in wrapped(title, width, indent="  ", first="")]
    lines += labelled(about.kind, about.target, width, style="bold")
    if about.sandbox:
        lines += labelled("to", f"a sandbox on this machine, {about.sandbox}: nothing leaves it", width)
    else:
        lines += labelled("to", about.endpoint, width, style="bold")
    if about.report is not None:
        lines += of_input(about.report, about.rate, width)
    elif about.standing is None:
        lines += labelled("rate", f"{about.rate}; a large input is counted while it is sent", width)
    if about.standing is not None:
        lines += _standing(about, width)
    if about.plan:
        lines += labelled("plan", f"each request as planned (SHA-256 {about.plan})", width)
    policy = "tried again when" if about.server_errors == "retry" else "held as unknown even when"
    lines += labelled("on 5XX", f"{policy} Braze itself says that nothing was sent", width)
    if canary is not None:
        lines += labelled("canary", f"the first {several(canary, 'row')}, then a word from you", width)
    return lines


def question(about: Preview) -> str:
    if about.recipients is None:
        return "Go on?"
    return f"Send to {several(about.recipients, 'recipient')}?"


def warnings(about: Preview) -> list[str]:
    """What is worth a second look before saying yes."""
    found = list(about.report.warnings) if about.report is not None else []
    if about.unused:
        found.append("not sent: column " + ", ".join(map(repr, about.unused)) + " fits no field of a recipient")
    if not about.sandbox and not about.known_host:
        found.append(f"{about.endpoint} is not among the known Braze instances: is it spelt right?")
    return found


def of_input(report: CheckReport, rate: str, width: int | None) -> list[Text]:
    """How many rows can go, how many can't and why, and what it takes."""
    rows = [("recipients", report.valid, f"of {several(report.rows, 'row')}", "bold" if report.valid else "bold red")]
    if report.rejected:
        rows.append(("rejected", report.rejected, reasons(report), STYLES["rejected"]))
    if report.duplicate:
        rows.append(("duplicates", report.duplicate, "left out", ""))
    rows.append(("requests", report.requests, f"about {duration(report.seconds)} at {rate}", ""))
    return counted(rows, width)


def reasons(report: CheckReport) -> str:
    """``5 email_invalid, 3 identifier_missing``, the most frequent first."""
    counted = [(facts["count"], code) for code, facts in report.reasons.items() if code != "duplicate"]
    return ", ".join(f"{number(count)} {code}" for count, code in sorted(counted, key=lambda item: -item[0]))


def _standing(about: Preview, width: int | None) -> list[Text]:
    assert about.standing is not None
    standing = about.standing
    so_far = [f"{name.replace('_', ' ')} {number(getattr(standing, name))}" for name in STYLES]
    lines = labelled("so far", ", ".join(text for text in so_far if not text.endswith(" 0")) or "nothing", width)
    for status, rows in about.again.items():
        lines += labelled("again", several(rows, f"{status} row"), width, style=STYLES[status])
    if standing.not_sent:
        also = "also " if about.again else ""
        lines += labelled("left", f"{also}{several(standing.not_sent, 'row')} not sent yet", width)
    lines += doubts(about.doubts, width)
    if about.doubts:
        lines += labelled("mind", "whoever got the message already gets it once more", width, style="bold yellow")
    return lines


def doubts(evidence: tuple[Doubt, ...], width: int | None) -> list[Text]:
    """What is known of unknown rows: how many, what happened, when, and what is likely."""
    digits = 2 + max((len(number(doubt.rows)) for doubt in evidence), default=0)
    lines: list[Text] = []
    for doubt in evidence:
        since, until = clock(doubt.since), clock(doubt.until)
        same_day = since[:10] == until[:10]
        when = since + (f" to {until[11:] if same_day else until}" if until != since else "")
        likely = f"; likely {doubt.likely.replace('_', ' ')}" if doubt.likely else ""
        text = f"{doubt.message}{likely}; sent {when} UTC, in {several(doubt.batches, 'batch', 'batches')}"
        head, *rest = wrapped(text, width, indent=" " * (digits + 2), first=f"{number(doubt.rows):>{digits}}  ")
        lines += [Text.assemble((head[:digits], STYLES["unknown"]), head[digits:]), *map(Text, rest)]
    return lines


def rehearsal(inputs: Sequence[str], config: Path | None) -> list[Text]:
    """What may come after a check: the same, sent to nobody."""
    options = ["--config", str(config)] if config is not None else []
    again = command("send", *inputs, *options, "--sandbox")
    return [Text(), Text("See it go to a sandbox on this machine:"), Text.assemble("  ", (again, "bold"))]


def planned(report: CheckReport, path: Path, width: int | None) -> list[Text]:
    """A plan was written: what it holds to, in numbers to compare it by."""
    requests, recipients = several(report.requests, "request"), several(report.valid, "recipient")
    text = f"Plan written to {shown(path)}: {requests} for {recipients}, SHA-256 {report.bodies_sha256}"
    return [Text(line) for line in wrapped(text, width, indent="  ", first="")]


# --- after --------------------------------------------------------------------------------------------------------


def summary(about: Summary, width: int | None, origin: Origin = UNKNOWN) -> list[Text]:
    """The account: the six counts, trouble first; the way out of each; how long it took, and where the files are.

    Of a broadcast, which has no rows: what became of its request.
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
    """A broadcast's one request: what became of it, what Braze said, and what to do."""
    from bulk_sender.results.advice import of_broadcast

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
    """How the run stands, in one sentence."""
    name = f"{'Run' if about.broadcast is None else 'Broadcast'} {about.run_id}"
    if about.state == "running":
        return f"{name} is under way, by {about.reason}"
    if about.state != "finished":
        return f"{name} {about.state}: {about.reason}"
    if about.exit_code == 0:
        return f"{name} finished"
    return f"{name} finished: " + ("some rows need you" if about.broadcast is None else "it needs you")


def trouble(about: Summary) -> str:
    """What is wrong with a run, in one sentence, for those who are told nothing else."""
    if about.state != "finished" or about.broadcast is not None:
        return title(about)
    counts = {name: getattr(about, name) for name in STYLES if name not in ("accepted", "duplicate")}
    found = [f"{number(count)} {name.replace('_', ' ')}" for name, count in counts.items() if count]
    return f"{title(about)} ({', '.join(found)})"


def how_to_go_on(about: Summary) -> str:
    if about.state == "finished" or about.broadcast is not None:
        return run_command("status", _folder(about)) + " says what to do"
    return "go on with " + run_command("resume", _folder(about))


def _title(about: Summary, width: int | None) -> list[Text]:
    style = "bold green" if about.exit_code == 0 else "bold yellow" if about.state == "finished" else "bold red"
    if about.state == "running":
        style = "bold cyan"
    return [Text(line, style) for line in wrapped(title(about), width, indent="  ", first="")]


def _ways_out(about: Summary, width: int | None, origin: Origin) -> list[Text]:
    """For each kind of trouble what it means, and the commands that deal with it."""
    lines: list[Text] = []
    for status in STYLES:
        told, commands = _advice(about, status, origin) if getattr(about, status) else ("", [])
        if not told and status == "not_sent" and about.state in ("stopped", "interrupted"):
            told, commands = "the account is not complete: go on with", [run_command("resume", _folder(about))]
        if told:
            head = f"{status.replace('_', ' ')}: "
            first, *rest = wrapped(head + told, width, indent="  ")
            lines += [Text.assemble(("  " + head, STYLES[status]), first[2 + len(head) :]), *map(Text, rest)]
            # A command is never wrapped here: a copied one has to be whole.
            lines += [Text.assemble("    ", (text, "bold")) for text in commands]
    return [*lines, Text()] if lines else []


def _advice(about: Summary, status: str, origin: Origin) -> tuple[str, list[str]]:
    """What a status means for the reader, and what to do about it."""
    folder = _folder(about)
    if status == "unknown":
        ask = [] if origin.sandbox else [run_command("reconcile", folder)]  # its sandbox is gone
        return f"Braze may have taken them, or not. {'Ask it, then choose' if ask else 'Choose'}", [
            *ask,
            run_command("retry", folder, "--unknown"),
            run_command("resolve", folder, "--as", "accepted"),
        ]
    if status == "failed":
        return "Braze refused them, nothing was sent. Read the errors in the results, then", [
            run_command("retry", folder, "--failed")
        ]
    if status == "rejected":
        return "these rows are wrong and were not sent. Mend them in this file, and send it", [
            command("send", *map(shown, [about.files["rejected"], *origin.options]))
        ]
    if status == "not_sent":
        return "their turn did not come. Go on with", [run_command("resume", folder)]
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
    """How the canary did."""
    counts = [("accepted", progress.accepted), ("failed", progress.failed), ("unknown", progress.unknown)]
    text = f"The first {several(rows, 'row')}: " + ", ".join(f"{number(count)} {name}" for name, count in counts)
    return [Text(line, "bold") for line in wrapped(text, width)]
