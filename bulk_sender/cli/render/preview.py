"""Text of what is about to be sent. Pure: facts in, lines out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from bulk_sender.braze.hosts import host_warning
from bulk_sender.cli.render.layout import STYLES, command, counted, labelled, shown, wrapped
from bulk_sender.config.rate import Rate
from bulk_sender.journal.records import RESEND
from bulk_sender.reporting.advice import COSTS
from bulk_sender.text.clean import escaped, plain
from bulk_sender.text.numbers import duration, number, several
from bulk_sender.text.times import clock

if TYPE_CHECKING:
    from bulk_sender.journal.answers import Doubt
    from bulk_sender.planning.report import CheckReport
    from bulk_sender.run.preview import BroadcastPreview, Preview


def preview(about: Preview, width: int | None, *, canary: int | None = None) -> list[Text]:
    """Return what is about to be sent, to whom and where."""
    if about.test:
        return _test(about, width)
    title = f"About to send again, in run {about.run_id}" if about.again else "About to send"
    if about.standing is not None and not about.again:
        title = f"About to resume run {about.run_id}"
    lines = [Text(line, "bold") for line in wrapped(title, width, indent="  ", first="")]
    lines += target(about, width)
    if about.sandbox is not None:
        lines += labelled("to", f"the built-in sandbox ({about.sandbox.weather}): nothing leaves this computer", width)
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
    policy = "retried only if" if about.server_errors == "retry" else "unknown, even if"
    lines += labelled("server errors", f"{policy} Braze confirms nothing was sent", width)
    if canary is not None:
        lines += labelled("canary", f"the first {several(canary, 'row')}, then you confirm the rest", width)
    return lines


def _test(about: Preview, width: int | None) -> list[Text]:
    """Return what a test sends, with the whole request."""
    lines = [Text("About to send a test: one message", "bold"), *labelled("test", about.test, width, style="bold")]
    lines += target(about, width)
    place = about.endpoint
    if about.sandbox is not None:
        place = f"the built-in sandbox ({about.sandbox.weather}): nothing leaves this computer"
    lines += labelled("to", place, width, style="bold")
    if about.report is not None and about.report.sample_request is not None:
        request = escaped(json.dumps(about.report.sample_request, ensure_ascii=False, indent=2))
        lines += [Text("  request", "dim"), *(Text(f"    {plain(line)}") for line in request.splitlines())]
    return lines


def target(about: Preview | BroadcastPreview, width: int | None) -> list[Text]:
    """Return the campaign's or Canvas' name and id, and why its state is not known."""
    name = f"{about.preflight.name} ({about.target})" if about.preflight.name else about.target
    lines = labelled(about.kind, name, width, style="bold")
    if about.preflight.why_not:
        lines += labelled("state", f"unknown: {about.preflight.why_not}", width)
    return lines


def question(about: Preview, canary: int | None = None) -> str:
    """Return the question before the first request; ``canary``: the rows that go first."""
    if about.test:
        return "Send this test?"
    if about.standing is not None and about.standing.held is not None and not about.again:
        return "Send the rest?"
    if canary is not None and (about.recipients is None or about.recipients > canary):
        return f"Send to the first {number(canary)} now?"
    if about.recipients is None:
        return "Resume?"
    if about.report is not None and about.report.mostly_rejected:
        rejected, rows = number(about.report.rejected), several(about.report.rows, "row")
        return f"{rejected} of {rows} are rejected. Send to {several(about.recipients, 'recipient')}?"
    return f"Send to {several(about.recipients, 'recipient')}?"


def question_again(about: Preview, wanted: str) -> str:
    """Return the question before the same input goes out once more. ``wanted``: the answer that means yes."""
    told = about.repeats[0]
    return f"{told[:1].upper()}{told[1:]}. Sending it again messages them again. Type {wanted} to send:"


def warnings(about: Preview) -> list[str]:
    """Return what to check before confirming."""
    # A test's columns are those of the whole input, of which its identifier is replaced.
    found = [] if about.test else list(about.report.warnings if about.report is not None else about.notes)
    if about.unused:
        found.append("columns that will not be sent: " + ", ".join(map(repr, about.unused)))
    found += about.fit.sentences() if about.fit is not None else []
    found += about.preflight.warnings
    if about.sandbox is None and (unusual := host_warning(about.endpoint)):
        found.append(unusual)
    return found


def of_input(report: CheckReport, rate: str, width: int | None) -> list[Text]:
    """Return how many rows can be sent, how many cannot and why, and how long it takes."""
    rows = [("recipients", report.valid, f"of {several(report.rows, 'row')}", "bold" if report.valid else "bold red")]
    if report.filtered:
        rows.append(("left out", report.filtered, "by [input] filter", ""))
    if report.rejected:
        rows.append(("rejected", report.rejected, reasons(report), STYLES["rejected"]))
    if report.duplicate:
        rows.append(("duplicates", report.duplicate, left_out(report), ""))
    rows.append(("requests", report.requests, f"of up to 50 recipients; {_pace(report.seconds, rate)}", ""))
    return counted(rows, width)


_UNITS = {1: "a second", 60: "a minute", 3600: "an hour", 86_400: "a day"}


def _pace(seconds: float, rate: str) -> str:
    """Return ``about 1 s at 250,000 requests an hour``. ``rate`` may also be words."""
    if "/" in rate:
        parsed = Rate.parse(rate)
        rate = f"{number(parsed.count)} requests {_UNITS[parsed.seconds]}"
    return f"about {duration(seconds)} at {rate}"


def left_out(report: CheckReport) -> str:
    """Return why duplicates are left out: ``skipped``, or how many are excluded."""
    excluded = report.excluded
    return f"skipped, {number(excluded)} of them excluded" if excluded else "skipped"


def reasons(report: CheckReport) -> str:
    """Return ``5 email_invalid, 3 identifier_missing``, the most frequent first."""
    counted = [(facts["count"], code) for code, facts in report.rejections.items()]
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
    if "unknown" in about.again:
        lines += labelled("warning", COSTS[RESEND], width, style="bold yellow")
    return lines


def doubts(evidence: tuple[Doubt, ...], width: int | None) -> list[Text]:
    """Return the evidence about rows to be decided: how many, what happened, when, what is likely, the verdict."""
    several_verdicts = len({doubt.verdict for doubt in evidence}) > 1
    digits = 2 + max((len(number(doubt.rows)) for doubt in evidence), default=0)
    lines: list[Text] = []
    for doubt in evidence:
        since, until = clock(doubt.since), clock(doubt.until)
        same_day = since[:10] == until[:10]
        when = since + (f" to {until[11:] if same_day else until}" if until != since else "")
        likely = f"; likely {doubt.likely.replace('_', ' ')}" if doubt.likely else ""
        text = f"{doubt.message or 'no text'}{likely}; sent {when} UTC, in {several(doubt.batches, 'batch', 'batches')}"
        if several_verdicts:
            text = f"→ {doubt.verdict}: {text}"
        head, *rest = wrapped(text, width, indent=" " * (digits + 2), first=f"{number(doubt.rows):>{digits}}  ")
        lines += [Text.assemble((head[:digits], STYLES[doubt.status]), head[digits:]), *map(Text, rest)]
    return lines


def costs(verdicts: Iterable[str], width: int | None) -> list[Text]:
    """Return what each of these decisions may cost, if it is wrong."""
    return [line for verdict in verdicts for line in labelled(verdict, COSTS[verdict], width)]


def rehearsal(inputs: Sequence[str], config: Path | None, sheet: str | None = None) -> list[Text]:
    """Return the command that rehearses what was checked."""
    options = ["--config", str(config)] if config is not None else []
    options += ["--sheet", sheet] if sheet is not None else []
    again = command("send", *inputs, *options, "--sandbox")
    return [Text(), Text("Rehearse it (nothing leaves this computer):"), Text.assemble("  ", (again, "bold"))]


def planned(report: CheckReport, path: Path, width: int | None) -> list[Text]:
    """Return that a plan was written, with the numbers to compare it by."""
    requests, recipients = several(report.requests, "request"), several(report.valid, "recipient")
    text = f"Plan written to {shown(path)}: {requests} for {recipients}, SHA-256 {report.bodies_sha256}"
    return [Text(line) for line in wrapped(text, width, indent="  ", first="")]


def rejects_written(report: CheckReport, path: Path) -> list[str]:
    """Return that the rejected rows were written."""
    return [f"Rejected rows written to {shown(path)}: {several(report.rejected, 'row')}"]
