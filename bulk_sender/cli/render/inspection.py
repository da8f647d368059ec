"""Text of a check's report, the list of runs, and everything known about a row. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from bulk_sender.cli.render.layout import COLUMN, STYLES, labelled, sentence, wrapped
from bulk_sender.cli.render.preview import of_input
from bulk_sender.text.numbers import duration, number, several
from bulk_sender.text.times import clock

if TYPE_CHECKING:
    from bulk_sender.operations.doctor import Diagnosis
    from bulk_sender.planning.report import CheckReport
    from bulk_sender.reporting.summary import Summary

_REACHED = (
    "nothing was sent",
    "connected, but nothing was sent",
    "part of the request was sent",
    "the whole request was sent",
    "part of an answer arrived",
    "an answer arrived",
)
"""How far an attempt got, by ``Reach``."""


def check(report: CheckReport, width: int | None) -> list[Text]:
    """Return counts, reasons with examples, a sample request, requests and time."""
    lines = of_input(report, "the configured rate", width)
    if report.identifiers:
        kinds = ", ".join(f"{kind} ({number(count)})" for kind, count in report.identifiers.items())
        lines += labelled("identified by", kinds, width)
    lines += _examples(report, width)
    if report.sample_request is not None:
        lines += [Text(), Text(f"The first request, {number(report.body_bytes)} bytes", "bold")]
        lines += _json(_shortened(report.sample_request))
    return lines


_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "refused": ("refused", "bold red")}


def diagnosis(found: Diagnosis, width: int | None) -> list[Text]:
    """Return one line for each thing that was looked at, with what to do about it."""
    column = max(len(each.name) for each in found.found) + 2
    lines: list[Text] = []
    for each in found.found:
        word, style = _MARKS.get(each.state, (each.state, "dim"))
        first = f"  {word:<9}  {each.name:<{column}}"
        head, *rest = wrapped(sentence(each.text), width, indent=" " * len(first), first=first)
        lines += [Text.assemble((head[:11], style), head[11:]), *map(Text, rest)]
        if each.hint:
            lines += [Text(line, "dim") for line in wrapped(sentence(each.hint), width, indent=" " * len(first))]
    refused = sum(each.state == "refused" for each in found.found)
    end = f"A send would be refused: {several(refused, 'problem')}." if refused else "A send could begin."
    return [*lines, Text(), Text(end, "bold red" if refused else "bold green")]


def _examples(report: CheckReport, width: int | None) -> list[Text]:
    lines: list[Text] = []
    for code, facts in sorted(report.reasons.items(), key=lambda item: (item[0] == "duplicate", -item[1]["count"])):
        lines += [Text(), Text.assemble((code, "bold"), f"  {several(facts['count'], 'row')}, for example")]
        for example in facts["examples"]:
            first = f"  row {example['row']:<6} "
            lines += map(Text, wrapped(sentence(str(example["error"])), width, indent="    ", first=first))
    return lines


def _shortened(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request with its first two recipients only. A campaign need not be known yet."""
    for target in ("campaign_id", "canvas_id"):
        if target in request and request[target] is None:
            request = request | {target: "… not set yet"}
    recipients = request.get("recipients", [])
    more = len(recipients) - 2
    if more <= 0:
        return request
    return request | {"recipients": [*recipients[:2], f"… and {several(more, 'recipient')} more"]}


def _json(value: Any, indent: str = "  ") -> list[Text]:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return [Text(indent + line) for line in text.splitlines()]


def runs(found: Sequence[Summary], width: int | None) -> list[Text]:
    """Return one line per run; two on a narrow terminal."""
    styles = ["bold", *map(_state_style, found)]
    for heads in _HEADS:
        table = [heads, *map(_cells, found)]
        wide = [max(map(len, column)) for column in zip(*table, strict=True)]
        if width is None or sum(wide) + 2 * (len(wide) - 1) <= width:
            return [_run_line(cells, wide, style) for cells, style in zip(table, styles, strict=True)]
    return [line for summary in found for line in _narrow_run(summary)]


_HEADS = [("RUN", "STATE", "ROWS", "ACCEPTED", name, "STARTED (UTC)") for name in ("NEEDS ATTENTION", "ATTENTION")]
"""The widest first."""


def _cells(summary: Summary) -> tuple[str, ...]:
    begun = clock(summary.started_at or "")[:16]
    counts = number(summary.rows), number(summary.accepted)
    if summary.broadcast is not None:  # it has no rows to count
        counts = "broadcast", summary.broadcast.status.replace("_", " ")
    return summary.run_id, summary.state, *counts, number(_open_rows(summary)), begun


def _run_line(cells: Sequence[str], wide: Sequence[int], style: str) -> Text:
    run, state, *figures, begun = cells
    right = "  ".join(f"{figure:>{room}}" for figure, room in zip(figures, wide[2:-1], strict=True))
    base = "bold" if style == "bold" else ""
    return Text.assemble((f"{run:<{wide[0]}}  ", base), (f"{state:<{wide[1]}}", style), (f"  {right}  {begun}", base))


def _narrow_run(summary: Summary) -> list[Text]:
    counts = f"{number(summary.accepted)} of {number(summary.rows)} accepted"
    if summary.broadcast is not None:
        counts = f"broadcast: {summary.broadcast.status.replace('_', ' ')}"
    return [
        Text.assemble((summary.run_id, "bold"), "  ", (summary.state, _state_style(summary))),
        Text(f"  {counts}" + (f", {number(_open_rows(summary))} need attention" if _open_rows(summary) else "")),
    ]


def _open_rows(summary: Summary) -> int:
    """Return how many rows need attention or are still to be sent. A broadcast counts as one."""
    if summary.broadcast is not None:
        return int(summary.broadcast.status != "accepted")
    return summary.unknown + summary.failed + summary.rejected + summary.not_sent


def _state_style(summary: Summary) -> str:
    if summary.state == "running":
        return "cyan"
    if summary.state == "finished":
        return "green" if summary.exit_code == 0 else "yellow"
    return "red"


def story(facts: dict[str, Any], width: int | None) -> list[Text]:
    """Return everything known about one row, from the input to its last answer."""
    status = facts["status"]
    lines = [Text.assemble((f"Row {facts['row']}: ", "bold"), (status.replace("_", " "), STYLES[status]))]
    column = 17 if facts["identifier"] is not None else COLUMN
    lines += labelled("from", f"{facts['source']}, row {facts['source_row']}", width, column=column)
    if facts["identifier"] is not None:
        lines += labelled(facts["identifier_type"], facts["identifier"], width, column=column)
    if facts["error"]:
        lines += labelled("why", sentence(facts["error"]), width, column=column, style="red")
    if facts["recipient"] is not None:
        lines += [Text(), Text("Recipient", "bold"), *_json(facts["recipient"])]
    for batch in facts["batches"]:
        lines += [Text(), *_batch(batch, width)]
    return lines


def _batch(batch: dict[str, Any], width: int | None) -> list[Text]:
    part = f", a part of batch {batch['parent']}" if batch["parent"] else ""
    lines = [Text(f"Batch {batch['id']}, {several(batch['size'], 'recipient')}{part}", "bold")]
    if not batch["attempts"]:
        lines.append(Text("  not sent"))
    for count, attempt in enumerate(batch["attempts"], 1):
        lines += _attempt(count, attempt, width)
    for decision in batch["decisions"]:
        text = f"{clock(decision['at'])} UTC, {decision['user']}: {decision['status']} ({decision['why']})"
        lines += labelled("decided", text, width, style="bold")
    return lines


def _attempt(count: int, attempt: dict[str, Any], width: int | None) -> list[Text]:
    status = attempt["status"] or "unknown"
    style = STYLES.get(status, "")
    when = f"attempt {count}, {clock(attempt['sent_at'])} UTC:"
    *before, last = wrapped(f"{when} {status.replace('_', ' ')}", width, indent="    ", first="  ")
    name = status.replace("_", " ") if last.endswith(status.replace("_", " ")) else ""
    lines = [*map(Text, before), Text.assemble(last.removesuffix(name), (name, style))]
    if attempt["status"] is None:
        return [
            *lines,
            *labelled("evidence", "no outcome was recorded: the process ended, or is still working on it", width),
        ]
    how_far = _REACHED[attempt["reach"]] if attempt["code"] != "process_ended" else "the process ended before an answer"
    answer = f"HTTP {attempt['http_status']}" if attempt["http_status"] else "no answer"
    lines += labelled("evidence", f"{how_far}; {answer} after {duration(attempt['elapsed_s'])}", width)
    for label, value in (("dispatch_id", attempt["dispatch_id"]), ("message", attempt["message"])):
        if value:
            lines += labelled(label, sentence(value), width)
    if attempt["likely"]:
        lines += labelled("likely", attempt["likely"].replace("_", " "), width)
    lines += labelled("body", f"SHA-256 {attempt['body_sha256']}", width, style="dim")
    return lines
