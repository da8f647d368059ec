"""Text of a check's report, the list of runs, and what is known about a row or a person. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from bulk_sender.cli.render.layout import COLUMN, STYLES, labelled, notice, sentence, wrapped
from bulk_sender.cli.render.preview import of_input
from bulk_sender.text.clean import escaped, plain
from bulk_sender.text.numbers import duration, number, several
from bulk_sender.text.times import clock

if TYPE_CHECKING:
    from bulk_sender.operations.doctor import Diagnosis
    from bulk_sender.planning.report import CheckReport
    from bulk_sender.reporting.pages import Search
    from bulk_sender.reporting.summary import RunOverview, Summary

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
    lines = (
        [Text(line, "bold red") for line in wrapped(report.mostly_rejected, width)] if report.mostly_rejected else []
    )
    lines += of_input(report, "the configured rate", width)
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
    for code, facts in sorted(
        report.reasons.items(), key=lambda item: (item[0] not in report.rejections, -item[1]["count"])
    ):
        lines += [Text(), Text.assemble((code, "bold"), f"  {several(facts['count'], 'row')}, for example")]
        for example in facts["examples"]:
            first = f"  {_numbers(example):<18} "
            lines += map(Text, wrapped(sentence(str(example["error"])), width, indent="    ", first=first))
    return lines


def _numbers(example: dict[str, Any]) -> str:
    """Return the number of a row, and where a person finds it in its file: ``row 42, line 43``."""
    row = f"row {example['row']}"
    place = _place(example)
    return row if place == row else f"{row}, {place}" if place.startswith("line") else f"{row}, sheet {place}"


def _place(facts: dict[str, Any]) -> str:
    from bulk_sender.reading.formats import where

    return where(facts["source"], facts["source_row"], facts["source_line"])


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
    text = escaped(json.dumps(value, ensure_ascii=False, indent=2))
    return [Text(indent + line) for line in text.splitlines()]


def runs(found: Sequence[RunOverview], width: int | None) -> list[Text]:
    """Return one line per run; two on a narrow terminal."""
    styles = ["bold", *map(_state_style, found)]
    for heads in _HEADS:
        table = [heads, *map(_cells, found)]
        wide = [max(map(len, column)) for column in zip(*table, strict=True)]
        if width is None or sum(wide) + 2 * (len(wide) - 1) <= width:
            return [_run_line(cells, wide, style) for cells, style in zip(table, styles, strict=True)]
    return [line for overview in found for line in _narrow_run(overview)]


_HEADS = [
    ("RUN", "STATE", "ROWS", "ACCEPTED", name, "STARTED (UTC)", "FILE", "TO")
    for name in ("NEEDS ATTENTION", "ATTENTION")
]
"""The widest first."""


def _cells(overview: RunOverview) -> tuple[str, ...]:
    begun = clock(overview.started_at or "")[:16]
    counts = number(overview.rows), number(overview.accepted)
    if overview.broadcast is not None:  # it has no rows to count
        counts = "broadcast", overview.broadcast.status.replace("_", " ")
    return overview.run_id, _state(overview), *counts, number(overview.open_rows), begun, _file(overview), _to(overview)


def _state(overview: RunOverview) -> str:
    """Return the state in one or two words: ``finished``, ``folder gone``, ``data removed``."""
    return "folder gone" if overview.is_gone else "data removed" if overview.pruned_at else overview.state


def _file(overview: RunOverview) -> str:
    names = [plain(name.rsplit("/", 1)[-1]) for name in overview.inputs]
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names)


def _to(overview: RunOverview) -> str:
    return "rehearsal" if overview.rehearsal else plain(overview.target)


def _run_line(cells: Sequence[str], wide: Sequence[int], style: str) -> Text:
    run, state, *figures, begun, file, to = cells
    right = "  ".join(f"{figure:>{room}}" for figure, room in zip(figures, wide[2:-3], strict=True))
    base = "bold" if style == "bold" else ""
    ends = f"  {right}  {begun:<{wide[-3]}}  {file:<{wide[-2]}}  {to}"
    return Text.assemble((f"{run:<{wide[0]}}  ", base), (f"{state:<{wide[1]}}", style), (ends.rstrip(), base))


def _narrow_run(overview: RunOverview) -> list[Text]:
    counts = f"{number(overview.accepted)} of {number(overview.rows)} accepted"
    if overview.broadcast is not None:
        counts = f"broadcast: {overview.broadcast.status.replace('_', ' ')}"
    needs = f", {number(overview.open_rows)} need attention" if overview.open_rows else ""
    sent = " to ".join(part for part in (_file(overview), _to(overview)) if part)
    return [
        Text.assemble((overview.run_id, "bold"), "  ", (_state(overview), _state_style(overview))),
        Text(f"  {counts}{needs}" + (f"; {sent}" if sent else "")),
    ]


def _state_style(summary: Summary) -> str:
    if summary.state == "running":
        return "cyan"
    if summary.state == "finished":
        return "green" if summary.exit_code == 0 else "yellow"
    return "red"


def search(found: Search, width: int | None) -> list[Text]:
    """Return one entry for each row of a person, and what could not be searched."""
    lines: list[Text] = []
    for row in found.rows:
        head = Text.assemble((f"Run {row.run_id}, row {row.row}: ", "bold"))
        lines.append(head.append(row.status.replace("_", " "), STYLES[row.status]))
        lines += labelled("from", f"{row.source}, {_place(asdict(row))}", width)
        if row.sent_at is not None:
            lines += labelled("sent", f"{clock(row.sent_at)} UTC", width)
        if row.error:
            lines += labelled("why", sentence(row.error), width)
    if not found.rows:
        lines.append(Text(f"No row with this identifier in {several(found.runs, 'run')}.", "bold"))
    for name, why in found.unread.items():
        lines += notice("not searched", "yellow", f"run {name}: {why}", "", width)
    return lines


def story(facts: dict[str, Any], width: int | None) -> list[Text]:
    """Return everything known about one row, from the input to its last answer."""
    status = facts["status"]
    lines = [Text.assemble((f"Row {facts['row']}: ", "bold"), (status.replace("_", " "), STYLES[status]))]
    column = 17 if facts["identifier"] is not None else COLUMN
    lines += labelled("from", f"{facts['source']}, {_place(facts)}", width, column=column)
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
    body = f"SHA-256 {attempt['body_sha256']}" if attempt["body_sha256"] else "in the last request of the batch before"
    lines += labelled("body", body, width, style="dim")
    return lines
